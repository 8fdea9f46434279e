package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/remote"
)

// Reading is a command that only reads, together with everything that determines its output. Encoded as JSON, it is
// the name of an observation of Commands.
type Reading struct {
	Argv []string `json:"argv"`
	// User is the account that runs the command; empty means the account that reads the host.
	User string `json:"user,omitempty"`
	// Dir is the working directory; empty means wherever the host's shell happens to be.
	Dir string            `json:"dir,omitempty"`
	Env map[string]string `json:"env,omitempty"`
	// Stdin is the whole standard input.
	Stdin string `json:"stdin,omitempty"`
	// Limit bounds how long the command may run; zero means ReadLimit.
	Limit time.Duration `json:"limit,omitempty"`
}

// ReadLimit is the default time limit of a command that only reads.
const ReadLimit = 30 * time.Second

// Key returns the name under which Commands observes the command.
func (r Reading) Key() string {
	b, err := json.Marshal(r)
	if err != nil { // strings, a map of strings and a number can always be marshaled
		return err.Error()
	}
	return string(b)
}

// Observe runs the command in the next flight, unless its answer is remembered or predicted. A non-zero exit status is
// not an error; exceeding the time limit is.
func (r Reading) Observe(ctx context.Context, h *Host) (remote.Answer, error) {
	return Commands.Observe(ctx, h, r.Key())
}

// readingScript changes directory and environment in a subshell. The values are passed as parameters of the shell, so
// they do not appear in the arguments of any process.
var readingScript = "(" + remote.Enter + `_d=$1 _i=$2 _n=$3; shift 3
while [ "$_n" -gt 0 ]; do export "$1"; shift; _n=$((_n-1)); done
if [ -n "$_d" ]; then _hl_cd "$_d" 126; fi
if [ -n "$_i" ]; then printf %s "$_i" | $limited "$@"; else exec $limited "$@"; fi)`

func (r Reading) query() remote.Query {
	limit := r.Limit
	if limit <= 0 {
		limit = ReadLimit
	}
	if r.Dir == "" && len(r.Env) == 0 && r.Stdin == "" {
		q := remote.Argv(limit, r.Argv...)
		q.User, q.Most = r.User, remote.MaxOutput
		return q
	}
	dir := r.Dir
	if dir != "" {
		dir = path.Clean(dir)
	}
	args := []string{dir, r.Stdin, strconv.Itoa(len(r.Env))}
	for _, name := range slices.Sorted(maps.Keys(r.Env)) {
		args = append(args, name+"="+r.Env[name])
	}
	return remote.Query{Script: readingScript, Args: append(args, r.Argv...), Limit: limit, User: r.User, Most: remote.MaxOutput}
}

// Commands observes the answers of commands that modules use to read state, by Reading.Key.
var Commands = &Kind[remote.Answer]{Name: "command", What: "what the command says", Ask: askCommands, Parse: func(names []string, answers []remote.Answer, tell func(string, remote.Answer, error)) {
	parseCommands(names, answers, func(name string, a remote.Answer, err error) {
		if err == nil && a.Cut > 0 {
			err = fmt.Errorf("the command printed more than %d MiB", remote.MaxOutput>>20)
		}
		tell(name, a, err)
	})
}}

// AuthorCommands observes the answers of commands that the playbook's author wrote, by Reading.Key. Only the author
// knows what they depend on, so in check mode any change makes them unknown: see AfterChange.
var AuthorCommands = &Kind[remote.Answer]{Name: "author-command", What: "what the command says", Shared: Always, Ask: askCommands, Parse: parseCommands}

// Checks observes, by Reading.Key, what commands of the playbook's author say of a content that is to be written. What an
// accepted content makes them print is dropped. In check mode any change makes them unknown, too. They may depend on anything, and
// so on other hosts; yet a host that has just accepted a content can go on (see Host.Holds).
var Checks = &Kind[remote.Answer]{
	Name: "check", What: "what the command says", Shared: Always, Ask: askCommands,
	Parse: func(names []string, answers []remote.Answer, tell func(string, remote.Answer, error)) {
		parseCommands(names, answers, func(name string, a remote.Answer, err error) {
			if err == nil && a.Exit == 0 {
				a = remote.Answer{}
			}
			tell(name, a, err)
		})
	},
	Holds: func(values map[string]remote.Answer) ([]remote.Query, bool) {
		var queries []remote.Query
		for _, name := range slices.Sorted(maps.Keys(values)) {
			r, err := parseReading(name)
			if err != nil || values[name].Exit != 0 || r.User != "" && r.User != "root" { // what is sent ahead is root's
				return nil, false
			}
			q := r.query()
			q.Script, q.Inline, q.User = "{ "+q.Script+"\n} >/dev/null 2>&1", false, ""
			queries = append(queries, q)
		}
		return queries, true
	},
}

// AfterChange returns the effect of any predicted change on observations that cannot be attributed to particular
// changes: commands of the playbook's author may print something else afterwards.
func AfterChange(summary string) Expectation {
	return Expectation{
		Match:   func(k Key) bool { return k.Kind == AuthorCommands.Name || k.Kind == Checks.Name },
		Unknown: "its answer may depend on an earlier change (" + summary + ")",
	}
}

func askCommands(names []string) []remote.Query {
	var queries []remote.Query
	for _, name := range names {
		if r, err := parseReading(name); err == nil {
			queries = append(queries, r.query())
		}
	}
	return queries
}

func parseCommands(names []string, answers []remote.Answer, tell func(string, remote.Answer, error)) {
	for _, name := range names {
		r, err := parseReading(name)
		if err != nil {
			tell(name, remote.Answer{}, err)
			continue
		}
		a := answers[0]
		answers = answers[1:]
		if a.Err != nil {
			tell(name, a, a.Err)
			continue
		}
		if a.Overran() {
			tell(name, a, fmt.Errorf("%s did not end in time", strings.Join(r.Argv, " ")))
			continue
		}
		tell(name, a, nil)
	}
}

func parseReading(name string) (Reading, error) {
	var r Reading
	if err := json.Unmarshal([]byte(name), &r); err != nil {
		return r, fmt.Errorf("a command is observed by its Reading.Key: %w", err)
	}
	if len(r.Argv) == 0 || r.Argv[0] == "" {
		return r, errors.New("the command to read from names no program")
	}
	return r, nil
}

// Output runs a command that only reads as the account that reads the host, bounded by ReadLimit.
func Output(ctx context.Context, h *Host, argv ...string) (remote.Answer, error) {
	return OutputAs(ctx, h, "", argv...)
}

// OutputAs is like Output but runs the command as the given user; empty means the account that reads the host.
func OutputAs(ctx context.Context, h *Host, user string, argv ...string) (remote.Answer, error) {
	return Reading{Argv: argv, User: user}.Observe(ctx, h)
}
