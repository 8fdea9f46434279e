package pct

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/modules"
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

// settled are options that only a new container gets: Proxmox VE refuses to change them, or what is in the container depends on them.
var settled = []string{"arch", "ostype", "unprivileged", "storage", "pool", "bwlimit", "ignore-unpack-errors", "ha-managed"}

// passing are those of them that are no part of the configuration.
var passing = []string{"storage", "pool", "bwlimit", "ignore-unpack-errors", "ha-managed"}

// hot are options that a running container takes over at once; some only take effect later, which is their nature (PVE::LXC::Config,
// vmconfig_hotplug_pending).
var hot = []string{"description", "onboot", "startup", "protection", "hookscript", "cores", "tags", "memory", "swap", "cpulimit", "cpuunits"}

// differences returns the options to set, the volumes to grow with their new size in GiB, and what differs and is not changed.
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

// waiting lists the options that get what the task wants at the next start.
func (m *Module) waiting(have pve.GuestConfig) []string {
	var waiting []string
	want := m.wanted()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if is, waits := have.Pending[key]; waits && !form.Differs(key, is, want[key]) {
			waiting = append(waiting, key)
		}
	}
	return waiting
}

// waits returns a note for each option that a running container gets at its next start.
func (m *Module) waits(have pve.GuestConfig, keys []string) []string {
	var notes []string
	for _, key := range keys {
		notes = append(notes, fmt.Sprintf("%s: %s takes effect at its next start (pct reboot %d); until then it is %q", have.Label(m.ID), key, m.ID, have.Options[key]))
	}
	return notes
}

// change plans the changes of a container.
type change struct {
	m     *Module
	h, on modules.Host
	// after is the configuration after the steps that are planned.
	after pve.GuestConfig
	// off is set if the container does not run by then.
	off bool
}

// plan returns the steps, and the options that a running container gets at its next start.
func (c *change) plan(ctx context.Context, set []string, grow map[string]float64) (steps []modules.Step, later []string, err error) {
	if len(set) == 0 && len(grow) == 0 {
		return nil, nil, nil
	}
	if err := c.after.Locked(c.m.ID); err != nil {
		return nil, nil, err
	}
	if err := pve.Writable(ctx, c.on); err != nil {
		return nil, nil, err
	}
	running := false
	if !c.off {
		all, err := pve.Running.Observe(ctx, c.on, "")
		if err != nil {
			return nil, nil, err
		}
		running = all[c.m.ID]
	}
	if len(set) > 0 {
		var step modules.Step
		step, later = c.set(set, running)
		steps = append(steps, step)
	}
	for _, slot := range slices.Sorted(maps.Keys(grow)) {
		steps = append(steps, c.grow(slot, grow[slot]))
	}
	return steps, later, nil
}

// set returns the step that sets options, and those that a running container gets later.
func (c *change) set(keys []string, running bool) (step modules.Step, later []string) {
	want, before := c.m.wanted(), c.after
	after := before
	after.Options, after.Pending, after.Digest = maps.Clone(before.Options), maps.Clone(before.Pending), ""
	if after.Pending == nil {
		after.Pending = map[string]string{}
	}
	var said []string
	for _, key := range keys {
		text := fmt.Sprintf("%s %s → %s", key, orNone(before.Options[key]), orNone(want[key]))
		if key == "description" {
			text = key
		}
		delete(after.Pending, key)
		switch {
		case !form.Differs(key, before.Options[key], want[key]): // something else is pending, which this takes back
			text = fmt.Sprintf("%s stays %s, not %s", key, orNone(before.Options[key]), orNone(before.Pending[key]))
		case running && !c.hot(key, before):
			after.Pending[key] = want[key]
			later = append(later, key)
			text += ", at its next start"
		case want[key] == "":
			delete(after.Options, key)
		default:
			after.Options[key] = want[key]
		}
		said = append(said, text)
	}
	summary := fmt.Sprintf("change %s: %s", before.Label(c.m.ID), strings.Join(said, "; "))
	step = c.step(summary, pve.Versioned(modules.Run{
		Argv: append([]string{"pct", "set", strconv.Itoa(c.m.ID)}, pve.Arguments(want, keys)...), Dir: "/root", Limit: time.Minute,
		Retry: []string{"got lock request timeout", "can't lock file"}, Patience: time.Minute, Explain: pve.Explain,
	}, before.File, before.Digest), after)
	step.Await = fmt.Sprintf("%s of %s in /etc/pve", strings.Join(keys, ", "), before.Label(c.m.ID))
	if running && slices.Contains(keys, "memory") && after.Memory() < before.Memory() {
		step.Risk = modules.Restarts // the kernel stops what no longer fits
	}
	return step, later
}

// hot reports whether a running container takes over an option at once.
func (c *change) hot(key string, have pve.GuestConfig) bool {
	_, exists := have.Options[key]
	return slices.Contains(hot, key) || numbered(key, "dev") && !exists
}

// grow returns the step that grows a volume.
func (c *change) grow(slot string, gib float64) modules.Step {
	size := strconv.FormatFloat(gib, 'f', -1, 64) + "G"
	before := c.after
	after := before
	after.Options, after.Digest = maps.Clone(before.Options), ""
	after.Options[slot] = pve.Resized(before.Options[slot], size)
	summary := fmt.Sprintf("grow %s of %s to %s (%s)", slot, before.Label(c.m.ID), size, before.Options[slot])
	step := c.step(summary, pve.Versioned(modules.Run{
		Argv: []string{"pct", "resize", strconv.Itoa(c.m.ID), slot, size}, Dir: "/root", Limit: 6 * time.Hour, Long: true,
		Retry: []string{"got lock request timeout", "can't lock file"}, Patience: time.Minute, Explain: pve.Explain,
	}, before.File, before.Digest), after)
	step.Await = fmt.Sprintf("%s of %s with %s", slot, before.Label(c.m.ID), size)
	return step
}

// step returns a step that leads to a configuration.
func (c *change) step(summary string, command modules.Run, after pve.GuestConfig) modules.Step {
	c.after = after
	return modules.Step{
		Summary: summary, Action: command,
		Expect: pve.Everywhere(c.h, pve.GuestConfigs.Expect(strconv.Itoa(c.m.ID), after)),
		Settle: 20 * time.Second, Wide: true, On: pve.Elsewhere(c.h, c.on),
	}
}

func orNone(value string) string {
	if value == "" {
		return "none"
	}
	return value
}
