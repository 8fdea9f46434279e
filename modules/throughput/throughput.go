// Package throughput implements the module that measures what the links between hosts carry.
package throughput

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"hlplay/modules"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "throughput",
	Aliases: []string{"iperf3"},
	Summary: "What the links between hosts carry, measured with iperf3",
	Doc: `Measures with iperf3 how many bits a second get from the host to each of the others, over TCP: with one stream and with several. A
measurement below floor percent of the link fails the task, with the figures. Hosts take turns, and so do the measurements of a host: no
two disturb each other. Nothing is changed, but the links are full meanwhile, a few seconds for each pair and direction; check mode
measures nothing. With ` + "`-v`" + ` the report shows what iperf3 prints.

The speed of a link is the lower of the speeds reported by the drivers at both ends. Virtual network cards report none, or a meaningless
one: give speed then. Over a bond a single stream takes one of the cards: give single_floor.

For each measurement an iperf3 server is started on the other host, on the address that is measured alone. It ends after the measurement,
or by itself after a minute.

Refused, before anything is measured:

- iperf3 is not installed on both hosts;
- an address is not on the host that it is given for, or in no subnet of this host: the measurement would cross a router;
- high availability is armed and a link of corosync lies on the same network card at either end: a corosync that is not heard for a
  minute has its node reset by the watchdog.`,
	Example: `task "G1.18 the network carries what it should" {
  throughput {
    to    = { for name in groups.pve : name => hosts[name].vars.ceph_address if name != host.name }
    floor = 80
  }
}`,
	New: func() modules.Module { return &Module{} },
}

// Module says what is measured.
type Module struct {
	To          map[string]string `hcl:"to" doc:"Addresses by the names of the other hosts, which must be hosts of the play: { pve2 = \"10.10.10.12\" }."`
	Floor       int               `hcl:"floor,optional" default:"80" doc:"What a link must carry at least, in percent of its speed."`
	SingleFloor int               `hcl:"single_floor,optional" doc:"The same with a single stream, where that is expected to carry less. The default is floor."`
	Streams     int               `hcl:"streams,optional" default:"4" doc:"How many streams the second measurement has."`
	Seconds     int               `hcl:"seconds,optional" default:"5" doc:"How long a measurement takes, besides the first second, which does not count."`
	Speed       int               `hcl:"speed,optional" doc:"The speed of the links in Mbit/s, where the drivers tell none or another than they should have."`
	Port        int               `hcl:"port,optional" default:"5201" doc:"The port of the server."`
}

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	fault := func(argument, problem, want string) error {
		return &modules.ArgumentError{Argument: argument, Problem: problem, Want: want}
	}
	if len(m.To) == 0 {
		return fault("to", "it names no host: nothing would be measured", "the addresses of the other hosts; where there may be none, give the task a when")
	}
	for _, host := range slices.Sorted(maps.Keys(m.To)) {
		if a, err := netip.ParseAddr(m.To[host]); err != nil || a.Zone() != "" {
			return fault("to", fmt.Sprintf("%q, for %s, is no IP address", m.To[host], host), "an address without a prefix length, as in 10.10.10.12")
		}
	}
	for _, n := range []struct {
		argument           string
		value, least, most int
	}{
		{"floor", m.Floor, 1, 100}, {"single_floor", m.SingleFloor, 0, 100}, {"streams", m.Streams, 2, 128}, {"seconds", m.Seconds, 1, 300},
		{"speed", m.Speed, 0, 1000000}, {"port", m.Port, 1024, 65535},
	} {
		if n.value < n.least || n.value > n.most {
			return fault(n.argument, fmt.Sprintf("%d is out of range", n.value), fmt.Sprintf("%d to %d", n.least, n.most))
		}
	}
	return nil
}

// Scope implements modules.Scoped: two measurements at the same time would measure each other.
func (m *Module) Scope() modules.Scope { return modules.OneByOne }
