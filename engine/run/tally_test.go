package run_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/report"
	"hlplay/engine/run"
	"hlplay/modules"
)

// counted is a setting of which a run, or a task, may change only so many.
type counted struct {
	Name   string `hcl:"name" doc:"Which setting."`
	Value  string `hcl:"value" doc:"What it shall be."`
	Most   int    `hcl:"most" doc:"How many settings may be changed."`
	Run    bool   `hcl:"run,optional" doc:"In the whole run, not only by the task."`
	Notes  bool   `hcl:"notes,optional" doc:"More are noted only."`
	Fails  bool   `hcl:"fails,optional" doc:"The command fails."`
	Scope_ string `hcl:"scope,optional" doc:"one_by_one or cluster."`
}

func (m *counted) Scope() modules.Scope { return (&setting{Scope_: m.Scope_}).Scope() }

func (m *counted) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	plan, err := (&setting{Name: m.Name, Value: m.Value, Fails: m.Fails, Exact: true, Scope_: m.Scope_}).Plan(ctx, h)
	if err != nil || len(plan.Steps) == 0 {
		return plan, err
	}
	plan.Tally = &modules.Tally{Of: "settings", Names: []string{m.Name + " of " + h.Name()}, Run: m.Run, Judge: func(names []string) (string, error) {
		text := fmt.Sprintf("%d settings: %s", len(names), strings.Join(names, ", "))
		switch {
		case len(names) <= m.Most:
			return "", nil
		case m.Notes:
			return text, nil
		}
		return "", &modules.IntentError{Err: errors.New(text)}
	}}
	return plan, nil
}

var countedSpec = modules.Spec{Name: "counted", Summary: "A setting that is counted", New: func() modules.Module { return &counted{} }}

func count(name string, most int, more ...string) string {
	return "counted { " + strings.Join(append([]string{`name = "` + name + `"`, `value = "1"`, fmt.Sprintf("most = %d", most)}, more...), "; ") + " }"
}

// What a task adds to a number is judged over all its hosts and rounds before any of them begins; what a run adds, over its
// tasks, tries and handlers too, and over the run that it resumes.
func TestTallies(t *testing.T) {
	tests := map[string]struct {
		tasks   string
		earlier map[string][]string
		want    []string // in check mode and in the run
		acts    int      // in the run
		message string   // of task u on host a
	}{
		"as many as may be": {
			`task "u" { ` + count("x", 2) + ` }`, nil,
			[]string{"a u: changed", "b u: changed"}, 2, "",
		},
		"all hosts together are too many": {
			`task "u" { ` + count("x", 1) + ` }`, nil,
			[]string{"a u: failed", "b u: failed"}, 0, "2 settings: x of a, x of b",
		},
		"a host with nothing to do does not count": {
			`task "u" { when = host.name == "a"; ` + count("x", 1) + ` }`, nil,
			[]string{"a u: changed", "b u: skipped"}, 1, "",
		},
		"all rounds together are too many": {
			`task "u" { when = host.name == "a"; for_each = toset(["x", "y", "z"]); counted { name = each.key; value = "1"; most = 2 } }`, nil,
			[]string{"a u: failed", "b u: skipped"}, 0, "3 settings: x of a, y of a, z of a",
		},
		"one host after the other": {
			`task "u" { ` + count("x", 1, `scope = "one_by_one"`) + ` }`, nil,
			[]string{"a u: failed", "b u: failed"}, 0, "2 settings",
		},
		"one host for all": {
			`task "u" { ` + count("x", 0, `scope = "cluster"`) + ` }`, nil,
			[]string{"a u: failed"}, 0, "1 settings: x of a",
		},
		"each task alone": {
			`task "t" { ` + count("y", 2) + ` } task "u" { ` + count("x", 2) + ` }`, nil,
			[]string{"a t: changed", "a u: changed", "b t: changed", "b u: changed"}, 4, "",
		},
		"the run's tasks together": {
			`task "t" { ` + count("y", 2, "run = true") + ` } task "u" { ` + count("x", 3, "run = true") + ` }`, nil,
			[]string{"a t: changed", "a u: failed", "b t: changed", "b u: failed"}, 2, "4 settings: x of a, x of b, y of a, y of b",
		},
		"a try that failed counts once": {
			`task "t" { when = host.name == "a"; ` + count("y", 1, "run = true", "fails = true") + ` retries = 2; ignore_errors = true } task "u" { when = host.name == "a"; ` + count("y", 1, "run = true") + ` }`, nil,
			nil, -1, "",
		},
		"a handler": {
			`task "t" { ` + count("y", 2, "run = true") + ` notify = ["u"] } handler "u" { ` + count("x", 2, "run = true") + ` }`, nil,
			[]string{"a t: changed", "a u: failed", "b t: changed", "b u: failed"}, 2, "4 settings",
		},
		"a run that is resumed": {
			`task "u" { when = host.name == "a"; ` + count("x", 1, "run = true") + ` }`, map[string][]string{"settings": {"y of b"}},
			[]string{"a u: failed", "b u: skipped"}, 0, "2 settings: x of a, y of b",
		},
		"a run that is resumed, and the same again": {
			`task "u" { when = host.name == "a"; ` + count("x", 1, "run = true") + ` }`, map[string][]string{"settings": {"x of a"}},
			[]string{"a u: changed", "b u: skipped"}, 1, "",
		},
	}
	for name, test := range tests {
		for _, mode := range []string{"check", "run"} {
			t.Run(name+", "+mode, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newStage("a", "b")
					r := s.play(t, playOf(test.tasks), func(o *run.Options) { o.Counted, o.Check = test.earlier, mode == "check" })
					if test.want == nil { // check mode predicts no failure
						if got := resultOf(r, "a", "u"); got.Status != report.Changed && got.Status != report.OK {
							t.Errorf("task u is %s: %s", got.Status, got.Message)
						}
						return
					}
					if diff := cmp.Diff(test.want, outcomes(r)); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
					if got := resultOf(r, "a", "u"); !strings.Contains(got.Message, test.message) {
						t.Errorf("task u says %q, want %q", got.Message, test.message)
					}
					if mode == "run" && len(s.acts) != test.acts {
						t.Errorf("%d changes, want %d: %v", len(s.acts), test.acts, s.acts)
					}
				})
			})
		}
	}
}

// A note is reported once, on the first host that the number is about. In a rolling play only the last batch is judged.
func TestNotesOfTallies(t *testing.T) {
	notes := func(r *report.Recorder) (all []string) {
		for _, result := range r.Results() {
			for _, note := range result.Notes {
				all = append(all, result.Host+": "+note)
			}
		}
		return all
	}
	for name, test := range map[string]struct {
		source string
		want   []string
	}{
		"all at once":   {`task "u" { when = host.name != "a"; ` + count("x", 1, "notes = true", `scope = "one_by_one"`) + ` }`, []string{"b: 2 settings: x of b, x of c"}},
		"in batches":    {`serial = 2; task "u" { ` + count("x", 0, "notes = true") + ` }`, []string{"c: 1 settings: x of c"}},
		"of the run":    {`serial = 2; task "u" { ` + count("x", 1, "notes = true", "run = true") + ` }`, []string{"a: 2 settings: x of a, x of b", "c: 3 settings: x of a, x of b, x of c"}},
		"nothing to do": {`task "t" { ` + set("x", "1") + ` } task "u" { ` + count("x", 0, "notes = true") + ` }`, nil},
	} {
		for _, mode := range []string{"check", "run"} {
			t.Run(name+", "+mode, func(t *testing.T) {
				s := newStage("a", "b", "c")
				r := s.play(t, playOf(test.source), func(o *run.Options) { o.Check = mode == "check" })
				if diff := cmp.Diff(test.want, notes(r)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// In check mode, an intent that the predicted hosts cannot fulfil is a failure, unless nobody can tell what an earlier task does.
func TestUnfitIntentIsCertain(t *testing.T) {
	for name, test := range map[string]struct {
		first string
		want  report.Status
	}{
		"nothing comes before":                  {``, report.Failed},
		"a step whose effects cannot be listed": {`task "t" { ` + set("y", "1") + ` }`, report.Failed},
		"a task of another module, unknown":     {`task "s" { ` + set("y", "1", `obscures = "c"`) + ` } task "t" { ` + set("c", "1") + ` }`, report.Failed},
		"a task of the same module, unknown":    {`task "s" { ` + set("y", "1", `obscures = "c"`) + ` } task "t" { ` + count("c", 9) + ` }`, report.Uncertain},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage("a")
			r := s.play(t, playOf(test.first+` task "u" { `+count("x", 0)+` }`), check)
			if got := resultOf(r, "a", "u"); got.Status != test.want {
				t.Errorf("%s (%s), want %s", got.Status, got.Message, test.want)
			}
		})
	}
}

// What is about to be added is recorded before it is begun, for a run that resumes this one.
func TestTalliesAreRecorded(t *testing.T) {
	s := newStage("a", "b")
	var recorded []report.Counted
	s.play(t, playOf(`task "u" { `+count("x", 2, "run = true")+` }`), func(o *run.Options) {
		o.Counted = map[string][]string{"others": {"y"}}
		o.Reporter = reporterFunc(func(e report.Event) {
			if c, ok := e.(report.Counted); ok {
				recorded = append(recorded, c)
			}
		})
	})
	slices.SortFunc(recorded, func(a, b report.Counted) int { return strings.Compare(a.Of+a.Names[0], b.Of+b.Names[0]) })
	want := []report.Counted{{Of: "others", Names: []string{"y"}}, {Of: "settings", Names: []string{"x of a"}}, {Of: "settings", Names: []string{"x of b"}}}
	if diff := cmp.Diff(want, recorded); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

type reporterFunc func(report.Event)

func (f reporterFunc) Report(e report.Event) { f(e) }

func (f reporterFunc) Close() error { return nil }
