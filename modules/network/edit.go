package network

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hlplay/modules/internal/conffile"
	"hlplay/modules/network/interfaces"
)

// edited returns the text of /etc/network/interfaces with everything that is wanted and without the interfaces in absent.
// others are the files that it includes.
func edited(text string, others []interfaces.Named, wants []want, absent []string) (string, error) {
	var failed error
	after := conffile.EditLines(text, func(text string) string {
		for _, w := range wants {
			f := interfaces.Parse(text)
			now, err := interfaces.Read(append([]interfaces.Named{{Path: interfaces.Path, File: f}}, others...))
			if err != nil {
				failed = err
				return text
			}
			w.edit(f, now)
			text = f.String()
		}
		f := interfaces.Parse(text)
		for _, name := range absent {
			f.Remove(name)
		}
		return f.String()
	})
	return after, failed
}

// subnet lists the options that place an interface in a subnet.
var subnet = []string{"address", "netmask", "broadcast", "network", "gateway", "pointopoint"}

// edit changes the file to what is wanted for one interface. now is what the file says together with the other files. If
// that is equivalent to what is wanted, however it is written, nothing changes.
func (w want) edit(f *interfaces.File, now interfaces.Config) {
	is, _ := now.Find(w.name)
	e := editing{want: w, is: is, main: "inet"}
	for _, s := range f.Stanzas() { // the stanza with the link's options, or else the first one
		if s.Name == w.name && (e.stanza == nil || w.speaksOf(s) && !w.speaksOf(*e.stanza)) {
			e.stanza, e.main = &s, cmp.Or(s.Family, "inet")
		}
	}
	if e.stanza == nil || !e.addressed() || !e.linked() {
		f.Configure(w.name, e.stanzas(), e.owned)
	}
	f.SetAuto(w.name)
}

// speaksOf reports whether a stanza has options of the link, which are given only once and not per family.
func (w want) speaksOf(s interfaces.Stanza) bool {
	return slices.ContainsFunc(w.options, func(o interfaces.Option) bool { _, ok := s.Get(o.Key); return ok })
}

// editing is the change of one interface.
type editing struct {
	want
	is     interfaces.Interface
	main   string // the family whose stanza has the options of the link
	stanza *interfaces.Stanza
}

// wanted returns the addresses and gateways that the interface must have, which may be the present ones.
func (e editing) wanted() (addresses []netip.Prefix, gateways []netip.Addr) {
	if e.port {
		return nil, nil
	}
	addresses, gateways = e.is.Addresses, e.gateways
	if e.want.addressed {
		addresses = e.want.addresses
	}
	for _, g := range e.is.Gateways {
		if !slices.ContainsFunc(e.gateways, func(w netip.Addr) bool { return w.Is4() == g.Is4() }) {
			gateways = append(slices.Clip(gateways), g)
		}
	}
	return addresses, gateways
}

// addressed reports whether the addresses and gateways in the file are the wanted ones.
func (e editing) addressed() bool {
	addresses, gateways := e.wanted()
	for _, family := range []string{"inet", "inet6"} {
		method, declared := e.is.Methods[family]
		there := slices.ContainsFunc(addresses, in[netip.Prefix](family))
		switch {
		case !e.port && !e.want.addressed:
		case there && method != "static", !there && declared && method != "manual" && (e.port || family == "inet"):
			return false
		}
	}
	return slices.Equal(sorted(addresses), sorted(e.is.Addresses)) && sameSet(gateways, e.is.Gateways) && e.is.Option("bond-master") == ""
}

// in returns a function that reports whether an address or a prefix belongs to a family.
func in[T netip.Addr | netip.Prefix](family string) func(T) bool {
	return func(v T) bool {
		switch v := any(v).(type) {
		case netip.Addr:
			return v.Is4() == (family == "inet")
		case netip.Prefix:
			return v.Addr().Is4() == (family == "inet")
		}
		return false
	}
}

// sorted puts IPv4 addresses before IPv6 ones, and otherwise keeps the order: the first one of each is the main address.
func sorted(all []netip.Prefix) []netip.Prefix {
	return slices.SortedStableFunc(slices.Values(all), func(a, b netip.Prefix) int { return cmp.Compare(a.Addr().BitLen(), b.Addr().BitLen()) })
}

func sameSet[T comparable](a, b []T) bool {
	return !slices.ContainsFunc(a, func(v T) bool { return !slices.Contains(b, v) }) && !slices.ContainsFunc(b, func(v T) bool { return !slices.Contains(a, v) })
}

// linked reports whether the options of the link in the file are the wanted ones.
func (e editing) linked() bool {
	for _, o := range e.links() {
		if !slices.Contains(e.is.Options[o.Key], o.Value) {
			return false
		}
	}
	return !slices.ContainsFunc(e.odd, func(key string) bool { return len(e.is.Options[key]) > 0 }) &&
		slices.Equal(e.ups(), e.is.Options["up"])
}

// links returns the options of the link. A value that is equivalent to the one in the file is written as it is there.
func (e editing) links() []interfaces.Option {
	all := slices.Clone(e.options)
	for _, o := range e.defaults {
		if !slices.ContainsFunc(all, func(given interfaces.Option) bool { return given.Key == o.Key }) {
			all = append(all, interfaces.Option{Key: o.Key, Value: cmp.Or(e.is.Option(o.Key), o.Value)})
		}
	}
	if e.mtu != 0 {
		all = append(all, interfaces.Option{Key: "mtu", Value: strconv.Itoa(e.mtu)})
	}
	for i, o := range all {
		if is := e.is.Option(o.Key); is != "" && sameValue(o.Key, o.Value, is) {
			all[i].Value = is
		}
	}
	return all
}

// sameValue reports whether two values mean the same to ifupdown2.
func sameValue(key, a, b string) bool {
	switch key {
	case "bond-slaves", "bridge-ports":
		return sameSet(strings.Fields(a), strings.Fields(b))
	case "bond-mode":
		return number(modes, a) == number(modes, b)
	case "bond-lacp-rate":
		return number(rates, a) == number(rates, b)
	case "bridge-vlan-aware", "bridge-stp":
		return truth(a) == truth(b)
	}
	return a == b
}

// modes and rates list the modes and LACP rates of bonds in the order of the kernel's numbers.
var (
	modes = []string{"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"}
	rates = []string{"slow", "fast"}
)

// number returns the index of a name in a list. A text that is a number is returned as it is.
func number(names []string, text string) int {
	if i := slices.Index(names, text); i >= 0 {
		return i
	}
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return -1
}

func truth(text string) bool { return slices.Contains([]string{"yes", "on", "true", "1"}, text) }

// ups returns the commands that run once the interface is up: the present ones, with the routes whose gateway changes
// replaced and missing routes added.
func (e editing) ups() []string {
	all := slices.Clone(e.is.Options["up"])
	for _, r := range e.routes {
		if slices.Contains(e.is.Routes, r) {
			continue
		}
		command := "ip route replace " + r.To.String() + " via " + r.Via.String() + " dev " + e.name
		at := slices.IndexFunc(all, func(up string) bool {
			other, ok := interfaces.ParseRoute(up)
			return ok && other.To == r.To
		})
		if at < 0 {
			all = append(all, command)
		} else {
			all[at] = command
		}
	}
	return all
}

// stanzas returns the stanzas that the file must have for the interface.
func (e editing) stanzas() []interfaces.Stanza {
	addresses, gateways := e.wanted()
	keep := e.addressed() // the lines stay as they are
	var all []interfaces.Stanza
	for _, family := range []string{"inet", "inet6"} {
		s := interfaces.Stanza{Name: e.name, Family: family, Method: e.is.Methods[family]}
		there := slices.ContainsFunc(addresses, in[netip.Prefix](family)) || slices.ContainsFunc(gateways, in[netip.Addr](family))
		switch {
		case keep:
		case there:
			s.Method = "static"
		case s.Method == "static" || e.port, s.Method != "" && family == "inet" && e.want.addressed:
			s.Method = "manual"
		}
		if family != e.main && (!there || keep) {
			if s.Method != "" && !there && !keep && s.Method != "manual" {
				all = append(all, s) // the host configures IPv6 by itself
			} else if keep && s.Method != "" {
				all = append(all, s)
			}
			continue
		}
		s.Method = cmp.Or(s.Method, "manual")
		for _, p := range addresses {
			if !keep && in[netip.Prefix](family)(p) {
				s.Options = append(s.Options, interfaces.Option{Key: "address", Value: p.String()})
			}
		}
		for _, g := range gateways {
			if !keep && in[netip.Addr](family)(g) {
				s.Options = append(s.Options, interfaces.Option{Key: "gateway", Value: g.String()})
			}
		}
		if family == e.main {
			s.Options = append(s.Options, e.links()...)
			for _, up := range e.ups() {
				s.Options = append(s.Options, interfaces.Option{Key: "up", Value: up})
			}
		}
		all = append(all, s)
	}
	return all
}

// owned reports whether the module removes an option of the interface that is not wanted.
func (e editing) owned(_, key string) bool {
	return slices.Contains(e.odd, key) || !e.addressed() && (slices.Contains(subnet, key) || key == "bond-master")
}
