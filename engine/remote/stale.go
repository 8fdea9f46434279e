package remote

import "fmt"

// Seen is what was at a path when a change to it was planned, so that the change does not undo what others have done
// since. The zero value matches anything.
type Seen struct {
	// Absent is set if nothing was there.
	Absent bool
	// Stamp is the inode number and its change time, as stat(1) prints "%i:%.9Z". An equal stamp proves cheaply that
	// nothing has changed. Empty means unknown.
	Stamp string
	// Sum is the SHA-256 sum of a regular file's content in hexadecimal, which decides if the stamp differs. Empty means
	// unknown: a different stamp then means different content.
	Sum string
	// Target is the target of a symbolic link; empty for anything else.
	Target string
}

// Written says how a file of more than 1 MiB can be known again without its being read: while its stamp is the same, it has the
// content that was written. The zero value says that it cannot, because the host's file system counts whole seconds, for
// example.
type Written struct {
	// Stamp is as in Seen.
	Stamp string
	// Sum is the SHA-256 sum of what was sent, in hexadecimal.
	Sum string
}

// word returns the argument for the scripts.
func (s Seen) word() string {
	switch {
	case s.Absent:
		return "absent"
	case s.Target != "":
		return s.Stamp + " -> " + s.Target
	case s.Stamp != "" || s.Sum != "":
		return s.Stamp + " " + s.Sum
	}
	return ""
}

// StaleError reports that what is at the path is no longer what was seen there. It was left unchanged.
type StaleError struct{ Path string }

func (e *StaleError) Error() string {
	return fmt.Sprintf("%s was changed by somebody else meanwhile; it was left as it is", e.Path)
}

// exitStale is the exit code of the scripts in that case: EX_TEMPFAIL of sysexits(3).
const exitStale = 75

// Stale returns a *StaleError if the command found the path changed, otherwise nil.
func Stale(path string, r Result) error {
	if r.Exit != exitStale {
		return nil
	}
	return &StaleError{Path: path}
}
