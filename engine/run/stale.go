package run

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// mostStale limits how often a task is planned again because something that it replaces has changed.
const mostStale = 5

// baseline is what the steps of a plan replace: what the plan saw, unless an earlier step has changed it.
type baseline struct {
	saw *observe.Tracker
	// changed are the paths that steps of the plan change.
	changed map[*host]map[string]remote.Seen
	// last is set if a step that removes something removes whatever is there, because it has changed too often.
	last bool
}

func newBaseline(it *itemPlan, last bool) *baseline {
	return &baseline{saw: it.saw, changed: map[*host]map[string]remote.Seen{}, last: last}
}

// over returns what was at a path when its replacement was planned, for the next step.
func (b *baseline) over(on *host, action modules.Action) remote.Seen {
	name, follow, after := "", false, remote.Seen{}
	switch a := action.(type) {
	case modules.WriteFile:
		if name, follow = a.Path, !a.OverLink; a.Was != "" {
			return remote.Seen{Sum: fmt.Sprintf("%x", sha256.Sum256([]byte(a.Was)))}
		}
	case modules.Link:
		name = a.Path
	case modules.Remove:
		name, after = a.Path, remote.Seen{Absent: true}
	default:
		return remote.Seen{}
	}
	if _, removes := action.(modules.Remove); removes && b.last || b.saw == nil {
		return remote.Seen{}
	}
	seen, known := b.changed[on][name]
	if !known {
		seen = b.saw.Seen(on.observed, name, follow)
	}
	if b.changed[on] == nil {
		b.changed[on] = map[string]remote.Seen{}
	}
	b.changed[on][name] = after
	return seen
}

// restlessError reports that a file changes every time it is about to be replaced.
type restlessError struct{ error }

func (e *restlessError) Unwrap() error { return e.error }

func (e *restlessError) Hint() string {
	return fmt.Sprintf("it was planned again %d times: see what else writes to it, then run again", mostStale)
}

// stale returns the path that somebody else has changed since a step was planned, or while it was read for a plan. It
// returns "" for other errors.
func stale(err error) string {
	var replaced *remote.StaleError
	var read *observe.ChangingError
	switch {
	case errors.As(err, &replaced):
		return replaced.Path
	case errors.As(err, &read):
		return read.Path
	}
	return ""
}
