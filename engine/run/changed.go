package run

import (
	"slices"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// forget drops the observations of the hosts for which and on which a step was carried out, and records what was read
// after it.
func (e *execution) forget(on *host, readback *observe.Readback, answers []remote.Answer) {
	if readback != nil {
		readback.Arrive(answers)
	} else {
		e.host.observed.Forget()
	}
	if on != e.host {
		on.observed.Forget()
	}
}

// changed drops what was planned ahead on every host that a step may have changed. Other hosts may use what its host has answered
// behind it, unless that is nil: see observe.Readback.Lend.
func (e *execution) changed(step modules.Step, answered *observe.Readback) {
	touched := map[*host]bool{e.host: true}
	if step.On != nil {
		touched[e.hosts.behind(step.On)] = true
	}
	all := e.hosts.all()
	partly := step.Wide && step.Elsewhere != nil && !e.check
	if !partly {
		for _, expected := range step.Expect {
			if expected.Host != nil {
				touched[e.hosts.behind(expected.Host)] = true
			}
		}
	}
	switch {
	case partly:
		for _, other := range all {
			if !touched[other] {
				e.changedPartly(other, all, touchedOn(step, other), answered)
				other.planner.expectCopies(e.task)
			}
		}
	case step.Wide:
		for _, other := range all {
			touched[other] = true
		}
	case (step.Unknown || rebootsAlone(step) || writesShared(step)) && !e.check:
		for _, other := range all {
			if !touched[other] {
				e.changedPartly(other, all, observe.Read.Shared, nil)
			}
		}
	}
	for other := range touched {
		if other == nil {
			continue
		}
		if !e.check && other != e.host {
			other.mayHaveChanged()
		}
		other.planner.invalidate()
		for _, reader := range all {
			reader.planner.peerChanged(other.observed)
		}
	}
	for other := range touched { // all of them have forgotten by now what they are asked about one another
		if other != nil && other != e.host && !e.check {
			other.planner.expect(e.task)
		}
	}
}

// writesShared reports whether a step changes a path on a file system that other hosts may share, itself or through a link.
func writesShared(step modules.Step) bool {
	var changed string
	switch a := step.Action.(type) {
	case modules.WriteFile:
		changed = a.Path
	case modules.SetAttributes:
		changed = a.Path
	case modules.MakeDir:
		changed = a.Path
	case modules.Link:
		changed = a.Path
	case modules.Remove:
		changed = a.Path
	}
	return observe.OnSharedFileSystem(changed) || slices.ContainsFunc(step.Expect, func(x observe.Expectation) bool {
		return x.Key.Kind == observe.Files.Name && observe.OnSharedFileSystem(x.Key.Name)
	})
}

// touchedOn returns what a step that says so (Step.Elsewhere) may have changed on another host.
func touchedOn(step modules.Step, on *host) func(observe.Read) bool {
	return func(r observe.Read) bool {
		key := r.Key()
		return step.Elsewhere(on.observed, key) || slices.ContainsFunc(step.Expect, func(x observe.Expectation) bool {
			return x.Host == on.observed && (x.Match == nil && x.Key == key || x.Match != nil && x.Match(key))
		})
	}
}

// changedPartly forgets of another host what a step may have changed there, and drops the plans that were made from it.
func (e *execution) changedPartly(other *host, all []*host, touched func(observe.Read) bool, answered *observe.Readback) {
	if !other.sent.unlessAhead(func() { answered.Lend(other.observed, touched) }) {
		other.observed.ForgetShared() // see mayHaveChanged
		touched = observe.Read.Shared
	}
	for _, reader := range all {
		reader.planner.readsChanged(other.observed, touched)
	}
}
