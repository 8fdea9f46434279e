//go:build linux && machines

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hlplay/engine/lab/qemu"
)

// TestArray creates a RAID6 of four disks with btrfs on it (G1.57), removes a disk, adds another one, and reboots. The
// files survive, and a rerun finds nothing to do whenever the array is complete.
func TestArray(t *testing.T) {
	var disks []qemu.Disk
	for i := range 5 {
		disks = append(disks, qemu.Disk{Serial: fmt.Sprintf("BULK%d", i+1), Bytes: 192 << 20})
	}
	ms := startMachines(t, qemu.Options{Disks: disks})
	m := ms.List[0]
	bulk := func(serials ...string) map[string]string {
		return map[string]string{m.Name: fmt.Sprintf(`{
    bulk = [{
      path       = "/srv/bulk"
      type       = "btrfs"
      array      = { name = "bulk", level = 6, disks = ["%s"] }
      subvolumes = ["media"]
    }]
  }`, strings.Join(serials, `", "`))}
	}
	r := machineRunner(t, ms, bulk("BULK1", "BULK2", "BULK3", "BULK4"))

	check := r.run(t, playbook("storage.hcl"), "--check")
	check.wantCode(t, "check mode", exitOK)
	if out, err := m.Exec(t.Context(), "sh", "-c", "! grep -q ^md /proc/mdstat && ! test -e /srv/bulk"); err != nil {
		t.Errorf("check mode has made something: %s %v", out, err)
	}
	first := r.run(t, playbook("storage.hcl"))
	first.wantCode(t, "the first run", exitOK)
	wantOn(t, m, "findmnt -no FSTYPE /srv/bulk; cat /sys/block/md*/md/level; cat /sys/block/md*/md/raid_disks; readlink /dev/md/bulk >/dev/null && echo named", "btrfs\nraid6\n4\nnamed")
	wantOn(t, m, "btrfs subvolume show /srv/bulk/media >/dev/null && systemctl is-enabled scrub-srv-bulk.timer", "enabled")
	second := r.run(t, playbook("storage.hcl"))
	second.wantUnchanged(t, "the second run")
	shell(t, m, "head -c 8M /dev/urandom >/srv/bulk/media/film && sha256sum /srv/bulk/media/film >/root/sum && sync")

	// A missing disk is an error until the inventory names its replacement.
	idle(t, m)
	if err := m.Remove(1); err != nil {
		t.Fatal(err)
	}
	await(t, m, "the disk's removal", "! test -e /dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_BULK2")
	shell(t, m, "dd if=/srv/bulk/media/film of=/srv/bulk/media/again bs=1M conv=fsync 2>/dev/null")
	await(t, m, "md to notice it", "grep -q 1 /sys/block/md*/md/degraded")
	broken := r.run(t, playbook("storage.hcl"))
	broken.wantCode(t, "a run without the disk", exitFailed)
	if !strings.Contains(broken.failures(), "BULK2") {
		t.Errorf("the failure does not name the disk:\n%s", broken.failures())
	}
	r.setVars(t, ms, bulk("BULK1", "BULK5", "BULK3", "BULK4"))
	mended := r.run(t, playbook("storage.hcl"))
	mended.wantCode(t, "the run with another disk", exitOK)
	if status := mended.status[m.Name+": G1.57 create the arrays"]; status != "changed" {
		t.Errorf("the array is %s, want changed", status)
	}
	idle(t, m)
	wantOn(t, m, "cat /sys/block/md*/md/degraded", "0")
	again := r.run(t, playbook("storage.hcl"))
	again.wantUnchanged(t, "the run after the repair")

	if err := m.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantOn(t, m, "sha256sum --quiet -c /root/sum && cmp /srv/bulk/media/film /srv/bulk/media/again && cat /sys/block/md*/md/degraded && findmnt -no FSTYPE /srv/bulk", "0\nbtrfs")
	after := r.run(t, playbook("storage.hcl"))
	after.wantUnchanged(t, "the run after the reboot")
	t.Logf("first run: %s", first.summary())
	t.Logf("second run: %s", second.summary())
}

// idle waits until a machine's array is idle.
func idle(t *testing.T, m *qemu.Machine) {
	t.Helper()
	await(t, m, "the array to be idle", `[ "$(cat /sys/block/md*/md/sync_action)" = idle ]`)
}

// await waits, up to the test's deadline, until a shell command succeeds.
func await(t *testing.T, m *qemu.Machine, what, script string) {
	t.Helper()
	for {
		if _, err := m.Exec(t.Context(), "sh", "-c", script); err == nil {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("waiting for %s: %v", what, t.Context().Err())
		case <-time.After(time.Second):
		}
	}
}
