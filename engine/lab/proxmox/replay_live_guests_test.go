package proxmox

import (
	"fmt"
	"path"
	"strings"
	"testing"
)

// liveGuests are recordings about guests, their mapped devices and their backups.
var liveGuests = []liveScenario{
	{name: "mappings", setUp: func(l *testLab) {
		l.formFour()
		for _, device := range []string{"0", "1", "2"} {
			l.file("pve1", "/sys/bus/pci/devices/0000:00:0"+device+".0/class", "0x060000\n")
		}
	}, steps: []liveStep{
		{play: "pvesh-create-mapping-pci"},
		{play: "pvesh-create-mapping-pci.bad-id"},
		{play: "pvesh-create-mapping-pci.two-nodes"}, {play: "pvesh-create-mapping-pci.duplicate"},
		{do: func(l *testLab) {
			l.ok("pve1", "qm", "create", "106", "--name", "locked", "--memory", "128", "--lock", "backup")
		}},
		{play: "qm-set.hostpci-mapping"},
		{play: "pvesh-set-mapping-pci"}, {play: "pvesh-delete-mapping-pci"}, {play: "pvesh-create-mapping-usb"},
	}},
	{name: "backup jobs", setUp: (*testLab).formFour, steps: []liveStep{
		{play: "pvesh-create-backup-job"},
	}},
	{name: "a disk and its guest move", ceph: "18.2.7", setUp: func(l *testLab) {
		l.cephFour()
		for _, pool := range []string{"vm-disks", "ha-disks"} {
			l.ok("pve1", "pveceph", "pool", "create", pool, "--add_storages", "1")
		}
		for _, id := range []string{"101", "102", "103", "104"} {
			l.ok("pve2", "qm", "create", id)
		}
		for _, id := range []string{"100", "106", "191"} {
			l.ok("pve1", "qm", "create", id)
		}
		l.sh("pve1", "rm "+qemuImg) // the recording machine had none
	}, steps: []liveStep{{play: "qm-disk-move"}, {play: "qm-migrate.offline"}, {play: "qm-migrate.same-node"}}},
}

// unplayedLive are the recordings of the live cluster that no scenario replays, and why.
var unplayedLive = map[string]string{
	"pveversion":              "its packages are the recording machine's; pve9/pveversion is played",
	"osdmaptool-test-map-pgs": "nothing of hlplay calls osdmaptool, and the PGs are placed by Ceph's own hash",
}

func TestEveryLiveRecordingIsPlayed(t *testing.T) {
	played := map[string]bool{}
	for _, s := range live {
		for _, step := range s.steps {
			played[step.play] = true
		}
	}
	entries, err := testdata.ReadDir(path.Join("testdata", "live92"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".txt"); !played[name] && unplayedLive[name] == "" {
			t.Errorf("no scenario plays %s", name)
		}
	}
}

// What the recordings do not show about migrating guests: what stays behind, what continues, and what is refused.
func TestGuestsMove(t *testing.T) {
	l := newLab(t, labOptions{count: 3})
	l.form("lab", 3)
	l.ok("pve1", "pvesm", "add", "dir", "shared", "--path", "/mnt/shared", "--shared", "1", "--content", "images")
	l.ok("pve1", "pvesm", "add", "dir", "two", "--path", "/mnt/two", "--nodes", "pve1,pve2", "--content", "images")
	l.ok("pve1", "qm", "create", "100", "--scsi0", "local:4")
	for _, step := range []struct{ line, want string }{
		{"qm disk move 100 scsi0 shared", "adding source volume 'local:100/vm-100-disk-0.raw' as 'unused0' to config"},
		{"qm config 100", "scsi0: shared:100/vm-100-disk-0.raw,size=4G"},
		{"qm config 100", "unused0: local:100/vm-100-disk-0.raw"},
		{"qm disk move 100 scsi0 local --delete 1", "removing source volume 'shared:100/vm-100-disk-0.raw' after successful copy"},
		{"qm config 100", "scsi0: local:100/vm-100-disk-1.raw,size=4G"},
		{"qm disk move 100 scsi0 two --delete 1", "allocated target volume 'two:100/vm-100-disk-0.raw'"},
		{"qm migrate 100 pve3", "storage 'two' is not available on node 'pve3'"},
		{"qm disk move 100 scsi0 shared --delete 1", "after successful copy"},
		{"qm start 100", ""},
		{"qm migrate 100 pve2", "can't migrate running VM without --online"},
		{"qm migrate 100 pve2 --online 1", "can't live migrate attached local disks"}, // unused0
		{"qm set 100 --delete unused0", "update VM 100: -delete unused0"},
		{"qm migrate 100 pve2 --online 1", "migration finished successfully"},
	} {
		if r := l.sh("pve1", step.line); !strings.Contains(r.stdout+r.stderr, step.want) {
			t.Errorf("%s: exit %d, %q, expected %q", step.line, r.code, r.stdout+r.stderr, step.want)
		}
	}
	if got := l.ok("pve2", "qm", "status", "100"); got != "status: running\n" {
		t.Errorf("after a live migration: %q", got)
	}
	for _, step := range []struct{ line, want string }{
		{"pvesh create /cluster/backup --id nightly --schedule 25:00 --all 1", "schedule: invalid format - invalid calendar event '25:00'"},
		{"pvesh create /cluster/backup --id nightly --schedule 'mon..fri 22:00' --all 1", ""},
		{"pvesh set /cluster/backup/nightly --schedule weekdays", "invalid calendar event 'weekdays'"},
		{"pvesh create /cluster/mapping/pci --id gpu --map node=pve2,path=0000:01:00,id=10de:1eb8", ""},
		{"qm stop 100", ""},
		{"qm set 100 --hostpci0 0000:01:00", "update VM"},
		{"qm migrate 100 pve1", "can't migrate VM which uses local devices: hostpci0"},
		{"qm set 100 --hostpci0 mapping=gpu", "update VM"},
		{"qm migrate 100 pve1", "can't migrate to 'pve1': missing mapped devices hostpci0"},
		{"pvesh set /cluster/mapping/pci/gpu --map node=pve2,path=0000:01:00,id=10de:1eb8 --map node=pve1,path=0000:02:00,id=10de:1eb8", ""},
		{"qm start 100", ""},
		{"qm migrate 100 pve1 --online", "can't live migrate running VM which uses following mapped devices: hostpci0"},
		{"ha-manager add vm:100", ""},
		{"qm stop 100", "Requesting HA stop"},
	} {
		if r := l.sh("pve2", step.line); !strings.Contains(r.stdout+r.stderr, step.want) {
			t.Errorf("%s: exit %d, %q, expected %q", step.line, r.code, r.stdout+r.stderr, step.want)
		}
	}
	l.clock.Advance(3 * crmLoop)
	if r := l.sh("pve2", "qm migrate 100 pve1"); r.stdout != "Requesting HA migration for VM 100 to node pve1\n" {
		t.Errorf("a guest under HA: %+v", r)
	}
	l.clock.Advance(3 * crmLoop)
	if got := strings.TrimSpace(l.sh("pve3", "ls /etc/pve/nodes/pve1/qemu-server").stdout); got != "100.conf" {
		t.Errorf("the guest that HA moved is at %s", fmt.Sprint(got))
	}
}
