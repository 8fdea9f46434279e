package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrUnwatchable reports that the host cannot watch queries, so the controller has to repeat them. Nothing was sent.
var ErrUnwatchable = errors.New("the host cannot tell a change of these answers")

// Watch describes how a host waits until the answers to queries change, or until a query exits with 0.
type Watch struct {
	// Queries are asked as one user, that of the first query.
	Queries []Query
	// Known are the previous answers to the queries.
	Known []Answer
	// Pause is the time before the host first repeats the queries. Each further pause is twice as long, up to
	// LongestPause.
	Pause time.Duration
	// Limit is how long the host waits for the answers to change.
	Limit time.Duration
	// Until, if not nil, is a query that the host waits for instead: until it exits with 0. Known and Pause are then not used.
	Until *Query
}

// LongestPause is the longest pause between two checks whether something has happened.
const LongestPause = 2 * time.Second

// watching defines the function that waits in a watching shell.
var watching = script("watch")

// Watch makes the host repeat queries itself. It returns the answers as soon as they differ from the known ones or w.Until exits
// with 0, or when the limit has passed; they may have changed back in the meantime. Other queries are answered meanwhile.
func (s *session) Watch(ctx context.Context, w Watch) ([]Answer, error) {
	for _, q := range w.Queries {
		if q.User != w.Queries[0].User {
			return nil, ErrUnwatchable
		}
	}
	if len(w.Queries) > 0 && w.Until != nil {
		return s.waitUntil(ctx, w)
	}
	if len(w.Queries) == 0 || len(w.Known) != len(w.Queries) || w.Pause <= 0 {
		return nil, ErrUnwatchable
	}
	known, ok := w.digest()
	if !ok {
		return nil, ErrUnwatchable
	}
	questions, err := calls(w.Queries)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	looks, err := w.looks()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	// The host counts whole seconds, of which the first may be almost over.
	words, err := quoteAll([]string{strconv.Itoa(int(w.Limit/time.Second) + 2), known, string(looks), string(questions), w.pauses()})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	of := s.watcher(w)
	s.conn.flights.Add(1)
	script := []byte(watching + "_hl_w " + words + "\ntrue\n")
	// The last check may begin just before the limit, and is followed by the answers.
	return of.exchange(ctx, of.watch, script, keeping(w.Queries), false, w.Limit+2*of.conn.allowed(w.Queries))
}

// waitUntil implements Watch if w.Until is set.
func (s *session) waitUntil(ctx context.Context, w Watch) ([]Answer, error) {
	queries := append([]Query{Until(*w.Until, w.Limit, 0)}, w.Queries...)
	script, err := calls(queries)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	of := s.watcher(w)
	s.conn.flights.Add(1)
	answers, err := of.exchange(ctx, of.watch, script, keeping(queries), false, of.conn.allowed(queries))
	if err != nil {
		return nil, err
	}
	return answers[1:], nil
}

// watcher returns the session whose shell watches.
func (s *session) watcher(w Watch) *session {
	if user := w.Queries[0].User; user != "" && user != s.who() {
		return s.conn.as(user)
	}
	return s
}

// pauses returns the pauses in seconds, as many as are needed to reach the limit.
func (w Watch) pauses() string {
	var all []string
	for pause, waited := w.Pause, time.Duration(0); waited < w.Limit; pause = min(2*pause, LongestPause) {
		all = append(all, fmt.Sprintf("%.3f", pause.Seconds()))
		waited += pause
	}
	return strings.Join(all, " ")
}

// looks returns a script that asks for what is compared.
func (w Watch) looks() ([]byte, error) {
	queries := slices.Clone(w.Queries)
	for i, q := range queries {
		if q.Shows == "" {
			continue
		}
		pattern, err := quote(q.Shows)
		if err != nil {
			return nil, fmt.Errorf("query %d: %w", i, err)
		}
		queries[i].Script = "( " + q.Script + "\n) 2>/dev/null | tr '{}' '\\n\\n' | grep -aoE " + pattern + "; true"
		queries[i].Inline = false
	}
	return calls(queries)
}

// shown returns what looks shows of an answer.
func (q Query) shown(a Answer) (Answer, error) {
	pattern, err := regexp.CompilePOSIX(q.Shows)
	if err != nil || q.Shows == "" {
		return a, err
	}
	var shown Answer
	for line := range bytes.FieldsFuncSeq(a.Stdout, func(r rune) bool { return r == '{' || r == '}' || r == '\n' }) {
		for _, match := range pattern.FindAll(line, -1) {
			shown.Stdout = append(append(shown.Stdout, match...), '\n')
		}
	}
	return shown, nil
}

// digest returns the sum by which the host compares answers. There is none if something was omitted from an answer.
func (w Watch) digest() (sum string, ok bool) {
	out, errs := sha256.New(), sha256.New()
	for i, q := range w.Queries {
		if a := w.Known[i]; a.Err != nil || a.Cut > 0 || a.Exit > 255 {
			return "", false
		}
		a, err := q.shown(w.Known[i])
		if err != nil {
			return "", false
		}
		fmt.Fprintf(out, "%s\nwatch %d %d\n", a.Stdout, i, a.Exit)
		fmt.Fprintf(errs, "%s\nwatch %d %d\n", a.Stderr, i, a.Exit)
	}
	fmt.Fprintf(errs, "%x  -\n", out.Sum(nil))
	return fmt.Sprintf("%x", errs.Sum(nil)), true
}
