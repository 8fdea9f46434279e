package machine

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSfdisk compares the tables that the simulated and the real sfdisk write on identical disks for the same commands.
func TestSfdisk(t *testing.T) {
	const (
		add  = "sfdisk --quiet --append --no-reread --no-tell-kernel --lock=yes --wipe never --wipe-partitions always "
		uuid = "1f0c3e0a-0000-8000-8000-00000000000"
	)
	image := filepath.Join(t.TempDir(), "sdc")
	file, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Truncate(100<<20), file.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("sfdisk"); err != nil {
		t.Fatal("there is no sfdisk to compare with: make setup installs it")
	}
	m := bare(t, func(c *Config) {
		c.Disks = append(c.Disks, Disk{Name: "sdc", Size: 100 << 20, Partitions: []Disk{{Size: 10 << 20, PartLabel: "a", PartUUID: uuid + "1"}, {Size: 10 << 20, Start: 61440, PartUUID: uuid + "2"}}})
	})
	both := func(script string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", strings.ReplaceAll(script, "DISK", image))
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
		real, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		out, stderr, code := run(t, m, "root", "export LC_ALL=C; "+strings.ReplaceAll(script, "DISK", "/dev/sdc"))
		if want := cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("%s ends with %d, the real one with %d:\n%s\n%s", script, code, want, stderr, real)
		}
		normal := func(s string) string {
			s = regexp.MustCompile(`"id": "[^"]*"`).ReplaceAllString(s, `"id": "?"`)
			return strings.NewReplacer(image, "DISK", "/dev/sdc", "DISK").Replace(s)
		}
		if diff := cmp.Diff(normal(string(real)), normal(out+stderr)); diff != "" {
			t.Errorf("%s (-real +simulated):\n%s", script, diff)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", "printf 'label: gpt\nsize=20480, name=a, uuid="+uuid+"1\nstart=61440, size=20480, uuid="+uuid+"2\n' | sfdisk -q "+image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	both("sfdisk --json DISK")
	both("printf 'start=22528, size=20480, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=" + uuid + `3, name="osd-a"\n' | ` + add + "DISK")
	both("sfdisk --json DISK")
	both(`printf 'start=22528, size=20480, name="osd-b"\n' | ` + add + "DISK")
	both(`printf 'start=81920, size=204800, name="osd-b"\n' | ` + add + "DISK")
	both("sfdisk --json DISK")
	both("sfdisk --json DISK-nope")
}

// TestUnreadPartition writes partitions into the table of a disk that is in use. The kernel refuses to read it again, and knows
// nothing of them until partx tells it, or it boots.
func TestUnreadPartition(t *testing.T) {
	m := bare(t, func(c *Config) {
		c.Disks = append(c.Disks, Disk{Name: "sdc", Partitions: []Disk{{Size: 1 << 30, Mountpoint: "/srv"}}})
	})
	want := func(script, out, stderr string) {
		t.Helper()
		gotOut, gotErr, code := run(t, m, "root", script)
		if code != 0 || gotOut != out || gotErr != stderr {
			t.Errorf("%s: exit code %d, %q and %q, want %q and %q", script, code, gotOut, gotErr, out, stderr)
		}
	}
	const names = "lsblk -nro NAME /dev/sdc | tr '\\n' ' '; sfdisk --json /dev/sdc | grep -c node"
	want("echo size=2048,start=4194304 | sfdisk -q --append --no-reread /dev/sdc", "", "Re-reading the partition table failed.: Device or resource busy\n")
	want("echo size=2048,start=5242880 | sfdisk -q --append --no-reread --no-tell-kernel /dev/sdc", "", "")
	want(names, "sdc sdc1 3\n", "")
	want("partx --update --nr 2 /dev/sdc", "", "")
	want("partx --update --nr 2 /dev/sdc", "", "")
	want(names, "sdc sdc1 sdc2 3\n", "")
	m.PowerOff()
	m.PowerOn()
	want(names, "sdc sdc1 sdc2 sdc3 3\n", "")
}
