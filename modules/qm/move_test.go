package qm

import (
	"errors"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// onPve2 is a machine on pve2 with the disks that are given, seen from pve1.
func onPve2(disks map[string]string) (from, on *observe.Host) {
	config := pve.GuestConfig{Exists: true, Guest: pve.Guest{Node: "pve2", Type: "qemu"}, Options: disks}
	first, second := host("pve1", config), host("pve2", config)
	all := []*observe.Host{first, second}
	for _, h := range all {
		h.SetPeers(func() []*observe.Host { return all }, func(name string) (*observe.Host, error) {
			if name == "pve2" {
				return second, nil
			}
			return nil, errors.New("no host " + name)
		})
	}
	return first, second
}

func TestMove(t *testing.T) {
	m := &Module{ID: 100, Move: map[string]string{"scsi0": "vm-disks", "virtio1": "vm-disks"}}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	from, on := onPve2(map[string]string{"name": "sso", "memory": "4096", "scsi0": "local:100/vm-100-disk-0.raw,discard=on,size=32G", "virtio1": "local:100/vm-100-disk-1.raw"})
	plan := modulestest.Converges(t, m, from)
	var commands []string
	for _, step := range plan.Steps {
		if step.On != on {
			t.Errorf("%s is carried out on another host than pve2", step.Summary)
		}
		commands = append(commands, strings.Join(step.Action.(modules.Run).Argv, " "))
	}
	if got, want := strings.Join(commands, "\n"), "qm disk move 100 scsi0 vm-disks\nqm disk move 100 virtio1 vm-disks"; got != want || len(plan.Notes) != 0 {
		t.Errorf("commands %q, want %q; notes %v", got, want, plan.Notes)
	}
	moved, _ := onPve2(map[string]string{"name": "sso", "scsi0": "vm-disks:vm-100-disk-0,discard=on,size=32G", "virtio1": "vm-disks:vm-100-disk-1", "unused0": "local:100/vm-100-disk-0.raw"})
	plan = modulestest.Converges(t, m, moved)
	if len(plan.Steps) != 0 || len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], "qm disk unlink 100 --idlist unused0 --force 1") {
		t.Errorf("after the move: %s, notes %v", modulestest.Summaries(plan), plan.Notes)
	}
}

func TestMoveRefused(t *testing.T) {
	for name, test := range map[string]struct {
		disks map[string]string
		to    string
		want  string
	}{
		"no such disk":   {map[string]string{"virtio0": "local:x"}, "vm-disks", "virtual machine 100 has no such disk; it has: virtio0 local:x"},
		"a CD":           {map[string]string{"scsi0": "local:iso/debian.iso,media=cdrom"}, "vm-disks", "it is a CD drive"},
		"a device":       {map[string]string{"scsi0": "/dev/sdb"}, "vm-disks", "virtual machine 100 has a device of pve2 there (/dev/sdb)"},
		"a device by id": {map[string]string{"scsi0": "/dev/disk/by-path/pci-0000:00:1f.2"}, "vm-disks", "has a device of pve2 there"},
		"locked":         {map[string]string{"scsi0": "local:x", "lock": "backup"}, "vm-disks", "virtual machine 100 is locked (backup)"},
		"no storage":     {map[string]string{"scsi0": "local:x"}, "ha-disks", "move.scsi0: there is no storage ha-disks; the cluster has: local, vm-disks"},
		"no disks there": {map[string]string{"scsi0": "vm-disks:x"}, "local", "storage local does not accept disks of virtual machines"},
	} {
		t.Run(name, func(t *testing.T) {
			from, _ := onPve2(test.disks)
			if _, err := (&Module{ID: 100, Move: map[string]string{"scsi0": test.to}}).Plan(t.Context(), from); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	if _, err := (&Module{ID: 100, Move: map[string]string{"scsi0": "vm-disks"}}).Plan(t.Context(), host("pve1", pve.GuestConfig{})); err == nil || !strings.Contains(err.Error(), "there is no guest 100, and the task only changes an existing one") {
		t.Errorf("a machine that is not there: error %v", err)
	}
}
