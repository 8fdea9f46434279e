package test_restore

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// host returns a node with the guests vm:100 and ct:101, and without any test.
func host(more ...observe.Expectation) *observe.Host {
	return observe.NewRecorded("pve1", append([]observe.Expectation{
		pve.Nodes.Expect("", pve.Node{Installed: true, Name: "pve1"}),
		pve.GuestLists.Expect("", map[int]pve.Guest{100: {Node: "pve2", Type: "qemu"}, 101: {Node: "pve1", Type: "lxc"}}),
		pve.Storages.Expect("", map[string]pve.Storage{
			"pbs1":  {Type: "pbs", Options: map[string]string{"content": "backup"}},
			"disks": {Type: "lvmthin", Options: map[string]string{"content": "images,rootdir"}},
			"far":   {Type: "lvmthin", Options: map[string]string{"content": "images,rootdir", "nodes": "pve2"}},
		}),
		pve.HAs.Expect("", pve.HA{Resources: map[string]pve.Resource{"vm:9200": {}}}),
		pve.BackupJobs.Expect("", map[string]map[string]string{"nightly": {"all": "1", "exclude": "9100"}, "some": {"vmid": "100"}}),
		pve.GuestConfigs.Expect("9100", pve.GuestConfig{}),
		reports.Expect("vm-100", report{Now: 1000}),
		observe.Files.Expect("/usr/local/lib/hlplay", observe.File{Type: observe.Directory}),
		observe.Files.Expect("/etc/systemd/system", observe.File{Type: observe.Directory}),
		observe.Files.Expect(scriptPath, observe.File{}),
		observe.Files.Expect(unitFolder+"test-restore-vm-100.service", observe.File{}),
		observe.Files.Expect(unitFolder+"test-restore-vm-100.timer", observe.File{}),
		observe.Units.Expect("test-restore-vm-100.service", observe.Unit{LoadState: "not-found"}),
		observe.Units.Expect("test-restore-vm-100.timer", observe.Unit{LoadState: "not-found"}),
	}, more...)...)
}

// weekly returns a test, modified by change unless that is nil.
func weekly(change func(*Module)) *Module {
	m := modulestest.Decoded(&Module{Guest: "vm:100", Storage: "pbs1", Target: "disks", ID: 9100, Schedule: "sun 04:00"})
	if change != nil {
		change(m)
	}
	return m
}

func summaries(plan modules.Plan) string {
	var all []string
	for _, step := range plan.Steps {
		all = append(all, step.Summary)
	}
	return strings.Join(all, "; ")
}

func TestInstallAndRemove(t *testing.T) {
	h := host()
	plan := modulestest.Converges(t, weekly(nil), h)
	const want = "write the script of test restores; write test-restore-vm-100.service; write test-restore-vm-100.timer; reload systemd for test-restore-vm-100; schedule the test restore of vm:100: sun 04:00"
	if got := summaries(plan); got != want {
		t.Errorf("the steps are %q, want %q", got, want)
	}
	if got := summaries(modulestest.Converges(t, weekly(func(m *Module) { m.Schedule = "mon 05:00" }), h)); got != "write test-restore-vm-100.timer; reload systemd for test-restore-vm-100" {
		t.Errorf("another time: the steps are %q", got)
	}
	gone := modulestest.Converges(t, weekly(func(m *Module) { m.State = "absent" }), h)
	if got := summaries(gone); got != "end the schedule of the test restore of vm:100; remove test-restore-vm-100.timer; remove test-restore-vm-100.service; reload systemd for test-restore-vm-100" {
		t.Errorf("removal: the steps are %q", got)
	}
}

func TestRefused(t *testing.T) {
	restored := pve.GuestConfig{Exists: true, Guest: pve.Guest{Node: "pve1", Type: "qemu"}, Options: map[string]string{"name": "sso", "tags": "test-restore-vm-100"}}
	elsewhere := restored
	elsewhere.Node = "pve2"
	taken := pve.GuestLists.Expect("", map[int]pve.Guest{100: {Node: "pve2", Type: "qemu"}, 9100: {Node: "pve1", Type: "qemu"}})
	for name, test := range map[string]struct {
		m    *Module
		more []observe.Expectation
		want string
	}{
		"a storage that is not there":     {weekly(func(m *Module) { m.Storage = "nosuch" }), nil, "storage: the cluster has no storage nosuch; it has: disks, far, pbs1"},
		"a storage without backups":       {weekly(func(m *Module) { m.Storage = "disks" }), nil, "storage disks holds images,rootdir, and not backup"},
		"a target without disks":          {weekly(func(m *Module) { m.Target = "pbs1" }), nil, "target: storage pbs1 holds backup, and not images"},
		"a target on another node":        {weekly(func(m *Module) { m.Target = "far" }), nil, "target: storage far is not available on node pve1"},
		"no such guest":                   {weekly(func(m *Module) { m.Guest = "vm:102" }), nil, "the cluster has no guest 102"},
		"a container that is a machine":   {weekly(func(m *Module) { m.Guest = "ct:100" }), nil, "guest 100 is vm:100"},
		"an id of high availability":      {weekly(func(m *Module) { m.ID = 9200 }), nil, "high availability manages vm:9200"},
		"what an earlier test restored":   {weekly(nil), []observe.Expectation{taken, pve.GuestConfigs.Expect("9100", restored)}, ""},
		"the same, on another node":       {weekly(nil), []observe.Expectation{taken, pve.GuestConfigs.Expect("9100", elsewhere)}, `id 9100 belongs to guest "sso" on pve2`},
		"not a node":                      {weekly(nil), []observe.Expectation{pve.Nodes.Expect("", pve.Node{})}, "pve1 is not a Proxmox VE node"},
		"a timer that cannot be started":  {weekly(nil), []observe.Expectation{observe.Units.Expect("test-restore-vm-100.timer", observe.Unit{LoadState: "masked"})}, "test-restore-vm-100.timer is masked"},
		"another guest, with its own tag": {weekly(func(m *Module) { m.Guest = "ct:101" }), []observe.Expectation{taken, pve.GuestConfigs.Expect("9100", restored)}, "the cluster has no guest 101"},
	} {
		t.Run(name, func(t *testing.T) {
			h := host(test.more...)
			for _, slug := range []string{"vm-102", "ct-100", "ct-101"} {
				h.Predict([]observe.Expectation{reports.Expect(slug, report{})})
			}
			_, err := test.m.Plan(context.Background(), h)
			if got := errText(err); test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("the error is %q, want %q", got, test.want)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Module){
		"":                                 nil,
		"that of the guest itself":         func(m *Module) { m.ID = 100 },
		"99 is not the id of a guest":      func(m *Module) { m.ID = 99 },
		`"often" is not a calendar event`:  func(m *Module) { m.Schedule = "often" },
		`"sun 30" has no hour`:             func(m *Module) { m.Schedule = "sun 30" },
		"containers have no guest agent":   func(m *Module) { m.Guest, m.Prove = "ct:101", "agent" },
		"watch: 0s":                        func(m *Module) { m.Watch = 0 },
		"storage: missing":                 func(m *Module) { m.Storage = "" },
		`target: "a b" is not valid`:       func(m *Module) { m.Target = "a b" },
		`guest: "100" is not valid`:        func(m *Module) { m.Guest = "100" },
		"target: missing":                  func(m *Module) { m.Target = "" },
		"schedule: \"\" is not a calendar": func(m *Module) { m.Schedule = "" },
	} {
		if got := errText(weekly(change).Validate()); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("the error is %q, want %q", got, want)
		}
	}
}

func TestNotes(t *testing.T) {
	const now = 1795974060 // 2026-11-29
	for want, r := range map[string]report{
		"test restore of vm:100: it has not run yet; to test now: systemctl start test-restore-vm-100":                                                      {},
		"test restore of vm:100 succeeded at 2026-11-29 17:41 UTC, in 1m0s (pbs1:backup/vm/100/x)":                                                          {Outcome: "succeeded", Volume: "pbs1:backup/vm/100/x", Started: now - 60, Ended: now, LastSuccess: now},
		"test restore of vm:100 FAILED at 2026-11-29 17:41 UTC: too small; none has succeeded yet; journalctl -u test-restore-vm-100 shows the rest":        {Outcome: "failed", Reason: "too small", Ended: now},
		"test restore of vm:100: the service has failed without a report (the last success was at 2026-11-29 17:41 UTC): journalctl -u test-restore-vm-100": {Outcome: "succeeded", Ended: now, LastSuccess: now, Unreported: true},
		"; that is longer ago than \"sun 04:00\" allows: systemctl status test-restore-vm-100.timer":                                                        {Outcome: "succeeded", Ended: now - 9*day},
		"test restore of vm:100 succeeded at 2026-11-21 17:41 UTC, in 0s ()":                                                                                {Outcome: "succeeded", Started: now - 8*day, Ended: now - 8*day},
		"FAILED at 2026-11-29 17:41 UTC: gone; the last success was at 2026-11-22 17:41 UTC; journalctl -u test-restore-vm-100 shows the rest":              {Outcome: "failed", Reason: "gone", Ended: now, LastSuccess: now - 7*day},
	} {
		if r.Now == 0 {
			r.Now = now
		}
		m := weekly(nil)
		got := m.told(r, r.overdue(m.Schedule))
		if !strings.HasSuffix(got, want) {
			t.Errorf("the note is %q, want %q", got, want)
		}
	}
}

func TestPeriod(t *testing.T) {
	for schedule, want := range map[string]int{
		"04:00": 1, "*:0/15": 1, "daily": 1, "weekly": 7, "sun 04:00": 7, "mon..fri 22:00": 7, "Sat,sun 03:00": 7, "sat": 7,
		"*-*-01 03:00": 31, "*-1,15 04:00": 31, "sat *-1..7 15:00": 37, "*-03-01 04:00": 366, "03-01": 366, "2027-01-01 00:00": 366, "quarterly": 92,
	} {
		if got := period(schedule); got != want {
			t.Errorf("%q: %d days, want %d", schedule, got, want)
		}
	}
}

func TestReport(t *testing.T) {
	got, err := parseReport("now=2000\nResult=exit-code\nresult=failed\nstarted=1000\nended=1060\nvolume=local:backup/x\nwhy=it is = too small\nlast_success=\n")
	want := report{Outcome: "failed", Reason: "it is = too small", Volume: "local:backup/x", Started: 1000, Ended: 1060, Now: 2000}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if got.result(false).Ended != time.Unix(1060, 0).UTC().Format(time.RFC3339) || got.result(false).LastSuccess != "" {
		t.Errorf("the result is %+v", got.result(false))
	}
	if got, err := parseReport("now=2000\nResult=timeout\n"); err != nil || !got.Unreported {
		t.Errorf("a service that failed without a report: %+v, %v", got, err)
	}
	for _, text := range []string{"result=fine\n", "ended=yesterday\n", "now=-1\n"} {
		if _, err := parseReport(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func FuzzReport(f *testing.F) {
	f.Add("now=2000\nResult=success\nresult=succeeded\nstarted=1000\nended=1060\nvolume=v\nwhy=\nlast_success=1060\n", "sun 04:00")
	f.Fuzz(func(t *testing.T, text, schedule string) {
		r, err := parseReport(text)
		if err != nil {
			return
		}
		m := &Module{Guest: "vm:100", Schedule: schedule}
		if m.told(r, r.overdue(schedule)) == "" {
			t.Error("nothing is told")
		}
	})
}

// While the configuration of the restored guest cannot be read, it is not known to share nothing with the original, nor to be
// left over from a test.
func TestUnreadableConfiguration(t *testing.T) {
	functions, _, _ := strings.Cut(script, "# When the service is stopped")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "restoring"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"isolate", "destroy"} {
		c := exec.Command("sh", "-c", functions+`conf=$8 restoring=$8/restoring stop=
mounted() { :; }
qm() { echo "qm $*"; }
`+step, "sh", "vm", "100", "pbs1", "disks", "9100", "running", "60", dir) // a directory cannot be read as a file
		out, err := c.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "the configuration of guest 9100 cannot be read") || strings.Contains(string(out), "qm ") {
			t.Errorf("%s: %v, it printed %q", step, err, out)
		}
	}
}
