package remote

import (
	"bytes"
	"fmt"
	"time"
)

// Ending says in words how a process ended whose exit code is not zero: by the conventions of shells and of
// timeout(1), 126 and 127 are of a program that was not run, and what is above 128 of one that a signal ended.
func Ending(exit int) string {
	switch exit {
	case 126:
		return "it cannot be executed (exit code 126)"
	case 127:
		return "command not found (exit code 127)"
	case tooMuch:
		return "given up"
	}
	for name, number := range signalNumber {
		if exit == 128+number {
			return fmt.Sprintf("killed by signal %d (SIG%s)", number, name)
		}
	}
	return fmt.Sprintf("exit code %d", exit)
}

// timeoutWord is how timeout(1) says, with -v, that a limit was reached; its exit codes are those of the command, too: 124
// may be the command's own, and 137 is that of a command that somebody else has killed.
const timeoutWord = "timeout: sending signal "

// exitLimit is the exit code of timeout(1) for a command that it has ended.
const exitLimit = 124

// TimedOut reports whether timeout(1) ended what answered.
func (a Answer) TimedOut() bool {
	return a.Exit == exitLimit || a.Exit == 137 && bytes.Contains(a.Stderr, []byte(timeoutWord+"KILL "))
}

// Overran is TimedOut of a query made by Argv, whose command may use exit code 124 for something else.
func (a Answer) Overran() bool { return a.TimedOut() && bytes.Contains(a.Stderr, []byte(timeoutWord)) }

// limited takes from what a command printed what timeout(1) said of it, and sets Limit where that, or the time that it took,
// shows that the limit has ended it.
func (r Result) limited(limit time.Duration) Result {
	for {
		at := bytes.Index(r.Stderr, []byte(timeoutWord))
		if at < 0 {
			break
		}
		line, rest, _ := bytes.Cut(r.Stderr[at:], []byte("\n"))
		if !bytes.HasPrefix(line[len(timeoutWord):], []byte("TERM ")) && !bytes.HasPrefix(line[len(timeoutWord):], []byte("KILL ")) {
			break
		}
		r.Stderr, r.Limit = append(bytes.Clone(r.Stderr[:at]), rest...), limit
	}
	// In another language its word is not known.
	if r.Limit == 0 && r.Duration >= limit && (r.Exit == exitLimit || r.Exit == 137) {
		r.Limit = limit
	}
	if r.Limit > 0 {
		r.Exit = exitLimit
	}
	return r
}
