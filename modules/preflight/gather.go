package preflight

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
)

const (
	machineIDFile  = "/etc/machine-id"
	processorsFile = "/proc/cpuinfo"
)

// Target is an address of another host that a machine must reach.
type Target struct{ Host, Address string }

// Others returns the targets that are not on a host.
func Others(all []Target, host string) []Target {
	return slices.DeleteFunc(slices.Clone(all), func(t Target) bool { return t.Host == host })
}

// Gather reads everything about a host except its clock into m, whose Host, Address, Addresses and OSDs are set. What cannot
// be read is an error: nothing is assumed to be in order.
func Gather(ctx context.Context, h *observe.Host, m *Machine, targets []Target) error {
	if err := m.read(ctx, h); err != nil {
		return err
	}
	return m.reach(ctx, h, targets)
}

// read reads what needs no other host.
func (m *Machine) read(ctx context.Context, h *observe.Host) error {
	names := []string{"boot", "cpu", "disks", "distribution", "hostname", "interfaces", "iommu", "kernel", "memory", "name_addresses"}
	facts := make(map[string]cty.Value, len(names))
	var mu sync.Mutex
	var errs []error
	keep := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			errs = append(errs, err)
		}
	}
	var id, processors string
	reads := []func(context.Context){
		func(ctx context.Context) {
			text, _, err := observe.Text(ctx, h, machineIDFile)
			id = strings.TrimSpace(text)
			if err == nil && (id == "" || id == "uninitialized") { // machine-id(5)
				err = errors.New("/etc/machine-id is missing or empty, so clones of a machine cannot be told apart: create it with systemd-machine-id-setup")
			}
			keep(err)
		},
		func(ctx context.Context) {
			var exists bool
			var err error
			processors, exists, err = observe.Text(ctx, h, processorsFile)
			if err == nil && !exists {
				err = errors.New("there is no " + processorsFile)
			}
			keep(err)
		},
		func(ctx context.Context) {
			all, err := listening.Observe(ctx, h, "")
			m.Taken = slices.DeleteFunc(slices.Clone(all), func(s Socket) bool { return !s.foreign() })
			keep(err)
		},
	}
	for _, name := range names {
		reads = append(reads, func(ctx context.Context) {
			value, err := observe.Fact(ctx, h, name)
			if err == nil && !value.IsWhollyKnown() {
				err = &observe.UnknownError{Host: h.Name(), Key: observe.Key{Kind: "fact", Name: name}, What: "the fact " + name, Because: "an earlier change affects it"}
			}
			keep(err)
			mu.Lock()
			defer mu.Unlock()
			facts[name] = value
		})
	}
	observe.Together(ctx, reads...)
	if len(errs) > 0 {
		return errs[0]
	}
	m.MachineID = id
	m.KVM = virtualizes(processors)
	m.take(facts)
	return nil
}

// GatherClock reads the clock of a host into m. Call it while nothing else is read from the hosts: other traffic makes the
// answer less exact. now is the controller's clock.
func GatherClock(ctx context.Context, h *observe.Host, m *Machine, now func() time.Time) error {
	h.SetClock(now)
	return m.readClock(ctx, h)
}

func (m *Machine) readClock(ctx context.Context, h *observe.Host) error {
	c, err := clocks.Observe(ctx, h, "")
	m.Ahead, m.Within = c.Ahead, c.Within
	return err
}

// Paths returns the links of a host that have an address, and the result of sending packets of their MTU to targets. noPing
// says that nothing was sent, because the host has no ping.
func Paths(ctx context.Context, h *observe.Host, targets []Target) (links []Link, paths []Path, noPing bool, err error) {
	interfaces, err := observe.Fact(ctx, h, "interfaces")
	if err != nil {
		return nil, nil, false, err
	}
	m := Machine{Links: linksOf(interfaces)}
	err = m.reach(ctx, h, targets)
	return m.Links, m.Paths, m.NoPing, err
}

// take copies facts into m.
func (m *Machine) take(facts map[string]cty.Value) {
	m.Hostname, m.Resolved = text(facts["hostname"]), texts(facts["name_addresses"])
	m.Release = text(facts["distribution"].GetAttr("codename"))
	m.Architecture = text(facts["kernel"].GetAttr("architecture"))
	m.CPUs = int(number(facts["cpu"].GetAttr("count")))
	m.Memory = number(facts["memory"].GetAttr("total"))
	m.EFI = facts["boot"].GetAttr("efi").True()
	m.IOMMU = facts["iommu"].GetAttr("enabled").True()
	for _, d := range facts["disks"].AsValueSlice() {
		m.Disks++
		if text(d.GetAttr("use")) == "" {
			m.Blank++
		}
	}
	m.Links = linksOf(facts["interfaces"])
}

// linksOf returns the links in the fact interfaces that have an address, by name.
func linksOf(interfaces cty.Value) []Link {
	var links []Link
	for name, i := range interfaces.AsValueMap() {
		if addresses := texts(i.GetAttr("addresses")); name != "lo" && len(addresses) > 0 {
			links = append(links, Link{name, addresses, int(number(i.GetAttr("mtu"))), int(number(i.GetAttr("speed")))})
		}
	}
	slices.SortFunc(links, func(a, b Link) int { return strings.Compare(a.Name, b.Name) })
	return links
}

// text returns a string, "" if it is null or unknown.
func text(v cty.Value) string {
	if v.IsNull() || !v.IsKnown() {
		return ""
	}
	return v.AsString()
}

// number returns a whole number, 0 if it is null or unknown.
func number(v cty.Value) int64 {
	if v.IsNull() || !v.IsKnown() {
		return 0
	}
	n, _ := v.AsBigFloat().Int64()
	return n
}

func texts(v cty.Value) (all []string) {
	for _, e := range v.AsValueSlice() {
		all = append(all, text(e))
	}
	return all
}

// virtualizes reports whether /proc/cpuinfo has the flag of Intel's or of AMD's virtualization.
func virtualizes(cpuinfo string) bool {
	for line := range strings.Lines(cpuinfo) {
		if name, flags, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "flags" {
			return slices.ContainsFunc(strings.Fields(flags), func(f string) bool { return f == "vmx" || f == "svm" })
		}
	}
	return false
}

// reach sends packets of the maximum size to all targets, and small ones to those that do not answer. It comes after read.
func (m *Machine) reach(ctx context.Context, h *observe.Host, targets []Target) error {
	var full []string
	for _, t := range targets {
		full = append(full, pingName(t.Address, m.mtuTo(t.Address)))
	}
	answers, err := pings.ObserveAll(ctx, h, full)
	if err != nil {
		return err
	}
	var small []string
	for i, t := range targets {
		if answers[full[i]].Missing {
			m.NoPing = true
			return nil
		}
		if !answers[full[i]].Answered {
			small = append(small, pingName(t.Address, smallest))
		}
	}
	again, err := pings.ObserveAll(ctx, h, small)
	if err != nil {
		return err
	}
	for i, t := range targets {
		p := Path{To: t.Host, Address: t.Address, Size: m.mtuTo(t.Address)}
		answer := answers[full[i]]
		if !answer.Answered {
			answer = again[pingName(t.Address, smallest)]
			p.Lost, p.Cut = !answer.Answered, answer.Answered
		}
		p.Latency = answer.Mean
		m.Paths = append(m.Paths, p)
	}
	return nil
}

// mtuTo returns the MTU of the link in whose network an address is, or a size that every link carries.
func (m *Machine) mtuTo(address string) int {
	to, err := netip.ParseAddr(address)
	if err != nil {
		return smallest
	}
	for _, l := range m.Links {
		for _, a := range l.Addresses {
			if p, err := netip.ParsePrefix(a); err == nil && p.Contains(to) {
				return l.MTU
			}
		}
	}
	return 1280 // the minimum of IPv6, which fits through any tunnel that a cluster could use
}
