package apt

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// answer is one selection of debconf-set-selections(1).
type answer struct {
	owner, question, kind, value string
}

// questionKinds lists debconf's types of questions that have an answer (debconf-devel(7)).
var questionKinds = []string{"string", "boolean", "select", "multiselect", "password", "text"}

// answers parses the debconf argument; the result is sorted by question.
func (m *Module) answers() ([]answer, error) {
	var all []answer
	for _, key := range slices.Sorted(maps.Keys(m.Debconf)) {
		fault := func(problem, want string) error {
			return &modules.ArgumentError{Argument: "debconf", Problem: problem, Want: want}
		}
		var a answer
		switch fields := strings.Fields(key); len(fields) {
		case 1:
			owner, _, ok := strings.Cut(fields[0], "/")
			if !ok {
				return nil, fault(fmt.Sprintf("%q is not the name of a question", key), "expected PACKAGE/NAME, such as postfix/main_mailer_type")
			}
			a.owner, a.question = owner, fields[0]
		case 2:
			a.owner, a.question = fields[0], fields[1]
		default:
			return nil, fault(fmt.Sprintf("%q is not the name of a question", key), `expected "PACKAGE/NAME" or "OWNER PACKAGE/NAME"`)
		}
		if !packagePattern.MatchString(a.owner) {
			return nil, fault(fmt.Sprintf("%q is not the name of a package", a.owner), "expected the package that owns the question")
		}
		a.kind, a.value, _ = strings.Cut(strings.TrimSpace(m.Debconf[key]), " ")
		a.value = strings.TrimSpace(a.value)
		if !slices.Contains(questionKinds, a.kind) || strings.Contains(a.value, "\n") {
			return nil, fault("the answer to "+a.question+" is not \"TYPE VALUE\" on one line", "expected an answer such as \"select No configuration\"; types are "+strings.Join(questionKinds, ", "))
		}
		all = append(all, a)
	}
	return all, nil
}

// given reports whether debconf already has the answer. debconf never shows a password, so any password that is set
// counts.
func (a answer) given(selections map[string]string) bool {
	value, ok := selections[a.question]
	if a.kind == "password" {
		return ok && value != ""
	}
	return ok && value == a.value
}

// planDebconf plans a single debconf-set-selections for all answers that differ. They are passed on standard input
// because some of them are secrets.
func (m *Module) planDebconf(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	answers, err := m.answers()
	if err != nil {
		return nil, err
	}
	var input strings.Builder
	var questions []string
	selections := map[string]map[string]string{}
	for _, a := range answers {
		now, err := Debconf.Observe(ctx, h, a.owner)
		if err != nil {
			return nil, err
		}
		if a.given(now) {
			continue
		}
		fmt.Fprintf(&input, "%s %s %s %s\n", a.owner, a.question, a.kind, a.value)
		questions = append(questions, a.question)
		if selections[a.owner] == nil {
			selections[a.owner] = maps.Clone(now)
			if selections[a.owner] == nil {
				selections[a.owner] = map[string]string{}
			}
		}
		selections[a.owner][a.question] = a.value
		if a.kind == "password" {
			selections[a.owner][a.question] = "(password omitted)"
		}
	}
	if len(questions) == 0 {
		return nil, nil
	}
	because := "an earlier task sets debconf answers"
	expect := []observe.Expectation{observe.Files.Unknown("/var/cache/debconf/config.dat", because), observe.Files.Unknown("/var/cache/debconf/passwords.dat", because)}
	for _, owner := range slices.Sorted(maps.Keys(selections)) {
		expect = append(expect, Debconf.Expect(owner, selections[owner]))
	}
	return []modules.Step{{
		Summary: "answer " + strings.Join(questions, ", ") + " in advance",
		Action: modules.Run{
			Argv: []string{"debconf-set-selections"}, Stdin: []byte(input.String()), Env: environment(),
			Limit: time.Minute, Retry: []string{"is locked by another process"}, Patience: m.LockTimeout,
		},
		Expect: expect,
		Exact:  true,
	}}, nil
}
