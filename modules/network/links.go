package network

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/session"
)

// links holds what the kernel reports about interfaces beyond observe.Network, and how this session reaches the host.
type links struct {
	ByName map[string]link
	// Routes are the routes of the main table, including the default routes.
	Routes []route
	// Client and Server are the addresses of the SSH session: where it comes from, and the host's address that it goes to.
	// They are the zero value without an SSH session.
	Client, Server netip.Addr
}

type link struct {
	// Kind is "bridge", "bond", "vlan", "veth" and so on, or "" for a network card.
	Kind string
	// Master is the bridge or bond that contains the interface, and Parent the interface below a VLAN; "" if there is none.
	Master, Parent string
	VLAN           int
	// MAC is a network card's permanent address, also while it is in a bond.
	MAC string
	// Fleeting says why the MAC address of a network card does not identify it; "" if it does.
	Fleeting fleeting
	// WLAN marks a wireless network card.
	WLAN bool
	// MostMTU is the largest MTU that the driver supports; 0 if it reports none.
	MostMTU int
	// VLANAware is set only for a bridge, and the following fields only for a bond. Delays are in milliseconds.
	VLANAware                  bool
	Mode, Hash, Rate, Primary  string
	MIIMon, UpDelay, DownDelay int
}

type route struct {
	// To is 0.0.0.0/0 or ::/0 for a default route.
	To  netip.Prefix
	Via netip.Addr // the zero value if the destination is on the link
	Dev string
}

// allLinks observes links. Its only name is "".
//
// What the driver of a new interface will report cannot be known beforehand, nor can the session.
var allLinks = &observe.Kind[links]{
	Name: "links", What: "the kinds of the network interfaces",
	Complete: func(expected, found links) links {
		expected.Client, expected.Server = found.Client, found.Server
		expected.ByName = maps.Clone(expected.ByName)
		for name, is := range found.ByName {
			if l, ok := expected.ByName[name]; ok {
				l.MAC, l.MostMTU, l.Fleeting, l.WLAN = is.MAC, is.MostMTU, is.Fleeting, is.WLAN
				if l.Kind == "bond" { // the kernel chooses what the task does not give
					l.Hash, l.Rate, l.Primary = or(l.Hash, is.Hash), or(l.Rate, is.Rate), or(l.Primary, is.Primary)
				}
				expected.ByName[name] = l
			}
		}
		expected.Routes = found.Routes // the task predicts only its own routes, which the plan checks
		return expected
	},
	Ask: func([]string) []remote.Query {
		return []remote.Query{
			{Script: `ip -j -d link show`, Inline: true},
			{Script: `ip -j route show && ip -j -6 route show`, Inline: true},
			session.Query,
			{Script: `grep -sH . /sys/class/net/*/addr_assign_type; ls -d /sys/class/net/*/device/physfn /sys/class/net/*/phy80211 2>/dev/null; :`, Inline: true},
		}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, links, error)) {
		l, err := parseLinks(answers)
		for _, name := range names {
			tell(name, l, err)
		}
	},
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func parseLinks(answers []remote.Answer) (links, error) {
	all := links{ByName: map[string]link{}}
	for i, what := range []string{"ip link show", "ip route show"} {
		if a := answers[i]; a.Exit != 0 {
			return all, fmt.Errorf("%s: %s: %s", what, remote.Ending(a.Exit), strings.TrimSpace(string(a.Stderr)))
		}
	}
	built, err := all.readLinks(answers[0].Stdout)
	if err != nil {
		return all, fmt.Errorf("ip -j -d link show printed invalid JSON: %w", err)
	}
	if err := all.readRoutes(string(answers[1].Stdout)); err != nil {
		return all, fmt.Errorf("ip -j route show printed invalid JSON: %w", err)
	}
	all.readOrigins(string(answers[3].Stdout), built)
	over := session.Parse(answers[2])
	all.Client, all.Server = over.Client, over.Server
	return all, nil
}

// readLinks parses the list of interfaces. built holds those whose current MAC address differs from the one that they were
// built with.
func (l *links) readLinks(out []byte) (built map[string]bool, err error) {
	var shown []struct {
		Name     string `json:"ifname"`
		Link     string `json:"link"`
		Master   string `json:"master"`
		MAC      string `json:"address"`
		Built    string `json:"permaddr"`
		MostMTU  int    `json:"max_mtu"`
		LinkInfo struct {
			Kind string `json:"info_kind"`
			Data struct {
				ID        int    `json:"id"`
				Filtering int    `json:"vlan_filtering"`
				Mode      string `json:"mode"`
				Hash      string `json:"xmit_hash_policy"`
				Rate      string `json:"ad_lacp_rate"`
				Primary   string `json:"primary"`
				MIIMon    int    `json:"miimon"`
				UpDelay   int    `json:"updelay"`
				DownDelay int    `json:"downdelay"`
			} `json:"info_data"`
		} `json:"linkinfo"`
	}
	if err := json.Unmarshal(out, &shown); err != nil {
		return nil, err
	}
	built = map[string]bool{}
	for _, s := range shown {
		if s.Name == "" {
			continue
		}
		d := s.LinkInfo.Data
		is := link{Kind: s.LinkInfo.Kind, Master: s.Master, MAC: or(s.Built, s.MAC), MostMTU: s.MostMTU}
		switch is.Kind {
		case "vlan":
			is.Parent, is.VLAN = s.Link, d.ID
		case "bridge":
			is.VLANAware = d.Filtering == 1
		case "bond":
			is.Mode, is.Hash, is.Rate, is.Primary = d.Mode, d.Hash, d.Rate, d.Primary
			is.MIIMon, is.UpDelay, is.DownDelay = d.MIIMon, d.UpDelay, d.DownDelay
		}
		l.ByName[s.Name] = is
		built[s.Name] = s.Built != ""
	}
	return built, nil
}

// readRoutes parses the lists of IPv4 and IPv6 routes. The second is missing if the kernel has no IPv6.
func (l *links) readRoutes(out string) error {
	decoder := json.NewDecoder(strings.NewReader(out))
	for six := false; decoder.More(); six = true {
		var shown []struct {
			To  string `json:"dst"`
			Via string `json:"gateway"`
			Dev string `json:"dev"`
		}
		if err := decoder.Decode(&shown); err != nil {
			return err
		}
		for _, s := range shown {
			r := route{Dev: s.Dev}
			r.Via, _ = netip.ParseAddr(s.Via)
			to, err := netip.ParsePrefix(s.To)
			switch {
			case s.To == "default" && six:
				to = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			case s.To == "default":
				to = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			case err != nil: // a route to a single host has no prefix length
				a, err := netip.ParseAddr(s.To)
				if err != nil {
					continue
				}
				to = netip.PrefixFrom(a, a.BitLen())
			}
			r.To = to
			l.Routes = append(l.Routes, r)
		}
	}
	return nil
}

// cards returns the names of the network cards, sorted.
func (l links) cards() []string {
	var names []string
	for name, is := range l.ByName {
		if name != "lo" && (is.Kind == "" || is.Kind == "veth") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
