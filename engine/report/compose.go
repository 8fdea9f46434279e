package report

import (
	"errors"
	"slices"
	"sync"
)

// Tee returns a Reporter that passes every event to all reporters, in their order.
func Tee(reporters ...Reporter) Reporter { return tee(reporters) }

type tee []Reporter

func (t tee) Report(e Event) {
	for _, r := range t {
		r.Report(e)
	}
}

func (t tee) Close() error {
	var errs []error
	for _, r := range t {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// Suspend suspends all reporters.
func (t tee) Suspend(fn func()) {
	for _, r := range t {
		inner := fn
		fn = func() { Suspend(r, inner) }
	}
	fn()
}

// Recorder is a Reporter that keeps events. Its zero value is ready to use. Its methods are safe for concurrent use.
type Recorder struct {
	mu     sync.Mutex
	events []Event
}

// Report keeps an event.
func (r *Recorder) Report(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Close does nothing.
func (r *Recorder) Close() error { return nil }

// Events returns the events so far.
func (r *Recorder) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Results returns the task results so far.
func (r *Recorder) Results() []TaskResult { return kept[TaskResult](r) }

// Notes returns the notes so far.
func (r *Recorder) Notes() []Note { return kept[Note](r) }

// Recap returns the last recap, and whether there was one.
func (r *Recorder) Recap() (Recap, bool) {
	recaps := kept[Recap](r)
	if len(recaps) == 0 {
		return Recap{}, false
	}
	return recaps[len(recaps)-1], true
}

func kept[T Event](r *Recorder) []T {
	var list []T
	for _, e := range r.Events() {
		if e, ok := e.(T); ok {
			list = append(list, e)
		}
	}
	return list
}

// Suspend runs fn while a Reporter leaves the terminal alone, so that fn may ask for a password there. Everything that
// reads from or writes to the terminal during a run must be wrapped in Suspend.
func Suspend(r Reporter, fn func()) {
	if s, ok := r.(interface{ Suspend(func()) }); ok {
		s.Suspend(fn)
		return
	}
	fn()
}
