package pct

import (
	"maps"
	"slices"
	"strings"

	"hlplay/modules/internal/pve"
)

// form is how Proxmox VE interprets the options of a container (PVE::LXC::Config 6.1).
var form = pve.GuestForm{
	Defaults: map[string]string{
		"memory": "512", "swap": "512", "cpulimit": "0", "arch": "amd64", "tty": "2", "cmode": "tty", "console": "1",
		"onboot": "0", "protection": "0", "unprivileged": "0", "debug": "0",
	},
	DefaultKeys: map[string]string{"features": "", "startup": "order", "dev": "path"},
	Sets:        []string{"tags"},
	Lists:       []string{"nameserver", "searchdomain"},
	Disk:        isDisk,
	Card:        cardOf,
}

func cardOf(text string) map[string]string {
	card := pve.PropertiesOf(text, "")
	if mac, given := card["hwaddr"]; given {
		card["hwaddr"] = strings.ToUpper(mac)
	}
	return card
}

// settled lists options that are set only at creation: Proxmox VE refuses to change them, or the container's contents
// depend on them.
var settled = []string{"arch", "ostype", "unprivileged", "storage", "pool", "bwlimit", "ignore-unpack-errors", "ha-managed"}

// passing lists those of them that are not stored in the configuration.
var passing = []string{"storage", "pool", "bwlimit", "ignore-unpack-errors", "ha-managed"}

// hot lists options that take effect in a running container at once, or that by their nature only matter later
// (PVE::LXC::Config, vmconfig_hotplug_pending).
var hot = []string{"description", "onboot", "startup", "protection", "hookscript", "cores", "tags", "memory", "swap", "cpulimit", "cpuunits"}

// differences returns the options to set, the volumes to grow with their new size in GiB, and notes on differences that
// are left alone.
func (m *Module) differences(have pve.GuestConfig) (set []string, grow map[string]float64, drift []string) {
	want, notes := m.wanted(), map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		is, waits := have.Pending[key]
		if !waits {
			is = have.Options[key]
		}
		switch {
		case slices.Contains(passing, key):
		case slices.Contains(settled, key):
			notes[key] = want[key]
		case form.Differs(key, is, want[key]):
			set = append(set, key)
		}
	}
	maps.Copy(notes, m.Net)
	grow = map[string]float64{}
	for slot, value := range m.Disks {
		if gib, larger := form.Grown(slot, have.Options[slot], value); larger {
			grow[slot] = gib
			continue
		}
		notes[slot] = value
	}
	return set, grow, form.Drift(have, notes)
}

// isHot reports whether an option takes effect in a running container at once.
func isHot(key string, have pve.GuestConfig) bool {
	_, exists := have.Options[key]
	return slices.Contains(hot, key) || numbered(key, "dev") && !exists
}
