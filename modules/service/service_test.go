package service

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

func yes(b bool) *bool { return &b }

func unit(load, active, file string) observe.Unit {
	return observe.Unit{ID: "x.service", LoadState: load, ActiveState: active, SubState: "running", UnitFileState: file}
}

// argvs returns the commands of a plan, one line each.
func argvs(p modules.Plan) []string {
	var all []string
	for _, step := range p.Steps {
		argv := step.Action.(modules.Run).Argv
		if argv[0] == "sh" { // the script that checks that the unit keeps running
			argv = append([]string{"systemctl"}, argv[4], "--", argv[5])
		}
		all = append(all, strings.Join(argv, " "))
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
		{"unmask and start", Service{State: "started", Enabled: yes(true), Masked: yes(false)}, unit("masked", "inactive", "masked"), []string{"systemctl unmask -- x.service", "systemctl enable -- x.service", "systemctl start -- x.service"}},
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

// TestEveryState checks what each state of systemd means for each desired state: "" is nothing to do, and an error
// begins with an exclamation mark.
func TestEveryState(t *testing.T) {
	disable, enable := "systemctl disable -- x.service", "systemctl enable -- x.service"
	mask, unmask := "systemctl mask -- x.service", "systemctl unmask -- x.service"
	for _, test := range []struct{ state, enabled, disabled, masked, unmasked string }{
		{"enabled", "", disable, mask, ""},
		{"enabled-runtime", enable, "", mask, ""},
		{"linked", enable, "", mask, ""},
		{"linked-runtime", enable, "", mask, ""},
		{"alias", enable, "", mask, ""},
		{"masked", "!masked = false", "", "", unmask},
		{"masked-runtime", "!masked = false", "", mask, "systemctl unmask --runtime -- x.service"},
		{"static", "!another unit starts it", "", mask, ""},
		{"indirect", "!name one of those", "", mask, ""},
		{"disabled", enable, "", mask, ""},
		{"generated", "!/etc/fstab", "!change it there", mask, ""},
		{"transient", "!write a unit file", "", mask, ""},
		{"bad", "!systemd-analyze verify", "", mask, ""},
		{"not-found", "!install the package", "", mask, ""},
		{"", "!no unit file", "", mask, ""},
	} {
		u := unit("loaded", "inactive", test.state)
		switch test.state {
		case "masked", "masked-runtime":
			u.LoadState = "masked"
		case "bad":
			u.LoadState, u.LoadError = "error", "Unit x.service failed to load properly"
		case "not-found":
			u.LoadState, u.UnitFileState = "not-found", ""
		case "generated":
			u.Source = "/etc/fstab"
		}
		for asked, want := range map[string]string{"enabled": test.enabled, "disabled": test.disabled, "masked": test.masked, "unmasked": test.unmasked} {
			s := map[string]Service{
				"enabled": {Enabled: yes(true)}, "disabled": {Enabled: yes(false)}, "masked": {Masked: yes(true)}, "unmasked": {Masked: yes(false)},
			}[asked]
			decided(t, test.state+" and "+asked, s, u, want)
		}
	}
	for _, test := range []struct{ state, sub, started, stopped string }{
		{"active", "running", "", "stop"},
		{"active", "exited", "", "stop"},
		{"reloading", "reload", "", "stop"},
		{"refreshing", "refresh", "", "stop"},
		{"inactive", "dead", "start", ""},
		{"failed", "failed", "start", ""},
		{"activating", "start", "start", "stop"},
		{"activating", "auto-restart", "start", "stop"},
		{"activating", "auto-restart-queued", "start", "stop"},
		{"deactivating", "stop-sigterm", "start", "stop"},
		{"maintenance", "cleaning", "start", ""},
		{"a state of tomorrow", "", "start", "stop"},
	} {
		u := unit("loaded", test.state, "enabled")
		u.SubState = test.sub
		for asked, verb := range map[string]string{"started": test.started, "stopped": test.stopped} {
			want := ""
			if verb != "" {
				want = "systemctl " + verb + " -- x.service"
			}
			decided(t, test.state+"/"+test.sub+" and "+asked, Service{State: asked}, u, want)
		}
	}
}

func decided(t *testing.T, what string, s Service, u observe.Unit, want string) {
	t.Helper()
	s.Name = "x"
	plan, err := s.Plan(t.Context(), observe.NewRecorded("pve1", observe.Units.Expect("x.service", u)))
	refusal, refused := strings.CutPrefix(want, "!")
	switch {
	case refused && (err == nil || !strings.Contains(err.Error(), refusal)):
		t.Errorf("%s: the error is %v, expected one with %q", what, err, refusal)
	case !refused && err != nil:
		t.Errorf("%s: %v", what, err)
	case !refused && strings.Join(argvs(plan), "; ") != want:
		t.Errorf("%s: the plan is %q, expected %q", what, argvs(plan), want)
	}
}

// systemctl refuses to enable or mask a unit under an alias.
func TestAliasOfUnit(t *testing.T) {
	u := unit("loaded", "active", "enabled")
	u.ID = "ssh.service"
	h := observe.NewRecorded("pve1", observe.Units.Expect("sshd.service", u))
	plan := modulestest.Converges(t, &Service{Name: "sshd", Enabled: yes(false)}, h)
	if diff := cmp.Diff([]string{"systemctl disable -- ssh.service"}, argvs(plan)); diff != "" {
		t.Errorf("wrong commands (-want +got):\n%s", diff)
	}
	if known, ok := h.Known(observe.Units.Key("ssh.service")); !ok || known.(observe.Unit).Enabled() {
		t.Errorf("the unit itself is predicted as %+v (%v), expected it to be disabled", known, ok)
	}
}

// While a unit is masked, it is unknown whether it is enabled behind the mask.
func TestMaskHidesUnit(t *testing.T) {
	h := observe.NewRecorded("pve1", observe.Units.Expect("x.service", unit("masked", "inactive", "masked")))
	plan, err := (&Service{Name: "x", Masked: yes(false), State: "started"}).Plan(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range plan.Steps {
		h.Predict(step.Expect)
	}
	if _, err := observe.Units.Observe(t.Context(), h, "x.service"); !observe.IsUnknown(err) {
		t.Errorf("observing what was masked gives %v, expected it to be unknown", err)
	}
}

func TestUnitEndsAtOnce(t *testing.T) {
	for _, test := range []struct{ stdout, stderr, want, journal string }{
		{"Type=simple\nMainPID=0\nResult=exit-code\nExecMainStatus=3\nActiveState=failed\nSubState=failed\n\ndying\nand dead\n", "",
			"systemctl start x.service: its process exited immediately with exit status 3", "dying\nand dead"},
		{"Type=simple\nMainPID=0\nResult=exit-code\nExecMainStatus=3\nActiveState=activating\nSubState=auto-restart\n\nlooping\n", "",
			"keeps restarting", "looping"},
		{"Type=exec\nMainPID=0\nResult=signal\nExecMainStatus=9\nActiveState=failed\nSubState=failed\n\n", "", "immediately (signal)", ""},
		{"Type=oneshot\nMainPID=0\nResult=success\nExecMainStatus=0\nActiveState=inactive\nSubState=dead\n\nFinished.\n", "", "RemainAfterExit=yes", "Finished."},
		{"Type=simple\nMainPID=0\nResult=success\nExecMainStatus=0\nActiveState=inactive\nSubState=dead\n\nskipped because of an unmet condition\n", "", "condition", "skipped because of an unmet condition"},
		{"Type=\nActiveState=inactive\n\n", "Failed to start x.service: Unit x.service not found.\n", "Unit x.service not found.", ""},
	} {
		var got *StartError
		if err := explainStart("x.service", "start")(1, []byte(test.stdout), []byte(test.stderr)); !errors.As(err, &got) {
			t.Fatalf("the explanation is %v", err)
		}
		if !strings.Contains(got.Error(), test.want) || got.Output() != test.journal {
			t.Errorf("%q is explained by %q with the journal %q, expected %q and %q", test.stdout, got, got.Output(), test.want, test.journal)
		}
	}
}

func TestMaskOverUnitFile(t *testing.T) {
	err := explain("x.service", "mask")(1, nil, []byte("Failed to mask unit: File /etc/systemd/system/x.service already exists.\n"))
	if err == nil || !strings.Contains(err.Error(), "remove /etc/systemd/system/x.service first") {
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
