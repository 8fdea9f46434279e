//go:build linux && machines

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hlplay/engine/lab/qemu"
)

// TestLVM makes a volume group with a volume, a thin pool and a thin volume by the real LVM, with file systems, grows them over
// another disk, and activates the group again. Check mode makes nothing, and a rerun finds nothing to do.
func TestLVM(t *testing.T) {
	var disks []qemu.Disk
	for _, serial := range []string{"LVM1", "LVM2", "LVM3"} {
		disks = append(disks, qemu.Disk{Serial: serial, Bytes: 512 << 20})
	}
	ms := startMachines(t, qemu.Options{Disks: disks})
	m := ms.List[0]
	r := machineRunner(t, ms, nil)
	path := filepath.Join(ms.Dir, "volumes.hcl")
	write := func(disks, size, pool, thin string) {
		t.Helper()
		text := strings.NewReplacer("DISKS", disks, "SIZE", size, "POOL", pool, "THIN", thin).Replace(`play "volumes" {
  hosts = "pve"
  task "group" {
    lvm {
      group = "data"
      disks = DISKS
      wipe  = ["LVM3"]
      volume {
        name = "my-lv"
        size = "SIZE"
      }
      thin_pool {
        name = "pool"
        size = "POOL"
      }
      volume {
        name = "thin"
        size = "THIN"
        pool = "pool"
      }
    }
  }
  task "file system" {
    filesystem {
      device = "/dev/data/my-lv"
      type   = "ext4"
    }
  }
  task "mount" {
    mount {
      path   = "/srv/lv"
      source = "/dev/data/my-lv"
    }
  }
}
`)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shell(t, m, "mkfs.ext4 -q -F /dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_LVM3")
	write(`["LVM1", "LVM2"]`, "100MiB", "200MiB", "1GiB")
	check := r.run(t, path, "--check")
	check.wantCode(t, "check mode", exitOK)
	wantOn(t, m, "vgs", "")
	first := r.run(t, path)
	first.wantCode(t, "the first run", exitOK)
	wantOn(t, m, "findmnt -no SOURCE,FSTYPE /srv/lv; lsblk -bno SIZE /dev/data/my-lv /dev/data/thin | tr -d ' '", "/dev/mapper/data-my--lv ext4\n104857600\n1073741824")
	second := r.run(t, path)
	second.wantUnchanged(t, "the second run")
	shell(t, m, "head -c 8M /dev/urandom >/srv/lv/film && sha256sum /srv/lv/film >/root/sum && sync")

	// The third disk is not blank, and its serial is repeated.
	write(`["LVM1", "LVM2", "LVM3"]`, "600MiB", "100%FREE", "2GiB")
	grown := r.run(t, path)
	grown.wantCode(t, "the run that grows", exitOK)
	wantOn(t, m, "lsblk -bno SIZE /dev/data/my-lv /dev/data/thin | tr -d ' '; vgs --noheadings -o vg_free_count data | tr -d ' '; sha256sum --quiet -c /root/sum; test $(df --output=size -k /srv/lv | tail -1) -gt 500000 && echo larger", "629145600\n2147483648\n0\nlarger")
	again := r.run(t, path)
	again.wantUnchanged(t, "the run after that")

	// Taken off and put on again, as at a boot.
	shell(t, m, "umount /srv/lv && vgchange -q -an data && vgchange -q -ay data && mount /srv/lv")
	wantOn(t, m, "sha256sum --quiet -c /root/sum && findmnt -no SOURCE /srv/lv", "/dev/mapper/data-my--lv")
	after := r.run(t, path)
	after.wantUnchanged(t, "the run after the group was activated again")
}
