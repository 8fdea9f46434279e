package apt

import (
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Transaction is what one call of apt-get would do.
type Transaction struct {
	Changes []PackageChange
	// Unfinished are packages beside those that an earlier run has left unconfigured, which it would configure.
	Unfinished []string
	// Problem is what apt-get says if it would refuse, its "E:" lines and the dependencies that it
	// names; empty otherwise.
	Problem string
}

// PackageChange is what happens to one package in a transaction.
type PackageChange struct {
	Name string
	// From is the version before; empty for a package that is new.
	From string
	// To is the version afterwards; empty for a package that is removed.
	To string
}

// Removed reports whether the package goes away.
func (c PackageChange) Removed() bool { return c.To == "" }

// Transactions observes by `apt-get --simulate` what a call of apt-get would do. The name is the
// command and its arguments separated by spaces: "full-upgrade", "install chrony postfix",
// "--no-install-recommends install gdisk". No lock is taken, and what -y refuses is refused.
var Transactions = &observe.Kind[Transaction]{
	Name: "apt-transaction", What: "what `apt-get %s` will do",
	Ask: func(names []string) []remote.Query {
		queries := make([]remote.Query, len(names))
		for i, name := range names {
			queries[i] = remote.Argv(queryLimit, append([]string{"apt-get", "-s", "-y", "-q", "-o", "Debug::NoLocking=true"}, strings.Fields(name)...)...)
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Transaction, error)) {
		for i, name := range names {
			t, err := parseTransaction(answers[i])
			tell(name, t, err)
		}
	},
}

// parseTransaction reads the lines "Inst NAME [OLD] (NEW ORIGIN [ARCH]) …", "Remv NAME [OLD]" and
// "Purg NAME [OLD]"; a "Conf" line without an "Inst" is of a package that was left unconfigured.
func parseTransaction(a remote.Answer) (Transaction, error) {
	var t Transaction
	var configured []string
	if a.TimedOut() {
		return t, fmt.Errorf("apt-get --simulate did not end within %s", queryLimit)
	}
	for line := range strings.Lines(string(a.Stdout)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		c := PackageChange{Name: fields[1]}
		for _, field := range fields[2:] {
			if v, ok := strings.CutPrefix(field, "["); ok && c.To == "" && c.From == "" {
				c.From = strings.TrimSuffix(v, "]")
			}
			if v, ok := strings.CutPrefix(field, "("); ok && c.To == "" {
				c.To = strings.TrimSuffix(v, ")")
			}
		}
		switch fields[0] {
		case "Inst":
			if c.To == "" {
				return t, fmt.Errorf("apt-get --simulate printed %q, expected a version in parentheses", strings.TrimSpace(line))
			}
		case "Remv", "Purg":
			c.To = ""
		case "Conf":
			configured = append(configured, c.Name)
			continue
		default:
			continue
		}
		t.Changes = append(t.Changes, c)
	}
	for _, name := range configured {
		if !slices.ContainsFunc(t.Changes, func(c PackageChange) bool { return c.Name == name && !c.Removed() }) {
			t.Unfinished = append(t.Unfinished, name)
		}
	}
	if a.Exit != 0 {
		t.Problem = problemOf(a.Stdout, a.Stderr)
		if t.Problem == "" {
			return t, fmt.Errorf("apt-get --simulate: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
		}
	}
	return t, nil
}

// problemOf is what apt-get says about a failure: the dependencies that it lists as unmet, then
// its "E:" lines, one problem a line. It is empty if there is neither.
func problemOf(stdout, stderr []byte) string {
	var problem []string
	unmet := false
	for line := range strings.Lines(string(stdout)) {
		switch {
		case strings.HasPrefix(line, "The following packages have unmet dependencies"):
			unmet = true
		case unmet && strings.HasPrefix(line, " "):
			problem = append(problem, strings.Join(strings.Fields(line), " "))
		default:
			unmet = false
		}
	}
	for line := range strings.Lines(string(stderr)) {
		if strings.HasPrefix(line, "E: ") {
			problem = append(problem, strings.TrimSpace(line))
		}
	}
	return strings.Join(problem, "\n")
}
