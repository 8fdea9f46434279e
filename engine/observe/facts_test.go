package observe

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/gocty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"hlplay/engine/remote"
)

const bookworm = `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME='Debian GNU/Linux'
VERSION_ID="12"
VERSION_CODENAME=bookworm
ID=debian
# a comment
HOME_URL="https://www.debian.org/"
BROKEN="no end
`

func text(content string) File {
	return File{Type: Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content)}
}

func factHost(t *testing.T, more ...Expectation) *Host {
	disks, _ := told(t, Disks, []string{""}, []remote.Answer{{Stdout: lsblkFixture(t)}, {Stdout: []byte(deviceLinks)}})
	h := NewRecorded("pve1",
		Files.Expect("/proc/sys/kernel/hostname", text("pve1\n")),
		Files.Expect("/etc/hosts", text("127.0.0.1 localhost\n192.0.2.11 pve1.example.org pve1\n")),
		Files.Expect("/etc/os-release", File{Type: Symlink, Target: "../usr/lib/os-release"}),
		Files.Expect("/usr/lib/os-release", text(bookworm)),
		Files.Expect("/proc/cpuinfo", text("processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\n")),
		Files.Expect("/proc/meminfo", text("MemTotal:       16384 kB\nMemFree: 1 kB\nSwapTotal:          8 kB\n")),
		Files.Expect("/sys/firmware/efi", File{Type: Directory}),
		Files.Expect("/boot/efi/EFI/systemd", File{}),
		Files.Expect("/efi/EFI/systemd", File{}),
		Files.Expect("/boot/grub/grub.cfg", text("")),
		Dirs.Expect("/sys/kernel/iommu_groups", Listing{Exists: true, Entries: []string{"0", "1"}}),
		Commands.Expect(Reading{Argv: []string{"systemd-detect-virt"}}.Key(), remote.Answer{Stdout: []byte("none\n"), Exit: 1}),
		Kernels.Expect("", Kernel{Release: "6.8.12-9-pve", Version: "#1 SMP", Architecture: "x86_64"}),
		PCIDevices.Expect("", []PCIDevice{{Address: "0000:01:00.0", ID: "10de:2204", Class: "0300"}, {Address: "0000:02:00.0", ID: "8086:1572", Class: "0200"}}),
		PCIUses.Expect("", map[string]PCIUse{"0000:01:00.0": {Driver: "vfio-pci", Group: "14"}}),
		Networks.Expect("", network(t)),
		Resolves.Expect("pve1", []netip.Addr{netip.MustParseAddr("192.0.2.11")}),
		Disks.Expect("", disks[""]))
	h.Predict(more)
	return h
}

func TestFactsAreOfTheirTypeAndRight(t *testing.T) {
	want := map[string]string{
		"addresses":      `["192.0.2.11","2001:db8::11"]`,
		"boot":           `{"efi":true,"loader":"grub"}`,
		"cpu":            `{"count":2,"model":"AMD EPYC","vendor":"AuthenticAMD"}`,
		"default_route":  `{"gateway":"192.0.2.1","interface":"eno1"}`,
		"distribution":   `{"codename":"bookworm","id":"debian","pretty":"Debian GNU/Linux 12 (bookworm)","version":"12"}`,
		"fqdn":           `"pve1.example.org"`,
		"hostname":       `"pve1"`,
		"interfaces":     `{"eno1":{"addresses":["192.0.2.11/24","fe80::5054:ff:fe12:3456/64","2001:db8::11/64"],"mac":"52:54:00:12:34:56","mtu":1500,"speed":10000,"state":"up"},"eno2":{"addresses":[],"mac":"52:54:00:12:34:57","mtu":9000,"speed":null,"state":"down"},"lo":{"addresses":["127.0.0.1/8","::1/128"],"mac":"00:00:00:00:00:00","mtu":65536,"speed":null,"state":"unknown"}}`,
		"iommu":          `{"enabled":true,"groups":2}`,
		"kernel":         `{"architecture":"x86_64","release":"6.8.12-9-pve","version":"#1 SMP"}`,
		"memory":         `{"swap":8192,"total":16777216}`,
		"name_addresses": `["192.0.2.11"]`,
		"pci":            `[{"address":"0000:01:00.0","class":"0300","driver":"vfio-pci","id":"10de:2204","iommu_group":"14"},{"address":"0000:02:00.0","class":"0200","driver":null,"id":"8086:1572","iommu_group":null}]`,
		"virtualization": `null`,
	}
	for _, doc := range Facts() {
		value, err := Fact(t.Context(), factHost(t), doc.Name)
		if err != nil {
			t.Errorf("%s: %v", doc.Name, err)
			continue
		}
		if !value.Type().Equals(doc.Type) {
			t.Errorf("%s is a %s, documented as %s", doc.Name, value.Type().FriendlyName(), doc.Type.FriendlyName())
		}
		if doc.Doc == "" {
			t.Errorf("%s has no documentation", doc.Name)
		}
		if doc.Name == "disks" {
			continue
		}
		got, err := ctyjson.Marshal(value, value.Type())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[doc.Name], string(got)); diff != "" {
			t.Errorf("%s is wrong (-want +got):\n%s", doc.Name, diff)
		}
	}
}

func TestFactDisks(t *testing.T) {
	value, err := Fact(t.Context(), factHost(t), "disks")
	if err != nil {
		t.Fatal(err)
	}
	sda := value.Index(cty.NumberIntVal(0))
	var got struct {
		Name        string   `cty:"name"`
		Path        string   `cty:"path"`
		ByID        []string `cty:"by_id"`
		Size        int64    `cty:"size"`
		Serial      *string  `cty:"serial"`
		WWN         *string  `cty:"wwn"`
		Model       *string  `cty:"model"`
		Rotational  bool     `cty:"rotational"`
		Use         string   `cty:"use"`
		Partitions  []string `cty:"partitions"`
		Mountpoints []string `cty:"mountpoints"`
	}
	if err := gocty.FromCtyValue(sda, &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "sda" || got.Size != 274877906944 || got.Serial != nil || got.Use != "partitions" ||
		!cmp.Equal(got.Partitions, []string{"/dev/sda1", "/dev/sda2", "/dev/sda3"}) || !cmp.Equal(got.Mountpoints, []string{"/"}) {
		t.Errorf("the first disk is %+v", got)
	}
}

func TestFactsInCheckMode(t *testing.T) {
	h := factHost(t,
		Dirs.Unknown("/sys/kernel/iommu_groups", "the kernel's command line is about to change"),
		Kernels.Expect("", Kernel{Release: "6.8.12-9-pve", Architecture: "x86_64"}))
	iommu, err := Fact(t.Context(), h, "iommu")
	if err != nil || iommu.IsKnown() || !iommu.Type().Equals(iommuType) {
		t.Errorf("a fact that depends on something unknowable is %#v (error %v)", iommu, err)
	}
	kernel, err := Fact(t.Context(), h, "kernel")
	if err != nil || kernel.GetAttr("version").IsKnown() {
		t.Errorf("the kernel is %#v (error %v)", kernel, err)
	}
}

func TestFactUnknown(t *testing.T) {
	_, err := Fact(t.Context(), factHost(t), "distributon")
	if err == nil || !strings.Contains(err.Error(), `"distribution"`) {
		t.Errorf("the error is %v, expected a hint at distribution", err)
	}
}

func TestFactAddedTwice(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a second fact of the name cpu was added")
		}
	}()
	AddFacts(FactSpec{FactDoc: FactDoc{Name: "cpu"}})
}

func TestFactsOfThisMachine(t *testing.T) {
	h := localHost(t)
	for _, name := range []string{"hostname", "distribution", "kernel", "cpu", "memory", "boot", "iommu"} {
		value, err := Fact(t.Context(), h, name)
		if err != nil || value.IsNull() || !value.IsWhollyKnown() {
			t.Errorf("%s is %#v (error %v)", name, value, err)
		}
	}
}

func FuzzOSRelease(f *testing.F) {
	f.Add(bookworm)
	f.Add("A=$(id)\nB=`id`\nC=$HOME\nD=~\nE=a b\n")
	f.Fuzz(func(t *testing.T, text string) { parseOSRelease(text) })
}

// A product adds an attribute to a fact, or provides an attribute's value on hosts where it knows one.
func TestAttributesOfProducts(t *testing.T) {
	give := func(value cty.Value, err error) func(context.Context, *Host) (cty.Value, error) {
		return func(context.Context, *Host) (cty.Value, error) { return value, err }
	}
	base := FactSpec{FactDoc{"boot", cty.Object(map[string]cty.Type{"loader": cty.String}), "Doc."}, give(cty.ObjectVal(map[string]cty.Value{"loader": cty.StringVal("grub")}), nil)}
	for name, test := range map[string]struct {
		attribute string
		value     cty.Value
		err       error
		want      map[string]cty.Value
	}{
		"a new one":              {"menu", cty.True, nil, map[string]cty.Value{"loader": cty.StringVal("grub"), "menu": cty.True}},
		"a new one without one":  {"menu", cty.NullVal(cty.Bool), nil, map[string]cty.Value{"loader": cty.StringVal("grub"), "menu": cty.NullVal(cty.Bool)}},
		"known to the product":   {"loader", cty.StringVal("own"), nil, map[string]cty.Value{"loader": cty.StringVal("own")}},
		"unknown to the product": {"loader", cty.NullVal(cty.String), nil, map[string]cty.Value{"loader": cty.StringVal("grub")}},
		"yet to be seen":         {"loader", cty.NilVal, &UnknownError{Because: "x"}, map[string]cty.Value{"loader": cty.UnknownVal(cty.String)}},
	} {
		ty := cty.String
		if test.attribute == "menu" {
			ty = cty.Bool
		}
		f := base.with(test.attribute, FactSpec{FactDoc{"boot." + test.attribute, ty, "More."}, give(test.value, test.err)})
		got, err := f.Read(t.Context(), NewRecorded("h"))
		if err != nil || !got.RawEquals(cty.ObjectVal(test.want)) || !got.Type().Equals(f.Type) || f.Doc != "Doc. More." {
			t.Errorf("%s: %#v (%v), documented as %#v, %q", name, got, err, f.Type, f.Doc)
		}
	}
	f := base.with("loader", FactSpec{FactDoc{"boot.loader", cty.String, ""}, give(cty.NilVal, errors.New("unreadable"))})
	if _, err := f.Read(t.Context(), NewRecorded("h")); err == nil {
		t.Error("what the product could not read is no error")
	}
}
