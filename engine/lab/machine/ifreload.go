package machine

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// reloaded is the network after `ifreload -a`, or after a boot that renamed the cards.
type reloaded struct {
	ifaces []iface
	routes []kernelRoute
	// made are the interfaces that it has created, which it removes when the files no longer name them.
	made []string
}

type reloadedKey struct{}

// stanza is the configuration of an interface.
type stanza struct {
	method  string
	options map[string][]string
}

// stanzas returns the configuration of the interfaces that are brought up automatically, from /etc/network/interfaces
// and the files in interfaces.d, in the order of the files. At boot these include interfaces with allow-hotplug.
func (m *Machine) stanzas(boot bool) (names []string, all map[string]*stanza) {
	text, err := afero.ReadFile(m.FS(), "/etc/network/interfaces")
	if err != nil {
		return nil, nil
	}
	if strings.Contains(string(text), "source") {
		more, _ := afero.ReadDir(m.FS(), "/etc/network/interfaces.d")
		for _, f := range more {
			content, _ := afero.ReadFile(m.FS(), path.Join("/etc/network/interfaces.d", f.Name()))
			text = append(append(text, '\n'), content...)
		}
	}
	all = map[string]*stanza{}
	var auto []string
	var s *stanza
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		words := strings.Fields(line)
		switch {
		case len(words) < 2 || words[0][0] == '#':
		case words[0] == "auto", words[0] == "allow-hotplug" && boot:
			auto = append(auto, words[1:]...)
		case words[0] == "iface":
			name, _, _ := strings.Cut(words[1], ":")
			if all[name] == nil {
				all[name] = &stanza{options: map[string][]string{}}
				names = append(names, name)
			}
			s = all[name]
			if len(words) > 3 && (s.method == "" || s.method == "manual") {
				s.method = words[3]
			}
		case words[0] == "source" || strings.HasPrefix(words[0], "allow-"):
			s = nil
		case s != nil:
			key := strings.ReplaceAll(words[0], "_", "-")
			s.options[key] = append(s.options[key], strings.Join(words[1:], " "))
		}
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return name == "lo" || !slices.Contains(auto, name) || all[name].method == "dhcp"
	}), all
}

// option returns the first value of an option, or "" if there is none.
func (s *stanza) option(key string) string {
	if all := s.options[key]; len(all) > 0 {
		return all[0]
	}
	return ""
}

// ports returns the interfaces that an interface is based on.
func (s *stanza) ports() []string {
	return slices.DeleteFunc(strings.Fields(s.option("bridge-ports")+" "+s.option("bond-slaves")), func(p string) bool { return p == "none" })
}

// kind returns the kernel's name for the type of an interface, or "" for a network card.
func (s *stanza) kind(name string) string {
	switch {
	case s.options["bridge-ports"] != nil:
		return "bridge"
	case s.options["bond-slaves"] != nil:
		return "bond"
	case s.options["vlan-raw-device"] != nil, strings.Contains(name, "."):
		return "vlan"
	}
	return ""
}

// ifreload applies the files to the network, as ifupdown2 does with -a.
func ifreload(_ context.Context, c *Call) int {
	o, ok := c.options("anvds", "all", "no-act", "verbose", "debug", "syntax-check")
	if !ok || len(o.rest) > 0 || !o.has("a", "all") {
		return notSimulated(c, "anything but -a")
	}
	if o.has("n", "no-act") || o.has("s", "syntax-check") {
		return 0
	}
	m := c.Machine
	names, all := m.stanzas(false)
	r := reloaded{ifaces: m.configured(), routes: m.routes()}
	if before, ok := m.Value(reloadedKey{}).(reloaded); ok {
		for _, name := range before.made {
			if all[name] == nil {
				r.ifaces = slices.DeleteFunc(r.ifaces, func(i iface) bool { return i.Name == name })
				r.routes = slices.DeleteFunc(r.routes, func(k kernelRoute) bool { return k.Dev == name })
			} else {
				r.made = append(r.made, name)
			}
		}
	}
	r.make(names, all)
	for i := range r.ifaces {
		r.ifaces[i].Master = ""
	}
	failed := 0
	for _, name := range names {
		if err := r.configure(name, all[name]); err != nil {
			fmt.Fprintf(c.Stderr, "error: %s: %v\n", name, err)
			failed = 1
		}
	}
	r.showCarrier()
	m.setNetwork(r)
	return failed
}

// make adds the missing interfaces that the kernel itself provides.
func (r *reloaded) make(names []string, all map[string]*stanza) {
	for _, name := range names {
		if kind := all[name].kind(name); kind != "" && r.find(name) == nil {
			r.made = append(r.made, name)
			r.ifaces = append(r.ifaces, iface{Index: len(r.ifaces) + 100, Name: name, Flags: []string{"BROADCAST", "MULTICAST", "UP", "LOWER_UP"}, Qdisc: "noqueue", State: "UP",
				Group: "default", Txqlen: 1000, LinkType: "ether", Broadcast: "ff:ff:ff:ff:ff:ff", Info: &linkInfo{Kind: kind, Data: map[string]any{}}})
		}
	}
}

func (r *reloaded) find(name string) *iface {
	for i := range r.ifaces {
		if r.ifaces[i].Name == name {
			return &r.ifaces[i]
		}
	}
	return nil
}

// configure applies the files to one interface.
func (r *reloaded) configure(name string, s *stanza) error {
	i := r.find(name)
	if i == nil {
		return plainError("interface does not exist")
	}
	i.MTU = 1500
	if mtu, err := strconv.Atoi(s.option("mtu")); err == nil {
		i.MTU = mtu
	}
	for _, port := range s.ports() {
		p := r.find(port)
		if p == nil {
			return plainError("port " + port + " does not exist")
		}
		p.Master = name
		if i.Address == "" {
			i.Address = p.Address
		}
	}
	if i.Info != nil {
		if err := r.describe(i, s); err != nil {
			return err
		}
	}
	i.Addrs = nil
	r.routes = slices.DeleteFunc(r.routes, func(k kernelRoute) bool { return k.Dev == name })
	for _, text := range s.options["address"] {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("address %s is not understood", text)
		}
		family := "inet"
		if p.Addr().Is6() {
			family = "inet6"
		}
		i.Addrs = append(i.Addrs, ifaddr{family, p.Addr().String(), p.Bits(), "global", name, forever, forever})
		r.routes = append(r.routes, linkRoute(p, name))
	}
	for _, gateway := range s.options["gateway"] {
		r.routes = append(r.routes, kernelRoute{Dst: "default", Gateway: gateway, Dev: name, Flags: []string{"onlink"}})
	}
	for _, up := range slices.Concat(s.options["up"], s.options["post-up"]) {
		if w := strings.Fields(up); len(w) > 5 && w[0] == "ip" && w[1] == "route" && w[4] == "via" {
			r.routes = append(r.routes, kernelRoute{Dst: w[3], Gateway: w[5], Dev: name, Flags: []string{}})
		}
	}
	return nil
}

// describe sets what `ip -d` shows of an interface that the kernel creates.
func (r *reloaded) describe(i *iface, s *stanza) error {
	data := maps.Clone(i.Info.Data)
	switch i.Info.Kind {
	case "bridge":
		data["vlan_filtering"] = 0
		if v := s.option("bridge-vlan-aware"); v == "yes" || v == "on" {
			data["vlan_filtering"] = 1
		}
	case "bond":
		data["mode"], data["xmit_hash_policy"] = "balance-rr", "layer2"
		for key, option := range map[string]string{"mode": "bond-mode", "xmit_hash_policy": "bond-xmit-hash-policy", "ad_lacp_rate": "bond-lacp-rate", "primary": "bond-primary"} {
			if v := s.option(option); v != "" {
				data[key] = v
			}
		}
		for key, option := range map[string]string{"miimon": "bond-miimon", "updelay": "bond-updelay", "downdelay": "bond-downdelay"} {
			data[key], _ = strconv.Atoi(s.option(option))
		}
	case "vlan":
		parent, id, _ := strings.Cut(i.Name, ".")
		if raw := s.option("vlan-raw-device"); raw != "" {
			parent, id = raw, s.option("vlan-id")
		}
		p := r.find(parent)
		if p == nil {
			return plainError("parent " + parent + " does not exist")
		}
		i.Link, i.Address = parent, p.Address
		data["protocol"] = "802.1Q"
		data["id"], _ = strconv.Atoi(id)
	}
	i.Info = &linkInfo{i.Info.Kind, data}
	return nil
}

// showCarrier sets the state of bridges, bonds and VLANs as the kernel reports it.
func (r *reloaded) showCarrier() {
	for n := range r.ifaces {
		switch i := &r.ifaces[n]; {
		case i.Info == nil:
		case carries(r.ifaces, i.Name):
			i.State, i.Flags = "UP", []string{"BROADCAST", "MULTICAST", "UP", "LOWER_UP"}
		default:
			i.State, i.Flags = "DOWN", []string{"NO-CARRIER", "BROADCAST", "MULTICAST", "UP"}
		}
	}
}
