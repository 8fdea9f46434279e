package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hlplay/engine/inventory"
	"hlplay/engine/lab"
	"hlplay/engine/report"
	"hlplay/engine/run"
)

// TestRoundTripsOfAFirstRun counts, on the connections to simulated nodes, what a run costs that has something
// to do: at most two round trips for each changed task, those of the handshake, of the shells and of the handler
// included. A second run of the same costs no more than connecting and two flights.
func TestRoundTripsOfAFirstRun(t *testing.T) {
	play := onSimulatedNodes(t, changingPlaybook())
	recap, kept := play()
	for _, r := range kept.Results() {
		if r.Status != report.Changed && r.Status != report.OK {
			t.Errorf("%s on %s is %s: %s %s", r.Task, r.Host, r.Status, r.Message, r.Hint)
		}
	}
	for name, cost := range recap.Costs {
		changed := recap.Hosts[name].Changed
		t.Logf("%s: %d round trips for %d changes, %d flights of reads alone", name, cost.RoundTrips, changed, cost.Flights)
		if changed < 40 {
			t.Errorf("%s: only %d changes: this was no first run", name, changed)
		}
		if cost.RoundTrips > 2*changed {
			t.Errorf("%s: %d round trips for %d changes, expected at most two for each", name, cost.RoundTrips, changed)
		}
	}
	recap, _ = play()
	for name, cost := range recap.Costs {
		if changed := recap.Hosts[name].Changed; changed > 0 || cost.RoundTrips > 14 {
			t.Errorf("%s: the second run changed %d tasks in %d round trips, expected none in at most 14", name, changed, cost.RoundTrips)
		}
	}
}

// TestWhatDependsOnFactsTravelsWithThem holds a converged run to one flight, also where tasks wait for facts: what
// they read is known by then.
func TestWhatDependsOnFactsTravelsWithThem(t *testing.T) {
	play := onSimulatedNodes(t, `
play "p" {
  hosts = "all"
  task "banner" {
    file {
      path    = "/etc/banner"
      content = "${facts.distribution.pretty} on ${host.name}\n"
    }
  }
  task "package" {
    when = facts.distribution.id == "debian"
    apt { packages = ["curl"] }
  }
  task "service" {
    when = facts.kernel.architecture != ""
    service {
      name    = "ssh"
      enabled = true
    }
  }
  task "setting" {
    vars = { swappiness = facts.kernel.pve ? "1" : "2" }
    sysctl {
      name  = "vm.swappiness"
      value = vars.swappiness
    }
  }
  task "not here" {
    when = facts.distribution.id == "plan9"
    file {
      path  = "/etc/banner"
      state = "absent"
    }
  }
  task "never" {
    when = var.never && facts.distribution.id == "debian"
    apt { packages = ["nonesuch"] }
  }
}
variable "never" {
  type    = bool
  default = false
}
`)
	if recap, _ := play(); recap.Hosts["a"].Failed > 0 || recap.Hosts["a"].Changed == 0 {
		t.Fatalf("the first run: %+v", recap.Hosts["a"])
	}
	recap, kept := play()
	for name, cost := range recap.Costs {
		if changed := recap.Hosts[name].Changed; changed > 0 || cost.Flights != 1 {
			t.Errorf("%s: the second run changed %d tasks and took %d flights, expected none in one", name, changed, cost.Flights)
		}
	}
	for _, r := range kept.Results() {
		if (r.Task == "not here" || r.Task == "never") != (r.Status == report.Skipped) {
			t.Errorf("%s on %s is %s", r.Task, r.Host, r.Status)
		}
	}
}

// onSimulatedNodes is what runs a playbook, again and again, on two of them that are fresh at first.
func onSimulatedNodes(t *testing.T, playbook string) func() (report.Recap, *report.Recorder) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	inv, diags := inventory.Load(write("hosts.hcl", "host \"a\" { address = \"192.0.2.1\" }\nhost \"b\" { address = \"192.0.2.2\" }\n"))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	l, err := lab.Start(t.Context(), inv, lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var f inputFlags
	pb, err := f.loadPlaybook(write("play.hcl", playbook), l.Inventory())
	if err != nil {
		t.Fatal(err)
	}
	return func() (report.Recap, *report.Recorder) {
		kept := &report.Recorder{}
		connect := &connectFlags{rehearsal: true}
		recap, err := run.Run(t.Context(), pb, l.Inventory(), run.Options{Reporter: kept, Clock: l.Clock(), Connect: connect.connect(func(fn func()) { fn() })})
		if err != nil {
			t.Fatal(err)
		}
		return recap, kept
	}
}

// changingPlaybook is tasks that change a fresh node: directories and files in them, links, lines, kernel
// settings with their files, and some between them that find nothing to do.
func changingPlaybook() string {
	var b strings.Builder
	b.WriteString("play \"p\" {\n  hosts = \"all\"\n")
	task := func(name, body string) {
		fmt.Fprintf(&b, "  task %q {\n    %s\n    notify = [\"h\"]\n  }\n", name, body)
	}
	for i := range 10 {
		task(fmt.Sprint("directory ", i), fmt.Sprintf("file {\n      path  = \"/etc/d%d/deep\"\n      state = \"directory\"\n      make_parents = true\n    }", i))
		task(fmt.Sprint("file ", i), fmt.Sprintf("file {\n      path    = \"/etc/d%d/deep/file\"\n      content = \"of ${host.name}\\n\"\n      mode    = \"0640\"\n    }", i))
		task(fmt.Sprint("link ", i), fmt.Sprintf("file {\n      path   = \"/etc/d%d/link\"\n      target = \"deep/file\"\n    }", i))
		task(fmt.Sprint("line ", i), fmt.Sprintf("file {\n      path = \"/etc/hosts\"\n      line {\n        line = \"192.0.2.%d other%d\"\n      }\n    }", 100+i, i))
		task(fmt.Sprint("nothing ", i), fmt.Sprintf("file {\n      path  = \"/etc/none%d\"\n      state = \"absent\"\n    }", i))
	}
	task("swappiness", "sysctl {\n      name  = \"vm.swappiness\"\n      value = \"7\"\n    }")
	b.WriteString("  handler \"h\" {\n    command {\n      argv   = [\"true\"]\n      always = true\n    }\n  }\n}\n")
	return b.String()
}
