package report

import (
	"io"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// NewAnswers returns a Reporter for one command that runs on many hosts. On Close it writes the output of the command, once for all
// hosts with the same output.
func NewAnswers(w io.Writer, o Options) Reporter {
	return &answers{w: w, look: newPalette(o.Color)}
}

type answers struct {
	w       io.Writer
	look    palette
	order   []string
	results []TaskResult
	notes   []string
}

func (a *answers) Report(e Event) {
	switch e := e.(type) {
	case RunStarted:
		a.order = e.Hosts
	case Note:
		a.notes = append(a.notes, e.Text)
	case TaskResult:
		a.results = append(a.results, e)
	}
}

// answer is an output and the hosts that gave it.
type answer struct {
	status      Status
	head, lines string
}

// Close writes the answers, ordered by the first host of each.
func (a *answers) Close() error {
	slices.SortStableFunc(a.results, func(x, y TaskResult) int { return slices.Index(a.order, x.Host) - slices.Index(a.order, y.Host) })
	hosts := map[answer][]string{}
	var all []answer
	for _, r := range a.results {
		one := answerOf(r)
		if hosts[one] == nil {
			all = append(all, one)
		}
		hosts[one] = append(hosts[one], r.Host)
	}
	var b strings.Builder
	for _, one := range all {
		b.WriteString(a.look.status[one.status](hostNames(hosts[one])))
		if one.head != "" {
			b.WriteString(": " + OneLine(one.head))
		}
		b.WriteByte('\n')
		for line := range strings.Lines(Printable(one.lines)) {
			b.WriteString("  " + strings.TrimSuffix(line, "\n") + "\n")
		}
	}
	for _, note := range a.notes {
		b.WriteString("note: " + OneLine(note) + "\n")
	}
	_, err := io.WriteString(a.w, b.String())
	return err
}

// answerOf returns the output of a command: all of it if it was registered, otherwise its end.
func answerOf(r TaskResult) answer {
	one := answer{status: r.Status, lines: r.Output}
	switch r.Status {
	case Changed:
		one.status = OK // a command counts as a change, but here it only asks something
	case OK:
	default:
		one.head = strings.TrimSpace(string(r.Status) + ": " + r.Message)
		if r.Hint != "" {
			one.head += "; " + r.Hint
		}
	}
	if value, err := ctyjson.Unmarshal(r.Registered, cty.DynamicPseudoType); err == nil && value.Type().IsObjectType() {
		out, errs := textOf(value, "stdout"), textOf(value, "stderr")
		if r.Status == Changed || r.Status == OK || out+errs != "" {
			one.lines = strings.Join(slices.DeleteFunc([]string{out, errs}, func(s string) bool { return s == "" }), "\n")
		}
	}
	return one
}

// textOf returns an attribute that is a string, or "".
func textOf(object cty.Value, name string) string {
	if !object.Type().HasAttribute(name) {
		return ""
	}
	v := object.GetAttr(name)
	if v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}
