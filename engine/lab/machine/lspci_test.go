package machine

import "testing"

// TestLspci compares the output with that of lspci in pciutils 3.9.0 for a dump of the same devices (lspci -F).
func TestLspci(t *testing.T) {
	m := bare(t, func(c *Config) {
		c.Debian, c.IOMMU = "bookworm", true
		c.PCI = []PCIDevice{
			{Address: "0000:05:00.0", ID: "fff0:1234", Class: "f100"},
			{Address: "0000:02:00.0", ID: "10de:fffe", Class: "0302", Drivers: []string{"nouveau", "nvidiafb"}, Group: 2},
			{Address: "0000:02:00.1", ID: "10de:1aef", Class: "0403", Drivers: []string{"snd-hda-intel"}, Group: 2},
		}
	})
	const card, audio = `02:00.0 3D controller \[0302\]: NVIDIA Corporation Device \[10de:fffe\]\n`, `02:00.1 Audio device \[0403\]: NVIDIA Corporation Device \[10de:1aef\]\n`
	for command, want := range map[string]string{
		"lspci":                   `^02:00.0 3D controller: NVIDIA Corporation Device fffe\n02:00.1 Audio device: NVIDIA Corporation Device 1aef\n05:00.0 Class f100: Device fff0:1234\n$`,
		"lspci -n":                `^02:00.0 0302: 10de:fffe\n02:00.1 0403: 10de:1aef\n05:00.0 f100: fff0:1234\n$`,
		"lspci -nn":               `^` + card + audio + `05:00.0 Class \[f100\]: Device \[fff0:1234\]\n$`,
		"lspci -Dnn -s 02:00":     `^0000:` + card + `0000:` + audio + `$`,
		"lspci -nn -s .1":         `^` + audio + `$`,
		"lspci -nn -s 0000:2:0.1": `^` + audio + `$`,
		"lspci -nn -s 5:":         `^05:00.0 `,
		"lspci -nn -d 10de:":      `^` + card + audio + `$`,
		"lspci -nn -d ::0302":     `^` + card + `$`,
		"lspci -nnk -s 02:00.0":   `^` + card + "\tKernel driver in use: nouveau\n\tKernel modules: nouveau, nvidiafb\n$",
		"lspci -nnk -s 02:00.1":   `^` + audio + "\tKernel driver in use: snd-hda-intel\n\tKernel modules: snd_hda_intel\n$",
		"lspci -nnk -s 05:00.0":   `^05:00.0 Class \[f100\]: Device \[fff0:1234\]\n$`,
		"lspci -s 07:00":          `^$`,
	} {
		expect(t, m, command, 0, want)
	}
	expect(t, m, "lspci -nn -s zz", 1, `lspci: -s: Invalid slot number`)
	expect(t, m, "lspci -vv", 1, `not simulated|not supported`)
}

// TestDmesg looks for the messages that the guides look for.
func TestDmesg(t *testing.T) {
	m := bare(t, func(c *Config) {
		c.Debian, c.IOMMU = "bookworm", true
		c.PCI = []PCIDevice{{Address: "0000:01:00.0", ID: "10de:2204", Class: "0300", Drivers: []string{"nouveau"}, Group: 14}}
		c.Renames = []Rename{{"ens18", "6.8.*", "enp6s18"}}
	})
	expect(t, m, "dmesg | grep -e DMAR -e IOMMU", 0, `ACPI: DMAR 0x`)
	expect(t, m, "dmesg | grep -e enabled -e remapping -e 'iommu group'", 1, `^$`)
	expect(t, m, "sed -i 's/quiet/intel_iommu=on iommu=pt/' /etc/default/grub; update-grub; touch /boot/vmlinuz-6.8.12-4-pve", 0, `done`)
	m.PowerOff()
	m.PowerOn()
	expect(t, m, "dmesg | grep -e DMAR -e IOMMU", 0, `\[    0.034107\] DMAR: IOMMU enabled\n`)
	expect(t, m, "dmesg | grep remapping", 0, `\[    0.088012\] DMAR-IR: Enabled IRQ remapping in x2apic mode\n$`)
	expect(t, m, "dmesg -t | grep -e 'Command line' -e group -e renamed -e type", 0,
		`^Command line: .* intel_iommu=on iommu=pt\niommu: Default domain type: Passthrough \(set via kernel command line\)\npci 0000:01:00.0: Adding to iommu group 14\nvirtio_net virtio1 enp6s18: renamed from eth0\n$`)
	expect(t, m, "dmesg -T", 0, `^\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9]{2} ..:..:.. 2026\] Linux version 6.8.12-4-pve `)
	expect(t, m, "dmesg -w", 1, `not simulated|not supported`)

	without := bare(t, func(c *Config) { c.Debian = "bookworm" })
	expect(t, without, "dmesg | grep -i -e dmar -e iommu", 1, `^$`)
}
