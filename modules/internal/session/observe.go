package session

import (
	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Sessions observes how the run's own session reaches the host, under the empty name. Each connection is a different
// session.
var Sessions = &observe.Kind[Session]{
	Name: "session", What: "where the session comes from",
	Ask: func([]string) []remote.Query { return []remote.Query{Query} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, Session, error)) {
		for _, name := range names {
			tell(name, Parse(answers[0]), answers[0].Err)
		}
	},
}
