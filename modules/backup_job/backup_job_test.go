package backup_job

import (
	"context"
	"errors"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// host returns a host with guests 100 and 101, a storage for backups, one for disks, and the given jobs.
func host(jobs map[string]map[string]string) *observe.Host {
	return observe.NewRecorded("pve1",
		pve.Clusters.Expect("", pve.Cluster{Mounted: true, Quorate: true, Name: "dream"}),
		pve.GuestLists.Expect("", map[int]pve.Guest{100: {Node: "pve1", Type: "qemu"}, 101: {Node: "pve2", Type: "lxc"}}),
		pve.Storages.Expect("", map[string]pve.Storage{
			"pbs1": {Type: "pbs", Options: map[string]string{"content": "backup"}},
			"kept": {Type: "dir", Options: map[string]string{"content": "iso,backup", "prune-backups": "keep-last=2"}},
			"rbd":  {Type: "rbd", Options: map[string]string{"content": "images"}},
		}),
		pve.BackupJobs.Expect("", jobs),
	)
}

// nightly returns a job, modified by change unless that is nil.
func nightly(change func(*Module)) *Module {
	m := &Module{ID: "nightly", State: "present", Schedule: "02:30", Storage: "pbs1", Mode: "snapshot", Notes: "{{guestname}}", Enabled: true, Keep: map[string]int{"daily": 7, "last": 3}}
	if change != nil {
		change(m)
	}
	return m
}

// there returns the job as Proxmox VE writes it, with lists and property strings in another order.
func there(change map[string]string) map[string]map[string]string {
	job := map[string]string{"schedule": "02:30", "storage": "pbs1", "mode": "snapshot", "notes-template": "{{guestname}}", "enabled": "1", "all": "1", "prune-backups": "keep-last=3,keep-daily=7", "mailto": "root"}
	for key, value := range change {
		if job[key] = value; value == "" {
			delete(job, key)
		}
	}
	return map[string]map[string]string{"nightly": job, "other": {"schedule": "sun 01:00", "vmid": "101", "storage": "pbs1"}}
}

func TestPlan(t *testing.T) {
	for name, test := range map[string]struct {
		m    *Module
		jobs map[string]map[string]string
		want string
	}{
		"new": {nightly(nil), map[string]map[string]string{},
			"pvesh create /cluster/backup --id nightly --all 1 --enabled 1 --mode snapshot --notes-template {{guestname}} --prune-backups keep-daily=7,keep-last=3 --schedule 02:30 --storage pbs1"},
		"as desired":         {nightly(nil), there(nil), ""},
		"keep is not named":  {nightly(func(m *Module) { m.Keep = nil }), there(nil), ""},
		"another time":       {nightly(func(m *Module) { m.Schedule = "03:00" }), there(nil), "pvesh set /cluster/backup/nightly --schedule 03:00"},
		"some guests":        {nightly(func(m *Module) { m.Guests = []int{101, 100} }), there(nil), "pvesh set /cluster/backup/nightly --vmid 100,101 --delete all"},
		"in another order":   {nightly(func(m *Module) { m.Guests = []int{100, 101} }), there(map[string]string{"all": "", "vmid": "101,100"}), ""},
		"all again":          {nightly(nil), there(map[string]string{"all": "", "vmid": "100"}), "pvesh set /cluster/backup/nightly --all 1 --delete vmid"},
		"all but one":        {nightly(func(m *Module) { m.Except = []int{100} }), there(nil), "pvesh set /cluster/backup/nightly --exclude 100"},
		"absent":             {nightly(func(m *Module) { m.State = "absent" }), there(nil), "pvesh delete /cluster/backup/nightly"},
		"absent, as desired": {nightly(func(m *Module) { m.State = "absent" }), map[string]map[string]string{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.m.Validate(); err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, step := range modulestest.Converges(t, test.m, host(test.jobs)).Steps {
				got += strings.Join(step.Action.(modules.Run).Argv, " ")
			}
			if got != test.want {
				t.Errorf("commands %q, want %q", got, test.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for want, change := range map[string]func(*Module){
		"the cluster has no storage nosuch; it has: kept, pbs1, rbd": func(m *Module) { m.Storage = "nosuch" },
		"rbd accepts images, but not backups":                        func(m *Module) { m.Storage = "rbd" },
		"the cluster has no guest 999":                               func(m *Module) { m.Guests = []int{100, 999} },
	} {
		plan, err := nightly(change).Plan(context.Background(), host(map[string]map[string]string{}))
		if err == nil || !strings.Contains(err.Error(), want) || len(plan.Steps) > 0 {
			t.Errorf("%d steps, %v; expected %q", len(plan.Steps), err, want)
		}
	}
}

// TestSchedule tests the examples in Proxmox VE's admin guide ("Calendar Events"), and invalid schedules.
func TestSchedule(t *testing.T) {
	for _, text := range []string{
		"mon,tue,wed,thu,fri", "sat,sun", "mon..fri", "12:05", "*/5", "mon..wed 30/10", "mon..fri 8..17,22:0/15", "fri 12..13:5/20", "12,14,16,18,20,22:5", "*",
		"sat *-1..7 15:00", "2015-10-21", "*-*-1 02:00", "02:30", "2:30:15", "Sunday 01:00", "daily", "0/2:00",
	} {
		if !pve.IsEvent(text) {
			t.Errorf("%q is refused", text)
		}
	}
	for _, text := range []string{"", "every tuesday at noon", "mon-fri 22:00", "25:00", "12:60", "61", "02:30 ", "mon  02:30", "@daily", "30 2 * * *", "-02:30", "02:30\n", "mon..fri 22:00 23:00", "moon 1:00", "*/90", "*/0", "0/24:00", "17..8:00", "30..10"} {
		if pve.IsEvent(text) {
			t.Errorf("%q is accepted", text)
		}
	}
}

// TestKeptForEver checks that a note says so if backups are never removed, but not if the storage removes them.
func TestKeptForEver(t *testing.T) {
	for storage, noted := range map[string]int{"pbs1": 1, "kept": 0} {
		plan, err := nightly(func(m *Module) { m.Keep, m.Storage = nil, storage }).Plan(context.Background(), host(map[string]map[string]string{}))
		if err != nil || len(plan.Notes) != noted {
			t.Errorf("%s: notes %q, %v; expected %d", storage, plan.Notes, err, noted)
		}
	}
}

func TestValidate(t *testing.T) {
	for argument, change := range map[string]func(*Module){
		"id":         func(m *Module) { m.ID = "1" },
		"schedule":   func(m *Module) { m.Schedule = "" },
		"storage":    func(m *Module) { m.Storage = "" },
		"except":     func(m *Module) { m.Guests, m.Except = []int{100}, []int{101} },
		"guests":     func(m *Module) { m.Guests = []int{} },
		"notes":      func(m *Module) { m.Notes = "a\nb" },
		"keep.often": func(m *Module) { m.Keep = map[string]int{"often": 1} },
		"keep.last":  func(m *Module) { m.Keep = map[string]int{"last": 0} },
	} {
		var fault *modules.ArgumentError
		if err := nightly(change).Validate(); !errors.As(err, &fault) || fault.Argument != argument {
			t.Errorf("%v, want a fault in %s", err, argument)
		}
	}
	for _, notes := range []string{"a ", " a", "{{guest}}", "{{vmid}} {{}}", "-x"} {
		if err := nightly(func(m *Module) { m.Notes = notes }).Validate(); err == nil {
			t.Errorf("notes %q are accepted", notes)
		}
	}
	if got := nightly(func(m *Module) { m.Enabled = false }).wanted()["enabled"]; got != "0" {
		t.Errorf("switched off: enabled is %q", got)
	}
	if err := (&Module{ID: "nightly", State: "absent"}).Validate(); err != nil {
		t.Errorf("absent: %v", err)
	}
}
