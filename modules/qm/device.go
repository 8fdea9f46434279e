package qm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

var deviceSlot = pattern.New(`^(hostpci|usb)[0-9]+$`)

// mapDevices plans to replace raw devices of an existing machine by the mappings in the task. It returns the machine's
// configuration afterwards, and notes.
func (m *Module) mapDevices(ctx context.Context, h modules.Host, have pve.GuestConfig) (pve.GuestConfig, []modules.Step, []string, error) {
	var slots, waiting, notes []string
	fail := func(format string, args ...any) (pve.GuestConfig, []modules.Step, []string, error) {
		return have, nil, nil, fmt.Errorf(format, args...)
	}
	for _, slot := range slices.Sorted(maps.Keys(m.Options)) {
		switch {
		case !m.replaces(slot, have):
		case have.Pending[slot] != "" && !form.Differs(slot, have.Pending[slot], m.Options[slot]):
			waiting = append(waiting, slot)
		default:
			slots = append(slots, slot)
		}
	}
	if len(waiting) > 0 {
		notes = append(notes, m.waits(waiting))
	}
	if len(slots) == 0 {
		return have, nil, notes, nil
	}
	if have.Options["lock"] != "" {
		return fail("virtual machine %d is locked (%s): wait for the operation to finish, or resolve the lock by hand, and run again", m.ID, have.Options["lock"])
	}
	mappings, err := pve.Mappings.Observe(ctx, h, "")
	if err != nil {
		return have, nil, nil, err
	}
	others := map[string]string{}
	for _, slot := range slots {
		if others[slot], err = m.checkMapping(slot, have, mappings); err != nil {
			return have, nil, nil, err
		}
	}
	on, err := pve.HostOf(ctx, h, have.Node)
	if err != nil {
		return fail("virtual machine %d is on %s, where its devices are: %w", m.ID, have.Node, err)
	}
	if err := pve.Writable(ctx, on); err != nil {
		return have, nil, nil, err
	}
	running, err := pve.Running.Observe(ctx, on, "")
	if err != nil {
		return have, nil, nil, err
	}
	step, after, pending := m.mapStep(h, on, have, slots, others, running[m.ID])
	if len(pending) > 0 {
		notes = append(notes, m.waits(pending))
	}
	return after, []modules.Step{step}, notes, nil
}

// maps reports whether the task sets a mapping in a slot.
func (m *Module) maps(slot string) bool {
	return deviceSlot.MatchString(slot) && mappingOf(m.Options[slot]) != ""
}

// replaces reports whether the task has a mapping where the machine has a raw device.
func (m *Module) replaces(slot string, have pve.GuestConfig) bool {
	now := have.Options[slot]
	return m.maps(slot) && now != "" && mappingOf(now) == "" && pve.PropertiesOf(now, "host")["host"] != "spice"
}

func mappingOf(device string) string { return pve.PropertiesOf(device, "host")["mapping"] }

// waits returns the note that devices are exchanged at the machine's next start.
func (m *Module) waits(slots []string) string {
	return fmt.Sprintf("virtual machine %d runs with the raw device until its next cold start: %s changes when it is shut down and started, or rebooted by Proxmox VE (qm reboot %[1]d); a reboot inside the guest is not enough",
		m.ID, strings.Join(slots, ", "))
}

// checkMapping rejects a mapping that has no device on the machine's node. If the mapping stands for another device than
// the machine has now, it returns that device.
func (m *Module) checkMapping(slot string, have pve.GuestConfig, mappings map[string]pve.Mapping) (string, error) {
	kind := strings.TrimPrefix(strings.TrimRight(slot, "0123456789"), "host")
	id := mappingOf(m.Options[slot])
	mapping, exists := mappings[kind+"/"+id]
	switch {
	case !exists:
		return "", fmt.Errorf("options.%s: there is no mapping %s of %s devices: create it first, with the module mapping", slot, id, strings.ToUpper(kind))
	case !slices.Contains(mapping.Nodes(), have.Node):
		return "", fmt.Errorf("options.%s: mapping %s has no device of %s, where virtual machine %d is (it has those of %s): add one, with the module mapping, or migrate the machine first",
			slot, id, have.Node, m.ID, strings.Join(mapping.Nodes(), ", "))
	}
	raw := pve.PropertiesOf(have.Options[slot], "host")["host"]
	var stands []string
	for _, device := range mapping.Devices {
		switch {
		case device["node"] != have.Node:
		case kind == "usb":
			stands = append(stands, device["id"], device["path"])
		default:
			stands = append(stands, device["path"])
		}
	}
	if kind == "pci" && strings.Count(raw, ":") == 1 { // without the domain, which is 0000
		raw = "0000:" + raw
	}
	if slices.Contains(stands, raw) {
		return "", nil
	}
	return strings.Join(strings.Fields(strings.Join(stands, " ")), ", "), nil
}

// hotplugs reports whether Proxmox VE exchanges a device while the machine is running: possibly for USB, never for PCI.
func hotplugs(slot string, have pve.GuestConfig) bool {
	set := have.Options["hotplug"]
	on := set == "" || set == "1" || pve.List(set)["usb"]
	return strings.HasPrefix(slot, "usb") && on && slices.Contains([]string{"l26", "win8", "win10", "win11"}, have.Options["ostype"])
}

// mapStep returns the step that replaces devices, the configuration afterwards, and the slots whose change has to wait.
// others holds the devices of mappings that stand for a different device than before.
func (m *Module) mapStep(h, on modules.Host, have pve.GuestConfig, slots []string, others map[string]string, running bool) (modules.Step, pve.GuestConfig, []string) {
	after := have
	after.Options, after.Pending, after.Digest = maps.Clone(have.Options), maps.Clone(have.Pending), ""
	if after.Pending == nil {
		after.Pending = map[string]string{}
	}
	argv := []string{"qm", "set", strconv.Itoa(m.ID)}
	var what, pending []string
	for _, slot := range slots {
		argv = append(argv, "--"+slot, m.Options[slot])
		text := fmt.Sprintf("%s (%s) by mapping %s", slot, have.Options[slot], mappingOf(m.Options[slot]))
		if others[slot] != "" {
			text += fmt.Sprintf(", which is a DIFFERENT device of %s (%s)", have.Node, others[slot])
		}
		switch {
		case !running:
			after.Options[slot] = m.Options[slot]
		case hotplugs(slot, have):
			after.Options[slot] = m.Options[slot]
			text += ", immediately: it is unplugged for a moment"
		default:
			after.Pending[slot] = m.Options[slot]
			pending = append(pending, slot)
			text += ", at its next start"
		}
		what = append(what, text)
	}
	step := modules.Step{
		Summary: fmt.Sprintf("replace in virtual machine %d %s", m.ID, strings.Join(what, "; ")),
		Action: pve.Versioned(modules.Run{
			Argv: argv, Dir: "/root", Limit: time.Minute,
			Retry: []string{"got lock request timeout", "can't lock file"}, Patience: time.Minute, Explain: pve.Explain,
		}, have.File, have.Digest),
		Expect: pve.Everywhere(h, pve.GuestConfigs.Expect(strconv.Itoa(m.ID), after)),
		Settle: 20 * time.Second,
		Await:  fmt.Sprintf("%s of virtual machine %d in /etc/pve", strings.Join(slots, ", "), m.ID),
		Wide:   true,
		On:     pve.Elsewhere(h, on),
	}
	if running && len(pending) < len(slots) {
		step.Risk = modules.Restarts
	}
	return step, after, pending
}
