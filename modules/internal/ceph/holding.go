package ceph

import (
	"context"

	"hlplay/engine/observe"
)

// Holding is what the cluster holds, and how it is distributed.
type Holding struct {
	Distribution Distribution
	Pools        map[string]Pool
}

// Holdings observes Holding, under the empty name, for plans that add an OSD and say how much data moves to it.
//
// It is a kind of its own, beside Distributions and Pools, because hosts that create managers and OSDs at the same time may go on
// using what they know of it: a daemon brings no data, and a further OSD makes every other one's share smaller.
var Holdings = &observe.Kind[Holding]{
	Name: "ceph-holding", What: "what Ceph's OSDs hold",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseOnly(parseHolding),
}

// ObserveHolding observes Holding. What earlier steps are expected to change of it in check mode, they say of Distributions and
// Pools. The error is that of Kind.Observe.
func ObserveHolding(ctx context.Context, h *observe.Host) (Holding, error) {
	is, err := Holdings.Observe(ctx, h, "")
	if err == nil && h.Predicted(Distributions.Key("")) {
		is.Distribution, err = Distributions.Observe(ctx, h, "")
	}
	if err == nil && h.Predicted(Pools.Key("")) {
		is.Pools, err = Pools.Observe(ctx, h, "")
	}
	return is, err
}

func parseHolding(s monitorsAnswer) (h Holding, err error) {
	if h.Distribution, err = parseDistribution(s); err != nil {
		return Holding{}, err
	}
	h.Pools, err = parsePools(s)
	return h, err
}
