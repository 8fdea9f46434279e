// Package observe holds what is known of hosts: typed, keyed observations.
//
// Everything a module knows about a host it reads through a Kind. An observation is memoised
// until a step may have changed it, fetched together with everything else that is waiting on the
// same host (one flight; the idea of Haxl and DataLoader), and in check mode replaced by what a
// step is expected to bring about.
package observe

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"hlplay/engine/remote"
)

// Key names one observation on a host: "file:/etc/hosts", "package:chrony", "kernel".
type Key struct {
	Kind string
	// Name is empty for a kind of which a host has one only.
	Name string
}

func (k Key) String() string {
	if k.Name == "" {
		return k.Kind
	}
	return k.Kind + ":" + k.Name
}

// Kind is a family of observations that are fetched together, however many tasks ask for them.
// A Kind is declared once, as a package variable; its zero value is of no use.
type Kind[T any] struct {
	// Name is the part of the key before the colon; it is unique in the program.
	Name string
	// What says in words what is observed, %s being the name: "the version of package %s". Empty is the key.
	What string
	// Ask returns the queries that fetch all names. They only read.
	Ask func(names []string) []remote.Query
	// Parse reads the answers to the queries of Ask(names) and tells the value of each name, or
	// the error that reading it met. A name it does not tell is reported as a defect of the kind.
	Parse func(names []string, answers []remote.Answer, tell func(name string, value T, err error))
	// Probe, in place of Ask and Parse, observes a name from the controller, without the connection to the host. It only reads,
	// connects with dial alone, and bounds itself: what does not answer is a value and no error.
	Probe func(ctx context.Context, dial Dial, name string) (T, error)
	// Lasting says that no step changes what is observed, but for a reboot: it is remembered from one to
	// the next.
	Lasting bool
	// Shared reports whether a step on another host can change what is observed under a name, because it is the
	// cluster's or the network's and not the host's own. Nil means that none can.
	Shared func(name string) bool
	// Complete fills in what a step does not claim when it expects a value, because nobody can know it beforehand (the
	// id of a new account), from what was found once the step was done. Nil means that the whole value is claimed. What it
	// returns and what was found are then to be equal; an empty slice or map equals none. It changes neither.
	Complete func(expected, found T) T
}

// Always is for Kind.Shared: all that a kind observes is shared.
func Always(string) bool { return true }

// Key is the key of one observation of this kind.
func (k *Kind[T]) Key(name string) Key { return Key{k.Name, name} }

// Observe returns what is observed under name on host h: predicted, remembered, or fetched in the
// next flight. It blocks until the value is there. Observing something unknowable in check mode
// returns an *UnknownError; a lost or refused connection returns a *remote.UnreachableError.
func (k *Kind[T]) Observe(ctx context.Context, h *Host, name string) (T, error) {
	value, err := h.observe(ctx, k, name)
	if err != nil {
		var zero T
		return zero, err
	}
	typed, ok := value.(T)
	if !ok {
		return typed, fmt.Errorf("observation %s on %s holds a %T: a step expected a value of the wrong type", k.Key(name), h.Name(), value)
	}
	if t, ok := ctx.Value(trackerKey{}).(*Tracker); ok {
		t.found(h, k.Key(name), value)
	}
	return typed, nil
}

// ObserveAll is Observe for names that are known together: they travel in one flight.
func (k *Kind[T]) ObserveAll(ctx context.Context, h *Host, names []string) (map[string]T, error) {
	for _, name := range names {
		h.want(k, name)
	}
	all := make(map[string]T, len(names))
	for _, name := range names {
		value, err := k.Observe(ctx, h, name)
		if err != nil {
			return nil, err
		}
		all[name] = value
	}
	return all, nil
}

// Want announces an observation without waiting for it, so that it travels in the same flight as
// the next one that is waited for.
func (k *Kind[T]) Want(h *Host, names ...string) {
	for _, name := range names {
		h.want(k, name)
	}
}

// MayAppear is in check mode an *UnknownError if an earlier step may bring under name what is not there now, for those
// who have nothing to do because it is not there; else nil.
func (k *Kind[T]) MayAppear(h *Host, name string) error {
	if because := h.mayAppear(k.Key(name)); because != "" {
		return &UnknownError{h.hostName, k.Key(name), k.words(name), because}
	}
	return nil
}

// Expect says that value will be observed under name once a step is done.
func (k *Kind[T]) Expect(name string, value T) Expectation {
	return Expectation{Key: k.Key(name), Value: value, kind: k}
}

// ExpectUpdate is Expect for a step that changes a part of the value: see Expectation.Update.
func (k *Kind[T]) ExpectUpdate(name string, known T, update func(T) T) Expectation {
	e := k.Expect(name, update(known))
	e.Update = func(before any) any {
		if typed, ok := before.(T); ok {
			return update(typed)
		}
		return before // Observe tells what is wrong with it
	}
	return e
}

// Unknown says that a step makes the observation under name unknowable before it is really done.
func (k *Kind[T]) Unknown(name, because string) Expectation {
	return Expectation{Key: k.Key(name), Unknown: because, kind: k}
}

func (k *Kind[T]) name() string                      { return k.Name }
func (k *Kind[T]) lasting() bool                     { return k.Lasting }
func (k *Kind[T]) shared(name string) bool           { return k.Shared != nil && k.Shared(name) }
func (k *Kind[T]) words(name string) string          { return strings.ReplaceAll(k.What, "%s", name) }
func (k *Kind[T]) ask(names []string) []remote.Query { return k.Ask(names) }
func (k *Kind[T]) probes() bool                      { return k.Probe != nil }
func (k *Kind[T]) probe(ctx context.Context, dial Dial, name string) (any, error) {
	return k.Probe(ctx, dial, name)
}
func (k *Kind[T]) parse(names []string, answers []remote.Answer, tell func(string, any, error)) {
	k.Parse(names, answers, func(name string, value T, err error) { tell(name, value, err) })
}

// kind is a Kind without its type.
type kind interface {
	name() string
	lasting() bool
	shared(name string) bool
	words(name string) string
	ask(names []string) []remote.Query
	parse(names []string, answers []remote.Answer, tell func(string, any, error))
	probes() bool
	probe(ctx context.Context, dial Dial, name string) (any, error)
	observed() bool
	unfulfilled(found, expected any) string
}

// Expectation is what will be observed once a step is done.
type Expectation struct {
	// Host is where; nil means the host that the step is for.
	Host *Host
	Key  Key
	// Match, if set, takes the place of Key: all observations that it accepts and that no step
	// expects exactly, later or earlier, become Unknown. Of two that accept the same, the later one counts.
	Match func(Key) bool
	// Values, with Match, tells what will be observed instead of Unknown. What earlier steps expect of the same
	// observations no longer counts.
	Values func(Key) any
	// Appears, with Match, leaves what is observed now as it is, and says only that something may be there that is not there
	// now: see Kind.MayAppear.
	Appears bool
	// If, with Match, leaves what is observed now as it is, unless If accepts its value: a package may bring a unit that is
	// not there.
	If func(value any) bool
	// Value is of the type of the key's kind.
	Value any
	// Update, if set, makes the value from the one that earlier steps expect, so that the steps of one plan add up
	// where each changes a part (two files of one directory). Value is what it makes from what is known when it is planned.
	Update func(before any) any
	// Unknown, if not empty, says why the value cannot be known before the step is really done.
	Unknown string

	kind kind // of Key; nil if it was not made by a Kind
}

// On is the same expectation on another host.
func (e Expectation) On(h *Host) Expectation {
	e.Host = h
	return e
}

// UnknownError is what observing yields in check mode where an earlier change makes the value
// unknowable. A task whose plan meets it is reported as uncertain.
type UnknownError struct {
	// Host is whose observation it is; empty where that need not be said.
	Host string
	Key  Key
	// What is the key in words; empty is the key itself.
	What    string
	Because string
}

func (e *UnknownError) Error() string {
	what := e.What
	if what == "" {
		what = e.Key.String()
	}
	if e.Host != "" {
		what += " on " + e.Host
	}
	return fmt.Sprintf("%s cannot be known before the run: %s", what, e.Because)
}

// IsUnknown reports whether err comes from something unknowable in check mode.
func IsUnknown(err error) bool {
	var unknown *UnknownError
	return errors.As(err, &unknown)
}
