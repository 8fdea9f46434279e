package remote

import (
	"bytes"
	"fmt"
	"time"
)

// Ending describes a non-zero exit code, by the conventions of shells and of timeout(1): 126 and 127 mean that the
// program was not run, and codes above 128 that a signal ended it.
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

// timeoutWord is the beginning of timeout -v's message that the limit was reached. The exit code alone does not tell:
// 124 may be the command's own, and 137 may have any cause.
const timeoutWord = "timeout: sending signal "

// exitLimit is the exit code of timeout(1) if it stopped the command.
const exitLimit = 124

// TimedOut reports whether timeout(1) stopped the query's command.
func (a Answer) TimedOut() bool {
	return a.Exit == exitLimit || a.Exit == 137 && bytes.Contains(a.Stderr, []byte(timeoutWord+"KILL "))
}

// Overran is like TimedOut for a query made by Argv, whose command may itself exit with 124.
func (a Answer) Overran() bool { return a.TimedOut() && bytes.Contains(a.Stderr, []byte(timeoutWord)) }

// limited removes the messages of timeout(1) from a command's output, and sets Limit if they, or the command's duration,
// show that the limit stopped it.
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
	// The message may be in another language.
	if r.Limit == 0 && r.Duration >= limit && (r.Exit == exitLimit || r.Exit == 137) {
		r.Limit = limit
	}
	if r.Limit > 0 {
		r.Exit = exitLimit
	}
	return r
}
