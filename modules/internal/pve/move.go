package pve

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// GuestMoves moves disks of a guest that exists to other storages. The source remains as an unused disk of the guest, in case the copy
// turns out to be bad.
type GuestMoves struct {
	ID int
	// To are the storages, by the slot of the disk.
	To map[string]string
	// Host plans.
	Host *observe.Host
	// Disk reports whether an option is a disk.
	Disk func(option string) bool
}

// holds is what a storage must accept for the disks of a guest, and what that is for people, by the type of the guest.
var holds = map[string]struct{ content, what string }{
	"qemu": {"images", "disks of virtual machines"}, "lxc": {"rootdir", "volumes of containers"},
}

// CheckDiskStorage returns an error if a storage does not exist, is not available on the node, or does not hold the disks of a guest of
// that type.
func CheckDiskStorage(ctx context.Context, h modules.Host, argument, storage, node, guest string) error {
	return CheckStorage(ctx, h, argument, storage, node, holds[guest].content, holds[guest].what)
}

// Plan returns the steps that move the disks that are elsewhere, and the guest's configuration after them.
func (m GuestMoves) Plan(ctx context.Context, have GuestConfig) ([]modules.Step, GuestConfig, error) {
	var steps []modules.Step
	config := have
	guest := fmt.Sprintf("%s %d", kinds[have.Type].kind, m.ID)
	for _, slot := range slices.Sorted(maps.Keys(m.To)) {
		target := m.To[slot]
		disk, ok := have.Options[slot]
		if !ok {
			return nil, have, fmt.Errorf("move.%s: %s has no such disk; it has: %s", slot, guest, strings.Join(m.disksOf(have), ", "))
		}
		parts := PropertiesOf(disk, "file")
		storage, _, onStorage := strings.Cut(parts["file"], ":")
		switch {
		case onStorage && storage == target:
			continue
		case parts["media"] == "cdrom":
			return nil, have, fmt.Errorf("move.%s: it is a CD drive of %s (%s), which cannot be moved", slot, guest, disk)
		case !onStorage || strings.HasPrefix(parts["file"], "/"):
			what := "folder"
			if strings.HasPrefix(parts["file"], "/dev/") {
				what = "device"
			}
			return nil, have, fmt.Errorf("move.%s: %s has a %s of %s there (%s), which is not on a storage", slot, guest, what, have.Node, disk)
		}
		if err := have.Locked(m.ID); err != nil {
			return nil, have, err
		}
		if err := CheckDiskStorage(ctx, m.Host, "move."+slot, target, have.Node, have.Type); err != nil {
			return nil, have, err
		}
		on, err := HostOf(ctx, m.Host, have.Node)
		if err != nil {
			return nil, have, fmt.Errorf("%s is on %s, where its disks must be moved: %w", guest, have.Node, err)
		}
		if err := Writable(ctx, on); err != nil {
			return nil, have, err
		}
		config.Options = maps.Clone(config.Options)
		config.Options[slot] = moved(disk, target)
		steps = append(steps, m.move(on, slot, disk, config))
		config.Digest = "" // a different one from now on
	}
	return steps, config, nil
}

// moveCommands move a disk, by the type of the guest.
var moveCommands = map[string][]string{"qemu": {"qm", "disk", "move"}, "lxc": {"pct", "move-volume"}}

// move returns the step that moves one disk.
func (m GuestMoves) move(on *observe.Host, slot, disk string, after GuestConfig) modules.Step {
	guest := fmt.Sprintf("%s %d", kinds[after.Type].kind, m.ID)
	return modules.Step{
		Risk:    modules.MovesData,
		Summary: fmt.Sprintf("move %s of %s (%s) to storage %s; the source stays as an unused disk", slot, guest, disk, m.To[slot]),
		Action: Versioned(modules.Run{
			Argv: append(slices.Clone(moveCommands[after.Type]), strconv.Itoa(m.ID), slot, m.To[slot]), Dir: "/root", Limit: 24 * time.Hour,
			Retry: []string{"got lock request timeout", "can't lock file"}, Patience: time.Minute, Explain: Explain,
		}, after.File, after.Digest),
		Expect: Everywhere(m.Host, GuestConfigs.Expect(strconv.Itoa(m.ID), after)),
		Settle: 20 * time.Second,
		Await:  fmt.Sprintf("%s of %s on %s", slot, guest, m.To[slot]),
		Wide:   true,
		On:     Elsewhere(m.Host, on),
	}
}

// moved returns the value of a disk after a move to another storage, which chooses the name of the volume.
func moved(disk, target string) string {
	_, options, _ := strings.Cut(disk, ",")
	size, _ := strconv.ParseFloat(PropertiesOf(disk, "file")["size"], 64) // no size is zero
	gib := max(1, int(math.Ceil(size/(1<<30))))
	if options != "" {
		options = "," + options
	}
	return fmt.Sprintf("%s:%d%s", target, gib, options)
}

// destroy are the commands that destroy an unused disk, by the type of the guest, with its id and the disk to fill in.
var destroy = map[string]string{"qemu": "qm disk unlink %d --idlist %s --force 1", "lxc": "pct set %d --delete %s"}

// LeftBehind returns notes about what is left of moved disks.
func (m GuestMoves) LeftBehind(have GuestConfig) []string {
	if len(m.To) == 0 {
		return nil
	}
	var notes []string
	for _, key := range slices.Sorted(maps.Keys(have.Options)) {
		if strings.HasPrefix(key, "unused") {
			notes = append(notes, fmt.Sprintf("%s %d has an unused disk %s (%s): if it is the source of a moved disk and the guest runs well from the copy, destroy it with: "+destroy[have.Type],
				kinds[have.Type].kind, m.ID, key, have.Options[key], m.ID, key))
		}
	}
	return notes
}

// disksOf returns the disks of a guest.
func (m GuestMoves) disksOf(have GuestConfig) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(have.Options)) {
		if m.Disk(key) {
			all = append(all, key+" "+have.Options[key])
		}
	}
	if len(all) == 0 {
		return []string{"none"}
	}
	return all
}
