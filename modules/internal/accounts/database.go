package accounts

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
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

// WithID returns the names on those lines of a file that have the given id in a field. It returns none if an earlier
// step is about to change the file.
func WithID(ctx context.Context, h modules.Host, file string, field, id int) (names []string, err error) {
	text, _, err := observe.Text(ctx, h, file)
	if observe.IsUnknown(err) {
		return nil, nil
	}
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) > field && fields[field] == strconv.Itoa(id) && !slices.Contains(names, fields[0]) {
			names = append(names, fields[0])
		}
	}
	return names, err
}
