package qm

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// moveDisks plans to move disks of an existing machine. It returns the machine's configuration after that, too.
func (m *Module) moveDisks(ctx context.Context, h modules.Host, have pve.GuestConfig) ([]modules.Step, pve.GuestConfig, error) {
	var steps []modules.Step
	config := have
	for _, slot := range slices.Sorted(maps.Keys(m.Move)) {
		target := m.Move[slot]
		disk, ok := have.Options[slot]
		if !ok {
			return nil, have, fmt.Errorf("move.%s: virtual machine %d has no such disk; it has: %s", slot, m.ID, strings.Join(disksOf(have), ", "))
		}
		parts := pve.PropertiesOf(disk, "file")
		storage, _, onStorage := strings.Cut(parts["file"], ":")
		switch {
		case onStorage && storage == target:
			continue
		case parts["media"] == "cdrom":
			return nil, have, fmt.Errorf("move.%s: it is a CD drive of virtual machine %d (%s), which cannot be moved", slot, m.ID, disk)
		case !onStorage || strings.HasPrefix(parts["file"], "/"):
			return nil, have, fmt.Errorf("move.%s: virtual machine %d has a device of %s there (%s), which is not on a storage", slot, m.ID, have.Node, disk)
		case have.Options["lock"] != "":
			return nil, have, fmt.Errorf("virtual machine %d is locked (%s): wait for the operation to finish, or resolve the lock by hand, and run again", m.ID, have.Options["lock"])
		}
		if err := checkStorage(ctx, h, "move."+slot, target, have.Node); err != nil {
			return nil, have, err
		}
		on, err := pve.HostOf(ctx, h, have.Node)
		if err != nil {
			return nil, have, fmt.Errorf("virtual machine %d is on %s, where its disks must be moved: %w", m.ID, have.Node, err)
		}
		if err := pve.Writable(ctx, on); err != nil {
			return nil, have, err
		}
		config.Options = maps.Clone(config.Options)
		config.Options[slot] = moved(disk, target)
		steps = append(steps, m.moveDisk(h, on, slot, disk, config))
		config.Digest = "" // a different one from now on
	}
	return steps, config, nil
}

// moveDisk returns the step that moves one disk. The source remains as an unused disk of the machine, in case the copy turns
// out to be bad.
func (m *Module) moveDisk(h, on modules.Host, slot, disk string, after pve.GuestConfig) modules.Step {
	return modules.Step{
		Risk:    modules.MovesData,
		Summary: fmt.Sprintf("move %s of virtual machine %d (%s) to storage %s; the source stays as an unused disk", slot, m.ID, disk, m.Move[slot]),
		Action: pve.Versioned(modules.Run{
			Argv: []string{"qm", "disk", "move", strconv.Itoa(m.ID), slot, m.Move[slot]}, Dir: "/root", Limit: 24 * time.Hour,
			Retry: []string{"got lock request timeout", "can't lock file"}, Patience: time.Minute, Explain: pve.Explain,
		}, after.File, after.Digest),
		Expect: pve.Everywhere(h, pve.GuestConfigs.Expect(strconv.Itoa(m.ID), after)),
		Settle: 20 * time.Second,
		Await:  fmt.Sprintf("%s of virtual machine %d on %s", slot, m.ID, m.Move[slot]),
		Wide:   true,
		On:     pve.Elsewhere(h, on),
	}
}

// moved returns the value of a disk after a move to another storage, which chooses the name of the volume.
func moved(disk, target string) string {
	_, options, _ := strings.Cut(disk, ",")
	size, _ := strconv.ParseFloat(pve.PropertiesOf(disk, "file")["size"], 64) // no size is zero
	gib := max(1, int(math.Ceil(size/(1<<30))))
	if options != "" {
		options = "," + options
	}
	return fmt.Sprintf("%s:%d%s", target, gib, options)
}

// leftBehind returns notes about what is left of moved disks.
func (m *Module) leftBehind(have pve.GuestConfig) []string {
	if len(m.Move) == 0 {
		return nil
	}
	var notes []string
	for _, key := range slices.Sorted(maps.Keys(have.Options)) {
		if strings.HasPrefix(key, "unused") {
			notes = append(notes, fmt.Sprintf("virtual machine %d has an unused disk %s (%s): if it is the source of a moved disk and the machine runs well from the copy, destroy it with: qm disk unlink %d --idlist %s --force 1",
				m.ID, key, have.Options[key], m.ID, key))
		}
	}
	return notes
}

// disksOf returns the disks of a machine.
func disksOf(have pve.GuestConfig) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(have.Options)) {
		if diskSlot.MatchString(key) {
			all = append(all, key+" "+have.Options[key])
		}
	}
	if len(all) == 0 {
		return []string{"none"}
	}
	return all
}
