package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/afero"

	"hlplay/engine/lab/machine"
	"hlplay/engine/observe"
	"hlplay/engine/report"
	"hlplay/engine/run"
	"hlplay/modules/registry"
)

var sendAheadCases = flag.Int("sendahead.cases", 40, "how many random playbooks TestSendAheadOnSimulatedNodes runs")

// TestSendAheadOnSimulatedNodes runs random playbooks of real modules with send-ahead and without, each on fresh simulated
// nodes: what the nodes become and all that is reported must be the same, in a first run and in a second. Somebody else writes
// to the same files while hlplay replaces one, between the steps that are sent together.
func TestSendAheadOnSimulatedNodes(t *testing.T) {
	for seed := range uint64(*sendAheadCases) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			playbook := randomLocalTasks(rand.New(rand.NewPCG(seed, 7)))
			with, without := onSimulatedNodes(t, playbook), onSimulatedNodes(t, playbook)
			if seed%3 > 0 {
				with.meddle(seed)
				without.meddle(seed)
			}
			saved := int64(0)
			kept, keptApart := &keptCopies{}, &keptCopies{}
			for _, which := range []string{"first", "second"} {
				together, a := with.reported(t, func(o *run.Options) {
					o.SendAhead = true
					kept.start(o)
					if seed%3 == 0 { // otherwise not only hlplay changes the nodes
						o.Unfulfilled = refuse(t)
					}
				})
				apart, b := without.reported(t, keptApart.start)
				if diff := cmp.Diff(b, a); diff != "" {
					t.Errorf("%s run: results (-without +with send-ahead):\n%s\n%s", which, diff, playbook)
				}
				if diff := cmp.Diff(settled(without.state(t)), settled(with.state(t))); diff != "" {
					t.Errorf("%s run: nodes (-without +with send-ahead):\n%s\n%s", which, diff, playbook)
				}
				if diff := cmp.Diff(keptApart.changed(), kept.changed()); diff != "" {
					t.Errorf("%s run: copies of vital files (-without +with send-ahead):\n%s\n%s", which, diff, playbook)
				}
				for name, cost := range apart.Costs {
					saved += int64(cost.RoundTrips - together.Costs[name].RoundTrips)
				}
			}
			t.Logf("%d round trips were saved", saved)
		})
	}
}

// keptCopies holds the last copy that was kept of each vital file on each host, and what a run has left there.
type keptCopies struct {
	mu     sync.Mutex
	copies map[string]string
}

// start makes a run keep copies there.
func (k *keptCopies) start(o *run.Options) {
	k.copies = map[string]string{}
	o.Archive, o.Modules = k, registry.All()
}

func (k *keptCopies) Before(host, path string, f observe.File) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.copies[host+" "+path] = fmt.Sprintf("%s %q", f.Type, f.Content)
	return nil
}

func (k *keptCopies) After(host, path string, f observe.File) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.copies["after "+host+" "+path] = fmt.Sprintf("%s %q", f.Type, f.Content)
}

// changed returns the copies of files that are different after the run. A copy is kept, too, for a change that was sent and
// then not begun.
func (k *keptCopies) changed() map[string]string {
	changed := map[string]string{}
	for name, is := range k.copies {
		host, of := strings.CutPrefix(name, "after ")
		if k.copies[host] != k.copies["after "+host] {
			changed[map[bool]string{true: "after "}[of]+host] = is
		}
	}
	return changed
}

// settled leaves out temporary files, whose names are random.
func settled(state map[string]string) map[string]string {
	for name := range state {
		if strings.Contains(name, ".hlplay-") {
			delete(state, name)
		}
	}
	return state
}

// meddle has somebody else change a file now and then when hlplay has written a temporary one and is about to move it to its
// place.
func (s *simulated) meddle(seed uint64) {
	for _, h := range s.lab.Inventory().Hosts {
		m, n := s.lab.Machine(h.Name), uint64(0)
		m.Install("/usr/bin/sync", func(context.Context, *machine.Call) int {
			n++
			rng := rand.New(rand.NewPCG(seed, n*8+uint64(h.Name[0])*5000))
			path := fmt.Sprintf("/srv/f%d", rng.IntN(4))
			switch rng.IntN(12) {
			case 0: // in a new file: a simulated one that is written in the same instant has the same stamp
				_ = m.FS().Remove(path)
				_ = afero.WriteFile(m.FS(), path, []byte("somebody's\n"), 0o644)
			case 1:
				_ = m.FS().Remove(path)
			case 2:
				_ = afero.WriteFile(m.FS(), "/etc/sysctl.d/95-other.conf", []byte(fmt.Sprintf("vm.swappiness = %d\n", n)), 0o644)
			case 3, 4:
				_ = m.FS().Remove("/etc/hosts")
				_ = afero.WriteFile(m.FS(), "/etc/hosts", []byte(fmt.Sprintf("192.0.2.%d somebody\n", n)), 0o644)
			}
			return 0
		})
	}
}

// reported runs the playbook and returns all that is said of each task on each host but the time that it took.
func (s *simulated) reported(t *testing.T, change ...func(*run.Options)) (report.Recap, map[string]string) {
	t.Helper()
	recap, kept := s.play(t, false, change...)
	all := map[string]string{}
	for _, r := range kept.Results() {
		r.Duration, r.File = 0, ""
		all[r.Host+" "+r.Task] = fmt.Sprintf("%+v", r)
	}
	return recap, all
}

// randomLocalTasks is a play whose tasks follow one another on each host alone.
func randomLocalTasks(rng *rand.Rand) string {
	var b strings.Builder
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	file := func() string { return fmt.Sprintf("/srv/f%d", rng.IntN(4)) }
	b.WriteString("play \"p\" {\n  hosts = \"all\"\n")
	for i := range 6 + rng.IntN(14) {
		fmt.Fprintf(&b, "  task \"t%d\" {\n", i)
		switch rng.IntN(8) {
		case 0:
			fmt.Fprintf(&b, "    when = host.name != %q\n", pick("a", "b"))
		case 1:
			fmt.Fprintf(&b, "    when = facts.kernel.release != \"\"\n")
		}
		switch rng.IntN(17) {
		case 12:
			fmt.Fprintf(&b, "    service {\n      name    = %q\n      state   = %q\n      enabled = %s\n    }\n", pick("cron", "ssh", "rsyslog"), pick("started", "restarted", "reloaded"), pick("true", "false"))
		case 13:
			fmt.Fprintf(&b, "    group {\n      name = %q\n    }\n", pick("g1", "g2"))
		case 14:
			fmt.Fprintf(&b, "    user {\n      name = %q\n      shell = %q\n    }\n", pick("u1", "u2"), pick("/bin/sh", "/usr/sbin/nologin"))
		case 15:
			fmt.Fprintf(&b, "    modprobe {\n      modules = [%q]\n    }\n", pick("bonding", "vfio", "8021q"))
		case 16:
			fmt.Fprintf(&b, "    file {\n      path     = \"/etc/sudoers.d/90-test\"\n      content  = %q\n      mode     = \"0440\"\n      validate = [\"sh\", \"-c\", \"grep -q sudo\"]\n    }\n", pick("%sudo ALL=(ALL) ALL\n", "%sudo ALL=(ALL) NOPASSWD: ALL\n"))
		case 10: // a vital file
			fmt.Fprintf(&b, "    file {\n      path = \"/etc/hosts\"\n      create = true\n      line {\n        line = %q\n      }\n    }\n", pick("192.0.2.7 one", "192.0.2.8 two"))
		case 11:
			fmt.Fprintf(&b, "    for_each = toset([\"0\", \"1\", \"2\", \"3\"])\n    file {\n      path    = \"/srv/f${each.key}\"\n      content = %q\n    }\n", pick("one\n", "item ${each.key}\n"))
		case 0, 1, 2:
			fmt.Fprintf(&b, "    file {\n      path    = %q\n      content = %q\n      mode    = %q\n    }\n", file(),
				pick("one\n", "two\n", "", "no newline", "of ${host.name}\n", "é\n\n==> /srv/f1 <==\n"), pick("0644", "0600", "2755"))
		case 3, 4:
			fmt.Fprintf(&b, "    file {\n      path   = %q\n      create = true\n      line {\n        line = %q\n      }\n    }\n", file(), pick("one", "three", "four"))
		case 5:
			fmt.Fprintf(&b, "    file {\n      path  = %q\n      state = \"absent\"\n    }\n", file())
		case 6:
			fmt.Fprintf(&b, "    file {\n      path  = \"/srv/d%d\"\n      state = \"directory\"\n      mode  = %q\n    }\n", rng.IntN(2), pick("0755", "2750"))
		case 7:
			fmt.Fprintf(&b, "    file {\n      path    = \"/srv/d%d/deep/f\"\n      content = %q\n      make_parents = true\n    }\n", rng.IntN(2), pick("one\n", "two\n"))
		case 8:
			fmt.Fprintf(&b, "    file {\n      path   = \"/srv/l%d\"\n      target = %q\n    }\n", rng.IntN(2), file())
		case 9:
			fmt.Fprintf(&b, "    sysctl {\n      name  = %q\n      value = %q\n      file = \"/etc/sysctl.d/90-test.conf\"\n    }\n", pick("vm.swappiness", "kernel.pid_max"), pick("4000", "4194304", "10"))
		}
		if rng.IntN(3) == 0 {
			fmt.Fprintf(&b, "    notify = [%s]\n", pick(`"h"`, `"cron"`, `"ssh", "cron"`, `"units", "h"`))
		}
		b.WriteString("  }\n")
	}
	b.WriteString("  handler \"units\" {\n    command {\n      argv   = [\"systemctl\", \"daemon-reload\"]\n      always = true\n    }\n  }\n")
	b.WriteString("  handler \"ssh\" {\n    service {\n      name  = \"ssh\"\n      state = \"reloaded\"\n    }\n  }\n")
	b.WriteString("  handler \"cron\" {\n    service {\n      name  = \"cron\"\n      state = \"restarted\"\n    }\n  }\n")
	b.WriteString("  handler \"h\" {\n    command {\n      shell  = \"echo handled >>/srv/handled\"\n      always = true\n    }\n    allow = { append = \"it counts\" }\n  }\n}\n")
	return b.String()
}
