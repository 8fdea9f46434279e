package download

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// place is what exists at a path, without its content, since downloads are large. The zero value means nothing.
type place struct {
	Type         observe.FileType
	Mode         fs.FileMode // the permission bits as in chmod(1)
	Owner, Group string
}

// places observes what exists at absolute paths, as lstat(2) reports it.
var places = &observe.Kind[place]{
	Name: "place", What: "what lies at %s",
	Ask: func(names []string) []remote.Query {
		queries := make([]remote.Query, len(names))
		for i, name := range names {
			queries[i] = remote.Query{Script: `if [ -e "$1" ] || [ -L "$1" ]; then stat -c '%f %U %G' -- "$1"; fi`, Args: []string{name}, Inline: true}
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, place, error)) {
		for i, name := range names {
			p, err := parsePlace(answers[i])
			if err != nil {
				err = fmt.Errorf("stat of %s: %w", name, err)
			}
			tell(name, p, err)
		}
	},
	Complete: func(expected, found place) place {
		if expected.Owner == "" {
			expected.Owner = found.Owner
		}
		if expected.Group == "" {
			expected.Group = found.Group
		}
		return expected
	},
}

func parsePlace(a remote.Answer) (place, error) {
	if a.Err != nil {
		return place{}, a.Err
	}
	fields := strings.Fields(string(a.Stdout))
	if a.Exit == 0 && len(fields) == 0 {
		return place{}, nil
	}
	if a.Exit != 0 || len(fields) != 3 {
		return place{}, fmt.Errorf("%s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	mode, err := strconv.ParseUint(fields[0], 16, 32)
	if err != nil {
		return place{}, fmt.Errorf("the mode is %q", fields[0])
	}
	return place{Type: observe.TypeOf(mode), Mode: fs.FileMode(mode & 0o7777), Owner: fields[1], Group: fields[2]}, nil
}
