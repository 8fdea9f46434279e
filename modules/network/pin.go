package network

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/network/interfaces"
)

// linkDir is the directory of the files from which systemd-udevd takes the names of network cards (systemd.link(5)). The
// initramfs images contain copies.
const linkDir = "/etc/systemd/network/"

// linkFiles observes the .link files of administrators and tools; Proxmox VE's own tool writes to /usr/local/lib. Files of
// packages are left out, because they do not refer to cards by MAC address. The only name is "".
var linkFiles = observe.TextFiles("link-files", linkDir+"*.link", "/run/systemd/network/*.link", "/usr/local/lib/systemd/network/*.link")

// linkPlaced returns the expectations that follow from placing a file that determines the names of network cards.
var linkPlaced = observe.PlacedText(linkFiles, linkDir+"*.link")

// linkFile returns the path of the file that pins a name.
func linkFile(name string) string { return linkDir + "10-" + name + ".link" }

// ours begins the files that this module writes.
const ours = "# Kept by hlplay.\n"

// linkConfig is what a .link file says about the names of network cards.
type linkConfig struct {
	path string
	// macs lists the addresses that it matches, such as aa:bb:cc:dd:ee:ff; it is empty if the file matches by something else.
	macs []string
	// name is the name that it assigns; "" if it leaves that to a policy, or assigns none.
	name string
	own  bool
}

// macPattern matches a MAC address without its separators.
var macPattern = pattern.New(`^[0-9a-f]{12}$`)

// parseLinkFile parses a .link file.
func parseLinkFile(f observe.TextFile) linkConfig {
	c := linkConfig{path: f.Path, own: strings.HasPrefix(f.Content, ours)}
	section, policy := "", false
	for line := range strings.Lines(f.Content) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		key, value, _ := strings.Cut(line, "=")
		switch section + strings.TrimSpace(key) {
		case "[Match]MACAddress", "[Match]PermanentMACAddress":
			for mac := range strings.FieldsSeq(value) {
				if digits := strings.ToLower(strings.NewReplacer(":", "", ".", "", "-", "").Replace(mac)); macPattern.MatchString(digits) {
					c.macs = append(c.macs, strings.Join(slices.Collect(pairs(digits)), ":"))
				}
			}
		case "[Link]Name":
			c.name = strings.TrimSpace(value)
		case "[Link]NamePolicy": // NamePolicy takes precedence over Name
			policy = strings.TrimSpace(value) != ""
		}
	}
	if policy {
		c.name = ""
	}
	return c
}

// pairs yields two characters at a time.
func pairs(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for ; len(s) >= 2 && yield(s[:2]); s = s[2:] {
		}
	}
}

// pinsAll reports whether the task names no interface and so pins the names of all network cards.
func (m *Module) pinsAll() bool { return m.Pin && len(m.wants()) == 0 && len(m.Absent) == 0 }

// toPin returns the cards whose names are to be pinned, and notes about cards whose MAC address does not identify them. It
// never returns bonds, bridges and VLANs, which have the MAC addresses of cards, nor the interfaces of guests.
func (m *Module) toPin(s state) (names, notes []string, err error) {
	add := func(name string) error {
		card := s.links.ByName[name]
		if card.followsMAC(name) {
			return nil
		}
		why, err := card.unpinnable(name)
		switch {
		case err != nil:
			return err
		case why != "":
			notes = append(notes, why+": its name is not pinned")
		default:
			names = append(names, name)
		}
		return nil
	}
	if m.pinsAll() {
		var functions []string
		for _, name := range slices.Sorted(maps.Keys(s.links.ByName)) {
			card := s.links.ByName[name]
			switch {
			case card.Kind != "" || !card.hasMAC():
			case card.Fleeting == virtual: // there may be hundreds
				functions = append(functions, name)
			default:
				if err := add(name); err != nil {
					return nil, nil, err
				}
			}
		}
		if len(functions) > 0 {
			notes = append(notes, "the names of virtual functions are not pinned: "+strings.Join(functions, ", "))
		}
		return names, notes, nil
	}
	for _, w := range s.wants {
		card, there := s.links.ByName[w.name]
		if w.kind != interfaces.Plain || !there || card.Kind != "" && card.Kind != "veth" {
			continue
		}
		if !card.hasMAC() {
			return nil, nil, fmt.Errorf("%s: %s has no MAC address to pin its name to: remove pin", w.block, w.name)
		}
		if err := add(w.name); err != nil {
			return nil, nil, err
		}
	}
	return names, notes, nil
}

// hasMAC reports whether the interface has a MAC address of Ethernet.
func (l link) hasMAC() bool {
	return len(l.MAC) == len("00:00:00:00:00:00") && strings.Trim(l.MAC, "0:") != ""
}

// planPins plans the files that pin the names of the network cards, and the update of the initramfs images, because cards
// are already renamed there. Names that were pinned by other means are left alone.
func (m *Module) planPins(ctx context.Context, h modules.Host, s state) (steps []modules.Step, notes []string, err error) {
	if !m.Pin {
		return nil, nil, nil
	}
	names, notes, err := m.toPin(s)
	if err != nil || len(names) == 0 {
		return nil, notes, err
	}
	texts, err := linkFiles.Observe(ctx, h, "")
	if err != nil {
		return nil, nil, err
	}
	var configs []linkConfig
	for _, f := range observe.DropIns(texts) {
		configs = append(configs, parseLinkFile(f))
	}
	var files []string
	observe.Files.Want(h, s.unpinned(configs, names)...)
	var tool proxmoxPins
	for _, name := range names {
		mac := s.links.ByName[name].MAC
		if other := s.links.twin(name); other != "" && !namedOtherwise(configs, name) {
			return nil, nil, fmt.Errorf("pin: %s and %s have the same MAC address, %s, so it cannot tell them apart: remove pin, and pin them by hand, with Path= in a file of %s for each (udevadm info /sys/class/net/%s shows its ID_PATH)",
				name, other, mac, linkDir, name)
		}
		pinned, err := pinnedBy(configs, name, mac)
		if err != nil {
			return nil, nil, err
		}
		if pinned.path == "" {
			pinned.path = linkFile(name)
			kind := "ether" // excludes VLANs, bonds and bridges that have the card's address
			if s.links.ByName[name].WLAN {
				kind = "wlan"
			}
			text := fmt.Sprintf("%s[Match]\nMACAddress=%s\nType=%s\n\n[Link]\nName=%s\n", ours, mac, kind, name)
			written, err := conffile.Write(ctx, h, pinned.path, text, "pin the name of "+name+", "+mac)
			if err != nil {
				return nil, nil, err
			}
			if len(steps) > 0 && len(written) > 0 {
				written = written[len(written)-1:] // an earlier step creates the directory
			}
			steps = append(steps, written...)
			if len(written) > 0 && kernelName.MatchString(name) {
				notes = append(notes, fmt.Sprintf("the kernel assigns names such as %s itself, so another card may already have it when it is to be pinned; a name such as lan0 is safe", name))
			}
			removed, err := removeFormer(ctx, h, configs, names, name, mac)
			if err != nil {
				return nil, nil, err
			}
			steps = append(steps, removed...)
		} else if pinned.byProxmox() {
			tool.add(name, pinned)
		} else if pinned.name != name {
			notes = append(notes, fmt.Sprintf("%s will be %s from the next boot on, because of %s: /etc/network/interfaces must use the name %s by then", name, pinned.name, pinned.path, pinned.name))
		}
		files = append(files, pinned.path)
	}
	notes = append(notes, tool.notes(m.pinsAll())...)
	rebuilt, err := conffile.RebuildInitramfs(ctx, h, len(steps) > 0, files...)
	return append(steps, rebuilt...), notes, err
}

// unpinned returns the files of this module that name the cards which nothing else pins, and their directory; none if there is
// no such card.
func (s state) unpinned(configs []linkConfig, names []string) (files []string) {
	for _, name := range names {
		if pinned, err := pinnedBy(configs, name, s.links.ByName[name].MAC); err == nil && pinned.path == "" {
			files = append(files, linkFile(name))
		}
	}
	if len(files) > 0 {
		files = append(files, path.Clean(linkDir))
	}
	return files
}

// removeFormer plans to remove files of this module that give the card an earlier name: systemd-udevd uses the first file
// that matches a card. Files for the names that are being pinned are rewritten instead.
func removeFormer(ctx context.Context, h modules.Host, configs []linkConfig, names []string, name, mac string) (steps []modules.Step, err error) {
	for _, c := range configs {
		if !c.own || c.name == name || path.Dir(c.path)+"/" != linkDir || !slices.Contains(c.macs, strings.ToLower(mac)) ||
			slices.ContainsFunc(names, func(n string) bool { return linkFile(n) == c.path }) {
			continue
		}
		removed, err := conffile.Remove(ctx, h, c.path, fmt.Sprintf("remove %s, which names %s %s", c.path, mac, c.name))
		if err != nil {
			return nil, err
		}
		steps = append(steps, removed...)
	}
	return steps, nil
}

// kernelName matches names that the kernel itself assigns to network cards, which systemd.link(5) advises against.
var kernelName = pattern.New(`^eth[0-9]+$`)

// namedOtherwise reports whether a file gives a card its name by something other than the MAC address, such as Path.
func namedOtherwise(configs []linkConfig, name string) bool {
	return slices.ContainsFunc(configs, func(c linkConfig) bool { return !c.own && c.name == name && len(c.macs) == 0 })
}

// twin returns another network card with the same MAC address; "" if there is none.
func (l links) twin(name string) string {
	for _, other := range slices.Sorted(maps.Keys(l.ByName)) {
		if is := l.ByName[other]; other != name && is.Kind == "" && is.Fleeting == "" && strings.EqualFold(is.MAC, l.ByName[name].MAC) {
			return other
		}
	}
	return ""
}

// pinnedBy returns the file not written by hlplay that names the card: of all files that match, systemd-udevd uses the
// first. It is the zero value if the module's own file names the card, or is about to.
func pinnedBy(configs []linkConfig, name, mac string) (linkConfig, error) {
	for _, c := range configs {
		if !slices.Contains(c.macs, strings.ToLower(mac)) {
			continue
		}
		if c.own {
			break
		}
		if c.name == "" {
			return c, fmt.Errorf("pin: %s is for %s, %s, and gives it no name. Only the first file that matches a card is used, so a file from hlplay would disable this one: add Name=%s to its [Link], or remove pin",
				c.path, name, mac, name)
		}
		return c, nil
	}
	for _, c := range configs {
		switch {
		case c.own:
		case c.name == name && len(c.macs) == 0:
			return c, nil
		case c.name == name:
			return c, fmt.Errorf("pin: %s gives the name %s to another card, %s, and two cannot have it: this one is %s. Correct the file or remove it, or remove pin",
				c.path, name, strings.Join(c.macs, ", "), mac)
		case c.path == linkFile(name):
			return c, fmt.Errorf("pin: hlplay would pin the name of %[2]s in %[1]s, but that file was not written by hlplay: rename it, or remove pin", c.path, name)
		}
	}
	return linkConfig{}, nil
}
