package report

import (
	"errors"
	"slices"
	"sync"
)

// Tee returns a Reporter that passes every event on to all of reporters, in their order.
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

// Suspend passes on to all reporters.
func (t tee) Suspend(fn func()) {
	for _, r := range t {
		inner := fn
		fn = func() { Suspend(r, inner) }
	}
	fn()
}

// Recorder is a Reporter that keeps events. Its zero value is ready for use, and its methods may be called
// from many goroutines.
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

// Events are all events so far.
func (r *Recorder) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Results are the task results so far.
func (r *Recorder) Results() []TaskResult { return kept[TaskResult](r) }

// Notes are the notes so far.
func (r *Recorder) Notes() []Note { return kept[Note](r) }

// Recap is the last recap, and whether there was one.
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

// Suspend runs fn while a Reporter leaves the terminal alone: fn may ask for a password there. It is to be
// used around everything that reads from or writes to the terminal during a run.
func Suspend(r Reporter, fn func()) {
	if s, ok := r.(interface{ Suspend(func()) }); ok {
		s.Suspend(fn)
		return
	}
	fn()
}
