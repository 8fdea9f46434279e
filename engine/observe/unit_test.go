package observe

import (
	"fmt"
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
	values, errs := told(t, Units, []string{"chronyd.service", "nothing.service"}, []remote.Answer{{Stdout: []byte(showTwo)}, {}})
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

func TestUnitMissingBlock(t *testing.T) {
	_, errs := told(t, Units, []string{"a.service", "b.service", "c.service"}, []remote.Answer{{Stdout: []byte(showTwo), Exit: 1}, {}})
	for name, err := range errs {
		if err == nil {
			t.Errorf("%s was told although one block of three is missing", name)
		}
	}
}

// systemd only says that the unit of an init script is generated (recorded with systemd 252).
func TestUnitInitScript(t *testing.T) {
	const show = "Id=%s.service\nLoadState=loaded\nActiveState=inactive\nSubState=dead\nSourcePath=%s\nUnitFileState=generated\nNeedDaemonReload=no\nLoadError=\n"
	out := fmt.Sprintf(show, "data", "/etc/fstab") + "\n" + fmt.Sprintf(show, "off", "/etc/init.d/off") + "\n" + fmt.Sprintf(show, "on", "/etc/init.d/on")
	values, _ := told(t, Units, []string{"data.service", "off.service", "on.service"}, []remote.Answer{{Stdout: []byte(out)}, {Stdout: []byte("on\ndata\n")}})
	for name, want := range map[string]string{"data.service": "generated", "off.service": "disabled", "on.service": "enabled"} {
		if got := values[name].UnitFileState; got != want {
			t.Errorf("%s is %q, expected %q", name, got, want)
		}
	}
}

func TestWhyAUnitIsNotLoaded(t *testing.T) {
	const show = "Id=x.service\nLoadState=bad-setting\nLoadError=org.freedesktop.systemd1.BadUnitSetting \"Unit x.service has a bad unit file setting.\"\n"
	values, _ := told(t, Units, []string{"x.service"}, []remote.Answer{{Stdout: []byte(show)}, {}})
	if got := values["x.service"].LoadError; got != "Unit x.service has a bad unit file setting." {
		t.Errorf("the reason is %q", got)
	}
}

// systemd 252 reports an error for a masked unit, but LoadState says it all.
func TestUnitMasked(t *testing.T) {
	const show = "Id=cron.service\nLoadState=masked\nUnitFileState=masked\nLoadError=org.freedesktop.systemd1.UnitMasked \"Unit cron.service is masked.\"\n"
	values, _ := told(t, Units, []string{"cron.service"}, []remote.Answer{{Stdout: []byte(show)}, {}})
	if got := values["cron.service"]; !got.Masked() || got.LoadError != "" {
		t.Errorf("got %+v, want a masked unit without an error", got)
	}
}

func TestUnitNames(t *testing.T) {
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
		told(t, Units, []string{"a.service", "b.service"}, []remote.Answer{{Stdout: []byte(out)}, {}})
	})
}
