//go:build linux && machines

package qemu

import (
	"strings"
	"testing"
)

// Two machines boot with GRUB, have their own kernel and disks, talk over a cable that can be cut, and reboot.
func TestMachines(t *testing.T) {
	ms, err := Start(t.Context(), Options{
		Names: []string{"m1", "m2"}, Cables: []Cable{{"m1", "m2"}}, Disks: []Disk{{Serial: "DISKA", Bytes: 64 << 20}}, Log: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ms.Close(); err != nil {
			t.Error(err)
		}
	})
	on := func(m *Machine, script string) (string, error) {
		out, err := m.Exec(t.Context(), "sh", "-ec", script)
		return strings.TrimSpace(out), err
	}
	want := func(m *Machine, script, expected string) {
		t.Helper()
		if out, err := on(m, script); err != nil || out != expected {
			t.Errorf("%s: %s: %q (%v), want %q", m, script, out, err, expected)
		}
	}
	a, b := ms.List[0], ms.List[1]
	want(a, "hostname", "m1")
	want(a, "readlink -f /dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_DISKA >/dev/null && lsblk -bdno SIZE /dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_DISKA", "67108864")
	want(b, "test -d /sys/module/bonding || modprobe bonding; test -d /sys/module/bonding && echo there", "there")
	for i, m := range ms.List {
		if _, err := on(m, "ip link set eth1 up && ip address add 192.0.2."+string(rune('1'+i))+"/24 dev eth1"); err != nil {
			t.Fatal(err)
		}
	}
	want(a, "ping -c 1 -w 60 192.0.2.2 >/dev/null && echo heard", "heard")
	if err := ms.Cut(0); err != nil {
		t.Fatal(err)
	}
	want(a, "ping -c 1 -w 2 192.0.2.2 >/dev/null || echo silent", "silent")
	if err := ms.Plug(0); err != nil {
		t.Fatal(err)
	}
	want(a, "ping -c 1 -w 60 192.0.2.2 >/dev/null && echo heard", "heard")

	if err := a.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(a, "test -e /etc/identified && cat /proc/cmdline | grep -c net.ifnames=0", "1")
}
