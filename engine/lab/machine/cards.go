package machine

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Rename is another name that a network card has while some kernel runs, unless a .link file gives it one.
type Rename struct {
	// Card is its name as the machine was installed, "ens18"; Kernel a pattern of releases, "*-pve"; To the other name.
	Card, Kernel, To string
}

// furnishCard adds what the kernel shows of a network card under its name.
func (m *Machine) furnishCard(i int, name string) {
	for file, content := range map[string]string{"address": m.mac(i), "mtu": "1500", "operstate": "up", "speed": "10000", "carrier": "1", "type": "1", "addr_assign_type": "0", "ifindex": fmt.Sprint(i + 2)} {
		m.tree.file("/sys/class/net/"+name+"/"+file, 0o444, content+"\n")
	}
}

// cardNames returns the names that network cards get when a kernel boots: that of a .link file, or else the kernel's. A name that
// another card has already is not given twice.
func (m *Machine) cardNames(kernel string) []string {
	var names []string
	for i := range m.addresses {
		name := interfaceName(i)
		for _, r := range m.renames {
			if ok, _ := path.Match(r.Kernel, kernel); ok && r.Card == interfaceName(i) { // the pattern is checked with the inventory
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

// linkName returns the name that systemd-udevd gives to the card with a MAC address (systemd.link(5)): that of the first file which
// matches, or "" if there is none, or if it leaves the name to a policy. Files that match by something else are not simulated.
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
		_ = t.drop("/sys/class/net/" + name) // the kernel shows a card under one name
	}
	for i, name := range names {
		m.furnishCard(i, name)
	}
	t.mu.Unlock()
	m.SetValue(reloadedKey{}, reloaded{}) // the network is not that of the installer any more
}

// networkUp brings up the network as the machine boots. It stays the installer's until a card has another name or ifreload was called.
func (m *Machine) networkUp() {
	if m.Value(reloadedKey{}) == nil {
		return
	}
	m.mu.Lock()
	cards := m.cards
	m.mu.Unlock()
	m.SetValue(reloadedKey{}, m.networkAtBoot(cards))
}

// networkAtBoot returns the network that the files make of cards, which have nothing yet. A card without a line in them has the address
// that the installer gave it, as long as it has its name. Unlike ifreload, what is missing stops nothing: a bridge comes up without
// its port.
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
			_ = r.configure(name, all[name]) // what is missing stops nothing
		}
	}
	r.showCarrier()
	return r
}

// present returns the ports in a list that there are.
func present(r reloaded, lists []string) []string {
	var kept []string
	for _, list := range lists {
		kept = append(kept, strings.Join(slices.DeleteFunc(strings.Fields(list), func(port string) bool { return r.find(port) == nil }), " "))
	}
	return kept
}
