// Package observe holds what is known about hosts, as typed, keyed observations.
//
// Modules read everything that they know about a host through a Kind. An observation is remembered until a step may
// have changed it. It is fetched in one flight: a single round trip for everything that planners of the same host are
// waiting for (the idea comes from Haxl and DataLoader). In check mode it is replaced by what a step is expected to do.
package observe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hlplay/engine/remote"
)

// Key identifies one observation on a host: "file:/etc/hosts", "package:chrony", "kernel".
type Key struct {
	Kind string
	// Name is empty for a kind that has only one observation per host.
	Name string
}

func (k Key) String() string {
	if k.Name == "" {
		return k.Kind
	}
	return k.Kind + ":" + k.Name
}

// Kind is a family of observations that are fetched together, however many tasks ask for them. A Kind is declared
// once, as a package variable. Its zero value is not usable.
type Kind[T any] struct {
	// Name is the part of the key before the colon. It is unique in the program.
	Name string
	// What describes the observation in words, with %s for the name: "the version of package %s". If it is empty, the
	// key is shown instead.
	What string
	// Ask returns the queries that fetch all names. Queries only read.
	Ask func(names []string) []remote.Query
	// Parse parses the answers to the queries of Ask(names) and calls tell with the value of each name, or with the
	// error that occurred when reading it. A name that it leaves out is reported as a defect of the kind.
	Parse func(names []string, answers []remote.Answer, tell func(name string, value T, err error))
	// Timed replaces Parse for observations that are meaningless without the time at which the host was asked, such as
	// its clock. asked is before the flight left and answered after all of it came back, both by the run's clock.
	Timed func(names []string, answers []remote.Answer, asked, answered time.Time, tell func(name string, value T, err error))
	// Probe replaces Ask and Parse for observations that the controller makes without the connection to the host. It
	// only reads, connects only with dial, and limits its own duration. If something does not answer, that is a value,
	// not an error.
	Probe func(ctx context.Context, dial Dial, name string) (T, error)
	// Lasting is set if only a reboot changes what is observed, so that it is remembered across steps. An error is not.
	Lasting bool
	// Shared reports whether a step on another host can change what is observed under a name, because it belongs to
	// the cluster or the network rather than to the host. Nil means that none can.
	Shared func(name string) bool
	// Common is set if other kinds ask the same queries, whatever the names. The answers are kept as long as
	// observations are remembered, and other kinds use them without asking again. It must not be set for Timed kinds.
	Common bool
	// Alike is set if all hosts that are united (see AddUnions) would observe the same under a name, so that what one was answered
	// behind a step need not be asked of the others (Readback.Lend). The kind is then Common, too.
	Alike bool
	// Holds returns queries that exit with 0 only if values, by name, are what would be observed now, apart from what Complete
	// leaves unclaimed; they may refuse more than they must. ok is false if that cannot be asked of these values. Nil means that
	// it never can. The host then decides by itself whether a plan still holds: see remote.Ahead.
	Holds func(values map[string]T) (queries []remote.Query, ok bool)
	// Complete fills in those parts of an expected value that the step did not claim because they cannot be known
	// beforehand (the ID of a new account), from the value found after the step. The result must then equal the value
	// found, where an empty slice or map equals nil. Complete modifies neither argument. Nil means that the whole value
	// is claimed.
	Complete func(expected, found T) T
}

// Always is a value for Kind.Shared: everything that the kind observes is shared.
func Always(string) bool { return true }

// Key returns the key of one observation of this kind.
func (k *Kind[T]) Key(name string) Key { return Key{k.Name, name} }

// Observe returns the value observed under name on host h: predicted, remembered, or fetched in the next flight. It
// blocks until the value is available. If check mode cannot know the value, the error is an *UnknownError; if the
// connection is lost or refused, it is a *remote.UnreachableError.
func (k *Kind[T]) Observe(ctx context.Context, h *Host, name string) (T, error) {
	value, err := h.observe(ctx, k, name)
	if err != nil {
		var zero T
		return zero, err
	}
	if calculate, ok := value.(later[T]); ok {
		if value, err = calculate(); err != nil {
			var zero T
			return zero, err
		}
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

// ObserveAll is Observe for several names, which are fetched in one flight.
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

// Want announces an observation without waiting for it, so that it is fetched in the same flight as the next one that a
// planner waits for.
func (k *Kind[T]) Want(h *Host, names ...string) {
	for _, name := range names {
		h.want(k, name)
	}
}

// MayAppear returns an *UnknownError if, in check mode, an earlier step may create what does not exist now under name,
// and nil otherwise. It is for callers that have nothing to do because it does not exist.
func (k *Kind[T]) MayAppear(h *Host, name string) error {
	if because := h.mayAppear(k.Key(name)); because != "" {
		return &UnknownError{h.hostName, k.Key(name), k.words(name), because}
	}
	return nil
}

// Expect returns the expectation that value will be observed under name when a step is done.
func (k *Kind[T]) Expect(name string, value T) Expectation {
	return Expectation{Key: k.Key(name), Value: value, kind: k}
}

// later is a value that takes long to calculate.
type later[T any] func() (T, error)

// ExpectLater is like Expect, for a value that takes long to calculate: that is done each time it is observed or compared, which
// fails with the error of value.
func (k *Kind[T]) ExpectLater(name string, value func() (T, error)) Expectation {
	return Expectation{Key: k.Key(name), Value: later[T](value), kind: k}
}

// ExpectUpdate is like Expect, for a step that changes a part of the value: see Expectation.Update.
func (k *Kind[T]) ExpectUpdate(name string, known T, update func(T) T) Expectation {
	e := k.Expect(name, update(known))
	e.Update = func(before any) any {
		if typed, ok := before.(T); ok {
			return update(typed)
		}
		return before // Observe reports the wrong type
	}
	return e
}

// Unknown returns the expectation that a step makes the value under name unknowable until the step has really been
// carried out.
func (k *Kind[T]) Unknown(name, because string) Expectation {
	return Expectation{Key: k.Key(name), Unknown: because, kind: k}
}

func (k *Kind[T]) name() string                      { return k.Name }
func (k *Kind[T]) common() bool                      { return k.Common }
func (k *Kind[T]) alike() bool                       { return k.Alike && k.Common }
func (k *Kind[T]) lasting() bool                     { return k.Lasting }
func (k *Kind[T]) shared(name string) bool           { return k.Shared != nil && k.Shared(name) }
func (k *Kind[T]) words(name string) string          { return strings.ReplaceAll(k.What, "%s", name) }
func (k *Kind[T]) ask(names []string) []remote.Query { return k.Ask(names) }
func (k *Kind[T]) probes() bool                      { return k.Probe != nil }
func (k *Kind[T]) holds(values map[string]any) ([]remote.Query, bool) {
	if k.Holds == nil {
		return nil, false
	}
	typed := make(map[string]T, len(values))
	for name, value := range values {
		v, ok := value.(T)
		if !ok {
			return nil, false
		}
		typed[name] = v
	}
	return k.Holds(typed)
}
func (k *Kind[T]) probe(ctx context.Context, dial Dial, name string) (any, error) {
	return k.Probe(ctx, dial, name)
}
func (k *Kind[T]) parse(names []string, answers []remote.Answer, asked, answered time.Time, tell func(string, any, error)) {
	typed := func(name string, value T, err error) { tell(name, value, err) }
	if k.Timed != nil {
		k.Timed(names, answers, asked, answered, typed)
		return
	}
	k.Parse(names, answers, typed)
}

// kind is a Kind without its type parameter.
type kind interface {
	name() string
	common() bool
	alike() bool
	lasting() bool
	shared(name string) bool
	words(name string) string
	ask(names []string) []remote.Query
	parse(names []string, answers []remote.Answer, asked, answered time.Time, tell func(string, any, error))
	probes() bool
	holds(values map[string]any) ([]remote.Query, bool)
	probe(ctx context.Context, dial Dial, name string) (any, error)
	observed() bool
	unfulfilled(found, expected any) string
}

// Expectation predicts what will be observed when a step is done.
type Expectation struct {
	// Host is the host that is observed; nil means the host that the step is for.
	Host *Host
	Key  Key
	// Match, if set, replaces Key: every observation that it accepts becomes Unknown, unless an earlier or later step
	// expects it exactly. If two such expectations accept the same observation, the later one counts.
	Match func(Key) bool
	// Values, used with Match, returns the value that will be observed instead of Unknown. Expectations of earlier
	// steps about the same observations no longer count.
	Values func(Key) any
	// Appears, used with Match, does not affect what is observed now. It only says that something may appear that does
	// not exist now: see Kind.MayAppear.
	Appears bool
	// If, used with Match, restricts the effect to observations whose current value it accepts: a package may bring a
	// unit that does not exist yet.
	If func(value any) bool
	// Value has the type of the key's kind, unless Kind.ExpectLater calculates it.
	Value any
	// Update, if set, computes the value from the one that earlier steps expect, so that several steps of a plan that
	// each change a part add up (two files in one directory). Value is the result of Update for what was known at
	// planning time.
	Update func(before any) any
	// Unknown, if not empty, says why the value cannot be known until the step has really been carried out.
	Unknown string

	kind kind // the kind of Key; nil if the expectation was not made by a Kind
}

// On returns the same expectation for another host.
func (e Expectation) On(h *Host) Expectation {
	e.Host = h
	return e
}

// UnknownError is the error of an observation in check mode if an earlier change makes its value unknowable. A task
// whose plan gets this error is reported as uncertain.
type UnknownError struct {
	// Host is the host that was observed; it is empty if it need not be mentioned.
	Host string
	Key  Key
	// What describes the observation in words; if it is empty, the key is shown.
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

// IsUnknown reports whether err was caused by something that check mode cannot know.
func IsUnknown(err error) bool {
	var unknown *UnknownError
	return errors.As(err, &unknown)
}
