package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/afero"

	"hlplay/engine/report"
)

// TestReadAheadOnSimulatedNodes runs random playbooks of real modules with and without read-ahead, each on fresh
// simulated nodes. The state of the nodes, the report and what handlers leave must be the same, in a first run and in a
// second. Tasks read and change the same few files, settings and units, read with commands what other tasks have
// changed, use results and facts, and change things with commands that declare nothing.
func TestReadAheadOnSimulatedNodes(t *testing.T) {
	const cases = 40
	for seed := range uint64(cases) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			playbook := randomTasks(rand.New(rand.NewPCG(seed, 3)))
			with, without := onSimulatedNodes(t, playbook), onSimulatedNodes(t, playbook)
			for _, which := range []string{"first", "second"} {
				ahead := with.outcomes(t, false)
				turn := without.outcomes(t, true)
				if diff := cmp.Diff(turn, ahead); diff != "" {
					t.Errorf("%s run: results (-without +with read-ahead):\n%s\n%s", which, diff, playbook)
				}
				if diff := cmp.Diff(without.state(t), with.state(t)); diff != "" {
					t.Errorf("%s run: nodes (-without +with read-ahead):\n%s\n%s", which, diff, playbook)
				}
			}
		})
	}
}

// randomTasks returns a play with tasks that depend on handlers and results.
func randomTasks(rng *rand.Rand) string {
	var b strings.Builder
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	file := func() string { return fmt.Sprintf("/srv/f%d", rng.IntN(4)) }
	var registered []string
	b.WriteString("play \"p\" {\n  hosts = \"all\"\n")
	for i := range 4 + rng.IntN(12) {
		fmt.Fprintf(&b, "  task \"t%d\" {\n", i)
		switch rng.IntN(6) {
		case 0:
			fmt.Fprintf(&b, "    when = host.name != %q\n", pick("a", "b"))
		case 1:
			fmt.Fprintf(&b, "    when = facts.distribution.codename == %q\n", pick("trixie", "bookworm"))
		case 2, 3:
			if len(registered) > 0 {
				fmt.Fprintf(&b, "    when = %s\n", pick(registered...))
			}
		}
		name, reads := fmt.Sprint("r", i), false
		switch rng.IntN(8) {
		case 0, 1:
			fmt.Fprintf(&b, "    file {\n      path    = %q\n      content = %q\n      mode    = %q\n    }\n", file(),
				pick("one\n", "two\n", "${facts.kernel.release}\n", "of ${host.name}\n"), pick("0644", "0600"))
		case 2:
			fmt.Fprintf(&b, "    file {\n      path   = %q\n      create = true\n      line {\n        line = %q\n      }\n    }\n", file(), pick("one", "three", "${facts.hostname}"))
		case 3:
			fmt.Fprintf(&b, "    file {\n      path  = %q\n      state = \"absent\"\n    }\n", file())
		case 4:
			fmt.Fprintf(&b, "    sysctl {\n      name  = \"vm.swappiness\"\n      value = %q\n    }\n", pick("1", "2", "${facts.distribution.version}"))
		case 5:
			reads = true
			fmt.Fprintf(&b, "    command {\n      shell = \"cat %s || sysctl -n vm.swappiness || true\"\n      reads = true\n    }\n", file())
		case 6: // its effect is unknown
			if rng.IntN(2) == 0 {
				fmt.Fprintf(&b, "    command {\n      shell   = \"echo more >>%s\"\n      creates = \"/srv/done%d\"\n    }\n    allow = { append = \"it counts\" }\n", "/srv/done"+fmt.Sprint(i), i)
			} else {
				fmt.Fprintf(&b, "    command {\n      shell  = \"echo more >>%s\"\n      always = true\n    }\n    allow = { append = \"it counts\" }\n", file())
			}
		case 7:
			fmt.Fprintf(&b, "    service {\n      name    = \"cron\"\n      state   = %q\n    }\n", pick("started", "stopped"))
		}
		if rng.IntN(2) == 0 {
			fmt.Fprintf(&b, "    register = %q\n", name)
			registered = append(registered, "result."+name+".changed", "!result."+name+".changed")
			if reads {
				registered = append(registered, `try(strcontains(result.`+name+`.stdout, "one"), false)`)
			}
		}
		if rng.IntN(3) == 0 {
			fmt.Fprintf(&b, "    notify = [\"h\"]\n")
		}
		b.WriteString("  }\n")
	}
	b.WriteString("  handler \"h\" {\n    command {\n      shell  = \"echo handled >>/srv/handled\"\n      always = true\n    }\n    allow = { append = \"it counts\" }\n  }\n}\n")
	return b.String()
}

// outcomes runs the playbook and returns the status of each task on each host.
func (s *simulated) outcomes(t *testing.T, noReadAhead bool) map[string]string {
	t.Helper()
	_, kept := s.play(t, noReadAhead)
	all := map[string]string{}
	for _, r := range kept.Results() {
		if r.Status == report.Failed || r.Status == report.Unreachable {
			t.Errorf("%s on %s is %s: %s %s", r.Task, r.Host, r.Status, r.Message, r.Hint)
		}
		all[r.Host+" "+r.Task] = fmt.Sprint(r.Status, " ", r.Message)
	}
	return all
}

// state returns the observable state of the nodes: files, a setting, a unit.
func (s *simulated) state(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, h := range s.lab.Inventory().Hosts {
		m := s.lab.Machine(h.Name)
		for _, root := range []string{"/srv", "/etc/sysctl.d"} {
			err := afero.Walk(m.FS(), root, func(path string, info fs.FileInfo, err error) error {
				if err != nil || info.IsDir() {
					return err
				}
				text := fmt.Sprint(info.Mode())
				if info.Mode().IsRegular() {
					content, err := afero.ReadFile(m.FS(), path)
					if err != nil {
						return err
					}
					text += " " + string(content)
				}
				all[h.Name+" "+path] = text
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		value, err := m.Sysctl("vm.swappiness")
		if err != nil {
			t.Fatal(err)
		}
		all[h.Name+" vm.swappiness"] = value
		all[h.Name+" cron"] = fmt.Sprint(m.Units().Active("cron.service"))
	}
	return all
}
