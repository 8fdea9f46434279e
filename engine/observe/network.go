package observe

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/remote"
)

// Network describes the interfaces of a host and its default route.
type Network struct {
	// Interfaces are in the kernel's order and include the loopback interface.
	Interfaces []Interface
	// Gateway and GatewayInterface belong to the default route with the lowest metric, IPv4 before IPv6. They are the
	// zero value and empty if there is none.
	Gateway          netip.Addr
	GatewayInterface string
}

// Interface is one network interface.
type Interface struct {
	Name string
	// MAC is the link address, empty if there is none. State is the operational state in lower case: "up", "down",
	// "unknown".
	MAC, State string
	MTU        int
	// Addresses include their prefix lengths and are in the kernel's order.
	Addresses []netip.Prefix
	// Speed is in Mbit/s as reported by the driver; 0 if it reports none.
	Speed int
}

// complete fills in the fields of an interface that an expectation does not claim.
func (i *Interface) complete(found Interface) {
	i.MAC, i.State = cmp.Or(i.MAC, found.MAC), cmp.Or(i.State, found.State)
	i.Speed = cmp.Or(i.Speed, found.Speed)
	own := func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() }
	claimed := slices.DeleteFunc(slices.Clone(i.Addresses), own)
	rest := slices.DeleteFunc(slices.Clone(found.Addresses), own)
	if len(claimed) == len(rest) && !slices.ContainsFunc(claimed, func(p netip.Prefix) bool { return !slices.Contains(rest, p) }) {
		claimed = found.Addresses
	}
	i.Addresses = claimed
}

// Has reports whether any interface has the address.
func (n Network) Has(address netip.Addr) bool {
	for _, i := range n.Interfaces {
		for _, prefix := range i.Addresses {
			if prefix.Addr() == address {
				return true
			}
		}
	}
	return false
}

// Networks observes the network of a host, under the empty name.
//
// An expectation does not claim the order of interfaces and of their addresses, nor link-local addresses, which
// interfaces assign to themselves. MAC, state and speed are claimed only if they are set: nobody knows them for an
// interface that does not exist yet.
var Networks = &Kind[Network]{
	Name: "network", What: "the network",
	Complete: func(expected, found Network) Network {
		at := map[string]int{}
		for i, is := range found.Interfaces {
			at[is.Name] = i
		}
		expected.Interfaces = slices.Clone(expected.Interfaces)
		for i := range expected.Interfaces {
			e := &expected.Interfaces[i]
			if k, ok := at[e.Name]; ok {
				e.complete(found.Interfaces[k])
			}
		}
		slices.SortStableFunc(expected.Interfaces, func(a, b Interface) int { return at[a.Name] - at[b.Name] })
		return expected
	},
	Ask: func([]string) []remote.Query {
		return []remote.Query{
			{Script: `ip -j addr show`, Inline: true},
			{Script: `ip -j route show default && ip -j -6 route show default`, Inline: true},
			// Reading the speed of an interface that is down fails; -s suppresses the error.
			{Script: `grep -sH '' /sys/class/net/*/speed; true`, Inline: true},
		}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Network, error)) {
		var n Network
		err := fmt.Errorf("ip addr show: %s: %s", remote.Ending(answers[0].Exit), LastLine(answers[0].Stderr))
		switch {
		case answers[0].Exit == 0 && answers[1].Exit != 0:
			err = fmt.Errorf("ip route show default: %s: %s", remote.Ending(answers[1].Exit), LastLine(answers[1].Stderr))
		case answers[0].Exit == 0:
			n, err = parseNetwork(answers[0].Stdout, answers[1].Stdout, answers[2].Stdout)
		}
		for _, name := range names {
			tell(name, n, err)
		}
	},
}

func parseNetwork(addrs, routes, speeds []byte) (Network, error) {
	var n Network
	var links []struct {
		IfName    string `json:"ifname"`
		Address   string `json:"address"`
		OperState string `json:"operstate"`
		MTU       int    `json:"mtu"`
		AddrInfo  []struct {
			Local     string `json:"local"`
			PrefixLen int    `json:"prefixlen"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal(addrs, &links); err != nil {
		return n, fmt.Errorf("ip -j addr show printed what is not its JSON: %w", err)
	}
	speed := map[string]int{}
	for _, line := range Lines(speeds) {
		file, value, _ := strings.Cut(line, ":")
		if mbit, err := strconv.Atoi(value); err == nil && mbit > 0 { // -1 if the driver cannot tell
			speed[path.Base(path.Dir(file))] = mbit
		}
	}
	for _, link := range links {
		if link.IfName == "" { // ip prints {} for links that its filters drop
			continue
		}
		i := Interface{Name: link.IfName, MAC: link.Address, MTU: link.MTU,
			State: strings.ToLower(link.OperState), Speed: speed[link.IfName]}
		for _, a := range link.AddrInfo {
			addr, err := netip.ParseAddr(a.Local)
			if err != nil {
				continue
			}
			if p := netip.PrefixFrom(addr, a.PrefixLen); p.IsValid() {
				i.Addresses = append(i.Addresses, p)
			}
		}
		n.Interfaces = append(n.Interfaces, i)
	}
	return n, n.parseRoutes(routes)
}

// parseRoutes parses the two lists of default routes, IPv4 and IPv6. A list may be missing if the kernel lacks the
// protocol.
func (n *Network) parseRoutes(out []byte) error {
	type route struct {
		Gateway string `json:"gateway"`
		Dev     string `json:"dev"`
		Metric  int    `json:"metric"`
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for decoder.More() {
		var routes []route
		if err := decoder.Decode(&routes); err != nil {
			return fmt.Errorf("ip -j route printed what is not its JSON: %w", err)
		}
		slices.SortStableFunc(routes, func(a, b route) int { return a.Metric - b.Metric })
		for _, r := range routes {
			if n.GatewayInterface == "" && r.Dev != "" {
				n.GatewayInterface = r.Dev
				n.Gateway, _ = netip.ParseAddr(r.Gateway) // a point-to-point route has no gateway
			}
		}
	}
	return nil
}
