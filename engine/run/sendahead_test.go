package run_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/report"
	"hlplay/engine/run"
)

var sendAheadFirst = flag.Uint64("sendahead.first", 0, "the first of them")

var sendAheadCases = flag.Int("sendahead.cases", 200, "how many random playbooks TestSendAheadChangesNothing runs")

func sendAhead(o *run.Options) { o.SendAhead = true }

// TestSendAheadChangesNothing runs random playbooks with send-ahead and without, each on fresh hosts: what the hosts become, what
// is reported, which commands and handlers run and what stays due must be the same. Commands fail, and somebody else changes
// settings right before and after commands, between the steps that are sent together, and connections are lost during long commands. A second
// run must be the same as well.
func TestSendAheadChangesNothing(t *testing.T) {
	along := 0
	for seed := range uint64(*sendAheadCases) {
		seed += *sendAheadFirst
		playbook := randomOwnPlaybook(rand.New(rand.NewPCG(seed, 5)), seed%2 == 1)
		with, without := randomStage(seed), randomStage(seed)
		if seed%4 >= 1 {
			with.meddle, without.meddle = meddler(seed), meddler(seed)
		}
		for _, which := range []string{"first", "second"} {
			for _, s := range []*stage{with, without} {
				rng := rand.New(rand.NewPCG(seed, 7))
				for _, name := range slices.Sorted(maps.Keys(s.hosts)) {
					s.hosts[name].cuts = max(0, rng.IntN(8)-4)
				}
				s.acts, s.ran, s.flights = nil, map[string]int{}, map[string]int{}
			}
			a := with.play(t, playbook, sendAhead)
			b := without.play(t, playbook)
			for name, n := range without.flights {
				along += n - with.flights[name]
			}
			slices.Sort(with.acts)
			slices.Sort(without.acts)
			for what, pair := range map[string][2]any{
				"hosts":    {without.state(), with.state()},
				"reports":  {reported(b), reported(a)},
				"notes":    {sorted(timeless(b)), sorted(timeless(a))}, // otherwise the oldest come first
				"commands": {without.acts, with.acts},
				"due":      {dueOn(without), dueOn(with)},
			} {
				if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
					t.Errorf("seed %d, %s run: %s (-without +with send-ahead):\n%s\n%s", seed, which, what, diff, playbook)
				}
			}
		}
	}
	t.Logf("%d flights were saved", along)
	if least := *sendAheadCases * 2; along < least {
		t.Errorf("%d flights were saved, want at least %d: is anything sent ahead?", along, least)
	}
}

// meddler returns somebody who changes a setting now and then, depending on what a host has run.
func meddler(seed uint64) func(h *fakeHost, host string, n int, after bool) {
	return func(h *fakeHost, host string, n int, after bool) {
		rng := rand.New(rand.NewPCG(seed, uint64(n)*8+uint64(host[0])*2000+map[bool]uint64{true: 1}[after]))
		if rng.IntN(5) == 0 {
			name := fmt.Sprint("s", rng.IntN(6))
			h.settings[name] = fmt.Sprint(rng.IntN(3))
			delete(h.pending, name) // when it would show depends on how long other hosts wait
		}
	}
}

func sorted(lines []string) []string {
	slices.Sort(lines)
	return lines
}

// reported returns all that is said of each task on each host but the time that it took.
func reported(r *report.Recorder) []string {
	var all []string
	for _, result := range r.Results() {
		result.Duration = 0
		all = append(all, fmt.Sprintf("%+v", result))
	}
	slices.Sort(all)
	return all
}

func dueOn(s *stage) map[string]int {
	all := map[string]int{}
	for name, h := range s.hosts {
		all[name] = len(h.due)
	}
	return all
}

// randomOwnPlaybook is a random playbook whose tasks mostly belong to their hosts alone.
func randomOwnPlaybook(rng *rand.Rand, fails bool) string {
	d := &draft{rng: rng, fails: fails, own: true}
	for p := range 1 + rng.IntN(3) {
		d.linef("play %q {\nhosts = %q", fmt.Sprint("p", p), d.pick("all", "all", "a:b"))
		switch {
		case d.oneIn(8):
			d.linef("serial = %d", 1+rng.IntN(2))
		case fails && d.oneIn(8):
			d.linef("any_errors_fatal = true")
		}
		d.results, d.registered, d.quiet = 0, nil, d.oneIn(3)
		for range 4 + rng.IntN(12) {
			d.node(2)
		}
		for _, handler := range []string{"h", "i", "j"} {
			if !d.quiet {
				d.handler(handler)
			}
		}
		d.linef("}")
	}
	return d.String()
}

// handler writes a handler, which mostly may be sent with others.
func (d *draft) handler(name string) {
	d.linef("handler %q {", name)
	switch {
	case d.oneIn(8) && name != "j":
		d.linef("notify = [\"j\"]")
	case d.oneIn(8):
		d.linef("when = host.name != \"a\"")
	}
	module := d.pick("own", "own", "own", "setting")
	d.linef("%s {\nname = %q\nvalue = \"1\"", module, d.pick("h", "s0", "s1", "s2"))
	if !d.oneIn(3) {
		d.linef("repeats = true")
	} else if d.oneIn(2) {
		d.linef("settles = %d", 1+d.rng.IntN(3))
	}
	if d.fails && d.oneIn(4) {
		d.linef("%s = %s", d.pick("fails", "lies"), d.pick("true", `host.name == "a"`))
	}
	d.linef("}\n}")
}

// ownTask writes what a task of the own module does.
func (d *draft) ownTask(name string) {
	d.linef("own {\nname = %s\nvalue = %q", name, fmt.Sprint(d.rng.IntN(3)))
	if d.oneIn(4) {
		d.linef("long = true")
	}
	if d.oneIn(6) {
		d.linef("also = %q", fmt.Sprint("s", d.rng.IntN(6)))
	}
	switch d.rng.IntN(12) {
	case 0:
		d.linef("needs = %q", fmt.Sprint("s", d.rng.IntN(6)))
	case 1, 2:
		if d.fails {
			d.linef("%s = %s", d.pick("fails", "lies", "then_fails"), d.pick("true", `host.name == "a"`, `host.name == "b"`))
		}
	case 5:
		d.linef("settles = %d\ntells = %s", 1+d.rng.IntN(5), d.pick("true", "false"))
	case 6:
		d.linef("shared = %s", d.pick("true", "true\nplan_confined = true"))
	case 8:
		d.linef("partly = true")
	case 7:
		d.linef("repeats = true")
	case 3, 4: // nobody can know what becomes of another setting
		d.linef("obscures = %q\nupsets = %s", fmt.Sprint("s", d.rng.IntN(6)), d.pick("true", "false"))
	}
	d.linef("}")
}

// What is sent ahead is begun only as long as all before it came out as foreseen.
func TestSendAheadStops(t *testing.T) {
	playbook := playOf(strings.Join([]string{
		`task "1" { own { name = "s1"; value = "1" } }`, `task "2" { own { name = "s2"; value = "1" } }`,
		`task "3" { own { name = "s3"; value = "1"; lies = true } }`, `task "4" { own { name = "s4"; value = "1" } }`}, "\n"))
	s := newStage("a")
	r := s.play(t, lines(playbook), sendAhead)
	if diff := cmp.Diff([]string{"a 1: changed", "a 2: changed", "a 3: failed"}, outcomes(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a: set s1 1", "a: set s2 1", "a: pretend s3 1"}, s.acts); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if s.flights["a"] != 1 {
		t.Errorf("%d flights with commands, want 1", s.flights["a"])
	}
}

// Steps are sent together to hosts with a hand, and to others only if they are far away.
func TestSendAheadDependsOnDistance(t *testing.T) {
	playbook := lines(playOf(`task "1" { own { name = "s1"; value = "1" } }` + "\n" + `task "2" { own { name = "s2"; value = "1" } }`))
	for _, test := range []struct {
		latency time.Duration
		hand    bool
		flights int
	}{{0, false, 2}, {9 * time.Millisecond, false, 2}, {10 * time.Millisecond, false, 1}, {0, true, 1}, {10 * time.Millisecond, true, 1}} {
		s := newStage("a")
		s.latency, s.hand = test.latency, test.hand
		s.play(t, playbook, sendAhead, func(o *run.Options) { o.SendAheadFrom = 10 * time.Millisecond })
		if s.flights["a"] != test.flights {
			t.Errorf("%d flights with commands at %s (with a hand: %v), want %d", s.flights["a"], test.latency, test.hand, test.flights)
		}
	}
}

// A first run of tasks that belong to their hosts alone takes a flight for 65 of them, with what is read for them.
func TestFlightsOfAFirstRunTogether(t *testing.T) {
	const tasks = 100
	var playbook strings.Builder
	for i := range tasks {
		fmt.Fprintf(&playbook, "task \"t%d\" {\n own {\n name = \"s%d\"\n value = \"of ${host.name}\"\n }\n }\n", i, i)
	}
	s := convergedStage(3, 0)
	for _, line := range outcomes(s.play(t, "play \"p\" {\n hosts = \"all\"\n"+playbook.String()+"}\n", sendAhead)) {
		if !strings.HasSuffix(line, ": changed") {
			t.Fatal(line)
		}
	}
	for name := range s.hosts {
		if n := s.flights[name] + s.asks[name]; n > 3 {
			t.Errorf("%d tasks took %d flights that changed %s and %d that read only, want 3 at most", tasks, s.flights[name], name, s.asks[name])
		}
	}
}

// Tasks of several plays share a flight if nothing lies between the plays. The first part of a plan that is made in parts is the
// last in a flight.
func TestFlightsOfPlaysTogether(t *testing.T) {
	const first, second = `task "1" { own { name = "s1"; value = "1" } }`, `task "2" { own { name = "s2"; value = "1" } timeout = "1h" }`
	later := strings.Replace(playOf(second), `play "p"`, `play "q"`, 1)
	for _, test := range []struct {
		name, playbook string
		flights        int
		changed        []string
	}{
		{"two plays", playOf(first) + "\n" + later, 1, []string{"a 1: changed", "a 2: changed"}},
		{"a handler", strings.Replace(playOf(first), "task", `handler "h" { own { name = "h"; value = "1" } }`+"\ntask", 1) + "\n" + later, 1, []string{"a 1: changed", "a 2: changed"}},
		{"a handler that is due", playOf(strings.NewReplacer("task", `handler "h" { own { name = "s1"; value = "1"; repeats = true } }`+"\ntask", `"1" } }`, `"1" } notify = ["h"] }`).Replace(first)) + "\n" + later, 1,
			[]string{"a 1: changed", "a 2: changed", "a h: changed"}},
		{"a handler that does not travel", playOf(strings.NewReplacer("task", `handler "h" { own { name = "s1"; value = "1"; repeats = true; shared = true } }`+"\ntask", `"1" } }`, `"1" } notify = ["h"] }`).Replace(first)) + "\n" + later, 3,
			[]string{"a 1: changed", "a 2: changed", "a h: changed"}},
		{"a handler of a host that has failed", playOf(strings.NewReplacer("task", `handler "h" { own { name = "s1"; value = "1"; repeats = true } }`+"\ntask", `"1" } }`, `"1"; then_fails = true } notify = ["h"] }`).Replace(first)) + "\n" + later, 2,
			[]string{"a 1: failed", "a h: changed"}},
		{"a timeout below the limit of the command", playOf(first + "\n" + strings.Replace(second, "1h", "5m", 1)), 2, []string{"a 1: changed", "a 2: changed"}},
		{"a timeout below the limits of the items' commands", playOf(first + "\n" + `task "2" { for_each = toset(["s2", "s3"]); own { name = each.key; value = "1" } timeout = "15m" }`), 2, []string{"a 1: changed", "a 2: changed"}},
		{"a handler of the last one", playOf(first) + "\n" + strings.NewReplacer("task", `handler "h" { own { name = "s1"; value = "1"; repeats = true } }`+"\ntask", `timeout = "1h"`, `notify = ["h"]`).Replace(later), 1,
			[]string{"a 1: changed", "a 2: changed", "a h: changed"}},
		{"a plan that says so", playOf(first + "\n" + strings.Replace(second, `"1" }`, `"1"; shared = true; plan_confined = true }`, 1)), 1, []string{"a 1: changed", "a 2: changed"}},
		{"parts", playOf(first + "\n" + `task "2" { own { name = "s2"; value = "1"; partly = true } }` + "\n" + `task "3" { own { name = "s3"; value = "1" } }`), 2,
			[]string{"a 1: changed", "a 2: changed", "a 3: changed"}},
	} {
		s := newStage("a")
		if diff := cmp.Diff(test.changed, outcomes(s.play(t, lines(test.playbook), sendAhead))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if s.flights["a"] != test.flights {
			t.Errorf("%s: %d flights with commands, want %d: %v", test.name, s.flights["a"], test.flights, s.acts)
		}
	}
}

// A command that was sent ahead and found another process's lock is run again in its turn, and what is behind it waits.
func TestSentAheadIsTriedAgain(t *testing.T) {
	s := newStage("a")
	r := s.play(t, lines(playOf(strings.Join([]string{
		`task "1" { own { name = "s1"; value = "1" } }`, `task "2" { own { name = "s2"; value = "1"; busy = 5 } }`, `task "3" { own { name = "s3"; value = "1" } }`}, "\n"))), sendAhead)
	if diff := cmp.Diff([]string{"a 1: changed", "a 2: changed", "a 3: changed"}, outcomes(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := len(s.acts); n < 4 || s.acts[0] != "a: set s1 1" || s.acts[n-1] != "a: set s3 1" {
		t.Errorf("commands: %v", s.acts)
	}
	if s.flights["a"] < 3 {
		t.Errorf("%d flights with commands, want more than two", s.flights["a"])
	}
}

// What a command fetches that was sent ahead may be there only once another host has done an earlier task, although nothing said so. If
// it fails then, it is run again in its turn, and fails for good if it fails there.
func TestFetchedTooEarly(t *testing.T) {
	for value, want := range map[string]string{"1": "changed", "2": "failed"} {
		s := newStage("a", "b")
		r := s.play(t, lines(playOf(strings.Join([]string{
			`task "1" { own { name = "s1"; value = "1" } }`,
			`task "2" { own { name = "s2"; value = "1"; shared = true } when = host.name == "b" }`,
			`task "3" { own { name = "s2"; value = "` + value + `"; from = "b" } when = host.name == "a" }`,
			`task "4" { own { name = "s4"; value = "1" } when = host.name == "a" }`}, "\n"))), sendAhead)
		got := outcomes(r)
		if !slices.Contains(got, "a 3: "+want) || slices.Contains(got, "a 4: changed") != (want == "changed") {
			t.Errorf("value %s: %v, want task 3 %s on a", value, got, want)
		}
		tried := 0
		for _, act := range s.acts {
			if strings.HasPrefix(act, "a: fetch") {
				tried++
			}
		}
		if tried != 2 {
			t.Errorf("value %s: fetched %d times, want twice, ahead of its turn and in it: %v", value, tried, s.acts)
		}
	}
}

// The items of a for_each travel together, and with the tasks around it.
func TestFlightsOfItemsTogether(t *testing.T) {
	playbook := playOf(strings.Join([]string{
		`task "first" { own { name = "s0"; value = "1" } }`,
		`task "items" { for_each = toset([for i in range(20) : format("s%d", i)]); own { name = each.key; value = "1" } }`,
		`task "last" { own { name = "s0"; value = "2" } }`}, "\n"))
	s := newStage("a")
	if diff := cmp.Diff([]string{"a first: changed", "a items: changed", "a last: changed"}, outcomes(s.play(t, lines(playbook), sendAhead))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := s.flights["a"] + s.asks["a"]; n != 2 {
		t.Errorf("%d flights with commands and %d that read only, want one of each", s.flights["a"], s.asks["a"])
	}
}

// The handlers that are due travel together, and are no longer due when the host has run them. Those that depend on other
// hosts, or notify, run alone.
func TestFlightsOfHandlersTogether(t *testing.T) {
	handler := func(name, more string) string {
		return fmt.Sprintf("handler %q {\n own {\n name = %q\n value = \"1\"\n repeats = true\n %s\n }\n}", name, name, more)
	}
	for _, test := range []struct {
		name, second string
		flights      int // after those of the tasks
	}{
		{"all together", handler("i", ""), 1},
		{"one that depends on others", handler("i", "shared = true"), 3},
		{"one that notifies", strings.Replace(handler("i", ""), "{\n", "{\nnotify = [\"j\"]\n", 1), 3},
		{"one that fails", handler("i", "fails = true"), 2},
	} {
		playbook := playOf(strings.Join([]string{
			`task "1" { own { name = "s1"; value = "1" } notify = ["h", "i"] }`, `task "2" { own { name = "s2"; value = "1" } notify = ["j"] }`}, "\n"))
		playbook = strings.TrimSuffix(strings.TrimSpace(lines(playbook)), "}") + "\n" + handler("h", "") + "\n" + test.second + "\n" + handler("j", "") + "\n}\n"
		s := newStage("a")
		got := outcomes(s.play(t, playbook, sendAhead))
		want := []string{"a 1: changed", "a 2: changed", "a h: changed", "a i: changed", "a j: changed"}
		due := 0
		if test.name == "one that fails" {
			want[3], due = "a i: failed", 1
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if s.flights["a"] != 1+test.flights || s.asks["a"] != 1+due || len(s.hosts["a"].due) != due {
			t.Errorf("%s: %d flights with commands and %d that read only, %d handlers due; want %d, %d and %d", test.name, s.flights["a"], s.asks["a"], len(s.hosts["a"].due), 1+test.flights, 1+due, due)
		}
	}
}

// What only the exit code of a handler verifies is not read behind it.
func TestHandlersAreNotReadAgain(t *testing.T) {
	handler := `handler %q { own { name = %[1]q; value = "1"; repeats = true } }` + "\n"
	playbook := lines("play \"p\" {\nhosts = \"all\"\ntask \"1\" { own { name = \"s\"; value = \"1\" } notify = [\"h\", \"i\"] }\n" +
		fmt.Sprintf(handler, "h") + fmt.Sprintf(handler, "i") + "}")
	s := newStage("a")
	if got := outcomes(s.play(t, playbook, sendAhead)); !slices.Equal(got, []string{"a 1: changed", "a h: changed", "a i: changed"}) {
		t.Errorf("got %v", got)
	}
	// The first command is the task's, the second that of h.
	for _, get := range s.gets {
		if slices.Contains([]string{"2 h", "3 h", "3 i"}, get) {
			t.Errorf("read behind how many commands: %v; want neither h behind the second nor i behind the third", s.gets)
			break
		}
	}
}

// What becomes unknowable is guessed to stay as it is, and the host tells. The reads of tasks with nothing to do, and of the
// handlers that are due, travel with the last steps before them.
func TestFlightsOfGuesses(t *testing.T) {
	const playbook = `
play "p" {
  hosts = "all"
  task "1" {
    own {
      name = "s1"
      value = "1"
      obscures = "s2"
      upsets = %s
    }
    notify = ["h", "i"]
  }
  task "2" {
    own {
      name = "s2"
      value = "2"
    }
  }
  task "3" {
    setting {
      name = "s3"
      value = ""
    }
  }
  handler "h" {
    setting {
      name = "s4"
      value = "1"
      repeats = true
    }
  }
  handler "i" {
    setting {
      name = "s5"
      value = "1"
      repeats = true
    }
  }
}
`
	for upsets, want := range map[string]int{"false": 3, "true": 4} { // two are the handlers'
		s := newStage("a")
		if diff := cmp.Diff([]string{"a 1: changed", "a 2: changed", "a 3: ok", "a h: changed", "a i: changed"}, outcomes(s.play(t, fmt.Sprintf(playbook, upsets), sendAhead))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if s.flights["a"] != want || s.asks["a"] != 1 {
			t.Errorf("upsets = %s: %d flights with commands and %d that read only, want %d and one", upsets, s.flights["a"], s.asks["a"], want)
		}
	}
}

// Between the parts of a plan nothing is read for the tasks behind it, because the next part changes the host again.
func TestNothingIsReadBetweenParts(t *testing.T) {
	for name, second := range map[string]string{"the first part travels": "", "all alone": "shared = true"} {
		s, before := newStage("a"), 0
		s.onAct = func(string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.acts) == 2 { // task 1, and the first part of task 2
				before = s.asks["a"]
			}
		}
		r := s.play(t, lines(playOf(strings.Join([]string{
			`task "1" { own { name = "s1"; value = "1" } }`, `task "2" { own { name = "s2"; value = "1"; partly = true; ` + second + ` } }`,
			`task "3" { setting { name = "s3"; value = "" } }`, `task "4" { setting { name = "s4"; value = "1" } }`}, "\n"))), sendAhead)
		if diff := cmp.Diff([]string{"a 1: changed", "a 2: changed", "a 3: ok", "a 4: changed"}, outcomes(r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		// Whether task 4 takes one more depends on whether task 3 had been planned when the host was first changed.
		if before != 1 {
			t.Errorf("%s: %d flights that read only before the last part, want one", name, before)
		}
	}
}

// A run that is interrupted when a host has carried out a handler ahead of its turn does not say that the handler has not run.
func TestInterruptAfterAHandlerSentAhead(t *testing.T) {
	for repeats, want := range map[string]string{"true": "", "false": `still due: "h" on a`} {
		s := newStage("a")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		acts := 0
		s.ctx, s.onAct = ctx, func(string) {
			if acts++; acts == 2 {
				cancel()
			}
		}
		r := s.play(t, lines(`play "p" {
hosts = "all"
task "reads" { own { name = "h"; value = "" } }
task "t" { own { name = "x"; value = "1" } notify = ["h"] }
handler "h" { own { name = "h"; value = "1"; repeats = `+repeats+` } }
}`), sendAhead)
		if diff := cmp.Diff([]string{"a: set x 1", "a: set h 1"}, s.acts); diff != "" {
			t.Fatalf("commands (-want +got):\n%s", diff)
		}
		var notes []string
		for _, n := range r.Notes() {
			notes = append(notes, n.Text)
		}
		said := strings.Join(notes, "\n")
		if strings.Contains(said, "not run") || !strings.Contains(said, `"h" had not come`) || !strings.Contains(said, want) || (want == "") != (len(s.hosts["a"].due) == 0) {
			t.Errorf("repeats = %s: %d handlers are due, and the notes are:\n%s", repeats, len(s.hosts["a"].due), said)
		}
	}
}

// A handler that is due since before, because it has failed, runs before those that are declared after it.
func TestHandlersSentAheadKeepTheirOrder(t *testing.T) {
	s := newStage("a")
	r := s.play(t, lines(`play "p" {
hosts = "all"
task "1" { own { name = "s1"; value = "1" } notify = ["h"] }
flush_handlers {}
task "reads" { own { name = "i"; value = "" } }
task "2" { own { name = "s2"; value = "1" } }
task "3" { own { name = "s3"; value = "1" } notify = ["h", "i"] }
handler "h" { own { name = "h"; value = "1"; repeats = true; fails = true } ignore_errors = true }
handler "i" { own { name = "i"; value = "1"; repeats = true } }
}`), sendAhead)
	want := []string{"a: set s1 1", "a: fail h 1", "a: set s2 1", "a: set s3 1", "a: fail h 1", "a: set i 1"}
	if diff := cmp.Diff(want, s.acts); diff != "" {
		t.Errorf("commands (-want +got):\n%s\n%v %v", diff, outcomes(r), r.Notes())
	}
}

// A step of another host that may change all of them leaves a host alone that is ahead: the task that it has carried out there
// is not planned from what is there afterwards.
func TestAHostThatIsAheadStaysThere(t *testing.T) {
	s := newStage("a", "b")
	s.hosts["b"].settings["s1"] = "1"
	r := s.play(t, lines(playOf(strings.Join([]string{
		`task "0" { own { name = "s0"; value = "1" } }`, `task "1" { own { name = "s1"; value = "1"; wide = true } }`,
		`task "2" { own { name = "s2"; value = "1" } }`, `task "3" { own { name = "s3"; value = "1" } }`}, "\n"))), sendAhead)
	want := []string{"a 0: changed", "a 1: changed", "a 2: changed", "a 3: changed", "b 0: changed", "b 1: ok", "b 2: changed", "b 3: changed"}
	if diff := cmp.Diff(want, outcomes(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s.flights["b"] != 1 {
		t.Errorf("%d flights with commands to the host that is ahead, want 1", s.flights["b"])
	}
}

// A run that is interrupted when a host has carried out a task ahead of its turn says that the handler of that task has not run.
func TestInterruptAfterATaskSentAhead(t *testing.T) {
	s := newStage("a")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	acts := 0
	s.ctx, s.onAct = ctx, func(string) {
		if acts++; acts == 2 {
			cancel()
		}
	}
	r := s.play(t, lines(playOf(strings.Join([]string{
		`task "1" { own { name = "s1"; value = "1" } }`, `task "2" { own { name = "s2"; value = "1" } notify = ["h"] }`,
		`handler "h" { own { name = "h"; value = "1" } }`}, "\n"))), sendAhead)
	if diff := cmp.Diff([]string{"a: set s1 1", "a: set s2 1"}, s.acts); diff != "" {
		t.Fatalf("commands (-want +got):\n%s", diff)
	}
	want := report.Note{Text: `notified but not run: "h" on a; the next run of this playbook runs them`}
	if !slices.Contains(r.Notes(), want) || len(s.hosts["a"].due) != 1 {
		t.Errorf("%d handlers are due, and the notes are %v", len(s.hosts["a"].due), r.Notes())
	}
}

// With the last due handler of a play travels what the first task of the next play reads that has something to do, and what those read
// that may be sent with it.
func TestReadsBehindHandlersTravel(t *testing.T) {
	s := newStage("a")
	r := s.play(t, lines(`play "p" {
hosts = "all"
task "1" { own { name = "s1"; value = "1" } notify = ["h"] }
handler "h" { setting { name = "h"; value = "1"; repeats = true } }
}
play "q" {
hosts = "all"
task "2" { own { name = "s2"; value = "1" } }
task "3" { own { name = "s3"; value = "1" } }
task "4" { own { name = "s4"; value = "1" } }
}`), sendAhead)
	if diff := cmp.Diff([]string{"a 1: changed", "a 2: changed", "a 3: changed", "a 4: changed", "a h: changed"}, outcomes(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s.flights["a"] != 3 || s.asks["a"] > 2 { // how many the first reads take depends on which plans are made first
		t.Errorf("%d flights with commands and %d that read only, want 3 and at most 2", s.flights["a"], s.asks["a"])
	}
}

// A run that is interrupted says what became of the steps of later tasks, as far as the host has told: it may have been awaited.
func TestInterruptTellsWhatBecameOfStepsSentAhead(t *testing.T) {
	for name, test := range map[string]struct{ task, want string }{
		"it succeeded":         {`value = "1"`, "and were carried out: set s2 to 1"},
		"it failed":            {`value = "1"; fails = true`, "and failed with exit code 1: set s2 to 1"},
		"the first of two":     {`value = "1"; fails = true; also = "s3"`, "and failed with exit code 1: set s2 to 1; were not begun: set s3 to 1"},
		"a long one succeeded": {`value = "1"; long = true`, "and were carried out: set s2 to 1"},
		"a long one failed":    {`value = "1"; long = true; fails = true`, "and failed with exit code 1: set s2 to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage("a")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			acts := 0
			s.ctx, s.onAct = ctx, func(string) {
				if acts++; acts == 2 {
					cancel()
				}
			}
			r := s.play(t, lines(playOf("task \"1\" { own { name = \"s1\"; value = \"1\" } }\ntask \"2\" { own { name = \"s2\"; "+test.task+" } }")), sendAhead)
			want := report.Note{Text: `a: the turn of task "2" had not come, but its steps were sent with those of an earlier task ` + test.want}
			if !slices.Contains(r.Notes(), want) {
				t.Errorf("the notes are %+v, want %q", r.Notes(), want.Text)
			}
		})
	}
}
