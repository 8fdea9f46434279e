package service

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/modulestest"
)

func yes(b bool) *bool { return &b }

func unit(load, active, file string) observe.Unit {
	return observe.Unit{ID: "x.service", LoadState: load, ActiveState: active, SubState: "running", UnitFileState: file}
}

// argvs are the commands of a plan, each as one line.
func argvs(p modules.Plan) []string {
	var all []string
	for _, step := range p.Steps {
		all = append(all, strings.Join(step.Action.(modules.Run).Argv, " "))
	}
	return all
}

func TestPlans(t *testing.T) {
	stale := unit("loaded", "active", "enabled")
	stale.Stale = true
	for _, test := range []struct {
		name    string
		service Service
		unit    observe.Unit
		want    []string
	}{
		{"as desired", Service{State: "started", Enabled: yes(true)}, unit("loaded", "active", "enabled"), nil},
		{"start and enable", Service{State: "started", Enabled: yes(true)}, unit("loaded", "inactive", "disabled"), []string{"systemctl enable -- x.service", "systemctl start -- x.service"}},
		{"start what failed", Service{State: "started"}, unit("loaded", "failed", "enabled"), []string{"systemctl start -- x.service"}},
		{"stop and disable", Service{State: "stopped", Enabled: yes(false)}, unit("loaded", "active", "enabled"), []string{"systemctl disable -- x.service", "systemctl stop -- x.service"}},
		{"what failed is stopped", Service{State: "stopped"}, unit("loaded", "failed", "enabled"), nil},
		{"a unit that is not there is stopped", Service{State: "stopped", Enabled: yes(false)}, unit("not-found", "inactive", ""), nil},
		{"mask and stop", Service{State: "stopped", Masked: yes(true)}, unit("loaded", "active", "enabled"), []string{"systemctl mask -- x.service", "systemctl stop -- x.service"}},
		{"unmask and start", Service{State: "started", Masked: yes(false)}, unit("masked", "inactive", "masked"), []string{"systemctl unmask -- x.service", "systemctl start -- x.service"}},
		{"a static unit need not be disabled", Service{Enabled: yes(false)}, unit("loaded", "active", "static"), nil},
		{"stale", Service{DaemonReload: true}, stale, []string{"systemctl daemon-reload"}},
		{"not stale", Service{DaemonReload: true}, unit("loaded", "active", "enabled"), nil},
		{"restart", Service{State: "restarted"}, unit("loaded", "active", "enabled"), []string{"systemctl restart -- x.service"}},
		{"reload", Service{State: "reloaded"}, unit("loaded", "active", "enabled"), []string{"systemctl reload-or-restart -- x.service"}},
		{"reload what does not run", Service{State: "reloaded"}, unit("loaded", "inactive", "enabled"), []string{"systemctl start -- x.service"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.service.Name = "x"
			if err := test.service.Validate(); err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, &test.service, observe.NewRecorded("pve1", observe.Units.Expect("x.service", test.unit)))
			if diff := cmp.Diff(test.want, argvs(plan)); diff != "" {
				t.Errorf("wrong commands (-want +got):\n%s", diff)
			}
			if repeats := test.service.State == "restarted" || test.service.State == "reloaded"; plan.Repeats != repeats {
				t.Errorf("Repeats is %v, expected %v", plan.Repeats, repeats)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name    string
		service Service
		unit    observe.Unit
		want    string
	}{
		{"no such unit", Service{State: "started"}, unit("not-found", "inactive", ""), "install the package"},
		{"masked", Service{State: "started"}, unit("masked", "inactive", "masked"), "masked = false"},
		{"static", Service{Enabled: yes(true)}, unit("loaded", "active", "static"), "cannot be enabled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.service.Name = "x"
			_, err := test.service.Plan(t.Context(), observe.NewRecorded("pve1", observe.Units.Expect("x.service", test.unit)))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, expected one with %q", err, test.want)
			}
		})
	}
}

func TestUnknownUnitsStayUnknown(t *testing.T) {
	s := Service{Name: "x", State: "started"}
	if _, err := s.Plan(t.Context(), observe.NewRecorded("pve1", observe.Units.Unknown("x.service", "a package brings it"))); !observe.IsUnknown(err) {
		t.Errorf("the error is %v, expected an unknown one", err)
	}
}

func TestAFailureSaysWhereToLook(t *testing.T) {
	err := explain("x.service", "start")(1, nil, []byte("Job for x.service failed.\n"))
	if err == nil || !strings.Contains(err.Error(), "journalctl -u x.service") || !strings.Contains(err.Error(), "Job for x.service failed.") {
		t.Errorf("the explanation is %v", err)
	}
}

func TestFaultsInArguments(t *testing.T) {
	for _, test := range []struct {
		argument string
		service  Service
	}{
		{"name", Service{Name: "*", State: "started"}},
		{"name", Service{Name: "ceph-osd@", State: "started"}},
		{"state", Service{Name: "x", State: "running"}},
		{"state", Service{Name: "x"}},
		{"masked", Service{Name: "x", State: "started", Masked: yes(true)}},
		{"masked", Service{Name: "x", Enabled: yes(true), Masked: yes(true)}},
	} {
		var fault *modules.ArgumentError
		if err := test.service.Validate(); !errors.As(err, &fault) || fault.Argument != test.argument {
			t.Errorf("%+v: the fault is %v, expected one in %s", test.service, err, test.argument)
		}
	}
}
