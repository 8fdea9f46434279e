package throughput

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// program is the program that measures.
const program = "iperf3"

// end is one end of a link.
type end struct {
	host  modules.Host
	link  string
	speed int // in Mbit/s; 0 if the driver reports none
}

// Plan implements modules.Module.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if err := m.Validate(); err != nil {
		return modules.Plan{}, err
	}
	plan := modules.Plan{Repeats: true}
	for _, name := range slices.Sorted(maps.Keys(m.To)) {
		address := netip.MustParseAddr(m.To[name])
		peer, err := peerNamed(h, name)
		if err != nil {
			return modules.Plan{}, err
		}
		near, err := endOf(ctx, h, func(p netip.Prefix) bool { return p.Contains(address) && p.Addr() != address })
		if err != nil {
			return modules.Plan{}, err
		}
		far, err := endOf(ctx, peer, func(p netip.Prefix) bool { return p.Addr() == address })
		if err != nil {
			return modules.Plan{}, err
		}
		switch {
		case near.link == "":
			return modules.Plan{}, fmt.Errorf("%s has no network card in the subnet of %s, the address of %s: the measurement would cross a router; give the address of %s in a subnet that both are in", h.Name(), address, name, name)
		case far.link == "":
			return modules.Plan{}, fmt.Errorf("%s is not an address of %s: give one of its addresses", address, name)
		}
		for _, e := range []end{near, far} {
			if err := e.fit(ctx); err != nil {
				return modules.Plan{}, err
			}
		}
		speed := m.Speed
		if speed == 0 {
			if speed = min(near.speed, far.speed); speed <= 0 {
				return modules.Plan{}, fmt.Errorf("the drivers of %s on %s and of %s on %s do not both report a speed: give it in Mbit/s, as in speed = 10000", near.link, h.Name(), far.link, name)
			}
		}
		single := m.SingleFloor
		if single == 0 {
			single = m.Floor
		}
		for _, c := range []measurement{{1, single}, {m.Streams, m.Floor}} {
			plan.Steps = append(plan.Steps, m.serve(peer, address), m.measure(h.Name(), name, address, speed, c))
		}
	}
	return plan, nil
}

func peerNamed(h modules.Host, name string) (modules.Host, error) {
	var names []string
	for _, peer := range h.Peers() {
		if peer.Name() == name && name != h.Name() {
			return peer, nil
		}
		if peer.Name() != h.Name() {
			names = append(names, peer.Name())
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("to names %q, but the play has no host besides %s", name, h.Name())
	}
	return nil, fmt.Errorf("to names %q, which is not another host of the play: expected one of %s", name, strings.Join(names, ", "))
}

// endOf returns the network card of a host that has a matching address. Its link is "" if there is none.
func endOf(ctx context.Context, h modules.Host, is func(netip.Prefix) bool) (end, error) {
	net, err := observe.Networks.Observe(ctx, h, "")
	if err != nil {
		return end{}, err
	}
	for _, i := range net.Interfaces {
		if slices.ContainsFunc(i.Addresses, is) {
			return end{h, i.Name, i.Speed}, nil
		}
	}
	return end{host: h}, nil
}

// measurement is one of a link's measurements.
type measurement struct{ streams, floor int }

// serve starts a server for one measurement.
func (m *Module) serve(peer modules.Host, address netip.Addr) modules.Step {
	return modules.Step{
		Summary: fmt.Sprintf("wait for a measurement on %s", address),
		On:      peer, Refresh: true,
		Action: modules.Run{Argv: serverArgv(address.String(), strconv.Itoa(m.Port)), Brief: true},
	}
}

// measure runs one measurement and compares the result with the floor.
func (m *Module) measure(from, to string, address netip.Addr, speed int, c measurement) modules.Step {
	streams := "one stream"
	if c.streams > 1 {
		streams = fmt.Sprintf("%d streams", c.streams)
	}
	return modules.Step{
		Summary: fmt.Sprintf("measure %s to %s (%s), at least %d%% of %d Mbit/s", streams, to, address, c.floor, speed),
		Refresh: true,
		Action: modules.Run{
			Argv:  clientArgv(address.String(), strconv.Itoa(m.Port), strconv.Itoa(m.Seconds), strconv.Itoa(c.streams)),
			Retry: passing, Patience: 10 * time.Second, // the server needs a moment before it listens
			Limit: time.Duration(m.Seconds)*time.Second + 30*time.Second, Shows: true,
			Explain: func(_ int, _, stderr []byte) error {
				if strings.Contains(string(stderr), "unable to connect") {
					return fmt.Errorf("%s cannot connect to iperf3 on %s (%s, TCP port %d): check that no firewall drops the connection: %s", from, to, address, m.Port, observe.LastLine(stderr))
				}
				return nil
			},
			Suspect: func(stdout, _ []byte) error {
				got, err := received(stdout)
				if err != nil {
					return err
				}
				if percent := got * 100 / float64(speed); percent < float64(c.floor) {
					return fmt.Errorf("%s to %s (%s): %s carried %.0f Mbit/s, %.0f%% of %d Mbit/s, expected at least %d%%: check the negotiated speed of the cards (ethtool), errors (ip -s link), the MTU, and what else uses the link", from, to, address, streams, got, percent, speed, c.floor)
				}
				return nil
			},
		},
	}
}
