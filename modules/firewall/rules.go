package firewall

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/session"
)

// always lists the rules that precede those of the task. Without ICMPv6 a host loses its neighbours and routers. Protocols
// are numbers, because nft takes their names only from /etc/protocols, which a minimal Debian lacks.
var always = []string{
	"ct state established,related accept",
	"ct state invalid drop",
	`iif "lo" accept`,
	`meta l4proto 1 accept comment "ICMP"`,
	`meta l4proto 58 accept comment "ICMPv6"`,
	"ip6 saddr fe80::/10 udp dport 546 accept",
}

// table returns the table in the form in which nft lists it, so that both can be compared. It has no sets, because nft
// sorts and merges sets in ways that depend on its version.
func (m *firewall) table() string {
	all := slices.Clone(always)
	seen := map[string]bool{}
	for _, rule := range all {
		seen[rule] = true
	}
	for _, a := range m.Allow {
		destinations := a.destinations()
		for _, from := range a.sources() {
			for _, to := range destinations {
				rule := strings.Join(append(append(slices.Clone(from.words()), to.words()...), "accept comment "+strconv.Quote(a.Name)), " ")
				if !seen[rule] {
					seen[rule], all = true, append(all, rule)
				}
			}
		}
	}
	return "table inet hlplay {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t\t" + strings.Join(all, "\n\t\t") + "\n\t}\n}\n"
}

// source is a network that is admitted. The zero value is everybody.
type source struct{ network netip.Prefix }

func (s source) words() []string {
	switch {
	case !s.network.IsValid():
		return nil
	case s.network.IsSingleIP():
		return []string{family(s.network.Addr()), "saddr", s.network.Addr().String()}
	}
	return []string{family(s.network.Addr()), "saddr", s.network.String()}
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "ip"
	}
	return "ip6"
}

// words returns the match of a rule. The zero value is all ports of all protocols.
func (p ports) words() []string {
	switch {
	case p.protocol == "":
		return nil
	case p.first == p.last:
		return []string{p.protocol, "dport", strconv.Itoa(p.first)}
	}
	return []string{p.protocol, "dport", fmt.Sprintf("%d-%d", p.first, p.last)}
}

// sources returns whom the block admits. Validate has checked them.
func (a allow) sources() []source {
	if a.From == nil {
		return []source{{}}
	}
	var all []source
	for _, text := range a.From {
		network, _ := parseSource(text)
		all = append(all, source{network})
	}
	return all
}

// destinations returns the ports that the block admits to. Validate has checked them.
func (a allow) destinations() []ports {
	if a.Ports == nil {
		return []ports{{}}
	}
	var all []ports
	for _, text := range a.Ports {
		to, _ := parsePorts(text)
		all = append(all, to)
	}
	return all
}

// admits reports whether a new connection to a port is admitted. An invalid address stands for an unknown one.
func (m *firewall) admits(from netip.Addr, protocol string, port int) bool {
	if from.IsLoopback() {
		return true
	}
	return slices.ContainsFunc(m.Allow, func(a allow) bool {
		return slices.ContainsFunc(a.sources(), func(s source) bool {
			return !s.network.IsValid() || !from.IsValid() || s.network.Contains(from)
		}) && slices.ContainsFunc(a.destinations(), func(p ports) bool {
			return p.protocol == "" || p.protocol == protocol && p.first <= port && port <= p.last
		})
	})
}

// admitsUs verifies that hlplay can connect anew. If the origin of its session is unknown, only the proof after the change
// shows that.
func (m *firewall) admitsUs(ctx context.Context, h modules.Host) error {
	over, err := session.Sessions.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	if over.Client.IsValid() && over.Port != 0 && !m.admits(over.Client, "tcp", over.Port) {
		return fmt.Errorf("the session to %s comes from %s to port %d, which no allow block would admit: hlplay could not connect again. Add a block with ports = [\"tcp/%[3]d\"] and from = [\"%[2]s\"], or its network", h.Name(), over.Client, over.Port)
	}
	return nil
}

// served lists the services of a host that the votes or the quorum of other hosts depend on.
var served = []struct {
	unit, protocol string
	port           int
	loss           string
}{
	{"corosync.service", "udp", 5405, "it would lose its cluster"},
	{"corosync-qnetd.service", "tcp", 5403, "the cluster would lose the QDevice's votes"},
}

// servesOn verifies that at least some address can still reach such services.
func (m *firewall) servesOn(ctx context.Context, h modules.Host) error {
	for _, s := range served {
		running, err := observe.Units.Observe(ctx, h, s.unit)
		if err != nil {
			return err
		}
		if running.Active() && !m.admits(netip.Addr{}, s.protocol, s.port) {
			return fmt.Errorf("%s runs on %s, and no allow block admits anybody to %s port %d: %s. Add a block with ports = [\"%[3]s/%[4]d\"] and the other nodes in from", s.unit, h.Name(), s.protocol, s.port, s.loss)
		}
	}
	return nil
}
