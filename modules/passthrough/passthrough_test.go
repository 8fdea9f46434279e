package passthrough

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
	"hlplay/modules/modprobe"
)

const demandFile = "/run/reboot-required"

var (
	onboard = observe.PCIDevice{Address: "0000:00:02.0", ID: "8086:4680", Class: "0300"}
	bridge  = observe.PCIDevice{Address: "0000:00:01.0", ID: "8086:460d", Class: "0604"}
	card    = observe.PCIDevice{Address: "0000:01:00.0", ID: "10de:2204", Class: "0300"}
	audio   = observe.PCIDevice{Address: "0000:01:00.1", ID: "10de:1aef", Class: "0403"}
	nic     = observe.PCIDevice{Address: "0000:02:00.0", ID: "8086:1572", Class: "0200"}
	disks   = observe.PCIDevice{Address: "0000:03:00.0", ID: "1000:0097", Class: "0107"}
)

func text(content string) observe.File {
	return observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content)}
}

// node returns a host with a graphics card that has an audio function, onboard graphics, a network card and a disk
// controller.
func node(more ...observe.Expectation) modules.Host {
	directory := observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}
	known := []observe.Expectation{
		observe.PCIDevices.Expect("", []observe.PCIDevice{bridge, onboard, card, audio, nic, disks}),
		observe.PCIUses.Expect("", map[string]observe.PCIUse{
			bridge.Address: {Driver: "pcieport", Group: "1"}, onboard.Address: {Driver: "i915", Group: "0"},
			card.Address: {Driver: "nouveau", Group: "1"}, audio.Address: {Driver: "snd_hda_intel", Group: "1"},
			nic.Address:   {Driver: "i40e", Group: "2", Interfaces: []string{"ens1"}},
			disks.Address: {Driver: "mpt3sas", Group: "3", Disks: []string{"sdb"}},
		}),
		observe.Kernels.Expect("", observe.Kernel{Release: "6.8.12-9-pve"}),
		observe.CommandLines.Expect("", "BOOT_IMAGE=/boot/vmlinuz quiet"),
		remapping.Expect("", true),
		observe.RebootDemands.Expect("", observe.RebootDemand{}),
		observe.StaleInitramfs.Expect(modprobe.OptionsFile, false),
		observe.Files.Expect(modprobe.LoadFile, observe.File{}), observe.Files.Expect(modprobe.OptionsFile, observe.File{}),
		observe.Files.Expect("/etc/modprobe.d", directory), observe.Files.Expect("/etc/modules-load.d", directory),
		observe.Files.Expect("/run", directory), observe.Files.Expect(demandFile, observe.File{}), observe.Files.Expect(demandFile+".pkgs", observe.File{}),
		observe.Files.Expect("/sys/class/net/ens1/operstate", text("up\n")),
		observe.Disks.Expect("", []observe.BlockDevice{{Name: "sdb", Path: "/dev/sdb", Type: "disk", Filesystem: "ext4"}}),
	}
	for _, pattern := range []string{"10de:*", "10de:2204", "class:03*", "class:0300", "8086:1572", "1000:0097", "10de:* 8086:4680"} {
		known = append(known, drivers.Expect(pattern, map[string][]string{
			card.Address: {"nouveau", "nvidiafb"}, audio.Address: {"snd_hda_intel"}, onboard.Address: {"i915"}, nic.Address: {"i40e"}, disks.Address: {"mpt3sas"},
		}))
	}
	for _, name := range vfioModules {
		known = append(known, observe.KernelModules.Expect(name, observe.KernelModule{Available: name != "vfio_virqfd"}))
	}
	known = append(known, pve.Nodes.Expect("", pve.Node{Name: "pve1"}))
	return observe.NewRecorded("pve1", append(known, more...)...)
}

func TestGraphicsCard(t *testing.T) {
	h := node(observe.Files.Expect(modprobe.OptionsFile, text("options kvm nested=1\noptions vfio-pci ids=15b3:1015 disable_idle_d3=1\n")))
	m := &Module{Devices: []string{"10DE:*"}, IgnoreMSRs: true}
	plan := modulestest.Converges(t, m, h)
	want := []string{
		"announce it in /run/reboot-required", "register that a reboot is required",
		"configure kernel modules kvm, nouveau, nvidiafb, snd_hda_intel, vfio-pci in " + modprobe.OptionsFile,
		"load kernel module vfio", "load kernel module vfio_iommu_type1", "load kernel module vfio_pci",
		"load vfio, vfio_iommu_type1, vfio_pci at boot", "rebuild the initramfs images of all kernels",
	}
	var got []string
	for _, s := range plan.Steps {
		got = append(got, s.Summary)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the steps differ (-want +got):\n%s", diff)
	}
	const file = "options kvm nested=1 ignore_msrs=1\noptions vfio-pci ids=15b3:1015,10de:2204,10de:1aef disable_idle_d3=1\n" +
		"softdep nouveau pre: vfio-pci\nsoftdep nvidiafb pre: vfio-pci\nsoftdep snd_hda_intel pre: vfio-pci\n"
	if diff := cmp.Diff(file, string(plan.Steps[2].Action.(modules.WriteFile).Content)); diff != "" {
		t.Errorf("the options differ (-want +got):\n%s", diff)
	}
	if ids := plan.Data.GetAttr("ids").LengthInt(); ids != 2 || !plan.Data.GetAttr("reboot").True() {
		t.Errorf("the result is %#v, expected two ids and a reboot", plan.Data)
	}
}

// changed expects the devices to be used as on a freshly installed host, modified by change.
func changed(change func(uses map[string]observe.PCIUse)) observe.Expectation {
	uses := map[string]observe.PCIUse{
		bridge.Address: {Driver: "pcieport", Group: "1"}, onboard.Address: {Driver: "i915", Group: "0"},
		card.Address: {Driver: "nouveau", Group: "1"}, audio.Address: {Driver: "snd_hda_intel", Group: "1"},
	}
	change(uses)
	return observe.PCIUses.Expect("", uses)
}

func TestRefused(t *testing.T) {
	without := changed(func(uses map[string]observe.PCIUse) { clear(uses) })
	line := func(line string) observe.Expectation { return observe.CommandLines.Expect("", line) }
	for _, test := range []struct {
		name    string
		devices string
		host    modules.Host
		want    string
	}{
		{"no such device", "1002:*", node(), "the host has 0000:00:01.0 (8086:460d, class 0604), 0000:00:02.0"},
		{"a function of the card is left out", "10de:2204", node(), `add "10de:1aef" to devices`},
		{"the only displays", "class:03*", node(), "are the only displays for this host's console: expected another display to remain; set only_display = true"},
		{"a network card in use", "8086:1572", node(), "is network interface ens1, which is up"},
		{"a disk with data", "1000:0097", node(), "which contains data of the host (ext4)"},
		{"no IOMMU", "10de:*", node(without), "enable VT-d"},
		{"no IOMMU although it is asked for", "10de:*", node(without, line("intel_iommu=on")), "although the kernel was started with intel_iommu=on: enable VT-d"},
		{"an IOMMU switched off", "10de:*", node(without, line("quiet iommu=off")), "started with iommu=off: remove that"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := (&Module{Devices: []string{test.devices}}).Plan(t.Context(), test.host)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "pve1: ") {
				t.Errorf("expected an error of pve1 that says %q, got %v", test.want, err)
			}
		})
	}
}

func TestOnlyDisplay(t *testing.T) {
	h := node()
	plan := modulestest.Converges(t, &Module{Devices: []string{"10de:*", "8086:4680"}, OnlyDisplay: true, Blacklist: true}, h)
	if text := string(plan.Steps[2].Action.(modules.WriteFile).Content); !strings.Contains(text, "blacklist i915\nblacklist nouveau\nblacklist nvidiafb\noptions") {
		t.Errorf("expected the drivers of both displays in the blacklist, and not that of the audio function:\n%s", text)
	}
}

// configured returns a host on which everything is written.
func configured(more ...observe.Expectation) modules.Host {
	known := []observe.Expectation{
		observe.Files.Expect(modprobe.LoadFile, text("vfio\nvfio_iommu_type1\nvfio_pci\n")),
		observe.Files.Expect(modprobe.OptionsFile, text("options vfio-pci ids=10de:2204,10de:1aef\nsoftdep nouveau pre: vfio-pci\nsoftdep nvidiafb pre: vfio-pci\nsoftdep snd_hda_intel pre: vfio-pci\n")),
	}
	for _, name := range vfioModules[:3] {
		known = append(known, observe.KernelModules.Expect(name, observe.KernelModule{Available: true, Loaded: true}))
	}
	return node(slices.Concat(known, more)...)
}

func TestAfterTheBoot(t *testing.T) {
	taken := changed(func(uses map[string]observe.PCIUse) {
		uses[card.Address] = observe.PCIUse{Driver: vfio, Group: "1"}
		uses[audio.Address] = observe.PCIUse{Group: "1"}
	})
	m := &Module{Devices: []string{"10de:*"}}
	if plan := modulestest.Converges(t, m, configured(taken)); len(plan.Steps) > 0 {
		t.Errorf("all is as desired, but the plan is:\n%s", modulestest.Summaries(plan))
	}
	waiting := configured(observe.RebootDemands.Expect("", observe.RebootDemand{Required: true, Packages: []string{demander}}))
	if plan := modulestest.Converges(t, m, waiting); len(plan.Steps) > 0 || len(plan.Notes) != 1 {
		t.Errorf("a reboot is due, but the plan is:\n%s%q", modulestest.Summaries(plan), plan.Notes)
	}
	_, err := m.Plan(t.Context(), configured())
	var final *modules.FinalError
	if !errors.As(err, &final) || !strings.Contains(err.Error(), "0000:01:00.0 (10de:2204, class 0300) is bound to driver nouveau") {
		t.Errorf("expected an error about the driver that was faster, got %v", err)
	}
	if _, err := m.Plan(t.Context(), configured(observe.PCIUses.Unknown("", "only the reboot tells"))); !observe.IsUnknown(err) {
		t.Errorf("expected the plan to be uncertain behind a reboot, got %v", err)
	}
	plan, err := m.Plan(t.Context(), node(observe.PCIUses.Unknown("", "only the reboot tells")))
	if err != nil || !observe.IsUnknown(plan.Doubt) {
		t.Errorf("expected steps in doubt, got %v and %v", plan.Doubt, err)
	}
}

func TestValidate(t *testing.T) {
	for _, devices := range [][]string{nil, {"*"}, {"*:*"}, {"class:*"}, {"nvidia*"}, {"10de"}, {"10de:2204;reboot"}} {
		var fault *modules.ArgumentError
		if err := (&Module{Devices: devices}).Validate(); !errors.As(err, &fault) || fault.Argument != "devices" {
			t.Errorf("%q: the fault is %v, expected one in devices", devices, err)
		}
	}
}

func TestParseDrivers(t *testing.T) {
	got, err := parseDrivers(remote.Answer{Stdout: []byte("=0000:01:00.0\nnvidiafb\nnouveau\nnouveau\n=0000:01:00.1\n")})
	if diff := cmp.Diff(map[string][]string{"0000:01:00.0": {"nvidiafb", "nouveau"}}, got); diff != "" || err != nil {
		t.Errorf("the drivers differ (-want +got), error %v:\n%s", err, diff)
	}
	if _, err := parseDrivers(remote.Answer{Exit: 2, Stderr: []byte("modprobe: not found\n")}); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("expected modprobe's complaint, got %v", err)
	}
}

func TestInterruptRemapping(t *testing.T) {
	m := modulestest.Decoded(&Module{Devices: []string{"10de:*"}})
	off := remapping.Expect("", false)
	if _, err := m.Plan(t.Context(), node(off)); err == nil || !strings.Contains(err.Error(), "does not remap interrupts") {
		t.Errorf("without interrupt remapping, the error is %v", err)
	}
	m.AllowUnsafeInterrupts = true
	if plan, err := m.Plan(t.Context(), node(off)); err != nil || len(plan.Steps) == 0 {
		t.Errorf("allowed without it, the plan is %+v (%v)", plan.Steps, err)
	}
	for exit, want := range map[int]bool{0: true, 1: false} {
		if got := modulestest.Parsed(t, remapping, []string{""}, remote.Answer{Exit: exit})[""]; got != want {
			t.Errorf("grep ends with %d: %v", exit, got)
		}
	}
	remapping.Parse([]string{""}, []remote.Answer{{Exit: 2, Stderr: []byte("grep: /proc/interrupts: Permission denied\n")}}, func(_ string, _ bool, err error) {
		if err == nil || !strings.Contains(err.Error(), "Permission denied") {
			t.Errorf("a file that cannot be read: %v", err)
		}
	})
}

// given returns a host on which the card is reserved and bound to vfio-pci.
func given(options string, more ...observe.Expectation) modules.Host {
	taken := changed(func(uses map[string]observe.PCIUse) {
		uses[card.Address], uses[audio.Address] = observe.PCIUse{Driver: vfio, Group: "1"}, observe.PCIUse{Driver: vfio, Group: "1"}
	})
	return configured(append([]observe.Expectation{taken, observe.Files.Expect(modprobe.OptionsFile, text(options))}, more...)...)
}

func TestAbsent(t *testing.T) {
	m := &Module{Devices: []string{"10de:*"}, State: "absent"}
	const reserved = "options vfio-pci ids=10de:2204,10de:1aef,10de:ffff\noptions kvm ignore_msrs=1\nblacklist nouveau\nsoftdep nouveau pre: vfio-pci\nsoftdep nvidiafb pre: vfio-pci\nsoftdep snd_hda_intel pre: vfio-pci\n"
	for _, c := range []struct {
		name, options string
		files         map[string]string // what is written; "" for a removed file
		steps         int
		notes         []string
	}{
		{"the last devices, one of which was taken out", reserved, map[string]string{modprobe.OptionsFile: "options kvm ignore_msrs=1\n", modprobe.LoadFile: ""}, 5,
			[]string{"0000:01:00.0 (10de:2204, class 0300), 0000:01:00.1 (10de:1aef, class 0403): the host's own drivers take over at the next boot"}},
		{"another card stays, with a driver of this one", strings.Replace(reserved, "10de:ffff", "15b3:1015", 1),
			map[string]string{modprobe.OptionsFile: "options vfio-pci ids=15b3:1015\noptions kvm ignore_msrs=1\nsoftdep snd_hda_intel pre: vfio-pci\n"}, 4,
			[]string{"0000:01:00.0 (10de:2204, class 0300), 0000:01:00.1 (10de:1aef, class 0403): the host's own drivers take over at the next boot"}},
		{"nothing is reserved, and a guest has the card", "options kvm nested=1\n", nil, 0,
			[]string{"0000:01:00.0 (10de:2204, class 0300), 0000:01:00.1 (10de:1aef, class 0403): bound to vfio-pci, although nothing in /etc/modprobe.d/hlplay.conf reserves it: a guest uses it, or another file of modprobe.d reserves it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := given(c.options, drivers.Expect("15b3:1015", map[string][]string{"0000:04:00.0": {"snd_hda_intel"}}))
			plan := modulestest.Converges(t, m, h)
			for name, want := range c.files {
				f, err := observe.Files.Observe(t.Context(), h, name)
				if got := string(f.Content); err != nil || got != want || f.Exists() != (want != "") {
					t.Errorf("%s is %q (%v), expected %q", name, got, err, want)
				}
			}
			if diff := cmp.Diff(c.notes, plan.Notes); diff != "" {
				t.Errorf("the notes differ (-want +got):\n%s", diff)
			}
			if len(plan.Steps) != c.steps {
				t.Errorf("the steps are:\n%s", modulestest.Summaries(plan))
			}
		})
	}
	t.Run("guests have the card", func(t *testing.T) {
		guest := func(id, name, key, value string) observe.Expectation {
			return pve.GuestConfigs.Expect(id, pve.GuestConfig{Exists: true, Options: map[string]string{"name": name, key: value}})
		}
		h := given(reserved, pve.Nodes.Expect("", pve.Node{Name: "pve1", Installed: true}),
			pve.GuestLists.Expect("", map[int]pve.Guest{100: {Node: "pve1", Type: "qemu"}, 101: {Node: "pve1", Type: "qemu"}, 102: {Node: "pve1", Type: "qemu"}, 103: {Node: "pve2", Type: "qemu"}}),
			pve.Mappings.Expect("", map[string]pve.Mapping{"pci/gpu": {Devices: []map[string]string{{"node": "pve2", "path": "0000:01:00.0"}, {"node": "pve1", "path": "0000:01:00.1"}}}}),
			guest("100", "whole", "hostpci0", "01:00,pcie=1"), guest("101", "mapped", "hostpci1", "mapping=gpu"), guest("102", "other", "hostpci0", "0000:02:00.0"))
		plan, err := m.Plan(t.Context(), h)
		want := []string{
			"guest 100 (whole) still has hostpci0 of 0000:01:00.0 (10de:2204, class 0300), 0000:01:00.1 (10de:1aef, class 0403), and takes it from the host when it starts: remove it from the guest, too (qm set 100 --delete hostpci0)",
			"guest 101 (mapped) still has hostpci1 of 0000:01:00.1 (10de:1aef, class 0403), and takes it from the host when it starts: remove it from the guest, too (qm set 101 --delete hostpci1)",
		}
		if err != nil || len(plan.Notes) != 3 || !slices.Equal(plan.Notes[1:], want) {
			t.Errorf("%v, and the notes are %q", err, plan.Notes)
		}
	})
	m.IgnoreMSRs = true
	if err := m.Validate(); err == nil || !strings.Contains(err.Error(), "ignore_msrs") {
		t.Errorf("how to reserve what is given back: %v", err)
	}
}
