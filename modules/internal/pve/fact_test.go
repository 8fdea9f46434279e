package pve

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"hlplay/engine/observe"
)

// factHost returns a Debian 12 host with the given packages.
func factHost(packages ...observe.Expectation) *observe.Host {
	text := []byte("ID=debian\nVERSION_CODENAME=bookworm\n")
	known := []observe.Expectation{observe.Files.Expect("/usr/lib/os-release", observe.File{})}
	known = append(known, observe.Files.Expect("/etc/os-release", observe.File{Type: observe.Regular, Size: int64(len(text)), Content: text}))
	return observe.NewRecorded("pve1", append(known, packages...)...)
}

func TestFacts(t *testing.T) {
	installed := func(version string) observe.Package {
		return observe.Package{Status: observe.InstalledStatus, Version: version}
	}
	tests := map[string]struct {
		fact observe.FactSpec
		name string
		pkg  observe.Package
		want string
	}{
		"Proxmox VE":            {Fact, "pve-manager", installed("8.4.1"), `{"major":8,"version":"8.4.1"}`},
		"Proxmox VE, not there": {Fact, "pve-manager", observe.Package{}, `null`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v, err := test.fact.Read(t.Context(), factHost(observe.Packages.Expect(test.name, test.pkg)))
			if err != nil {
				t.Fatal(err)
			}
			if !v.Type().Equals(test.fact.Type) {
				t.Errorf("it is a %s, documented as %s", v.Type().FriendlyName(), test.fact.Type.FriendlyName())
			}
			got, err := ctyjson.Marshal(v, v.Type())
			if diff := cmp.Diff(test.want, string(got)); diff != "" || err != nil {
				t.Errorf("the fact is wrong (%v; -want +got):\n%s", err, diff)
			}
		})
	}
}

// In check mode an installation may be predicted without its version.
func TestFactsOfAPredictedInstallation(t *testing.T) {
	h := factHost(observe.Packages.Expect("pve-manager", observe.Package{Status: observe.InstalledStatus}))
	v, err := Fact.Read(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if version := v.GetAttr("version"); version.IsKnown() || version.Range().CouldBeNull() {
		t.Errorf("the version of a package yet to be installed is %#v, expected unknown but not null", version)
	}
	if major := v.GetAttr("major"); !major.RawEquals(cty.NumberIntVal(8)) {
		t.Errorf("the major version on bookworm is %#v, expected 8", major)
	}
}

func TestFactsOfTheHostItself(t *testing.T) {
	const partitions = "/etc/kernel/proxmox-boot-uuids"
	for _, test := range []struct {
		fact observe.FactSpec
		is   observe.Expectation
		want cty.Value
	}{
		{KernelFact, observe.Kernels.Expect("", observe.Kernel{Release: "6.8.12-9-pve"}), cty.True},
		{KernelFact, observe.Kernels.Expect("", observe.Kernel{Release: "6.1.0-28-amd64"}), cty.False},
		{BootFact, observe.Files.Expect(partitions, observe.File{Type: observe.Regular}), cty.StringVal("proxmox-boot-tool")},
		{BootFact, observe.Files.Expect(partitions, observe.File{}), cty.NullVal(cty.String)},
	} {
		got, err := test.fact.Read(t.Context(), observe.NewRecorded("pve1", test.is))
		if err != nil || !got.RawEquals(test.want) {
			t.Errorf("%s is %#v (%v), want %#v", test.fact.Name, got, err, test.want)
		}
	}
}
