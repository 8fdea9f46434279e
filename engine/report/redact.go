package report

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/syntax"

	"hlplay/modules"
)

// Redacted stands where a secret was.
const Redacted = "(sensitive)"

// The shortest secret that is replaced, and the shortest line of a secret of several lines that is replaced
// on its own: shorter ones would deface text that only looks like them.
const (
	shortestSecret = 3
	shortestLine   = 6
)

// Redactor replaces secrets in text by Redacted. It knows a secret in its plain form and as it looks within
// JSON, quoted strings, shell words, URLs and base64. It may be used from many goroutines.
type Redactor struct {
	mu    sync.RWMutex
	forms []string // longest first, each once
}

// NewRedactor returns a Redactor that knows no secrets yet.
func NewRedactor() *Redactor { return &Redactor{} }

// Add makes a secret known. One of less than three bytes is ignored. Of a secret of several lines each line
// of at least six bytes is a secret too, because diffs and logs show lines on their own.
func (r *Redactor) Add(secret string) {
	var forms []string
	add := func(s string, shortest int) {
		if len(s) >= shortest {
			forms = append(forms, encodings(s)...)
		}
	}
	add(secret, shortestSecret)
	add(strings.TrimSpace(secret), shortestSecret)
	if lines := strings.FieldsFunc(secret, func(c rune) bool { return c == '\n' || c == '\r' }); len(lines) > 1 {
		for _, line := range lines {
			add(line, shortestLine)
			add(strings.TrimSpace(line), shortestLine)
		}
	}
	if len(forms) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := append(slices.Clone(r.forms), forms...)
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b))
	})
	r.forms = slices.Compact(all)
}

// encodings are the forms in which a secret turns up in text.
func encodings(secret string) []string {
	forms := []string{secret}
	add := func(s string) {
		if len(s) >= shortestSecret {
			forms = append(forms, s)
		}
	}
	if text, err := json.Marshal(secret); err == nil { // "<" as \u003c
		add(string(text[1 : len(text)-1]))
	}
	var plain strings.Builder
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(secret) == nil { // "<" as itself
		add(plain.String()[1 : plain.Len()-2])
	}
	quoted := strconv.Quote(secret)
	add(quoted[1 : len(quoted)-1])
	add(strings.NewReplacer("${", "$${", "%{", "%%{").Replace(quoted[1 : len(quoted)-1])) // HCL
	for _, lang := range []syntax.LangVariant{syntax.LangPOSIX, syntax.LangBash} {
		if word, err := syntax.Quote(secret, lang); err == nil {
			add(word)
		}
	}
	add(strings.ReplaceAll(secret, "'", `'\''`))
	add(strings.ReplaceAll(secret, "'", `'"'"'`))
	add(url.QueryEscape(secret))
	add(url.PathEscape(secret))
	for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		add(alphabet.EncodeToString([]byte(secret)))
		forms = append(forms, within(alphabet, secret)...)
	}
	return forms
}

// within are the characters that base64 of any text around the secret has in common: three forms, one for
// each position of the secret in the groups of three bytes. Short ones say little and are left out.
func within(alphabet *base64.Encoding, secret string) []string {
	const enough = 8
	var forms []string
	for before := range 3 {
		text := alphabet.EncodeToString(append(make([]byte, before), secret...))
		first := (before*8 + 5) / 6            // characters that hold bits of what stands before
		last := (before + len(secret)) * 8 / 6 // characters that hold bits of the secret alone
		if last-first >= enough {
			forms = append(forms, text[first:last])
		}
	}
	return forms
}

// String is s with every known secret replaced by Redacted. Secrets that overlap or touch are replaced as one.
func (r *Redactor) String(s string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	type span struct{ from, to int }
	var spans []span
	for _, form := range r.forms {
		for from := 0; ; {
			i := strings.Index(s[from:], form)
			if i < 0 {
				break
			}
			spans = append(spans, span{from + i, from + i + len(form)})
			from += i + 1
		}
	}
	if len(spans) == 0 {
		return s
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	done := 0
	for i := 0; i < len(spans); {
		from, to := spans[i].from, spans[i].to
		for i++; i < len(spans) && spans[i].from <= to; i++ {
			to = max(to, spans[i].to)
		}
		b.WriteString(s[done:from])
		b.WriteString(Redacted)
		done = to
	}
	b.WriteString(s[done:])
	return b.String()
}

// Bytes is String for bytes. It returns b itself if there is nothing to replace.
func (r *Redactor) Bytes(b []byte) []byte {
	s := string(b)
	if redacted := r.String(s); redacted != s {
		return []byte(redacted)
	}
	return b
}

// Redact returns a Reporter that passes events on to another one with every secret replaced, in everything
// but the names of hosts and the statuses, which the readers of JSON look up.
func Redact(to Reporter, r *Redactor) Reporter { return &redacting{to, r} }

type redacting struct {
	to Reporter
	r  *Redactor
}

func (x *redacting) Close() error { return x.to.Close() }

func (x *redacting) Report(e Event) { x.to.Report(x.r.event(e)) }

// Suspend passes on to the Reporter behind.
func (x *redacting) Suspend(fn func()) { Suspend(x.to, fn) }

// event is a copy of an event without secrets.
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
	}
	return e
}

func (r *Redactor) result(e TaskResult) TaskResult {
	for _, s := range []*string{&e.Play, &e.Task, &e.Module, &e.Message, &e.Output, &e.Hint, &e.File} {
		*s = r.String(*s)
	}
	e.Steps, e.Notes = r.all(e.Steps), r.all(e.Notes)
	diffs := slices.Clone(e.Diffs)
	for i, d := range diffs {
		diffs[i] = modules.Diff{Subject: r.String(d.Subject), Before: r.String(d.Before), After: r.String(d.After)}
	}
	e.Diffs = diffs
	items := slices.Clone(e.Items)
	for i, item := range items {
		items[i] = ItemResult{Key: r.String(item.Key), Status: item.Status, Steps: r.all(item.Steps), Message: r.String(item.Message)}
	}
	e.Items = items
	return e
}

func (r *Redactor) all(list []string) []string {
	redacted := slices.Clone(list)
	for i, s := range redacted {
		redacted[i] = r.String(s)
	}
	return redacted
}
