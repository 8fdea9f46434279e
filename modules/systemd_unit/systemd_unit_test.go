package systemd_unit

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

const text = "[Service]\nExecStart=/bin/true\n"

func regular(content string) observe.File {
	return observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content)}
}

func loaded(active, file string) observe.Unit {
	return observe.Unit{ID: "x.service", LoadState: "loaded", ActiveState: active, SubState: "dead", UnitFileState: file}
}

// host returns a host on which x.service does not exist, modified by the given expectations.
func host(more ...observe.Expectation) modules.Host {
	dir := observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}
	expect := []observe.Expectation{
		observe.Programs.Expect("systemd-analyze", true),
		observe.Files.Expect("/etc/systemd/system", dir),
		observe.Units.Expect("x.service", observe.Unit{ID: "x.service", LoadState: "not-found", ActiveState: "inactive", SubState: "dead"}),
	}
	for _, name := range []string{"x.service", "x@.service", "x.service.d", "x.service.d/more.conf", "multi-user.target.wants/x.service"} {
		expect = append(expect, observe.Files.Expect("/etc/systemd/system/"+name, observe.File{}))
	}
	for _, name := range []string{"/run/systemd/system/x.service", "/usr/local/lib/systemd/system/x.service", "/usr/lib/systemd/system/x.service", "/etc/init.d/x"} {
		expect = append(expect, observe.Paths.Expect(name, false))
	}
	return observe.NewRecorded("n1", append(expect, more...)...)
}

func at(name, content string) observe.Expectation {
	return observe.Files.Expect("/etc/systemd/system/"+name, regular(content))
}

func TestPlans(t *testing.T) {
	stale := loaded("active", "enabled")
	stale.Stale = true
	const verify, write, reload = "have systemd-analyze verify x.service", "write /etc/systemd/system/x.service", "reload systemd for x.service"
	for _, test := range []struct {
		name string
		unit unit
		host modules.Host
		want []string
	}{
		{"new", unit{Content: text}, host(), []string{verify, write, reload}},
		{"new, not verified", unit{Content: text, Verify: false, State: "unverified"}, host(), []string{write, reload}},
		{"there", unit{Content: text}, host(at("x.service", text), observe.Units.Expect("x.service", loaded("active", "enabled"))), nil},
		{"there, without the last newline in the playbook", unit{Content: strings.TrimSpace(text)}, host(at("x.service", text), observe.Units.Expect("x.service", loaded("active", "enabled"))), nil},
		{"there, and not read by systemd", unit{Content: text}, host(at("x.service", text), observe.Units.Expect("x.service", stale)), []string{reload}},
		{"changed", unit{Content: text}, host(at("x.service", "[Service]\n"), observe.Units.Expect("x.service", stale)), []string{verify, write, reload}},
		{"a drop-in", unit{Content: text, DropIn: "more"}, host(observe.Units.Expect("x.service", loaded("active", "static"))), []string{
			"have systemd-analyze verify the drop-in more of x.service", "create directory /etc/systemd/system/x.service.d",
			"write /etc/systemd/system/x.service.d/more.conf", "reload systemd for the drop-in more of x.service"}},
		{"absent already", unit{State: "absent"}, host(), nil},
		{"absent", unit{State: "absent"}, host(at("x.service", text), observe.Units.Expect("x.service", loaded("active", "enabled"))), []string{
			"stop x.service", "do not start x.service at boot", "remove /etc/systemd/system/x.service", reload}},
		{"absent, failed before", unit{State: "absent"}, host(at("x.service", text), observe.Units.Expect("x.service", loaded("failed", "static"))), []string{
			"reset the failed state of x.service", "remove /etc/systemd/system/x.service", reload}},
		{"absent drop-in", unit{State: "absent", DropIn: "more"}, host(at("x.service.d/more.conf", text), observe.Units.Expect("x.service", loaded("active", "enabled"))), []string{
			"remove /etc/systemd/system/x.service.d/more.conf", "reload systemd for the drop-in more of x.service"}},
		{"a template", unit{Name: "x@.service", Content: text}, host(), []string{
			"have systemd-analyze verify x@.service", "write /etc/systemd/system/x@.service", "reload systemd for x@.service"}},
		{"an absent template", unit{Name: "x@.service", State: "absent"}, host(at("x@.service", text)), []string{
			"stop the instances of x@.service", "do not start instances of x@.service at boot", "remove /etc/systemd/system/x@.service", "reload systemd for x@.service"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := test.unit
			unverified := m.State == "unverified"
			if m.Name == "" {
				m.Name = "x.service"
			}
			modulestest.Decoded(&m)
			if unverified {
				m.State, m.Verify = "present", false
			}
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			var got []string
			plan, err := m.Plan(t.Context(), test.host)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range plan.Steps {
				got = append(got, step.Summary)
				test.host.Predict(step.Expect)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("wrong steps (-want +got):\n%s", diff)
			}
			if again, err := m.Plan(t.Context(), test.host); err != nil || len(again.Steps) > 0 {
				t.Errorf("planned again: %v\n%s", err, modulestest.Summaries(again))
			}
		})
	}
}

// Check mode predicts the unit well enough for the next task to start and enable it.
func TestPredictedUnit(t *testing.T) {
	const wanted = text + "[Install]\nWantedBy=multi-user.target\n"
	link := observe.Files.Expect("/etc/systemd/system/multi-user.target.wants/x.service", observe.File{Type: observe.Symlink, Mode: 0o777, Target: "../x.service"})
	for _, test := range []struct {
		name, content string
		before        []observe.Expectation
		want          string // the unit's state, "" if it cannot be known
	}{
		{"nothing wants it", text, nil, "static"},
		{"a target wants it", wanted, nil, "disabled"},
		{"a link is left", wanted, []observe.Expectation{link}, "enabled"},
		{"it is enabled", text, []observe.Expectation{observe.Units.Expect("x.service", loaded("inactive", "enabled")), at("x.service", wanted)}, "enabled"},
		{"it was static", wanted, []observe.Expectation{observe.Units.Expect("x.service", loaded("inactive", "static")), at("x.service", text)}, "disabled"},
		{"an alias", text + "[Install]\nAlias=y.service\n", nil, ""},
		{"a comment", text + "[Install]\n#WantedBy=multi-user.target\n", nil, "static"},
		{"a target that the instance names", text + "[Install]\nWantedBy=%p.target\n", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := host(test.before...)
			modulestest.Converges(t, &unit{Name: "x.service", Content: test.content}, h)
			got, err := observe.Units.Observe(t.Context(), h, "x.service")
			if test.want == "" {
				if !observe.IsUnknown(err) {
					t.Errorf("it is expected to be %+v (%v), and nobody can know", got, err)
				}
				return
			}
			if want := loaded("inactive", test.want); err != nil || got != want {
				t.Errorf("it is expected to be %+v (%v), want %+v", got, err, want)
			}
		})
	}
	h := host(at("x.service", wanted), observe.Units.Expect("x.service", loaded("active", "enabled")), observe.Paths.Expect("/usr/lib/systemd/system/x.service", true))
	modulestest.Converges(t, &unit{Name: "x.service", State: "absent"}, h)
	if _, err := observe.Units.Observe(t.Context(), h, "x.service"); !observe.IsUnknown(err) {
		t.Errorf("without its file the package's takes its place: %v, want that its state is not known", err)
	}
}

func TestRefusals(t *testing.T) {
	link := func(target string) observe.Expectation {
		return observe.Files.Expect("/etc/systemd/system/x.service", observe.File{Type: observe.Symlink, Mode: 0o777, Target: target})
	}
	for _, test := range []struct {
		unit unit
		host modules.Host
		want string
	}{
		{unit{Content: text}, host(link("/dev/null")), "x.service is masked on n1"},
		{unit{Content: text}, host(link("y.service")), "is a symbolic link to y.service: name that unit"},
		{unit{State: "absent"}, host(link("/dev/null")), "unmask or disable the unit"},
		{unit{Content: text, DropIn: "more"}, host(), "n1 has no unit x.service that a drop-in could change"},
		{unit{Content: text}, host(observe.Programs.Expect("systemd-analyze", false)), "needs systemd-analyze"},
	} {
		test.unit.Name = "x.service"
		plan, err := modulestest.Decoded(&test.unit).Plan(t.Context(), test.host)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("the error is %v, expected one with %q; the plan is:\n%s", err, test.want, modulestest.Summaries(plan))
		}
	}
}

func TestFaultsInArguments(t *testing.T) {
	for _, test := range []struct {
		argument string
		unit     unit
	}{
		{"name", unit{Name: "x", Content: text}},
		{"name", unit{Name: "a/b.service", Content: text}},
		{"name", unit{Name: "x.scope", Content: text}},
		{"drop_in", unit{Name: "x.service", DropIn: "a/b", Content: text}},
		{"drop_in", unit{Name: "x.service", DropIn: "a.conf", Content: text}},
		{"content", unit{Name: "x.service"}},
		{"content", unit{Name: "x.service", Content: text, State: "absent"}},
	} {
		err := modulestest.Decoded(&test.unit).Validate()
		var fault *modules.ArgumentError
		if !errors.As(err, &fault) || fault.Argument != test.argument {
			t.Errorf("%+v: the fault is %v, expected one in %s", test.unit, err, test.argument)
		}
	}
	if err := modulestest.Decoded(&unit{Name: "x@.timer", Content: text}).Validate(); err != nil {
		t.Errorf("a template: %v", err)
	}
}

// TestVerified runs the real systemd-analyze, as on a host.
func TestVerified(t *testing.T) {
	for _, test := range []struct{ name, content, want string }{
		{"x.service", text, ""},
		{"x@.service", "[Service]\nExecStart=/bin/echo %i\n", ""},
		{"x.timer", "[Timer]\nOnCalendar=now and then\n", "x.timer:2: Failed to parse calendar specification, ignoring: now and then"},
		{"x.service", text + "Restrat=always\n", "x.service:3: Unknown key 'Restrat' in section [Service], ignoring."},
		{"x.service", "[Service]\nExecStart=/opt/none/x\n", "x.service: Command /opt/none/x is not executable: No such file or directory"},
	} {
		s := &state{unit: &unit{Name: test.name}}
		run := s.verify(test.content).Action.(modules.Run)
		cmd := exec.Command(run.Argv[0], run.Argv[1:]...)
		cmd.Stdin = strings.NewReader(string(run.Stdin))
		out, err := cmd.CombinedOutput()
		if (err == nil) != (test.want == "") || !strings.Contains(string(out), test.want) {
			t.Errorf("%s with %q: %v, %s, want %q", test.name, test.content, err, out, test.want)
		}
		if strings.Contains(string(out), "/tmp") {
			t.Errorf("%s names the file where nobody finds it: %s", test.name, out)
		}
	}
	got := fmt.Sprint((&state{unit: &unit{Name: "x.service"}}).verify("").Action.(modules.Run).Explain(1, nil, []byte("x.service:3: bad\nmore\n")))
	if want := "systemd-analyze rejects x.service: x.service:3: bad …; nothing was written"; got != want {
		t.Errorf("the error is %q, want %q", got, want)
	}
}
