package ceph

import (
	"testing"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
)

func TestFact(t *testing.T) {
	for _, test := range []struct {
		name string
		pkg  observe.Package
		want cty.Value
	}{
		{"installed", observe.Package{Status: observe.InstalledStatus, Version: "19.2.3-pve2"}, cty.ObjectVal(map[string]cty.Value{"version": cty.StringVal("19.2.3-pve2")})},
		{"to be installed", observe.Package{Status: observe.InstalledStatus}, cty.ObjectVal(map[string]cty.Value{"version": cty.UnknownVal(cty.String).RefineNotNull()})},
		{"not there", observe.Package{}, cty.NullVal(factType)},
	} {
		got, err := Fact.Read(t.Context(), observe.NewRecorded("pve1", observe.Packages.Expect("ceph", test.pkg)))
		if err != nil || !got.RawEquals(test.want) {
			t.Errorf("%s: %#v (%v), want %#v", test.name, got, err, test.want)
		}
	}
	h := observe.NewRecorded("pve1", observe.Packages.Unknown("ceph", "it is about to be upgraded"))
	if _, err := Fact.Read(t.Context(), h); !observe.IsUnknown(err) {
		t.Errorf("a fact that depends on something unknowable has the error %v", err)
	}
}
