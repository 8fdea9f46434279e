package qm

import (
	"maps"
	"slices"

	"hlplay/engine/pattern"
	"hlplay/modules/internal/pve"
)

// changeable are the options that are changed in a machine that exists: what is in the machine does not depend on them.
var changeable = append([]string{"memory", "cores", "sockets", "agent"}, hot...)

// hot are those of them that a running machine takes over at once (PVE::QemuServer, vmconfig_hotplug_pending).
var hot = []string{"cpulimit", "cpuunits", "description", "hookscript", "migrate_downtime", "migrate_speed", "onboot", "protection", "startup", "tags"}

func isHot(key string, _ pve.GuestConfig) bool { return slices.Contains(hot, key) }

// pluggable are the options that the host applies by plugging memory or processors into a running machine.
var pluggable = []string{"memory", "cores", "sockets"}

// plugged matches the value of hotplug on a machine into which memory or processors are plugged.
var plugged = pattern.New(`\b(cpu|memory)\b`)

// differences returns the options to set, the disks to grow with their new size in GiB, and what differs and is not changed. Where memory
// and processors are plugged into the running machine, they are left to whoever set that up. Raw devices that the task replaces by
// mappings are no difference.
func (m *Module) differences(have pve.GuestConfig) (set []string, grow map[string]float64, drift []string) {
	want, notes := m.wanted(), map[string]string{}
	grow = map[string]float64{}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if m.replaces(key, have) {
			continue
		}
		is, waits := have.Pending[key]
		if !waits {
			is = have.Options[key]
		}
		gib, larger := form.Grown(key, have.Options[key], want[key])
		switch {
		case larger && diskSlot.MatchString(key) && m.Move[key] == "":
			grow[key] = gib
		case !slices.Contains(changeable, key), slices.Contains(pluggable, key) && plugged.MatchString(have.Options["hotplug"]):
			notes[key] = want[key]
		case form.Differs(key, is, want[key]):
			set = append(set, key)
		}
	}
	return set, grow, form.Drift(have, notes)
}

// changes returns the options that the task sets and that are changed in a machine that exists.
func (m *Module) changes() map[string]string {
	want := m.wanted()
	maps.DeleteFunc(want, func(key, _ string) bool { return !slices.Contains(changeable, key) })
	return want
}
