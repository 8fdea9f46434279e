package network

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// validAbsent verifies that no interface is both declared and absent.
func (m *Module) validAbsent() error {
	blocks := m.wants()
	for i, name := range m.Absent {
		if err := validName("absent", name); err != nil {
			return err
		}
		if slices.Contains(m.Absent[:i], name) {
			return fault("absent", "name it once", "%s is named twice", name)
		}
		if slices.ContainsFunc(reserved, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return fault("absent", "remove the guest's network card instead", "Proxmox VE makes and removes %s with a guest", name)
		}
		for _, w := range blocks {
			if w.name == name {
				return fault("absent", "remove the block, or the name from absent", "%s is declared by the block %s", name, w.block)
			}
			if slices.Contains(w.lower, name) {
				return fault("absent", "remove the name from absent, or from "+w.block+"."+w.lowerArgument(), "%s is needed by the block %s", name, w.block)
			}
		}
	}
	return nil
}

// removed returns the names in absent that the kernel or the files still have.
func (s state) removed() []string {
	return slices.DeleteFunc(slices.Clone(s.absent), func(name string) bool {
		_, declared := s.before.Find(name)
		_, there := s.links.ByName[name]
		return !declared && !there
	})
}

// removable verifies that the removed interfaces belong to ifupdown2 and that nothing uses them any more. ifreload only
// removes what it created itself, and a guard could not restore an interface that the file never named.
func (s state) removable(ctx context.Context, h modules.Host) error {
	for _, name := range s.removed() {
		is, there := s.links.ByName[name]
		was, declared := s.before.Find(name)
		switch {
		case there && (is.Kind == "" || is.Kind == "veth"):
			return fmt.Errorf("absent: %s is a network card, which no file can remove; to take its addresses away: interface %q { addresses = [] }", name, name)
		case !slices.Contains([]string{"", "bond", "bridge", "vlan"}, is.Kind):
			return fmt.Errorf("absent: %s is of kind %s; absent removes only bonds, bridges and VLANs", name, is.Kind)
		case there && !declared:
			return fmt.Errorf("absent: %s exists, but no file in /etc/network declares it: something else created it, and would create it again. Remove it there, or with ip link delete %s", name, name)
		}
		if uppers := s.after.Uppers(name); len(uppers) > 0 {
			return fmt.Errorf("absent: %s (%s:%d) needs %s: name it in absent too, or declare it on something else", uppers[0].Name, uppers[0].Path, uppers[0].Line, name)
		}
		for _, other := range slices.Sorted(maps.Keys(s.links.ByName)) {
			on := s.links.ByName[other]
			if on.Parent == name && !slices.Contains(s.absent, other) || on.Master == name && !slices.Contains(was.Lower, other) {
				return fmt.Errorf("absent: %s is on %s: if it belongs to a guest, stop the guest or give it another bridge first", other, name)
			}
		}
	}
	return s.unplugged(ctx, h)
}

// unplugged verifies that no guest of the host has a network card on a removed bridge, without which the guest would not
// start.
func (s state) unplugged(ctx context.Context, h modules.Host) error {
	gone := s.removed()
	if len(gone) == 0 {
		return nil
	}
	_, configs, err := pve.GuestsOn(ctx, h)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(configs)) {
		for _, option := range slices.Sorted(maps.Keys(configs[id].Options)) {
			if !strings.HasPrefix(option, "net") {
				continue
			}
			for part := range strings.SplitSeq(configs[id].Options[option], ",") {
				if bridge, ok := strings.CutPrefix(part, "bridge="); ok && slices.Contains(gone, bridge) {
					return fmt.Errorf("absent: %s of guest %s (%s) is on %s, without which the guest does not start: give it another bridge first", option, id, configs[id].Title(), bridge)
				}
			}
		}
	}
	return nil
}

// networkWithout returns the host's addresses as they will be without the removed interfaces.
func (s state) networkWithout() observe.Network {
	n := s.net
	n.Interfaces = slices.DeleteFunc(slices.Clone(n.Interfaces), func(i observe.Interface) bool { return slices.Contains(s.absent, i.Name) })
	return n
}

// linksWithout returns the kernel's interfaces as they will be without the removed ones.
func (s state) linksWithout() links {
	l := s.links
	l.ByName = maps.Clone(l.ByName)
	maps.DeleteFunc(l.ByName, func(name string, _ link) bool { return slices.Contains(s.absent, name) })
	for name, is := range l.ByName {
		if slices.Contains(s.absent, is.Master) {
			is.Master = ""
			l.ByName[name] = is
		}
	}
	l.Routes = slices.DeleteFunc(slices.Clone(l.Routes), func(r route) bool { return slices.Contains(s.absent, r.Dev) })
	return l
}
