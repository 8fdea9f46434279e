package remote

import "fmt"

// Seen is what somebody has seen at a path who then decided to change it: so that a plan does not undo what others have
// done since it was made. The zero value is anything.
type Seen struct {
	// Absent says that nothing lay there.
	Absent bool
	// Stamp is the number of the inode and when that was last changed, as stat(1) prints "%i:%.9Z": it tells at no cost that
	// nothing has changed. Empty is not known.
	Stamp string
	// Sum is the SHA-256 sum of a regular file's content in hexadecimal, which counts where the stamp is another one. Empty is
	// not known: another stamp is then another content.
	Sum string
	// Target is where a symbolic link leads to; empty of what is none.
	Target string
}

// word is what the scripts are given.
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

// StaleError says that what was to be replaced is no longer what was seen there. It was left as it is.
type StaleError struct{ Path string }

func (e *StaleError) Error() string {
	return fmt.Sprintf("%s was changed by somebody else meanwhile; it was left as it is", e.Path)
}

// exitStale is how the scripts end then: EX_TEMPFAIL of sysexits(3).
const exitStale = 75

// Stale is the *StaleError of the command that was to change what lies at a path; nil if it ended otherwise.
func Stale(path string, r Result) error {
	if r.Exit != exitStale {
		return nil
	}
	return &StaleError{Path: path}
}
