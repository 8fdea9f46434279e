package run

import (
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

// changed drops what was planned ahead on every host that a step may have changed.
func (e *execution) changed(step modules.Step) {
	touched := map[*host]bool{e.host: true}
	if step.On != nil {
		touched[e.hosts.behind(step.On)] = true
	}
	for _, expected := range step.Expect {
		if expected.Host != nil {
			touched[e.hosts.behind(expected.Host)] = true
		}
	}
	all := e.hosts.all()
	if step.Wide {
		for _, other := range all {
			touched[other] = true
		}
	}
	if (step.Unknown || rebootsAlone(step)) && !step.Wide && !e.check {
		for _, other := range all {
			if !touched[other] {
				other.observed.ForgetShared()
				other.planner.sharedChanged()
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
}
