//go:build linux && machines

package e2e

import (
	"strings"
	"testing"

	"hlplay/engine/lab/qemu"
)

// TestPassthrough reserves a PCI device for guests on a machine with its own kernel, GRUB and initramfs (G1.19 to
// G1.24): the kernel command line and vfio-pci take effect after real reboots, and a second run finds nothing to do.
func TestPassthrough(t *testing.T) {
	ms := startMachines(t, qemu.Options{PCI: []string{"qemu-xhci"}})
	m := ms.List[0]
	r := machineRunner(t, ms, map[string]string{m.Name: `{
    passthrough_devices           = ["1b36:000d"]
    passthrough_unsafe_interrupts = true
  }`})
	playbook := playbook("stages/passthrough.hcl")
	before, err := m.BootID(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	check := r.run(t, playbook, "--check")
	check.wantCode(t, "check mode", exitOK)
	first := r.run(t, playbook)
	first.wantCode(t, "the first run", exitOK)
	if after, err := m.BootID(t.Context()); err != nil || after == before {
		t.Errorf("the machine has not been rebooted (%v)", err)
	}
	wantOn(t, m, "grep -o iommu=pt /proc/cmdline; basename $(readlink /sys/bus/pci/devices/*/driver | grep -m1 vfio)", "iommu=pt\nvfio-pci")
	wantOn(t, m, "lsinitramfs /boot/initrd.img-$(uname -r) | grep -o modprobe.d/hlplay.conf", "modprobe.d/hlplay.conf")
	second := r.run(t, playbook)
	second.wantUnchanged(t, "the second run")

	// Where a later file of modprobe.d wins, a note says so, and it is true.
	shell(t, m, "echo 'options vfio_iommu_type1 allow_unsafe_interrupts=0' >/etc/modprobe.d/zz-late.conf")
	late := r.run(t, playbook)
	late.wantCode(t, "a run with a later file", exitOK)
	if !strings.Contains(late.text, "zz-late.conf") {
		t.Errorf("no note names the file that wins:\n%s", late.text)
	}
	wantOn(t, m, "modprobe -r vfio_iommu_type1; modprobe vfio_iommu_type1; cat /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts; rm /etc/modprobe.d/zz-late.conf", "N")

	// If the kernel lacks something, the task fails with a message and changes nothing.
	r.setVars(t, ms, map[string]string{m.Name: `{ passthrough_devices = ["10de:*"] }`})
	none := r.run(t, playbook)
	none.wantCode(t, "a device that is not there", exitFailed)
	if !strings.Contains(none.failures(), "10de:*") {
		t.Errorf("the failure does not name the device:\n%s", none.failures())
	}
	t.Logf("first run: %s", first.summary())
}
