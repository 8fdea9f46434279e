package machine

import "testing"

func TestTimeZones(t *testing.T) {
	for codename, legacy := range map[string]string{"bookworm": "0", "trixie": "1"} {
		m := New(Config{Name: "n", Debian: codename})
		for line, want := range map[string]string{
			`[ -f /usr/share/zoneinfo/Europe/Berlin ] && [ -f /usr/share/zoneinfo/America/Argentina/Buenos_Aires ] && [ -e /usr/share/zoneinfo/UTC ]; echo $?`: "0\n",
			`[ -f /usr/share/zoneinfo/Europe/Berlim ]; echo $?`: "1\n",
			`[ -f /usr/share/zoneinfo/US/Eastern ]; echo $?`:    legacy + "\n",
			`timedatectl show -p Timezone --value; ln -sfn /usr/share/zoneinfo/Europe/Berlin /etc/localtime; timedatectl show -p Timezone --value; ln -sfn /usr/share/zoneinfo/Etc/UTC /etc/localtime`: "Etc/UTC\nEurope/Berlin\n",
		} {
			if got, stderr, _ := run(t, m, "root", line); got != want {
				t.Errorf("%s: %s: %q (%s), want %q", codename, line, got, stderr, want)
			}
		}
	}
}

// TestModulesOfAKernel: vfio_virqfd was merged into vfio in kernel 6.2.
func TestModulesOfAKernel(t *testing.T) {
	for codename, want := range map[string]string{"bookworm": "0\n", "trixie": "1\n"} {
		m := New(Config{Name: "n", Debian: codename})
		if got, _, _ := run(t, m, "root", `modprobe -q vfio_virqfd; echo $?`); got != want {
			t.Errorf("%s: modprobe vfio_virqfd: %q, want %q", codename, got, want)
		}
		if got, stderr, _ := run(t, m, "root", `modprobe vfio_pci; echo $?; grep -c virqfd "/lib/modules/$(uname -r)/modules.dep"`); got[:2] != "0\n" || (got[2:] == "0\n") != (codename == "trixie") {
			t.Errorf("%s: modprobe vfio_pci, and modules.dep: %q (%s)", codename, got, stderr)
		}
	}
}

// TestBusyDisk: device mapper holds the disk open, as a mount does.
func TestBusyDisk(t *testing.T) {
	m := New(Config{Name: "n", Disks: []Disk{{Name: "sdb", Use: "LVM2_member", Volumes: []Disk{{Name: "vg-lv"}}}, {Name: "sdc", Use: "ext4"}}})
	for line, want := range map[string]string{`wipefs -a /dev/sdb`: "1\n", `wipefs -a /dev/sda`: "1\n", `wipefs -a /dev/sdc`: "0\n"} {
		if got, _, _ := run(t, m, "root", line+" >/dev/null 2>&1; echo $?"); got != want {
			t.Errorf("%s ended with %q, want %q", line, got, want)
		}
	}
}
