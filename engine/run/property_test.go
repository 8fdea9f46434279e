package run_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/report"
	"hlplay/engine/run"
)

// TestReadAheadChangesNothing runs random playbooks with and without read-ahead, each on fresh hosts. The state of the
// hosts, the report, and the handlers that run or are lost must be the same, and check mode must have predicted it if
// no command fails. The same must hold for a second run, which finds less to do, so that read-ahead goes further.
func TestReadAheadChangesNothing(t *testing.T) {
	const cases = 100
	for seed := range uint64(cases) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			fails := seed%2 == 1
			playbook := randomPlaybook(rand.New(rand.NewPCG(seed, 1)), fails)
			options := func(o *run.Options) {
				if seed%4 >= 2 {
					o.SkipTags = []string{"x"}
				}
			}
			with, without := randomStage(seed), randomStage(seed)
			for _, which := range []string{"first", "second"} {
				with.acts, without.acts = nil, nil
				checked := with.clone()
				a := with.play(t, playbook, options)
				b := without.play(t, playbook, options, func(o *run.Options) { o.NoReadAhead = true })
				slices.Sort(with.acts)
				slices.Sort(without.acts)
				for what, pair := range map[string][2]any{
					"hosts":    {without.state(), with.state()},
					"results":  {outcomes(b), outcomes(a)},
					"notes":    {timeless(b), timeless(a)},
					"commands": {without.acts, with.acts},
				} {
					if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
						t.Errorf("%s run: %s (-without +with read-ahead):\n%s\n%s", which, what, diff, playbook)
					}
				}
				foretold := outcomes(checked.play(t, playbook, options, check))
				if len(checked.acts) > 0 {
					t.Errorf("%s run: check mode acted: %v\n%s", which, checked.acts, playbook)
				}
				if diff := cmp.Diff(outcomes(b), foretold); diff != "" && !fails {
					t.Errorf("%s run: check mode (-run +foretold):\n%s\n%s", which, diff, playbook)
				}
			}
		})
	}
}

// timeless returns the notes without the times in them: hosts that wait concurrently share a clock.
func timeless(r *report.Recorder) (texts []string) {
	for _, note := range r.Notes() {
		texts = append(texts, regexp.MustCompile(`since [0-9:. -]+ [A-Z]+`).ReplaceAllString(note.Text, "since then"))
	}
	return texts
}

// randomStage returns three hosts with some of the settings already set.
func randomStage(seed uint64) *stage {
	rng := rand.New(rand.NewPCG(seed, 2))
	s := newStage("a", "b", "c")
	for _, name := range []string{"a", "b", "c"} {
		for i := range 6 {
			if rng.IntN(3) == 0 {
				s.hosts[name].settings[fmt.Sprintf("s%d", i)] = fmt.Sprint(rng.IntN(3))
			}
		}
	}
	return s
}

// draft is a random playbook under construction: tasks that read and change only a few settings, so that they affect
// each other.
type draft struct {
	strings.Builder
	rng *rand.Rand
	// fails says that commands may fail, which check mode cannot foretell.
	fails      bool
	own        bool // most tasks belong to their hosts alone
	quiet      bool // the play has no handlers
	tasks      int
	results    int      // so far in the play: the next play registers the same names anew
	registered []string // those that a task can read
}

// oneIn is true once in n times.
func (d *draft) oneIn(n int) bool { return d.rng.IntN(n) == 0 }

func (d *draft) pick(of ...string) string { return of[d.rng.IntN(len(of))] }

func (d *draft) linef(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

func randomPlaybook(rng *rand.Rand, fails bool) string {
	d := &draft{rng: rng, fails: fails}
	for p := range 1 + rng.IntN(2) {
		d.linef("play %q {\nhosts = %q", fmt.Sprint("p", p), d.pick("all", "all", "a:b"))
		switch {
		case d.oneIn(6):
			d.linef("serial = %d", 1+rng.IntN(2))
		case fails && d.oneIn(6):
			d.linef("any_errors_fatal = true")
		}
		d.results, d.registered = 0, nil // a host of this play may not have been in the last one
		for range 2 + rng.IntN(6) {
			d.node(2)
		}
		d.linef("handler \"h\" {\nsetting {\nname = \"h\"\nvalue = \"1\"\nrepeats = true\n}\n}\n}")
	}
	return d.String()
}

// node writes a task, or a group of several.
func (d *draft) node(deep int) {
	switch {
	case d.oneIn(12):
		d.linef("flush_handlers {}")
		return
	case deep == 0 || !d.oneIn(6):
		d.task()
		return
	}
	d.tasks++
	d.linef("group \"g%d\" {", d.tasks)
	before := slices.Clone(d.registered)
	for range 1 + d.rng.IntN(3) {
		d.node(deep - 1)
	}
	for _, part := range []string{"rescue", "always"} {
		if d.oneIn(2) {
			d.registered = slices.Clone(before) // what is registered above may not have run
			d.linef("%s {", part)
			for range 1 + d.rng.IntN(2) {
				d.task()
			}
			d.linef("}")
		}
	}
	d.registered = before
	d.linef("}")
}

func (d *draft) task() {
	d.tasks++
	d.linef("task \"t%d\" {", d.tasks)
	switch {
	case len(d.registered) > 0 && d.oneIn(3):
		d.linef("when = %sresult.%s.changed", d.pick("", "!"), d.pick(d.registered...))
	case len(d.registered) > 0 && d.oneIn(8):
		d.linef("when = length([for r in result : r if r.changed]) > 1")
	case d.oneIn(5):
		d.linef("when = host.name != %q", d.pick("a", "b"))
	}
	name := fmt.Sprintf("%q", fmt.Sprint("s", d.rng.IntN(6)))
	if d.oneIn(4) {
		d.linef("for_each = toset([\"s%d\", \"s%d\"])", d.rng.IntN(3), 3+d.rng.IntN(3))
		name = "each.key"
	}
	if d.own && !d.oneIn(5) {
		d.ownTask(name)
		d.settings()
		return
	}
	d.linef("setting {\nname = %s\nvalue = %q", name, fmt.Sprint(d.rng.IntN(3)))
	switch d.rng.IntN(10) {
	case 0:
		d.linef("scope = \"cluster\"")
	case 1:
		d.linef("scope = \"one_by_one\"\nalso_from = host.name == \"a\" ? null : \"a\"")
	case 2:
		d.linef("scope = \"one_by_one\"\non = %q", d.pick("a", "b", "c"))
	case 3:
		d.linef("settles = %d", 1+d.rng.IntN(9))
	case 4, 5:
		if d.fails {
			d.linef("fails = %s", d.pick("true", `host.name == "a"`, `host.name == "b"`))
		}
	}
	d.linef("}")
	d.settings()
}

// settings writes the rest of a task.
func (d *draft) settings() {
	if d.oneIn(2) {
		d.results++
		name := fmt.Sprint("r", d.results)
		d.linef("register = %q", name)
		d.registered = append(d.registered, name)
	}
	if d.quiet {
	} else if d.oneIn(3) {
		d.linef("notify = [\"h\"]")
	} else if d.own && d.oneIn(4) {
		d.linef("notify = [%s]", d.pick(`"i", "h"`, `"j"`, `"j", "i"`))
	}
	if d.oneIn(5) {
		d.linef("tags = [\"x\"]")
	}
	if d.oneIn(10) {
		d.linef("run_once = true")
	}
	if d.fails && d.oneIn(4) {
		d.linef("ignore_errors = true")
	}
	if d.fails && d.oneIn(8) {
		d.linef("retries = 1")
	}
	if d.own && d.oneIn(8) {
		d.linef("timeout = \"1h\"")
	}
	d.linef("}")
}
