package cron

import (
	"io/fs"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

const scrub = "# Written by hlplay: changes made here are lost.\nMAILTO=\"root\"\n30 3 1 * * root zpool scrub rpool\n"

func job() *cron {
	return &cron{Name: "scrub", State: "present", User: "root", Schedule: " 30 3  1 * *", Command: "zpool scrub rpool", Environment: map[string]string{"MAILTO": "root"}}
}

func host(file observe.File, unit observe.Unit) modules.Host {
	return observe.NewRecorded("host",
		observe.Files.Expect("/etc/cron.d", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		observe.Files.Expect("/etc/cron.d/scrub", file), observe.Units.Expect("cron.service", unit),
		observe.Units.Expect("cronie.service", missing), observe.Units.Expect("bcron.service", missing), observe.Units.Expect("cron.target", missing),
		observe.Users.Expect("backup", observe.User{Name: "backup"}), observe.Users.Expect("bakcup", observe.User{}))
}

func regular(text, owner string, mode fs.FileMode) observe.File {
	return observe.File{Type: observe.Regular, Mode: mode, Owner: owner, Group: "root", Size: int64(len(text)), Content: []byte(text)}
}

var (
	running = observe.Unit{ID: "cron.service", LoadState: "loaded", ActiveState: "active", UnitFileState: "enabled"}
	missing = observe.Unit{LoadState: "not-found", ActiveState: "inactive"}
)

func TestPlan(t *testing.T) {
	write, remove := "  write the job scrub ( 30 3  1 * *)\n", "  remove the job scrub\n"
	gone := &cron{Name: "scrub", State: "absent"}
	for name, test := range map[string]struct {
		job  *cron
		file observe.File
		want string
	}{
		"new":       {job(), observe.File{}, write},
		"as wanted": {job(), regular(scrub, "root", 0o644), ""},
		"changed":   {job(), regular("1 * * * * root true\n", "root", 0o644), write},
		"removed":   {gone, regular(scrub, "root", 0o644), remove},
		"absent":    {gone, observe.File{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			plan := modulestest.Converges(t, test.job, host(test.file, running))
			if got := modulestest.Summaries(plan); got != test.want {
				t.Errorf("steps:\n%s\nwant:\n%s", got, test.want)
			}
			for _, step := range plan.Steps {
				if write, ok := step.Action.(modules.WriteFile); ok && string(write.Content) != scrub {
					t.Errorf("it writes %q, want %q", write.Content, scrub)
				}
			}
		})
	}
}

func TestCronNames(t *testing.T) {
	written := regular(scrub, "root", 0o644)
	for name, test := range map[string]struct {
		user string
		unit observe.Unit
		want string // in the error, or in the note
		note bool
	}{
		"it runs":         {"backup", running, "", false},
		"no such user":    {"bakcup", running, "user: there is no account bakcup", false},
		"no cron":         {"root", missing, "install package cron", false},
		"stopped":         {"root", observe.Unit{ID: "cron.service", LoadState: "loaded", ActiveState: "failed", UnitFileState: "enabled"}, "cron.service is failed, so the job never runs", true},
		"masked":          {"root", observe.Unit{ID: "cron.service", LoadState: "masked", ActiveState: "inactive", UnitFileState: "masked"}, "cron.service is masked", true},
		"not at the boot": {"root", observe.Unit{ID: "cron.service", LoadState: "loaded", ActiveState: "active", UnitFileState: "disabled"}, "cron.service is not enabled", true},
	} {
		for state, file := range map[string]observe.File{"new": {}, "written": written} {
			m := job()
			m.User = test.user
			plan, err := m.Plan(t.Context(), host(file, test.unit))
			said := strings.Join(plan.Notes, "")
			if !test.note && err != nil {
				said = err.Error()
			}
			if (err != nil) != (test.want != "" && !test.note) || !strings.Contains(said, test.want) || test.want == "" && said != "" {
				t.Errorf("%s, %s: it says %q (error %v), want %q", name, state, said, err, test.want)
			}
		}
	}
	linked := written
	linked.Others = 1
	if _, err := job().Plan(t.Context(), host(linked, running)); err == nil || !strings.Contains(err.Error(), "the file has 1 other hard link") {
		t.Errorf("a hard link: %v", err)
	}
	for name, file := range map[string]observe.File{"another owner": regular(scrub, "www-data", 0o644), "writable": regular(scrub, "root", 0o664)} {
		if _, err := job().Plan(t.Context(), host(file, running)); err == nil || !strings.Contains(err.Error(), "cron does not read /etc/cron.d/scrub") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		change func(*cron)
		want   string // empty if it is valid
	}{
		{func(*cron) {}, ""},
		{func(m *cron) { m.Schedule = "@daily" }, ""},
		{func(m *cron) { m.Schedule = "*/5 0-6/2,12 1,15 jan-mar mon-Fri" }, ""},
		{func(m *cron) { m.Schedule = "0 0 * * 7" }, ""},
		{func(m *cron) { m.Command = `date +\%F >/tmp/day` }, ""},
		{func(m *cron) { m.Schedule = "@sometimes" }, "schedule"},
		{func(m *cron) { m.Schedule = "60 * * * *" }, "schedule"},
		{func(m *cron) { m.Schedule = "* * * *" }, "schedule"},
		{func(m *cron) { m.Schedule = "* * 0 * *" }, "schedule"},
		{func(m *cron) { m.Schedule = "5-1 * * * *" }, "schedule"},
		{func(m *cron) { m.Schedule = "5/2 * * * *" }, "schedule"},
		{func(m *cron) { m.Schedule = "*/0 * * * *" }, "schedule"},
		{func(m *cron) { m.Schedule = "+1 * * * *" }, "schedule"},
		{func(m *cron) { m.Schedule = ", * * * *" }, "schedule"},
		{func(m *cron) { m.Schedule = "* * * *\n* root" }, "schedule"},
		{func(m *cron) { m.Schedule = "" }, "schedule"},
		{func(m *cron) { m.Command = "date +%F" }, "command"},
		{func(m *cron) { m.Command = `date +\\%F` }, "command"}, // to cron, the first backslash escapes the second
		{func(m *cron) { m.Command = `echo \% %` }, "command"},
		{func(m *cron) { m.Command = "a\nb" }, "command"},
		{func(m *cron) { m.Command = "" }, "command"},
		{func(m *cron) { m.Name = "scrub.cron" }, "name"},
		{func(m *cron) { m.Name = "../x" }, "name"},
		{func(m *cron) { m.User = "a b" }, "user"},
		{func(m *cron) { m.Command = strings.Repeat("x", 998) }, ""},
		{func(m *cron) { m.Command = strings.Repeat("x", 999) }, "command"},
		{func(m *cron) { m.Schedule = "0 0 30 2 *" }, "schedule"},
		{func(m *cron) { m.Schedule = "0 0 31 apr,jun,sep-nov/2 *" }, ""},
		{func(m *cron) { m.Schedule = "0 0 31 apr,jun *" }, "schedule"},
		{func(m *cron) { m.Schedule = "0 0 29-31 2 *" }, ""},
		{func(m *cron) { m.Schedule = "0 0 30 2 fri" }, ""},
		{func(m *cron) { m.Environment = map[string]string{"A": strings.Repeat("x", 1000)} }, "environment"},
		{func(m *cron) { m.Environment = map[string]string{"PATH": "$PATH:/usr/local/bin"} }, "environment"},
		{func(m *cron) { m.Environment = map[string]string{"A": "$5 ~"} }, ""},
		{func(m *cron) { m.Environment = map[string]string{"A B": "x"} }, "environment"},
		{func(m *cron) { m.Environment = map[string]string{"A": "x\ny"} }, "environment"},
	} {
		m := job()
		test.change(m)
		err := m.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want+":") {
			t.Errorf("Validate(%+v) = %v, want a fault of %q", *m, err, test.want)
		}
	}
}

func FuzzSchedule(f *testing.F) {
	f.Add("*/5 0-6/2,12 1,15 jan-mar mon-fri")
	f.Add("@daily")
	f.Fuzz(func(t *testing.T, text string) {
		if schedule(text) == "" && strings.ContainsAny(text, "\n\r\x00%") {
			t.Errorf("%q is taken for a schedule", text)
		}
	})
}
