package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

const showTwo = `Id=chrony.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
NeedDaemonReload=no

Id=nothing.service
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
NeedDaemonReload=no
`

func TestUnitsComeInTheOrderOfTheArguments(t *testing.T) {
	values, errs := told(t, Units, []string{"chronyd.service", "nothing.service"}, []remote.Answer{{Stdout: []byte(showTwo)}})
	want := map[string]Unit{
		"chronyd.service": {ID: "chrony.service", LoadState: "loaded", ActiveState: "active", SubState: "running", UnitFileState: "enabled"},
		"nothing.service": {ID: "nothing.service", LoadState: "not-found", ActiveState: "inactive", SubState: "dead"},
	}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Errorf("the units were read wrong (-want +got):\n%s", diff)
	}
	for name, err := range errs {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAMissingBlockIsAnErrorOfAllUnits(t *testing.T) {
	_, errs := told(t, Units, []string{"a.service", "b.service", "c.service"}, []remote.Answer{{Stdout: []byte(showTwo), Exit: 1}})
	for name, err := range errs {
		if err == nil {
			t.Errorf("%s was told although one block of three is missing", name)
		}
	}
}

func TestWhatIsNoUnitIsNotAskedFor(t *testing.T) {
	names := []string{"*.service", "a b.service", "ceph-osd@.service", "chrony", "chrony.service", "", "@.service"}
	queries := Units.Ask(names)
	if diff := cmp.Diff([]string{"chrony.service"}, queries[0].Args); diff != "" {
		t.Errorf("wrong units are asked for (-want +got):\n%s", diff)
	}
	if got := Units.Ask([]string{"*"}); got != nil {
		t.Errorf("a pattern alone makes the query %v, expected none: systemctl would show all units", got)
	}
}

func TestUnitName(t *testing.T) {
	for name, want := range map[string]string{
		"chrony": "chrony.service", "ceph.target": "ceph.target", "ceph-osd@3": "ceph-osd@3.service",
		"user@1000.service": "user@1000.service", "ifup@vmbr0.10": "ifup@vmbr0.10.service",
	} {
		if got := UnitName(name); got != want {
			t.Errorf("UnitName(%q) is %q, expected %q", name, got, want)
		}
	}
}

func FuzzUnits(f *testing.F) {
	f.Add(showTwo)
	f.Add("\n\nId=\n=\n\nx")
	f.Fuzz(func(t *testing.T, out string) {
		told(t, Units, []string{"a.service", "b.service"}, []remote.Answer{{Stdout: []byte(out)}})
	})
}
