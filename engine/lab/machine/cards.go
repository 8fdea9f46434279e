package machine

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Rename is the name of a network card under some kernels, unless a .link file names the card.
type Rename struct {
	// Card is the card's name at installation ("ens18"), Kernel a pattern of kernel releases ("*-pve"), and To the
	// card's name under these.
	Card, Kernel, To string
}

// furnishCard adds what the kernel shows of a network card with that name.
func (m *Machine) furnishCard(i int, name string) {
	for file, content := range map[string]string{"address": m.mac(i), "mtu": "1500", "operstate": "up", "speed": "10000", "carrier": "1", "type": "1", "addr_assign_type": "0", "ifindex": fmt.Sprint(i + 2)} {
		m.tree.file("/sys/class/net/"+name+"/"+file, 0o444, content+"\n")
	}
}

// cardNames returns the names of the network cards under a kernel: from a .link file, or else the kernel's. No name is
// given twice.
func (m *Machine) cardNames(kernel string) []string {
	var names []string
	for i := range m.addresses {
		name := interfaceName(i)
		for _, r := range m.renames {
			if ok, _ := path.Match(r.Kernel, kernel); ok && r.Card == interfaceName(i) { // the inventory has checked the pattern
				name = r.To
				break
			}
		}
		if pinned := m.linkName(m.mac(i)); pinned != "" {
			name = pinned
		}
		if slices.Contains(names, name) {
			name = fmt.Sprintf("eth%d", i)
		}
		names = append(names, name)
	}
	return names
}

// linkName returns the name that systemd-udevd gives to the card with a MAC address (systemd.link(5)). It is that of
// the first file that matches, or "" if none does or the file leaves the name to a policy. Only matching by MAC address
// is simulated.
func (m *Machine) linkName(mac string) string {
	for _, file := range m.dropIns(".link", "/etc/systemd/network", "/run/systemd/network", "/usr/local/lib/systemd/network", "/usr/lib/systemd/network") {
		section, name, matches, policy := "", "", false, false
		for _, line := range m.lines(file) {
			key, value, _ := strings.Cut(line, "=")
			switch key = strings.TrimSpace(key); {
			case strings.HasPrefix(line, "["):
				section = strings.TrimSpace(line)
			case section == "[Match]" && (key == "MACAddress" || key == "PermanentMACAddress"):
				matches = matches || slices.Contains(strings.Fields(strings.ToLower(value)), mac)
			case section == "[Link]" && key == "Name":
				name = strings.TrimSpace(value)
			case section == "[Link]" && key == "NamePolicy":
				policy = strings.TrimSpace(value) != ""
			}
		}
		if matches && policy {
			return ""
		}
		if matches {
			return name
		}
	}
	return ""
}

// nameCards names the network cards as the kernel boots.
func (m *Machine) nameCards(kernel string) {
	names := m.cardNames(kernel)
	m.mu.Lock()
	before := m.cards
	m.cards = names
	m.mu.Unlock()
	if slices.Equal(before, names) {
		return
	}
	t := m.tree
	t.mu.Lock()
	for _, name := range before {
		_ = t.drop("/sys/class/net/" + name) // a card appears under one name only
	}
	for i, name := range names {
		m.furnishCard(i, name)
	}
	t.mu.Unlock()
	m.SetValue(reloadedKey{}, reloaded{}) // the network is no longer that of the installer
}

// networkUp brings up the network at boot. The installer's network stays in effect until a card changes its name or
// ifreload is called.
func (m *Machine) networkUp() {
	if m.Value(reloadedKey{}) == nil {
		return
	}
	m.mu.Lock()
	cards := m.cards
	m.mu.Unlock()
	m.setNetwork(m.networkAtBoot(cards))
}

// networkAtBoot returns the network that the files configure for cards, which have no addresses yet. A card that the
// files do not mention keeps the address that the installer gave it, unless it has been renamed. Unlike with ifreload,
// a missing port or interface is not an error: a bridge comes up without it.
func (m *Machine) networkAtBoot(cards []string) reloaded {
	names, all := m.stanzas(true)
	r := reloaded{ifaces: []iface{loopback()}}
	for i, name := range cards {
		card := m.card(i, name)
		if all[name] != nil || name != interfaceName(i) {
			card.Addrs = nil
		} else {
			r.routes = append(r.routes, linkRoute(m.addresses[i], name))
		}
		r.ifaces = append(r.ifaces, card)
	}
	r.make(names, all)
	for _, name := range names {
		if i := r.find(name); i != nil {
			all[name].options["bridge-ports"] = present(r, all[name].options["bridge-ports"])
			all[name].options["bond-slaves"] = present(r, all[name].options["bond-slaves"])
			_ = r.configure(name, all[name]) // whatever is missing is skipped
		}
	}
	r.showCarrier()
	return r
}

// present returns the lists of ports without those that do not exist.
func present(r reloaded, lists []string) []string {
	var kept []string
	for _, list := range lists {
		kept = append(kept, strings.Join(slices.DeleteFunc(strings.Fields(list), func(port string) bool { return r.find(port) == nil }), " "))
	}
	return kept
}
