//go:build linux && machines

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hlplay/engine/lab/qemu"
)

// osdPackages are what a machine with OSDs needs. Debian's ceph-osd contains ceph-volume.
var osdPackages = []string{"ceph-mgr", "ceph-mon", "ceph-osd", "cryptsetup-bin", "fdisk", "gdisk"}

// osdDisk precedes the serial number in the paths of the disks.
const osdDisk = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_"

// TestMachineOSDs creates OSDs in logical volumes with ceph-volume, as Proxmox VE does: on a whole disk, on a partition in the
// free space of a disk that is in use, and with a database on another device (G1.36, G2.7, G2.8). The OSD of a disk that fails
// is replaced. An OSD that works is removed and wiped, and created again, encrypted. Check mode changes nothing, the data
// survives, and reruns find nothing to do, after a reboot too.
//
// Kernel, device-mapper, LVM, udev and Ceph are real; pveceph is testdata/e2e/ceph/pveceph.
func TestMachineOSDs(t *testing.T) {
	var disks []qemu.Disk
	for _, serial := range []string{"WHOLE", "SHARED", "SLOW", "FAST", "SPARE", "USED"} {
		disks = append(disks, qemu.Disk{Serial: serial, Bytes: 4 << 30})
	}
	ms := startMachines(t, qemu.Options{Names: []string{"pve1"}, Packages: osdPackages, Memory: 3072, Disks: disks})
	m := ms.List[0]
	furnishMachine(t, m)
	shell(t, m, `printf 'label: gpt\nsize=1GiB, name=data\n' | sfdisk --quiet `+osdDisk+`SHARED
udevadm settle
mkfs.ext4 -q /dev/disk/by-partlabel/data
echo '/dev/disk/by-partlabel/data /srv/data ext4 defaults 0 2' >>/etc/fstab
mkdir /srv/data && mount /srv/data && echo 'it stays' >/srv/data/file
mkfs.ext4 -q `+osdDisk+`USED
udevadm settle`)
	r := machineRunner(t, ms, nil)
	address := "address=" + m.Address.String()

	const signatures = "for disk in " + osdDisk + "*; do blkid -p $disk || [ $? -eq 2 ] || exit; done"
	before := shell(t, m, signatures)
	check := r.run(t, "osds.hcl", "-e", address, "--check")
	check.wantCode(t, "check mode", exitOK)
	wantOn(t, m, signatures+"; ls -A /etc/ceph | grep -v rbdmap", before)
	first := r.run(t, "osds.hcl", "-e", address)
	first.wantCode(t, "the first run", exitOK)
	t.Logf("first run: %s\n%s", first.summary(), shell(t, m, "ceph osd tree; lsblk"))
	wantOSDs(t, m, "WHOLE", "SHARED", "SLOW+FAST")
	wantOn(t, m, "cat /srv/data/file; ceph osd crush get-device-class osd.1", "it stays\nssd")
	// Otherwise Ceph's own pool would wait for three hosts.
	await(t, m, "Ceph's own pool", "ceph osd pool get device_health_metrics size")
	shell(t, m, "ceph osd pool set device_health_metrics size 2 && ceph osd pool set device_health_metrics crush_rule by_osd")
	second := r.run(t, "osds.hcl", "-e", address)
	second.wantUnchanged(t, "the second run")
	await(t, m, "clean placement groups", "ceph pg stat | grep -Eq '^([0-9]+) pgs: [0-9]+ active.clean;'")
	shell(t, m, "head -c 8M /dev/urandom >/root/film && rados --pool data put film /root/film")
	const readFilm = "rados --pool data get film /root/again && cmp /root/film /root/again && echo same"

	// A disk that is not blank is refused, and left as it is.
	failed := fsid(t, m, 0)
	refused := r.run(t, playbook("replace-disk.hcl"), "--tags", "add", "-e", "osd_id=0", "-e", "osd_fsid="+failed, "-e", "node=pve1", "-e", "device="+osdDisk+"USED")
	refused.wantCode(t, "a disk that is not blank", exitFailed)
	if said := refused.failures(); !strings.Contains(said, "is not blank: ext4") {
		t.Errorf("the refusal does not say what is on the disk:\n%s", said)
	}
	wantOn(t, m, "blkid -p -o value -s TYPE "+osdDisk+"USED", "ext4")

	// A disk fails. Its OSD is removed, and another one is created on the spare disk.
	if err := m.Remove(0); err != nil {
		t.Fatal(err)
	}
	await(t, m, "the disk's removal", "! test -e "+osdDisk+"WHOLE")
	shell(t, m, "systemctl kill --signal=KILL ceph-osd@0") // an idle OSD would not notice; it cannot start again
	await(t, m, "osd.0 to be down", "ceph osd dump | grep -q '^osd.0 down'")
	replace := []string{"-e", "osd_id=0", "-e", "osd_fsid=" + failed, "-e", "node=pve1", "-e", "device=" + osdDisk + "SPARE"}
	foretold := r.run(t, playbook("replace-disk.hcl"), append(replace, "--check")...)
	foretold.wantCode(t, "check mode of the replacement", exitOK)
	wantOn(t, m, "ceph osd dump | grep -c '^osd.0 down *in'", "1")
	replaced := r.run(t, playbook("replace-disk.hcl"), replace...)
	replaced.wantCode(t, "the replacement", exitOK)
	t.Logf("replacement: %s", replaced.summary())
	wantOSDs(t, m, "SPARE", "SHARED", "SLOW+FAST")
	wantOn(t, m, readFilm, "same")
	again := r.run(t, playbook("replace-disk.hcl"), replace...)
	again.wantUnchanged(t, "the replacement once more")

	// An OSD that works is removed and wiped. Its disk and that of its database can be used again.
	renew := []string{"-e", "osd_id=2", "-e", "osd_fsid=" + fsid(t, m, 2)}
	renewed := r.run(t, "renew.hcl", renew...)
	renewed.wantCode(t, "creating an OSD again", exitOK)
	t.Logf("renewal: %s\n%s", renewed.summary(), shell(t, m, "ceph osd tree; lsblk"))
	wantOSDs(t, m, "SPARE", "SHARED", "SLOW+FAST encrypted")
	wantOn(t, m, readFilm, "same")

	if err := m.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, m, "the OSDs after the reboot", "timeout 60 ceph osd dump | grep -c '^osd.* up *in ' | grep -qx 3")
	wantOSDs(t, m, "SPARE", "SHARED", "SLOW+FAST encrypted")
	wantOn(t, m, readFilm+"; cat /srv/data/file", "same\nit stays")
	for what, run := range map[string]outcome{
		"the replacement after the reboot": r.run(t, playbook("replace-disk.hcl"), replace...),
		"the renewal after the reboot":     r.run(t, "renew.hcl", renew...),
	} {
		run.wantUnchanged(t, what)
	}
}

// furnishMachine gives a machine what Proxmox VE would: its programs, and the files of a node that is in no cluster.
func furnishMachine(t *testing.T, m *qemu.Machine) {
	t.Helper()
	for _, program := range []string{"pveceph", "pvesm"} {
		content, err := os.ReadFile(filepath.Join(playbooks, "ceph", program))
		if err != nil {
			t.Fatal(err)
		}
		on(t, m, "sh", "-euc", `echo "$2" | base64 -d >"/usr/local/bin/$1"; chmod 755 "/usr/local/bin/$1"`, "sh", program, base64.StdEncoding.EncodeToString(content))
	}
	shell(t, m, `mkdir -p /etc/pve/nodes/pve1 /etc/pve/priv
ln -s nodes/pve1 /etc/pve/local
printf '{"nodename": "pve1", "version": 2}\n' >/etc/pve/.members`)
}

// fsid returns the UUID of an OSD.
func fsid(t *testing.T, m *qemu.Machine, id int) string {
	t.Helper()
	return shell(t, m, fmt.Sprintf("ceph osd dump | sed -n 's/^osd[.]%d .* //p'", id))
}

// wantOSDs fails the test unless osd.0, osd.1, … are up and in, and ceph-volume has them on the disks with these serial numbers.
// The serial number of a database's disk follows a plus.
func wantOSDs(t *testing.T, m *qemu.Machine, want ...string) {
	t.Helper()
	var volumes map[string][]struct {
		Type    string
		Devices []string
		Tags    map[string]string
	}
	text := shell(t, m, "ceph-volume lvm list --format json")
	if err := json.Unmarshal([]byte(text), &volumes); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	var got []string
	for id := range len(volumes) {
		serials, encrypted := map[string]string{}, ""
		for _, v := range volumes[fmt.Sprint(id)] {
			for _, device := range v.Devices {
				serials[v.Type] = shell(t, m, "lsblk --inverse --nodeps -no SERIAL "+device+" | grep .")
			}
			if v.Tags["ceph.encrypted"] == "1" {
				encrypted = " encrypted"
			}
		}
		one := serials["block"]
		if db := serials["db"]; db != "" {
			one += "+" + db
		}
		got = append(got, one+encrypted)
	}
	if is, want := strings.Join(got, ", "), strings.Join(want, ", "); is != want {
		t.Errorf("the OSDs are on %s, want %s:\n%s", is, want, text)
	}
	wantOn(t, m, `ceph osd dump | grep -c '^osd.*[0-9] up *in '`, fmt.Sprint(len(want)))
}
