package run_test

import (
	"fmt"
	"strings"
	"testing"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/report"
	"hlplay/engine/run"
	"hlplay/modules"
)

// BenchmarkConverged is a rerun that finds nothing to do: 1,000 tasks on one host and on many. It measures the engine's
// own cost, because the hosts are maps. Besides time and memory it reports the flights per host.
func BenchmarkConverged(b *testing.B) {
	for _, size := range []struct{ hosts, tasks int }{{1, 100}, {1, 1000}, {10, 1000}, {100, 1000}} {
		b.Run(fmt.Sprintf("hosts=%d/tasks=%d", size.hosts, size.tasks), func(b *testing.B) {
			s := convergedStage(size.hosts, size.tasks)
			inv := s.inventory()
			pb, diags := lang.LoadSource("bench.hcl", []byte(manyTasks(size.tasks)), lang.Options{Modules: []modules.Spec{settingSpec}})
			if diags.HasErrors() {
				b.Fatal(diags)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				s.asks = map[string]int{}
				benchmarkRun(b, pb, inv, s, size.tasks)
			}
			b.ReportMetric(float64(s.asks["h0"]), "flights/host")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*size.hosts*size.tasks), "µs/task")
		})
	}
}

// BenchmarkFirstRun is a first run: tasks that all change something on three hosts, and travel together.
func BenchmarkFirstRun(b *testing.B) {
	const tasks = 60
	var playbook strings.Builder
	playbook.WriteString("play \"p\" {\n  hosts = \"all\"\n")
	for i := range tasks {
		fmt.Fprintf(&playbook, "task \"t%d\" {\n own {\n name = \"s%d\"\n value = \"of ${host.name}\"\n }\n }\n", i, i)
	}
	playbook.WriteString("}\n")
	pb, diags := lang.LoadSource("bench.hcl", []byte(playbook.String()), lang.Options{Modules: []modules.Spec{ownSpec}})
	if diags.HasErrors() {
		b.Fatal(diags)
	}
	b.ReportAllocs()
	for range b.N {
		b.StopTimer()
		s := convergedStage(3, 0)
		inv := s.inventory()
		b.StartTimer()
		recap, err := run.Run(b.Context(), pb, inv, run.Options{Reporter: nowhere{}, Connect: s.connect, Clock: s, SendAhead: true})
		if err != nil || recap.Hosts["h0"].Changed != tasks {
			b.Fatal(recap, err)
		}
	}
}

// BenchmarkRounds is a for_each with many rounds on one host: first each of them changes something, then none.
func BenchmarkRounds(b *testing.B) {
	for _, rounds := range []int{1000, 5000, 20000} {
		keys := make([]string, rounds)
		for i := range keys {
			keys[i] = fmt.Sprintf("%q", fmt.Sprint("s", i))
		}
		playbook := "play \"p\" {\n hosts = \"all\"\n task \"t\" {\n for_each = toset([" + strings.Join(keys, ", ") +
			"])\n setting {\n name = each.key\n value = \"1\"\n }\n }\n}"
		for _, which := range []string{"changed", "ok"} {
			b.Run(fmt.Sprintf("rounds=%d/%s", rounds, which), func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					b.StopTimer()
					s := newStage("h0")
					if which == "ok" {
						for i := range rounds {
							s.hosts["h0"].settings[fmt.Sprint("s", i)] = "1"
						}
					}
					inv := s.inventory()
					pb, diags := lang.LoadSource("bench.hcl", []byte(playbook), lang.Options{Modules: []modules.Spec{settingSpec}})
					if diags.HasErrors() {
						b.Fatal(diags)
					}
					b.StartTimer()
					if _, err := run.Run(b.Context(), pb, inv, run.Options{Reporter: nowhere{}, Connect: s.connect, Clock: s}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*rounds), "µs/round")
			})
		}
	}
}

func benchmarkRun(b *testing.B, pb *lang.Playbook, inv *inventory.Inventory, s *stage, tasks int) {
	recap, err := run.Run(b.Context(), pb, inv, run.Options{Reporter: nowhere{}, Connect: s.connect, Clock: s})
	if err != nil {
		b.Fatal(err)
	}
	for name, counts := range recap.Hosts {
		if counts.OK != tasks {
			b.Fatalf("%s: %+v, want %d ok", name, counts, tasks)
		}
	}
}

// nowhere is a reporter that discards events, so that only the engine is measured.
type nowhere struct{}

func (nowhere) Report(report.Event) {}
func (nowhere) Close() error        { return nil }

func convergedStage(hosts, tasks int) *stage {
	var names []string
	for i := range hosts {
		names = append(names, fmt.Sprintf("h%d", i))
	}
	s := newStage(names...)
	for _, name := range names {
		for i := range tasks {
			s.hosts[name].settings[fmt.Sprintf("s%d", i)] = "of " + name
		}
	}
	return s
}

// manyTasks returns tasks as playbooks have them: most with a plain module block, some with conditions, some with
// results that others read.
func manyTasks(n int) string {
	var b strings.Builder
	b.WriteString("play \"p\" {\n  hosts = \"all\"\n")
	for i := range n {
		fmt.Fprintf(&b, "  task \"t%d\" {\n", i)
		switch i % 10 {
		case 3:
			fmt.Fprintf(&b, "    register = \"r%d\"\n", i)
		case 4:
			fmt.Fprintf(&b, "    when = !result.r%d.changed\n", i-1)
		case 5:
			fmt.Fprintf(&b, "    when = contains(play.hosts, host.name)\n")
		}
		fmt.Fprintf(&b, "    setting {\n      name = \"s%d\"\n      value = \"of ${host.name}\"\n    }\n  }\n", i)
	}
	b.WriteString("}\n")
	return b.String()
}

// The number of flights of a converged rerun does not grow with the number of tasks, even if later tasks read results.
func TestFlightsDoNotGrowWithTasks(t *testing.T) {
	for _, tasks := range []int{20, 100, 1000} {
		s := convergedStage(3, tasks)
		for _, line := range outcomes(s.play(t, manyTasks(tasks))) {
			if !strings.HasSuffix(line, ": ok") {
				t.Fatalf("%d tasks: %s", tasks, line)
			}
		}
		for name, flights := range s.asks {
			if flights > 2 { // one for what is read at once, and one for what depends on results
				t.Errorf("%d tasks took %d flights to %s, want 2", tasks, flights, name)
			}
		}
	}
}

// A first run takes one flight at the beginning and one for each task that changes something, which carries the reads
// that verify the change and those of the next tasks, however many tasks there are. Occasionally a plan asks for
// something at the moment when it is dropped, which may cost another flight.
func TestFlightsOfAFirstRun(t *testing.T) {
	for _, tasks := range []int{20, 100, 500} {
		var playbook strings.Builder
		playbook.WriteString("play \"p\" {\n  hosts = \"all\"\n")
		for i := range tasks {
			fmt.Fprintf(&playbook, "task \"t%d\" {; setting {; name = \"s%d\"; value = \"of ${host.name}\"; }; }\n", i, i)
		}
		playbook.WriteString("}\n")
		s := convergedStage(3, 0)
		for _, line := range outcomes(s.play(t, strings.ReplaceAll(playbook.String(), ";", "\n"))) {
			if !strings.HasSuffix(line, ": changed") {
				t.Fatalf("%d tasks: %s", tasks, line)
			}
		}
		for name, flights := range s.asks {
			if most := 1 + tasks/20; flights > most {
				t.Errorf("%d tasks took %d flights to %s beside those that changed something, want at most %d", tasks, flights, name, most)
			}
		}
		if len(s.acts) != 3*tasks {
			t.Errorf("%d tasks took %d commands on three hosts", tasks, len(s.acts))
		}
	}
}

// A plan that could not be made before the task in front of it was done takes no flight of its own either: what it reads is
// foreseen, and travels with the step before.
func TestFlightsOfTasksThatNeedOneAnother(t *testing.T) {
	const tasks = 20
	var playbook strings.Builder
	playbook.WriteString("play \"p\" {\n  hosts = \"all\"\n  task \"t0\" {\n setting {\n name = \"s0\"\n value = \"of ${host.name}\"\n }\n }\n")
	for i := 1; i < tasks; i++ {
		fmt.Fprintf(&playbook, "task \"t%d\" {\n setting {\n name = \"s%d\"\n value = \"of ${host.name}\"\n needs = \"s%d\"\n }\n }\n", i, i, i-1)
	}
	playbook.WriteString("}\n")
	s := convergedStage(3, 0)
	for _, line := range outcomes(s.play(t, playbook.String())) {
		if !strings.HasSuffix(line, ": changed") {
			t.Fatal(line)
		}
	}
	for name, flights := range s.asks {
		if flights > 3 { // the first one, and what a plan asks for when it is dropped
			t.Errorf("%d tasks took %d flights to %s beside those that changed something, want at most 3", tasks, flights, name)
		}
	}
}
