package machine

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// iface is an interface as ip -j prints it.
type iface struct {
	Index     int      `json:"ifindex"`
	Name      string   `json:"ifname"`
	Flags     []string `json:"flags"`
	MTU       int      `json:"mtu"`
	Qdisc     string   `json:"qdisc"`
	State     string   `json:"operstate"`
	Group     string   `json:"group"`
	Txqlen    int      `json:"txqlen"`
	LinkType  string   `json:"link_type"`
	Address   string   `json:"address"`
	Broadcast string   `json:"broadcast"`
	Link      string   `json:"link,omitempty"`
	Master    string   `json:"master,omitempty"`
	// Info is printed with -d.
	Info  *linkInfo `json:"linkinfo,omitempty"`
	Addrs []ifaddr  `json:"addr_info,omitempty"`
}

// linkInfo describes an interface that the kernel itself provides, such as a bridge.
type linkInfo struct {
	Kind string         `json:"info_kind"`
	Data map[string]any `json:"info_data"`
}

// kernelRoute is a route as ip -j prints it.
type kernelRoute struct {
	Dst     string   `json:"dst"`
	Gateway string   `json:"gateway,omitempty"`
	Dev     string   `json:"dev"`
	Scope   string   `json:"scope,omitempty"`
	Source  string   `json:"prefsrc,omitempty"`
	Flags   []string `json:"flags"`
}

type ifaddr struct {
	Family    string `json:"family"`
	Local     string `json:"local"`
	Prefix    int    `json:"prefixlen"`
	Scope     string `json:"scope"`
	Label     string `json:"label,omitempty"`
	Valid     int64  `json:"valid_life_time"`
	Preferred int64  `json:"preferred_life_time"`
}

const forever = 4294967295

// interfaces returns the machine's interfaces: those that ifreload or the last boot has configured, or else those of
// the installer, and tunnels.
func (m *Machine) interfaces() []iface {
	all := m.configured()
	for _, t := range m.tunnels() {
		all = append(all, t.iface(len(all)+1))
	}
	return all
}

func (m *Machine) configured() []iface {
	if r, ok := m.Value(reloadedKey{}).(reloaded); ok {
		all := slices.Clone(r.ifaces)
		for i := range all {
			all[i].Addrs = slices.Clone(all[i].Addrs)
		}
		return all
	}
	all := []iface{loopback()}
	for i := range m.addresses {
		name := interfaceName(i)
		card := m.card(i, name)
		if lines := m.lines("/sys/class/net/" + name + "/mtu"); len(lines) > 0 {
			if n, err := strconv.Atoi(lines[0]); err == nil {
				card.MTU = n
			}
		}
		all = append(all, card)
	}
	return all
}

func loopback() iface {
	return iface{Index: 1, Name: "lo", Flags: []string{"LOOPBACK", "UP", "LOWER_UP"}, MTU: 65536, Qdisc: "noqueue", State: "UNKNOWN", Group: "default", Txqlen: 1000, LinkType: "loopback",
		Address: "00:00:00:00:00:00", Broadcast: "00:00:00:00:00:00", Addrs: []ifaddr{{"inet", "127.0.0.1", 8, "host", "lo", forever, forever}, {"inet6", "::1", 128, "host", "", forever, forever}}}
}

// card returns a network card with a name and the address that the installer gave it.
func (m *Machine) card(i int, name string) iface {
	p := m.addresses[i]
	family := "inet"
	if p.Addr().Is6() {
		family = "inet6"
	}
	return iface{Index: i + 2, Name: name, Flags: []string{"BROADCAST", "MULTICAST", "UP", "LOWER_UP"}, MTU: 1500, Qdisc: "fq_codel", State: "UP", Group: "default", Txqlen: 1000, LinkType: "ether",
		Address: m.mac(i), Broadcast: "ff:ff:ff:ff:ff:ff", Addrs: []ifaddr{{family, p.Addr().String(), p.Bits(), "global", name, forever, forever}}}
}

func ipProgram(_ context.Context, c *Call) int {
	asJSON, brief, family := false, false, ""
	args := c.Argv[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-j", "-json":
			asJSON = true
		case "-br", "-brief":
			brief = true
		case "-4":
			family = "inet"
		case "-6":
			family = "inet6"
		case "-o", "-p", "-d", "-details":
		default:
			return notSimulated(c, args[0])
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return notSimulated(c, "a call without an object")
	}
	object, args := args[0], args[1:]
	if len(args) > 0 && (args[0] == "show" || args[0] == "list" || args[0] == "get") {
		args = args[1:]
	}
	switch {
	case strings.HasPrefix("address", object) && len(object) > 0, strings.HasPrefix("link", object):
		return c.ipShow(args, asJSON, brief, family, strings.HasPrefix("link", object))
	case strings.HasPrefix("route", object):
		return c.ipRoute(args, asJSON, family)
	}
	return notSimulated(c, object)
}

func (c *Call) ipShow(args []string, asJSON, brief bool, family string, link bool) int {
	name, to := "", ""
	for len(args) > 0 {
		switch {
		case args[0] == "dev" && len(args) > 1:
			name, args = args[1], args[2:]
		case args[0] == "to" && len(args) > 1:
			to, args = args[1], args[2:]
		case args[0] == "up", args[0] == "scope" && len(args) > 1:
			args = args[1+min(1, len(args[0])-2):]
		case len(args) == 1:
			name, args = args[0], nil
		default:
			return notSimulated(c, args[0])
		}
	}
	var shown []iface
	for _, i := range c.Machine.interfaces() {
		if name != "" && i.Name != name {
			continue
		}
		i.Addrs = slices.DeleteFunc(i.Addrs, func(a ifaddr) bool {
			return link || family != "" && a.Family != family || to != "" && !within(a.Local, to)
		})
		if to != "" && len(i.Addrs) == 0 {
			continue
		}
		shown = append(shown, i)
	}
	if name != "" && len(shown) == 0 {
		fmt.Fprintf(c.Stderr, "Device \"%s\" does not exist.\n", name)
		return 1
	}
	if asJSON {
		out, err := json.Marshal(shown)
		if err != nil {
			return c.Errorf("%v", err)
		}
		if len(shown) == 0 {
			out = []byte("[]")
		}
		c.printf("%s\n", out)
		return 0
	}
	for _, i := range shown {
		if brief {
			var addrs []string
			for _, a := range i.Addrs {
				addrs = append(addrs, fmt.Sprintf("%s/%d", a.Local, a.Prefix))
			}
			if link {
				addrs = []string{i.Address}
			}
			c.printf("%-16s %-14s %s \n", i.Name, i.State, strings.Join(addrs, " "))
			continue
		}
		c.printf("%d: %s: <%s> mtu %d qdisc %s state %s group default qlen %d\n    link/%s %s brd %s\n", i.Index, i.Name, strings.Join(i.Flags, ","), i.MTU, i.Qdisc, i.State, i.Txqlen, i.LinkType, i.Address, i.Broadcast)
		for _, a := range i.Addrs {
			c.printf("    %s %s/%d scope %s %s\n       valid_lft forever preferred_lft forever\n", a.Family, a.Local, a.Prefix, a.Scope, a.Label)
		}
	}
	return 0
}

func within(addr, prefix string) bool {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return addr == prefix
	}
	a, err := netip.ParseAddr(addr)
	return err == nil && p.Contains(a)
}

// six reports whether r is an IPv6 route.
func (r kernelRoute) six() bool { return strings.Contains(r.Dst+r.Gateway, ":") }

// routes returns the routes of the main table.
func (m *Machine) routes() []kernelRoute {
	if r, ok := m.Value(reloadedKey{}).(reloaded); ok {
		return slices.Clone(r.routes)
	}
	routes := []kernelRoute{}
	for i, p := range m.addresses {
		if i == 0 {
			routes = append(routes, kernelRoute{Dst: "default", Gateway: gateway(p).String(), Dev: interfaceName(i), Flags: []string{"onlink"}})
		}
		routes = append(routes, linkRoute(p, interfaceName(i)))
	}
	return routes
}

// linkRoute returns the route to the subnet of an interface's address.
func linkRoute(p netip.Prefix, dev string) kernelRoute {
	return kernelRoute{Dst: p.Masked().String(), Dev: dev, Scope: "link", Source: p.Addr().String(), Flags: []string{}}
}

func (c *Call) ipRoute(args []string, asJSON bool, family string) int {
	routes := slices.DeleteFunc(c.Machine.routes(), func(r kernelRoute) bool {
		return r.six() != (family == "inet6") || len(args) > 0 && args[0] == "default" && r.Dst != "default"
	})
	if asJSON {
		out, err := json.Marshal(routes)
		if err != nil {
			return c.Errorf("%v", err)
		}
		c.printf("%s\n", out)
		return 0
	}
	for _, r := range routes {
		text := r.Dst
		if r.Gateway != "" {
			text += " via " + r.Gateway
		}
		text += " dev " + r.Dev
		if r.Scope != "" {
			text += " proto kernel scope " + r.Scope + " src " + r.Source
		}
		c.printf("%s\n", text)
	}
	return 0
}

func gateway(p netip.Prefix) netip.Addr { return p.Masked().Addr().Next() }

func interfaceName(i int) string { return fmt.Sprintf("ens%d", 18+i) }

// mac returns the hardware address of an interface, derived from its first address.
func (m *Machine) mac(i int) string {
	address := m.addresses[i].Addr()
	a := address.As16()
	if address.Is6() { // networks differ at the beginning
		for n := range 13 {
			a[13+n%3] ^= a[n]
		}
	}
	return fmt.Sprintf("bc:24:11:%02x:%02x:%02x", a[13], a[14], a[15])
}

// has reports whether an interface has an address.
func (i iface) has(a netip.Addr) bool {
	return slices.ContainsFunc(i.Addrs, func(own ifaddr) bool { return own.Local == a.String() })
}
