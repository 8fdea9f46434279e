package machine

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recordedDisks maps the disks in the recordings of LVM to those of this test, where sda is the system disk.
var recordedDisks = strings.NewReplacer(
	"/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_LVM1", "/dev/sdb", "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_LVM2", "/dev/sdc",
	"/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_LVM3", "/dev/sdd", "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_LVM4", "/dev/sde",
	"/dev/sda", "/dev/sdb", "/dev/sdb", "/dev/sdc", "/dev/sdc", "/dev/sdd", "/dev/sdd", "/dev/sde",
)

// said reduces output to LVM's own messages about the command: without warnings that depend on its configuration and
// without output of other programs.
func said(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "WARNING: ") || strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "  WARNING:") && !strings.HasPrefix(line, "  /usr/sbin/thin_check") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestLVM replays a recording of the real LVM and compares output and exit codes.
func TestLVM(t *testing.T) {
	text, err := os.ReadFile("testdata/lvm/changes.txt")
	if err != nil {
		t.Fatal(err)
	}
	m := bare(t, func(c *Config) {
		c.Disks = []Disk{{Name: "sdb", Size: 1 << 30}, {Name: "sdc", Size: 1 << 30}, {Name: "sdd", Size: 1 << 30}, {Name: "sde", Size: 1 << 30}}
	})
	for name, p := range lvmPackage("1").Programs {
		m.Install(name, p)
	}
	_, all, _ := strings.Cut(string(text), "\n$ ")
	n := 0
	for entry := range strings.SplitSeq(all, "\n$ ") {
		command, rest, _ := strings.Cut(recordedDisks.Replace(entry), "\n")
		output, exit, found := strings.Cut(rest, "exit=")
		if !found {
			t.Fatalf("the recording of %s does not say how it ended", command)
		}
		n++
		switch program, _, _ := strings.Cut(command, " "); program {
		case "mount", "umount":
			at := map[string]string{"mount": "/mnt/lv"}[program]
			if err := m.ChangeDisk("/dev/data/lv", func(d *Disk) { d.Mountpoint = at }); err != nil {
				t.Fatal(err)
			}
		case "vgs", "pvs", "lvs":
			columns := map[string]string{"vgs": "vg_name,vg_attr,vg_extent_size,vg_extent_count,vg_free_count", "pvs": "pv_name,vg_name,pv_pe_count,pv_pe_alloc_count,pv_missing,dev_size",
				"lvs": "vg_name,lv_name,lv_size,lv_layout,lv_role,pool_lv,lv_active,lv_device_open,lv_metadata_size"}[program]
			got, stderr, code := run(t, m, "root", command[:strings.LastIndex(command, " ")]+" "+columns)
			if code != 0 {
				t.Fatalf("%s: %s", command, stderr)
			}
			if diff := cmp.Diff(report(t, output, columns), report(t, got, columns)); diff != "" {
				t.Errorf("%s (-real +simulated):\n%s", command, diff)
			}
		default:
			stdout, stderr, code := run(t, m, "root", command)
			if want := strings.TrimSpace(exit); want != map[bool]string{true: "0"}[code == 0] && (code == 0 || want != string(rune('0'+code))) {
				t.Errorf("%s: exit code %d, the real one is %s (%s)", command, code, want, stderr)
			}
			if diff := cmp.Diff(said(output), said(stdout+stderr)); diff != "" && strings.Contains("vgcreate vgextend lvcreate lvextend lvremove", program) {
				t.Errorf("%s (-real +simulated):\n%s", command, diff)
			}
		}
	}
	if n < 30 {
		t.Errorf("there were only %d commands", n)
	}
}

// report returns the rows of a JSON report, with the named columns only.
func report(t *testing.T, text, columns string) []map[string]string {
	t.Helper()
	var out struct {
		Report []map[string][]map[string]string `json:"report"`
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var rows []map[string]string
	for _, all := range out.Report[0] {
		for _, row := range all {
			short := map[string]string{}
			for column := range strings.SplitSeq(columns, ",") {
				short[column] = row[column]
			}
			rows = append(rows, short)
		}
	}
	return rows
}

// TestThinPoolsAreLayered: lsblk shows the parts of a thin pool, with the pool and its volumes on top of both.
func TestThinPoolsAreLayered(t *testing.T) {
	m := bare(t, func(c *Config) { c.Disks = []Disk{{Name: "sdb", Size: 1 << 30}} })
	for name, p := range lvmPackage("1").Programs {
		m.Install(name, p)
	}
	script := `vgcreate data /dev/sdb && lvcreate --yes --name my-lv --extents 10 data && lvcreate --yes --type thin-pool --name pool --extents 100 --poolmetadatasize 4194304b data &&
lvcreate --yes --type thin --name thin1 --virtualsize 2147483648b --thinpool pool data && rmdir /nope 2>/dev/null; lsblk -n -o NAME,TYPE,SIZE /dev/sdb; readlink /dev/data/my-lv /dev/mapper/data-my--lv; ls /dev/data`
	got, stderr, _ := run(t, m, "root", script)
	_, got, _ = strings.Cut(got, "thin1\" created.\n")
	const want = `sdb                 disk   1G
├─data-my--lv       lvm   40M
├─data-pool_tmeta   lvm    4M
│ └─data-pool-tpool lvm  400M
│   ├─data-pool     lvm  400M
│   └─data-thin1    lvm    2G
└─data-pool_tdata   lvm  400M
  └─data-pool-tpool lvm  400M
    ├─data-pool     lvm  400M
    └─data-thin1    lvm    2G
../dm-0
../dm-0
my-lv
thin1
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s(-want +got):\n%s", stderr, diff)
	}
}
