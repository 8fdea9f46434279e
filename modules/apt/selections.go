package apt

import (
	"fmt"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Debconf observes the answers to a package's debconf questions, as listed by `debconf-show PACKAGE`: a map from
// question ("postfix/main_mailer_type") to value. debconf itself leaves out passwords.
var Debconf = &observe.Kind[map[string]string]{
	Name: "debconf", What: "the debconf answers of package %s",
	Ask: func(names []string) []remote.Query {
		queries := make([]remote.Query, len(names))
		for i, name := range names {
			queries[i] = remote.Argv(queryLimit, "debconf-show", name)
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[string]string, error)) {
		for i, name := range names {
			var err error
			if answers[i].Exit != 0 {
				err = fmt.Errorf("debconf-show %s: %s: %s", name, remote.Ending(answers[i].Exit), observe.LastLine(answers[i].Stderr))
			}
			tell(name, parseDebconf(answers[i].Stdout), err)
		}
	},
}

// parseDebconf parses lines of the form "* postfix/mailname: pve1.example.org". The star, or a space in its place,
// says whether the question was seen.
func parseDebconf(out []byte) map[string]string {
	selections := map[string]string{}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) < 2 {
			continue
		}
		question, value, ok := strings.Cut(line[2:], ":")
		if ok && question != "" {
			selections[question] = strings.TrimPrefix(value, " ")
		}
	}
	return selections
}
