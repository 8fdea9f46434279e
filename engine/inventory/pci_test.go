package inventory

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPCIDevices(t *testing.T) {
	const text = `host "n" {
  rehearsal {
    iommu       = true
    boot_loader = "systemd-boot"
    pci "0000:01:00.0" {
      id      = "10de:2204"
      class   = "0300"
      drivers = ["nouveau"]
      group   = 14
    }
  }
}
`
	inv, problem := loadText(t, text)
	if problem != "" {
		t.Fatal(problem)
	}
	want := Rehearsal{IOMMU: true, BootLoader: "systemd-boot", PCI: []PCIDevice{{Address: "0000:01:00.0", ID: "10de:2204", Class: "0300", Drivers: []string{"nouveau"}, Group: 14}}}
	if diff := cmp.Diff(want, inv.Host("n").Rehearsal); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var written strings.Builder
	if err := Write(&written, inv); err != nil {
		t.Fatal(err)
	}
	again, problem := loadText(t, written.String())
	if diff := cmp.Diff(want, again.Host("n").Rehearsal); diff != "" || problem != "" {
		t.Errorf("written and read again (%s): -want +got:\n%s", problem, diff)
	}
	for text, want := range map[string]string{
		`boot_loader = "lilo"`:                                                   "boot_loader",
		`pci "01:00.0" { id = "10de:2204" }`:                                     `"01:00.0" is not an address`,
		`pci "0000:01:00.0" { id = "10de:2204" }`:                                "needs id and class",
		"pci \"0000:01:00.0\" {\n id = \"10DE:2204\"\n class = \"0300\"\n }":     `"10DE:2204" is not vendor and device`,
		"pci \"0000:01:00.0\" {\n id = \"10de:2204\"\n class = \"vga\"\n }":      `"vga" is not a class`,
		"pci \"0000:01:00.0\" {\n id = \"10de:2204\"\n group = \"a\"\n }":        "the number of an IOMMU group",
		"pci \"0000:01:00.0\" {\n id = \"10de:2204\"\n driver = \"nouveau\"\n }": "drivers",
	} {
		if _, got := loadText(t, "host \"n\" {\n rehearsal {\n "+text+"\n }\n}\n"); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
