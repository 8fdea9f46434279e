// Package throughput implements the module that measures the throughput of links between hosts.
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
	Summary: "Throughput of the links between hosts, measured with iperf3",
	Doc: `Measures the TCP throughput from the host to each of the others with iperf3, with one stream and with several. A
measurement below floor percent of the link's speed fails the task, with the figures. Hosts and measurements take turns, so that no
two disturb each other. Nothing is changed, but each measurement saturates its link for a few seconds; check mode
measures nothing. With ` + "`-v`" + ` the report shows iperf3's output.

The speed of a link is the lower of the speeds reported by the drivers at both ends. Virtual network cards report none or a meaningless
one: set speed. Over a bond, a single stream uses only one of the cards: set single_floor.

For each measurement an iperf3 server is started on the other host. It listens on the measured address only, and ends after the measurement,
or by itself after a minute.

The task fails before anything is measured if

- iperf3 is missing on either host;
- an address does not belong to its host, or is in no subnet of this host, so that the measurement would cross a router;
- high availability is armed and a link of corosync lies on the same network card at either end: if corosync is not heard for a
  minute, the watchdog resets its node.`,
	Example: `task "G1.18 check that the network carries what it should" {
  throughput {
    to    = { for name in groups.pve : name => hosts[name].vars.ceph_address if name != host.name }
    floor = 80
  }
}`,
	New: func() modules.Module { return &Module{} },
}

// Module describes what to measure.
type Module struct {
	To          map[string]string `hcl:"to" doc:"Addresses by the names of the other hosts, which must be hosts of the play: { pve2 = \"10.10.10.12\" }."`
	Floor       int               `hcl:"floor,optional" default:"80" doc:"Minimum throughput, in percent of the link's speed."`
	SingleFloor int               `hcl:"single_floor,optional" doc:"The same for a single stream. The default is floor."`
	Streams     int               `hcl:"streams,optional" default:"4" doc:"Number of streams of the second measurement."`
	Seconds     int               `hcl:"seconds,optional" default:"5" doc:"Duration of a measurement, not counting the first second, which is ignored."`
	Speed       int               `hcl:"speed,optional" doc:"Speed of the links in Mbit/s, if the drivers report none or a wrong one."`
	Port        int               `hcl:"port,optional" default:"5201" doc:"The port of the server."`
}

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	fault := func(argument, problem, want string) error {
		return &modules.ArgumentError{Argument: argument, Problem: problem, Want: want}
	}
	if len(m.To) == 0 {
		return fault("to", "it is empty, so nothing would be measured", "expected the addresses of the other hosts; if there may be none, give the task a when")
	}
	for _, host := range slices.Sorted(maps.Keys(m.To)) {
		if a, err := netip.ParseAddr(m.To[host]); err != nil || a.Zone() != "" {
			return fault("to", fmt.Sprintf("%q, for %s, is not an IP address", m.To[host], host), "expected an address without a prefix length, such as 10.10.10.12")
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
			return fault(n.argument, fmt.Sprintf("%d is out of range", n.value), fmt.Sprintf("expected %d to %d", n.least, n.most))
		}
	}
	return nil
}

// Scope implements modules.Scoped: simultaneous measurements would distort each other.
func (m *Module) Scope() modules.Scope { return modules.OneByOne }
