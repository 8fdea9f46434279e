package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"hlplay/modules"
)

// Redacted replaces a secret.
const Redacted = "(sensitive)"

// Redactor replaces secrets in text with Redacted. It finds a secret in the usual notations (see forms), with whatever
// escape sequences, and in base64 and hexadecimal digits, at any position and however these are broken into lines. Its
// cost is linear in the length of the text and in that of all secrets, not in their product. It is safe for concurrent
// use.
type Redactor struct {
	mu    sync.RWMutex
	known map[string]bool
	plain index // of all forms
	bare  index // of texts without marks, which are searched for in text with escape sequences
}

// index finds the texts that were added to it. An automaton is made only once it is needed.
type index struct {
	fresh []string // texts that are not in any automaton yet
	built automata
}

// build returns automata that know all texts.
func (x *index) build() automata {
	if len(x.fresh) > 0 {
		x.built, x.fresh = x.built.with(x.fresh), nil
	}
	return x.built
}

// NewRedactor returns a Redactor that knows no secrets yet.
func NewRedactor() *Redactor { return &Redactor{known: map[string]bool{}} }

// Add adds secrets. Those shorter than shortestSecret bytes are ignored. If a secret has several lines, each line of at
// least six bytes is a secret too, because diffs and logs show single lines.
func (r *Redactor) Add(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range secrets {
		if r.known[secret] {
			continue
		}
		for _, part := range append(parts(secret), secret) {
			if r.known[part] {
				continue
			}
			r.known[part] = true
			if len(part) >= shortestSecret {
				r.plain.fresh = append(r.plain.fresh, forms(part)...)
			}
			if without := bare(part); len(without) >= shortestSecret {
				r.bare.fresh = append(r.bare.fresh, without)
			}
		}
	}
}

// automata returns automata that know all secrets, in all their forms and without marks.
func (r *Redactor) automata() (plain, bare automata) {
	r.mu.RLock()
	plain, bare = r.plain.built, r.bare.built
	fresh := len(r.plain.fresh) + len(r.bare.fresh)
	r.mu.RUnlock()
	if fresh == 0 {
		return plain, bare
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.plain.build(), r.bare.build()
}

// stretch is a part of a text.
type stretch struct{ from, to int }

// String returns s with every known secret replaced by Redacted. Secrets that overlap or touch are replaced as one.
func (r *Redactor) String(s string) string {
	plain, bare := r.automata()
	found := plain.secrets(s, bare)
	if len(found) == 0 {
		return s
	}
	slices.SortFunc(found, func(a, b stretch) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	done := 0
	for i := 0; i < len(found); {
		from, to := found[i].from, found[i].to
		for i++; i < len(found) && found[i].from <= to; i++ {
			to = max(to, found[i].to)
		}
		b.WriteString(s[done:from])
		b.WriteString(Redacted)
		done = to
	}
	b.WriteString(s[done:])
	return b.String()
}

// runs are reused, so that short texts cost no memory.
var runs = sync.Pool{New: func() any { return &run{} }}

// secrets returns the parts of a text that must not be shown, in no particular order.
func (all automata) secrets(s string, bare automata) []stretch {
	if len(all) == 0 {
		return nil
	}
	var found []stretch
	tell := func(from, to int) {
		if last := len(found) - 1; last >= 0 && from <= found[last].to && from >= found[last].from {
			found[last].to = max(found[last].to, to)
			return
		}
		found = append(found, stretch{from, to})
	}
	for _, a := range all {
		a.find(s, tell)
	}
	all.escaped(s, bare, tell)
	digits := runs.Get().(*run)
	defer runs.Put(digits)
	for at := 0; at < len(s); {
		if at = digits.next(s, at, base64Digits, base64Gap); len(digits.at)*6 >= shortestSecret*8 {
			for _, a := range all {
				digits.find(a, 6, tell)
			}
		}
	}
	for at := 0; at < len(s); {
		if at = digits.next(s, at, hexDigits, hexGap); len(digits.at)*4 >= shortestSecret*8 {
			for _, a := range all {
				digits.find(a, 4, tell)
			}
		}
	}
	return found
}

// Bytes is like String, for bytes. It returns b itself if there is nothing to replace.
func (r *Redactor) Bytes(b []byte) []byte {
	s := string(b)
	if redacted := r.String(s); redacted != s {
		return []byte(redacted)
	}
	return b
}

// Redact returns a Reporter that replaces every secret in events and passes them on to another one. It leaves host
// names and statuses alone, because programs that read the JSON look them up.
func Redact(to Reporter, r *Redactor) Reporter { return &redacting{to, r} }

type redacting struct {
	to Reporter
	r  *Redactor
}

func (x *redacting) Close() error { return x.to.Close() }

func (x *redacting) Report(e Event) { x.to.Report(x.r.event(e)) }

// Suspend suspends the underlying Reporter.
func (x *redacting) Suspend(fn func()) { Suspend(x.to, fn) }

// event returns a copy of an event without secrets.
func (r *Redactor) event(e Event) Event {
	switch e := e.(type) {
	case RunStarted:
		e.Playbook, e.Inventory = r.String(e.Playbook), r.String(e.Inventory)
		return e
	case PlayStarted:
		e.Play = r.String(e.Play)
		return e
	case TaskStarted:
		e.Play, e.Task = r.String(e.Play), r.String(e.Task)
		return e
	case Progress:
		e.Task, e.What = r.String(e.Task), r.String(e.What)
		return e
	case TaskResult:
		return r.result(e)
	case Note:
		e.Text = r.String(e.Text)
		return e
	case Counted:
		e.Names = slices.Clone(e.Names)
		for i, name := range e.Names {
			e.Names[i] = r.String(name)
		}
		return e
	}
	return e
}

func (r *Redactor) result(e TaskResult) TaskResult {
	for _, s := range []*string{&e.Play, &e.Task, &e.Module, &e.Message, &e.Output, &e.Hint, &e.File} {
		*s = r.String(*s)
	}
	e.Output = shortened(e.Output)
	if text := string(e.Registered); r.String(text) != text {
		e.Registered = nil
	}
	e.Steps, e.Unfinished, e.Notes = r.all(e.Steps), r.all(e.Unfinished), r.all(e.Notes)
	diffs := slices.Clone(e.Diffs)
	for i, d := range diffs {
		diffs[i] = modules.Diff{Subject: r.String(d.Subject), Before: r.String(d.Before), After: r.String(d.After)}
	}
	e.Diffs = diffs
	items := slices.Clone(e.Items)
	for i, item := range items {
		items[i] = ItemResult{Key: r.String(item.Key), Status: item.Status, Steps: r.all(item.Steps), Message: r.String(item.Message), Output: shortened(r.String(item.Output))}
	}
	e.Items = items
	return e
}

// longestOutputLine is how many bytes of a line of output are shown.
const longestOutputLine = 4000

// shortened returns an output with only the ends of its long lines. Secrets must have been replaced before: cutting one
// would leave a part that is not recognized. Whatever was cut from the stream earlier belongs to a line much longer
// than what is kept.
func shortened(output string) string {
	if len(output) <= longestOutputLine {
		return output
	}
	lines := strings.Split(output, "\n")
	for i, line := range lines {
		if extra := len(line) - longestOutputLine; extra > 0 {
			lines[i] = fmt.Sprintf("(%d bytes before)%s", extra, strings.ToValidUTF8(line[extra:], ""))
		}
	}
	return strings.Join(lines, "\n")
}

func (r *Redactor) all(list []string) []string {
	redacted := slices.Clone(list)
	for i, s := range redacted {
		redacted[i] = r.String(s)
	}
	return redacted
}
