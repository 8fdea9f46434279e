package network

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// fleeting is why the MAC address of a network card does not identify it. The zero value is that it does.
type fleeting string

const (
	// unread is that the kernel was not heard on it: "" must not stand for what is not known.
	unread fleeting = "unread"
	// virtual is a virtual function of SR-IOV. Guests get it, its driver gives it any address, and
	// pve-network-interface-pinning leaves it out, too.
	virtual fleeting = "a virtual function"
	random  fleeting = "a MAC address that is new with every boot"
	stolen  fleeting = "the MAC address of another interface"
	given   fleeting = "a MAC address that somebody has set"
)

// origins are the values of /sys/class/net/NAME/addr_assign_type (the kernel's Documentation/ABI/testing/sysfs-class-net).
var origins = map[string]fleeting{"0": "", "1": random, "2": stolen, "3": given}

// readOrigins reads where the kernel has the MAC addresses of network cards from: lines with the path and the content of
// addr_assign_type, and the paths of the links from virtual functions to their card and from wireless cards to their radio. built
// are the cards that do not use the address that they were built with, and have one.
func (l *links) readOrigins(out string, built map[string]bool) {
	is, wireless := map[string]fleeting{}, map[string]bool{}
	for line := range strings.Lines(out) {
		name, file, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "/sys/class/net/")), "/")
		file, value, _ := strings.Cut(file, ":")
		switch path.Base(file) {
		case "physfn":
			is[name] = virtual
		case "phy80211":
			wireless[name] = true
		case "addr_assign_type":
			if origin, known := origins[value]; known && is[name] != virtual {
				is[name] = origin
			}
		}
	}
	for name, card := range l.ByName {
		if card.Kind != "" || name == "lo" {
			continue
		}
		origin, known := is[name]
		switch {
		case !known:
			origin = unread
		case origin == given && (built[name] || !card.local() || l.ByName[card.Master].Kind == "bond"):
			origin = "" // a bond sets the address of its members, and ip shows the one that a card was built with only if it differs
		}
		card.Fleeting, card.WLAN = origin, wireless[name]
		l.ByName[name] = card
	}
}

// local reports whether the MAC address is administered locally: no manufacturer has assigned it. Those of cards that a hypervisor
// provides usually are, and stay the same.
func (l link) local() bool {
	first, err := strconv.ParseUint(l.MAC[:min(2, len(l.MAC))], 16, 8)
	return err != nil || first&2 != 0
}

// followsMAC reports whether the name is made from the MAC address, as systemd does for network cards at USB: no kernel changes it.
func (l link) followsMAC(name string) bool {
	return name == "enx"+strings.ReplaceAll(strings.ToLower(l.MAC), ":", "")
}

// unpinnable returns why the name of a card cannot be pinned to its MAC address; "" if it can be.
func (l link) unpinnable(name string) (string, error) {
	switch l.Fleeting {
	case "":
		return "", nil
	case unread:
		return "", fmt.Errorf("pin: the origin of the MAC address of %s could not be read from /sys/class/net/%s/addr_assign_type: has it just disappeared? Run again, or remove pin", name, name)
	case virtual:
		return name + " is " + string(virtual), nil
	}
	return fmt.Sprintf("%s has %s, %s", name, l.Fleeting, l.MAC), nil
}
