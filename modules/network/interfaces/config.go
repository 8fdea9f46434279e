package interfaces

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Kind is the kind of an interface.
type Kind string

// The kinds that the files distinguish.
const (
	Plain  Kind = "interface" // a network card, or an interface that something else creates
	Bond   Kind = "bond"
	Bridge Kind = "bridge"
	VLAN   Kind = "vlan"
)

// Interface is what all files together say about an interface.
type Interface struct {
	Name string
	Kind Kind
	// Auto says that it is brought up at boot and by `ifreload -a`.
	Auto bool
	// Methods are the methods of its stanzas, by family.
	Methods map[string]string
	// Addresses are the static addresses, and Gateways those of default routes, in the order of the files.
	Addresses []netip.Prefix
	Gateways  []netip.Addr
	// Routes are the routes that its commands add: `up ip route add|replace DESTINATION via GATEWAY`.
	Routes []Route
	// Lower are the ports of a bridge, the members of a bond, or the parent of a VLAN. The ports of a bridge are missing if
	// they are given as a pattern.
	Lower []string
	// VLANID is the VLAN's tag.
	VLANID int
	// MTU is 0 if no line sets it.
	MTU int
	// Options holds all options by Key, including the above; values from several stanzas are appended.
	Options map[string][]string
	// Path and Line are the position of its first stanza.
	Path string
	Line int
}

// Route is a static route other than the default route.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// Option returns the first value of an option, or "" if there is none.
func (i Interface) Option(key string) string {
	if all := i.Options[key]; len(all) > 0 {
		return all[0]
	}
	return ""
}

// Config is the interfaces of all files, in the order in which they are first named.
type Config []Interface

// Find returns the interface with that name.
func (c Config) Find(name string) (Interface, bool) {
	at := slices.IndexFunc(c, func(i Interface) bool { return i.Name == name })
	if at < 0 {
		return Interface{}, false
	}
	return c[at], true
}

// Uppers returns the interfaces that have the named one as a port, a member or a parent.
func (c Config) Uppers(name string) []Interface {
	var all []Interface
	for _, i := range c {
		if slices.Contains(i.Lower, name) {
			all = append(all, i)
		}
	}
	return all
}

// Named is a file with its path.
type Named struct {
	Path string
	*File
}

// Read merges files, which must be in the order in which ifupdown2 reads them.
func Read(files []Named) (Config, error) {
	var all Config
	auto := func(name string) bool {
		return slices.ContainsFunc(files, func(f Named) bool { return f.Auto(name) })
	}
	for _, f := range files {
		for _, s := range f.Stanzas() {
			at := slices.IndexFunc(all, func(i Interface) bool { return i.Name == s.Device() })
			if at < 0 {
				at = len(all)
				all = append(all, Interface{
					Name: s.Device(), Auto: auto(s.Device()), Methods: map[string]string{}, Options: map[string][]string{}, Path: f.Path, Line: s.Line,
				})
			}
			if err := all[at].add(s); err != nil {
				return nil, fmt.Errorf("%s:%d: %s: %w", f.Path, s.Line, s.Name, err)
			}
		}
	}
	for i := range all {
		all[i].conclude()
	}
	for _, i := range all { // Debian's ifenslave names the bond in its members
		if master := i.Option("bond-master"); master != "" && master != "none" {
			for at := range all {
				if all[at].Name == master && !slices.Contains(all[at].Lower, i.Name) {
					all[at].Kind, all[at].Lower = Bond, append(all[at].Lower, i.Name)
				}
			}
		}
	}
	return all, nil
}

// add merges a stanza into the interface.
func (i *Interface) add(s Stanza) error {
	if s.Family != "" {
		i.Methods[s.Family] = cmp.Or(s.Method, "static")
	}
	mask := -1
	if text, ok := s.Get("netmask"); ok {
		var err error
		if mask, err = prefixLength(text); err != nil {
			return err
		}
	}
	for _, o := range s.Options {
		i.Options[o.Key] = append(i.Options[o.Key], o.Value)
		switch o.Key {
		case "address":
			p, err := prefix(o.Value, mask)
			if err != nil {
				return err
			}
			i.Addresses = append(i.Addresses, p)
		case "gateway":
			for text := range strings.FieldsSeq(o.Value) {
				a, err := netip.ParseAddr(text)
				if err != nil {
					return fmt.Errorf("gateway %q is not an address", text)
				}
				i.Gateways = append(i.Gateways, a)
			}
		case "mtu":
			n, err := strconv.Atoi(o.Value)
			if err != nil {
				return fmt.Errorf("mtu %q is not a number", o.Value)
			}
			i.MTU = n
		case "up", "post-up":
			if r, ok := ParseRoute(o.Value); ok {
				i.Routes = append(i.Routes, r)
			}
		}
	}
	return nil
}

// conclude determines the kind, once all stanzas are merged.
func (i *Interface) conclude() {
	has := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return len(i.Options[k]) > 0 })
	}
	parent, id, tagged := CutVLAN(i.Name)
	switch {
	case has("bridge-ports"):
		i.Kind = Bridge
		i.Lower = names(i.Option("bridge-ports"))
	case has("bond-slaves", "bond-mode"):
		i.Kind = Bond
		i.Lower = names(i.Option("bond-slaves"))
	case has("vlan-raw-device"):
		i.Kind, i.Lower = VLAN, []string{i.Option("vlan-raw-device")}
		i.VLANID, _ = strconv.Atoi(cmp.Or(i.Option("vlan-id"), strings.TrimPrefix(i.Name, "vlan")))
		if tagged && i.VLANID == 0 {
			i.VLANID = id
		}
	case tagged:
		i.Kind, i.Lower, i.VLANID = VLAN, []string{parent}, id
	default:
		i.Kind = Plain
	}
}

// CutVLAN parses a name such as bond0.20, which is VLAN 20 on bond0.
func CutVLAN(name string) (parent string, id int, ok bool) {
	at := strings.LastIndexByte(name, '.')
	if at <= 0 {
		return "", 0, false
	}
	id, err := strconv.Atoi(name[at+1:])
	return name[:at], id, err == nil && id > 0 && id < 4095
}

// names splits a list of ports or members. It returns nothing for "none", and for a pattern, which only the host can expand.
func names(text string) []string {
	fields := strings.Fields(text)
	if len(fields) > 0 && slices.Contains([]string{"none", "all", "regex", "glob"}, fields[0]) {
		return nil
	}
	return fields
}

// prefix parses an address with the prefix length after a slash. Otherwise the length is mask, or that of a single address.
func prefix(text string, mask int) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not an address", text)
	}
	if mask < 0 {
		mask = a.BitLen()
	}
	return netip.PrefixFrom(a, mask), nil
}

// prefixLength parses a netmask: 255.255.255.0, 24 or ffff:ffff::.
func prefixLength(text string) (int, error) {
	if n, err := strconv.Atoi(text); err == nil {
		return n, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		if ones, bits := net.IPMask(a.AsSlice()).Size(); bits > 0 {
			return ones, nil
		}
	}
	return 0, fmt.Errorf("%q is not a netmask", text)
}

// ParseRoute parses a command that adds a static route: ip route add 10.0.0.0/8 via 192.168.1.254 dev vmbr0.
func ParseRoute(command string) (Route, bool) {
	words := strings.Fields(command)
	for len(words) > 0 && (strings.HasPrefix(words[0], "-") || words[0] == "ip" || strings.HasSuffix(words[0], "/ip")) {
		words = words[1:]
	}
	if len(words) < 5 || words[0] != "route" || words[1] != "add" && words[1] != "replace" || words[3] != "via" {
		return Route{}, false
	}
	to, err := netip.ParsePrefix(words[2])
	if err != nil {
		return Route{}, false
	}
	via, err := netip.ParseAddr(words[4])
	return Route{to.Masked(), via}, err == nil
}
