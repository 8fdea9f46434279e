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
// about to remove or to give another id. Those that it is about to add are not known.
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
	return names, nil
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
