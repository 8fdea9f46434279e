package assert

import (
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

func conditions(values ...cty.Value) cty.Value { return cty.TupleVal(values) }

// cluster returns one of two hosts of a play, each with its version of a package.
func cluster(first, second observe.Expectation) modules.Host {
	a, b := observe.NewRecorded("pve1", first), observe.NewRecorded("pve2", second)
	a.SetPeers(func() []*observe.Host { return []*observe.Host{a, b} }, nil)
	return a
}

func version(v string) observe.Expectation {
	return observe.Packages.Expect("pve-manager", observe.Package{Status: observe.InstalledStatus, Version: v})
}

func TestAssertions(t *testing.T) {
	same := []string{"pve-manager"}
	none := observe.Packages.Expect("pve-manager", observe.Package{})
	for _, test := range []struct {
		name    string
		assert  Assert
		host    modules.Host
		want    []string // texts of the error; nil for none
		unknown bool
	}{
		{name: "all true", assert: Assert{That: conditions(cty.True, cty.True), Conditions: []Condition{{Test: true, Message: "m"}}}},
		{name: "a list", assert: Assert{That: cty.ListVal([]cty.Value{cty.True})}},
		{name: "one bool", assert: Assert{That: cty.False}, want: []string{"condition 1 of 1"}},
		{name: "which one", assert: Assert{That: conditions(cty.True, cty.False, cty.True)}, want: []string{"condition 2 of 3 is false"}},
		{name: "the message", assert: Assert{That: conditions(cty.False), Message: "disks are missing"}, want: []string{"disks are missing"}},
		{name: "every failure is told", assert: Assert{Conditions: []Condition{{Message: "one"}, {Test: true, Message: "two"}, {Message: "three"}}}, want: []string{"one", "three"}},
		{name: "sensitive", assert: Assert{That: conditions(cty.True.Mark("secret"))}},
		{name: "unknown", assert: Assert{That: conditions(cty.True, cty.UnknownVal(cty.Bool))}, unknown: true},
		{name: "all unknown", assert: Assert{That: cty.DynamicVal}, unknown: true},
		{name: "unknown, but another one is false", assert: Assert{That: conditions(cty.UnknownVal(cty.Bool), cty.False)}, want: []string{"condition 2 of 2"}},
		{name: "no bools", assert: Assert{That: conditions(cty.StringVal("yes"))}, want: []string{"element 1"}},
		{name: "no list", assert: Assert{That: cty.StringVal("yes")}, want: []string{"not a list"}},

		{name: "the same version", assert: Assert{SamePackages: same}, host: cluster(version("9.0"), version("9.0"))},
		{name: "other versions", assert: Assert{SamePackages: same}, host: cluster(version("9.0"), version("8.4")), want: []string{"8.4 on pve2; 9.0 on pve1"}},
		{name: "not yet everywhere", assert: Assert{SamePackages: same}, host: cluster(version("9.0"), none)},
		{name: "nowhere", assert: Assert{SamePackages: same}, host: cluster(none, none)},
		{name: "a version to come", assert: Assert{SamePackages: same}, host: cluster(version("9.0"), version("")), unknown: true},
		{name: "unknowable", assert: Assert{SamePackages: same}, host: cluster(version("9.0"), observe.Packages.Unknown("pve-manager", "an upgrade")), unknown: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := test.host
			if h == nil {
				h = observe.NewRecorded("pve1")
			}
			plan, err := test.assert.Plan(t.Context(), h)
			if observe.IsUnknown(err) != test.unknown {
				t.Fatalf("the error is %v, expected an unknown one: %v", err, test.unknown)
			}
			if err == nil && len(test.want) > 0 {
				t.Fatalf("nothing failed, expected %q", test.want)
			}
			if err != nil && !test.unknown && len(test.want) == 0 {
				t.Fatalf("it failed: %v", err)
			}
			for _, text := range test.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error is %q, expected %q in it", err, text)
				}
			}
			if len(plan.Steps) > 0 {
				t.Errorf("an assertion plans steps:\n%s", modulestest.Summaries(plan))
			}
		})
	}
}

// A list may be empty because nothing met the condition of its for, so it is no fault; but it is not passed over in silence.
func TestEmptyList(t *testing.T) {
	a := Assert{That: cty.EmptyTupleVal}
	plan, err := a.Plan(t.Context(), observe.NewRecorded("pve1"))
	if err != nil || len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], "nothing was checked") {
		t.Errorf("notes %q (%v)", plan.Notes, err)
	}
}

func TestEmptyAssertion(t *testing.T) {
	for _, a := range []Assert{{}, {That: cty.NullVal(cty.DynamicPseudoType), Message: "m"}} {
		if a.Validate() == nil {
			t.Errorf("%+v is accepted although it asserts nothing", a)
		}
	}
	a := Assert{That: conditions(cty.False)}
	if err := a.Validate(); err != nil {
		t.Errorf("a false condition is a matter of the run, not a fault: %v", err)
	}
}
