//go:build linux && machines

package e2e

import (
	"testing"

	"hlplay/engine/lab/qemu"
)

// TestSystemdBoot changes the kernel's command line of a machine that UEFI firmware starts with Debian's systemd-boot: what
// others have put there stays, the kernels' entries are rewritten, and the kernel has the new one after a real reboot.
func TestSystemdBoot(t *testing.T) {
	ms := startMachines(t, qemu.Options{UEFI: true})
	m := ms.List[0]
	r := machineRunner(t, ms, nil)
	before, err := m.BootID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const (
		files    = "cat /etc/kernel/cmdline; find /boot/efi -type f -exec sha256sum {} + | sort"
		released = "grep -c '^options .*iommu=pt' /boot/efi/loader/entries/*.conf; grep -ow -e quiet -e iommu=pt -e intel_iommu=on -e ro -e rw -e net.ifnames=0 /proc/cmdline | sort | tr '\\n' ' '"
	)
	shell(t, m, "sed -i 's/$/ panic=30/' /etc/kernel/cmdline")
	unchanged := shell(t, m, files)
	check := r.run(t, "boot.hcl", "--check")
	check.wantCode(t, "check mode", exitOK)
	wantOn(t, m, files, unchanged)
	first := r.run(t, "boot.hcl")
	first.wantCode(t, "the first run", exitOK)
	if after, err := m.BootID(t.Context()); err != nil || after == before {
		t.Errorf("the machine has not been rebooted (%v)", err)
	}
	wantOn(t, m, released, "1\nintel_iommu=on iommu=pt net.ifnames=0 quiet rw ")
	wantOn(t, m, "grep -ow panic=30 /etc/kernel/cmdline /proc/cmdline; bootctl --no-pager status | grep -c 'Product: systemd-boot'", "/etc/kernel/cmdline:panic=30\n/proc/cmdline:panic=30\n1")
	second := r.run(t, "boot.hcl")
	second.wantUnchanged(t, "the second run")

	// Somebody edits the entry: it is rewritten.
	shell(t, m, "sed -i 's/ iommu=pt//' /boot/efi/loader/entries/*.conf")
	mended := r.run(t, "boot.hcl")
	mended.wantCode(t, "the run after an edit", exitOK)
	wantOn(t, m, released, "1\nintel_iommu=on iommu=pt net.ifnames=0 quiet rw ")
	third := r.run(t, "boot.hcl")
	third.wantUnchanged(t, "the run after that")
	t.Logf("first run: %s", first.summary())
}
