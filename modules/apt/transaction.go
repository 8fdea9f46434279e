package apt

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Transaction is what a call of apt-get would do.
type Transaction struct {
	Changes []PackageChange
	// Unfinished holds further packages that an earlier run left unconfigured, and that the call would configure.
	Unfinished []string
	// Problem is what apt-get says if it would refuse: its "E:" lines and the dependencies that it names. It is empty
	// otherwise.
	Problem string
}

// PackageChange is the change of one package in a transaction.
type PackageChange struct {
	Name string
	// From is the version before the change; empty for a new package.
	From string
	// To is the version after the change; empty for a removed package.
	To string
	// Unsure is set if some package is not fully installed: From may then be the version of one that does not work.
	Unsure bool
}

// Removed reports whether the package is removed.
func (c PackageChange) Removed() bool { return c.To == "" }

// Transactions observes, with `apt-get --simulate`, what a call of apt-get would do. The name is the command with its
// arguments, separated by spaces: "full-upgrade", "install chrony postfix", "--no-install-recommends install gdisk".
// No lock is taken, and whatever -y refuses is refused.
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
	Holds: holdsTransactions,
}

// holdsTransactionScript compares what a call of apt-get would do with the changes that the first argument lists in apt's order, as lines
// "NAME [OLD] (NEW", without "[OLD]" if the package is new and without "(NEW" if it is removed. The call is in the arguments behind it.
const holdsTransactionScript = `_e=$1; shift
_nl='
'
_o="$($limited apt-get -s -y -q -o Debug::NoLocking=true "$@" 2>/dev/null)" || exit 1
_o=$_o$_nl _t= _i=
set -f
while [ -n "$_o" ]; do
_r=${_o%%"$_nl"*} _o=${_o#*"$_nl"}
case $_r in
*' not fully installed or removed.'*) exit 1 ;;
'Inst '* | 'Conf '* | 'Remv '* | 'Purg '*) ;;
*) continue ;;
esac
set -- $_r
case "$1 ${3-}" in
'Inst ['*) _t="$_t$2 $3 ${4%)}$_nl" _i="$_i $2 " ;;
Inst*) _t="$_t$2 ${3%)}$_nl" _i="$_i $2 " ;;
Conf*) case $_i in *" $2 "*) ;; *) exit 1 ;; esac ;;
*) _t="$_t$2 $3$_nl" ;;
esac
done
[ "$_t" = "$_e" ]`

// holdsTransactions is Transactions.Holds, for calls that apt-get would not refuse, on hosts where every package is fully installed.
func holdsTransactions(values map[string]Transaction) (queries []remote.Query, ok bool) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		t, lines := values[name], ""
		if t.Problem != "" || len(t.Unfinished) > 0 {
			return nil, false
		}
		for _, c := range t.Changes {
			lines += c.Name
			if c.From != "" {
				lines += " [" + c.From + "]"
			}
			if c.To != "" {
				lines += " (" + c.To
			}
			if lines += "\n"; c.Unsure || c.From == "" && c.To == "" {
				return nil, false
			}
		}
		queries = append(queries, remote.Query{Script: holdsTransactionScript, Args: append([]string{lines}, strings.Fields(name)...), Limit: queryLimit})
	}
	return queries, true
}

// parseTransaction parses the lines "Inst NAME [OLD] (NEW ORIGIN [ARCH]) …", "Remv NAME [OLD]" and "Purg NAME [OLD]".
// A "Conf" line without an "Inst" line is for a package that was left unconfigured.
func parseTransaction(a remote.Answer) (Transaction, error) {
	var t Transaction
	var configured []string
	if a.TimedOut() {
		return t, fmt.Errorf("apt-get --simulate did not finish within %s", queryLimit)
	}
	unsure := false
	for line := range strings.Lines(string(a.Stdout)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		unsure = unsure || strings.HasSuffix(strings.TrimSpace(line), " not fully installed or removed.")
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
	for i := range t.Changes {
		t.Changes[i].Unsure = unsure
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

// problemOf returns what apt-get says about a failure, one problem per line: the unmet dependencies that it lists,
// then its "E:" lines. It is empty if there are neither.
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
