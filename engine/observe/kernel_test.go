package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSysctlPath(t *testing.T) {
	for name, want := range map[string]string{
		"vm.swappiness":                       "/proc/sys/vm/swappiness",
		"net/ipv4/conf/eth0.100/rp_filter":    "/proc/sys/net/ipv4/conf/eth0.100/rp_filter",
		"net.ipv4.conf.eth0/100.rp_filter":    "/proc/sys/net/ipv4/conf/eth0.100/rp_filter",
		"net.bridge.bridge-nf-call-ip6tables": "/proc/sys/net/bridge/bridge-nf-call-ip6tables",
	} {
		if got := SysctlPath(name); got != want {
			t.Errorf("%s is %s, expected %s", name, got, want)
		}
	}
}

func TestSysctls(t *testing.T) {
	got := parsed(t, Sysctls, []string{"net.ipv4.tcp_rmem", "vm.compact_memory", "vm.nosuch", "dev.cdrom.info", "kernel.version", "net.ipv4.tcp_fastopen_key"},
		out("/proc/sys/net/ipv4/tcp_rmem:4096\t131072\t33554432\n/proc/sys/dev/cdrom/info:CD-ROM information\n/proc/sys/dev/cdrom/info:drive name:\tsr0\n/proc/sys/kernel/version:#1 SMP\n"),
		out("rw/proc/sys/net/ipv4/tcp_rmem\n-w/proc/sys/vm/compact_memory\nrw/proc/sys/dev/cdrom/info\nr-/proc/sys/kernel/version\n--/proc/sys/net/ipv4/tcp_fastopen_key\n"))
	want := map[string]Sysctl{
		"net.ipv4.tcp_rmem":         {Exists: true, Value: "4096 131072 33554432"},
		"vm.compact_memory":         {Exists: true, Hidden: true},
		"vm.nosuch":                 {},
		"dev.cdrom.info":            {Exists: true, Value: "CD-ROM information\ndrive name: sr0"},
		"kernel.version":            {Exists: true, Value: "#1 SMP", Fixed: true},
		"net.ipv4.tcp_fastopen_key": {Exists: true, Hidden: true, Fixed: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings differ (-want +got):\n%s", diff)
	}
}

func TestKernelModules(t *testing.T) {
	got := parsed(t, KernelModules, []string{"br_netfilter", "ext4", "loop", "nosuch", "vfio-pci", "zfs"},
		out("br_netfilter 32768 0 - Live 0x0\nzfs 4000000 0 - Live 0x0\n"),
		out("br_netfilter\nloop\nzfs\n"),
		out("kernel/fs/ext4/ext4.ko\n"),
		out("kernel/net/bridge/br_netfilter.ko.zst: kernel/net/bridge/bridge.ko.zst\nkernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n"))
	want := map[string]KernelModule{
		"br_netfilter": {Loaded: true, Available: true},
		"ext4":         {Loaded: true, Builtin: true, Available: true},
		"loop":         {Loaded: true, Builtin: true, Available: true},
		"nosuch":       {},
		"vfio-pci":     {Available: true},
		"zfs":          {Loaded: true, Available: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modules differ (-want +got):\n%s", diff)
	}
}

func TestKernels(t *testing.T) {
	got := parsed(t, Kernels, []string{""}, out("4ab72829-403a-40e3-abe1-129ff55a738a\n6.8.12-9-pve #1 SMP PREEMPT_DYNAMIC PMX 6.8.12-9 (2025-03-16T19:18Z) x86_64\n"))[""]
	want := Kernel{"6.8.12-9-pve", "#1 SMP PREEMPT_DYNAMIC PMX 6.8.12-9 (2025-03-16T19:18Z)", "x86_64", "4ab72829-403a-40e3-abe1-129ff55a738a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the kernel differs (-want +got):\n%s", diff)
	}
}

func TestRebootDemands(t *testing.T) {
	for text, want := range map[string]RebootDemand{
		"":           {},
		"required\n": {Required: true},
		"required\nlinux-image-6.1.0-30-amd64\nlinux-base\n": {true, []string{"linux-image-6.1.0-30-amd64", "linux-base"}},
	} {
		if diff := cmp.Diff(want, parsed(t, RebootDemands, []string{""}, out(text))[""]); diff != "" {
			t.Errorf("%q: the demand differs (-want +got):\n%s", text, diff)
		}
	}
}

func TestInstalledKernelsAreSortedByVersion(t *testing.T) {
	got := parsed(t, InstalledKernels, []string{""}, out("/boot/vmlinuz-6.8.12-9-pve\n/boot/vmlinuz-6.8.12-10-pve\n/boot/vmlinuz-6.1.0-28-amd64\n/boot/vmlinuz-6.14.8-2-pve\n"))[""]
	got = append(got, ComingRelease("-pve"))
	SortReleases(got)
	want := []string{"6.1.0-28-amd64", "6.8.12-9-pve", "6.8.12-10-pve", "6.14.8-2-pve", ComingRelease("-pve")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the kernels differ (-want +got):\n%s", diff)
	}
}

func TestStaleInitramfs(t *testing.T) {
	const file = "/etc/modprobe.d/hlplay.conf"
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{"no such file", "1970-01-01 00:01:40.000000000 +0000 /boot/initrd.img-6.1\n1970-01-01 00:01:40.000000000 +0000 /boot/vmlinuz-6.1\n", false},
		{"no image", "1970-01-01 00:01:40.000000000 +0000 " + file + "\n", false},
		{"newer image", "1970-01-01 00:01:40.100000000 +0000 " + file + "\n1970-01-01 00:01:40.200000000 +0000 /boot/initrd.img-6.1\n1970-01-01 00:01:30.000000000 +0000 /boot/vmlinuz-6.1\n", false},
		{"older image", "1970-01-01 00:01:40.200000000 +0000 " + file + "\n1970-01-01 00:01:40.100000000 +0000 /boot/initrd.img-6.1\n1970-01-01 00:01:30.000000000 +0000 /boot/vmlinuz-6.1\n", true},
		{"an old copy of no kernel", "1970-01-01 00:01:40.200000000 +0000 " + file + "\n1970-01-01 00:00:01.000000000 +0000 /boot/initrd.img-6.1.old-dkms\n1970-01-01 00:03:20.000000000 +0000 /boot/initrd.img-6.1\n1970-01-01 00:01:30.000000000 +0000 /boot/vmlinuz-6.1\n", false},
	} {
		if got := parsed(t, StaleInitramfs, []string{file}, out(c.text))[file]; got != c.want {
			t.Errorf("%s: stale is %v, expected %v", c.name, got, c.want)
		}
	}
}

// These tests run the real scripts, which only read, on the machine that runs the test.
func TestKernelScripts(t *testing.T) {
	s := fetch(t, Sysctls, "vm.swappiness", "net.ipv4.tcp_rmem", "no.such.setting")
	if !s["vm.swappiness"].Exists || s["vm.swappiness"].Value == "" || s["no.such.setting"].Exists {
		t.Errorf("expected vm.swappiness to exist and no.such.setting not to, found %+v", s)
	}
	if k := fetch(t, Kernels, "")[""]; k.Release == "" || len(k.BootID) != 36 {
		t.Errorf("expected a release and a boot id of 36 characters, found %+v", k)
	}
	if m := fetch(t, KernelModules, "no_such_module")["no_such_module"]; m != (KernelModule{}) {
		t.Errorf("expected nothing of no_such_module, found %+v", m)
	}
	fetch(t, InstalledKernels, "")
	fetch(t, RebootDemands, "")
	fetch(t, StaleInitramfs, "/etc/hostname")
}

func FuzzKernel(f *testing.F) {
	f.Add([]byte("/proc/sys/vm/swappiness:60\n"), 0)
	f.Add([]byte("kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko\n"), 1)
	f.Add([]byte("6.1\nx\ny\nz\n"), 0)
	f.Add([]byte("required\na\n"), 0)
	f.Fuzz(func(t *testing.T, stdout []byte, exit int) {
		fuzzAnswer(t, Sysctls, []string{"vm.swappiness", ""}, stdout, exit)
		fuzzAnswer(t, KernelModules, []string{"ext4", "vfio-pci", "["}, stdout, exit)
		fuzzAnswer(t, Kernels, []string{""}, stdout, exit)
		fuzzAnswer(t, InstalledKernels, []string{""}, stdout, exit)
		fuzzAnswer(t, StaleInitramfs, []string{"/a"}, stdout, exit)
		fuzzAnswer(t, RebootDemands, []string{""}, stdout, exit)
		fuzzAnswer(t, textFiles, []string{""}, stdout, exit)
	})
}

// FuzzSortReleases checks that the order is total, so that sorting does not depend on the initial order.
func FuzzSortReleases(f *testing.F) {
	f.Add("6.8.12-9-pve", "6.8.12-10-pve")
	f.Add("(new)-pve", "007")
	f.Fuzz(func(t *testing.T, a, b string) {
		if compareReleases(a, b) != -compareReleases(b, a) {
			t.Errorf("%q and %q compare as %d one way and %d the other", a, b, compareReleases(a, b), compareReleases(b, a))
		}
	})
}
