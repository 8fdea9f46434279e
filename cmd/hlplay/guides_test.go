package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/inventory"
	"hlplay/engine/lab"
	"hlplay/engine/plan"
	"hlplay/engine/report"
	"hlplay/engine/run"
)

// TestGuides sets up the guides' cluster on simulated nodes, with both Debian releases that Proxmox VE supports, and
// checks hlplay's promises: check mode predicts exactly the changes of the run and writes nothing anywhere; what each
// step expects is observed; a second run changes nothing.
func TestGuides(t *testing.T) {
	for _, debian := range []string{"trixie", "bookworm"} {
		t.Run(debian, func(t *testing.T) {
			stage := guides(t, debian)

			foretold := stage.run(t, true)
			for _, name := range stage.names() {
				if writes := stage.lab.Machine(name).Writes(); len(writes) > 0 {
					t.Errorf("check mode wrote on %s: %v", name, writes)
				}
			}
			made := stage.run(t, false)
			uncertain := with(foretold, report.Uncertain)
			changed := with(made, report.Changed)
			certain := slices.DeleteFunc(slices.Clone(changed), func(task string) bool { return slices.Contains(uncertain, task) })
			if diff := cmp.Diff(certain, with(foretold, report.Changed)); diff != "" {
				t.Errorf("what changes (-run +check mode):\n%s", diff)
			}
			if len(uncertain)*20 > len(changed) {
				t.Errorf("%d of %d changes are uncertain in check mode, more than 5 %%:\n%s", len(uncertain), len(changed), strings.Join(uncertain, "\n"))
			}
			for _, bad := range []report.Status{report.Failed, report.Unreachable, report.Uncertain} {
				if all := with(made, bad); len(all) > 0 {
					t.Errorf("%s in the run: %v", bad, all)
				}
			}

			for _, name := range stage.names() {
				stage.lab.Machine(name).Starts()
			}
			again := stage.run(t, false)
			slowCommands(t, stage)
			for task, status := range again {
				if status != report.OK && status != report.Skipped {
					t.Errorf("second run: %s is %s", task, status)
				}
			}
			t.Logf("%d tasks on hosts, %d changed, %d uncertain in check mode", len(made), len(changed), len(uncertain))
		})
	}
}

// slowCommands checks which slow programs a converged run starts on a node: a Proxmox command is a Perl program that
// takes 0.4 to 2.5 s, and ceph a Python program that takes 0.2 to 0.6 s. Each program that is still started is listed
// here with its reason.
func slowCommands(t *testing.T, s *stage) {
	t.Helper()
	allowed := map[string]int{
		// Only the monitors know which daemons, OSDs, pools, rules and file systems exist: no file lists them. One
		// start of the program asks for everything, in one flight.
		"ceph": 1,
		// The full upgrade asks apt what it would do (apt-get -s): no file contains that.
		"apt-get": 1,
	}
	slow := []string{"pvecm", "pveceph", "pvesh", "pvesm", "pveversion", "qm", "pct", "ha-manager", "ceph-volume", "ceph", "apt-get", "apt-cache", "perl", "python3"}
	for _, name := range s.names() {
		started := s.lab.Machine(name).Starts()
		for _, program := range slow {
			if started[program] > allowed[program] {
				t.Errorf("a converged rerun starts %s %d times on %s, want at most %d", program, started[program], name, allowed[program])
			}
		}
		t.Logf("%s: programs started by the rerun: %v", name, started)
	}
}

// stage is a lab with the guides' inventory.
type stage struct {
	lab *lab.Lab
	inputFlags
}

func guides(t *testing.T, debian string) *stage {
	t.Helper()
	inv, diags := inventory.Load(filepath.Join("..", "..", "inventory"))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for _, h := range inv.Hosts {
		h.Rehearsal.Debian = debian
	}
	l, err := lab.Start(t.Context(), inv, lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &stage{lab: l}
}

func (s *stage) names() []string {
	var all []string
	for _, h := range s.lab.Inventory().Hosts {
		all = append(all, h.Name)
	}
	return all
}

// run runs the guides' playbook and returns the status of each task on each host.
func (s *stage) run(t *testing.T, check bool) map[string]report.Status {
	t.Helper()
	inv := s.lab.Inventory()
	pb, err := s.loadPlaybook(filepath.Join("..", "..", "playbooks", "cluster.hcl"), inv, selectFlags{})
	if err != nil {
		t.Fatal(err)
	}
	kept := &report.Recorder{}
	connect := &connectFlags{rehearsal: 3}
	_, err = run.Run(t.Context(), pb, inv, run.Options{
		Check: check, Reporter: kept, Clock: s.lab.Clock(), Unfulfilled: refuse(t), Approve: plan.Default().Approve, Connect: connect.connect(func(fn func()) { fn() }),
	})
	if err != nil {
		t.Fatal(err)
	}
	statuses := map[string]report.Status{}
	for _, r := range kept.Results() {
		key := fmt.Sprintf("%s: %s", r.Host, r.Task)
		statuses[key] = r.Status
		if r.Status == report.Failed || r.Status == report.Unreachable {
			t.Errorf("%s (%s:%d): %s\n%s\n%s", key, r.File, r.Line, r.Message, r.Output, r.Hint)
		}
	}
	return statuses
}

// refuse returns a function that fails the test if a step's expectation was not met.
func refuse(t *testing.T) func(run.Unfulfilled) {
	return func(u run.Unfulfilled) { t.Errorf("%v", u) }
}

// with returns the tasks with a status, sorted.
func with(statuses map[string]report.Status, status report.Status) []string {
	var all []string
	for task, s := range statuses {
		if s == status {
			all = append(all, task)
		}
	}
	slices.Sort(all)
	return all
}
