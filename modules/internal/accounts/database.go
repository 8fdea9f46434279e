package accounts

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// The files that the programs that create and remove accounts examine first, and the fields of their lines.
const (
	Passwd = "/etc/passwd"
	Group  = "/etc/group"

	// ID is the field with the id of the entry itself, in both files.
	ID = 2
	// PrimaryGroup is the field of Passwd with the id of the primary group.
	PrimaryGroup = 3
)

// WithID returns the names on those lines of a file that have the given id in a field, without those that an earlier step is
// about to remove or give another id. Of those that such a step is about to add, only the ones whose id the user chose are known.
func WithID(ctx context.Context, h modules.Host, file string, field, id int) (names []string, err error) {
	text, _, err := observe.Text(ctx, h, file)
	if observe.IsUnknown(err) {
		text, err = present.Observe(ctx, h, file)
	}
	if err != nil {
		return nil, err
	}
	for _, name := range withID(text, field, id) {
		is, err := idOf(ctx, h, file, field, name)
		if err != nil {
			return nil, err
		}
		if is == id {
			names = append(names, name)
		}
	}
	if field != ID {
		return names, nil
	}
	added, ok := h.Known(holders.Key(holderKey(file, id)))
	if name, _ := added.(string); ok && name != "" && !slices.Contains(names, name) {
		if is, err := idOf(ctx, h, file, field, name); err != nil || is == id {
			return append(names, name), err
		}
	}
	return names, nil
}

// Holds returns the expectation that an entry with the given id has been added to a file.
func Holds(file string, id int, name string) observe.Expectation {
	return holders.Expect(holderKey(file, id), name)
}

func holderKey(file string, id int) string { return file + " " + strconv.Itoa(id) }

// holders observes the names of the entries with an id, by file and id. The file cannot be predicted, because useradd and
// groupadd choose other values in it.
var holders = &observe.Kind[string]{
	Name: "id", What: "who has the id in %s",
	Ask: func(names []string) []remote.Query {
		queries := make([]remote.Query, len(names))
		for i, name := range names {
			file, _ := splitHolderKey(name)
			queries[i] = present.Ask([]string{file})[0]
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, string, error)) {
		for i, name := range names {
			file, id := splitHolderKey(name)
			var text string
			var err error
			present.Parse([]string{file}, answers[i:i+1], func(_, is string, failed error) { text, err = is, failed })
			tell(name, strings.Join(withID(text, ID, id), ", "), err)
		}
	},
}

func splitHolderKey(key string) (file string, id int) {
	file, number, _ := strings.Cut(key, " ")
	id, _ = strconv.Atoi(number) // Holds has written it
	return file, id
}

// idOf returns the id that an entry has, or will have, -1 if it will not be there.
func idOf(ctx context.Context, h modules.Host, file string, field int, name string) (int, error) {
	if file == Group {
		group, err := observe.Groups.Observe(ctx, h, name)
		if err != nil || !group.Exists() {
			return -1, err
		}
		return group.GID, nil
	}
	user, err := observe.Users.Observe(ctx, h, name)
	switch {
	case err != nil || !user.Exists():
		return -1, err
	case field == PrimaryGroup:
		return user.GID, nil
	}
	return user.UID, nil
}

// present observes a file as it is, whatever is predicted of it.
var present = &observe.Kind[string]{
	Name: "accounts", What: "the lines of %s",
	Ask: func(names []string) []remote.Query {
		queries := make([]remote.Query, len(names))
		for i, name := range names {
			queries[i] = remote.Query{Script: `cat -- "$1"`, Args: []string{name}}
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, string, error)) {
		for i, name := range names {
			a := answers[i]
			err := a.Err
			if err == nil && a.Exit != 0 {
				err = fmt.Errorf("reading %s: %s: %s", name, remote.Ending(a.Exit), observe.LastLine(a.Stderr))
			}
			tell(name, string(a.Stdout), err)
		}
	},
}

// withID returns the names on those lines that have the id in a field.
func withID(text string, field, id int) (names []string) {
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) > field && fields[field] == strconv.Itoa(id) && !slices.Contains(names, fields[0]) {
			names = append(names, fields[0])
		}
	}
	return names
}
