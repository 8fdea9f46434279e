package wait_for

import (
	"errors"
	"testing"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

func TestConditions(t *testing.T) {
	file := func(content string) observe.File {
		return observe.File{Type: observe.Regular, Size: int64(len(content)), Content: []byte(content)}
	}
	ready := observe.Reading{Argv: []string{"ready"}}.Key()
	for _, test := range []struct {
		name  string
		wait  WaitFor
		known observe.Expectation
		await string // empty if the condition holds
	}{
		{"an open port", WaitFor{Port: 8006}, observe.Ports.Expect("127.0.0.1:8006", true), ""},
		{"a closed port", WaitFor{Port: 8006, Address: "::1"}, observe.Ports.Expect("[::1]:8006", false), "[::1]:8006 to accept connections"},
		{"a port that should close", WaitFor{Port: 22, State: "absent"}, observe.Ports.Expect("127.0.0.1:22", true), "127.0.0.1:22 to refuse connections"},
		{"a path", WaitFor{Path: "/x"}, observe.Files.Expect("/x", file("")), ""},
		{"no path", WaitFor{Path: "/x"}, observe.Files.Expect("/x", observe.File{}), "/x to appear"},
		{"a path that should go", WaitFor{Path: "/x", State: "absent"}, observe.Files.Expect("/x", file("")), "/x to disappear"},
		{"a path that is gone", WaitFor{Path: "/x", State: "absent"}, observe.Files.Expect("/x", observe.File{}), ""},
		{"a text", WaitFor{Path: "/x", Contains: "^up$"}, observe.Files.Expect("/x", file("a\nup\n")), ""},
		{"no text", WaitFor{Path: "/x", Contains: "^up$"}, observe.Files.Expect("/x", file("a\nupper\n")), `/x to contain "^up$"`},
		{"no file for a text", WaitFor{Path: "/x", Contains: "^up$"}, observe.Files.Expect("/x", observe.File{}), `/x to contain "^up$"`},
		{"an active unit", WaitFor{Unit: "x"}, observe.Units.Expect("x.service", observe.Unit{LoadState: "loaded", ActiveState: "active"}), ""},
		{"a unit", WaitFor{Unit: "x"}, observe.Units.Expect("x.service", observe.Unit{LoadState: "loaded", ActiveState: "activating"}), "x.service to become active"},
		{"a command", WaitFor{Command: []string{"ready"}}, observe.AuthorCommands.Expect(ready, remote.Answer{}), ""},
		{"a command that fails", WaitFor{Command: []string{"ready"}}, observe.AuthorCommands.Expect(ready, remote.Answer{Exit: 1}), "ready to succeed"},

		{"a path that a package brings", WaitFor{Path: "/x"}, observe.Files.Unknown("/x", "a package"), "/x to appear"},
		{"a text that a package brings", WaitFor{Path: "/x", Contains: "a"}, observe.Files.Unknown("/x", "a package"), `/x to contain "a"`},
		{"a unit that a package brings", WaitFor{Unit: "x"}, observe.Units.Unknown("x.service", "a package"), "x.service to become active"},
		{"a port that something opens", WaitFor{Port: 1}, observe.Ports.Unknown("127.0.0.1:1", "a package"), "127.0.0.1:1 to accept connections"},
		{"a command after a change", WaitFor{Command: []string{"ready"}}, observe.AfterChange("x"), "ready to succeed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := modulestest.Decoded(&test.wait).Validate(); err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, &test.wait, observe.NewRecorded("pve1", test.known))
			if test.await == "" {
				if len(plan.Steps) > 0 {
					t.Fatalf("the condition holds, but the plan is:\n%s", modulestest.Summaries(plan))
				}
				return
			}
			if len(plan.Steps) != 1 {
				t.Fatalf("the plan has %d steps, expected one", len(plan.Steps))
			}
			step := plan.Steps[0]
			if step.Await != test.await || step.Settle != 5*time.Minute || !step.Refresh || step.Action != (modules.Wait{}) {
				t.Errorf("the step is %+v, expected to wait five minutes for %q without counting as a change", step, test.await)
			}
		})
	}
}

func TestTimeoutIsSettle(t *testing.T) {
	w := WaitFor{Path: "/x", Timeout: time.Second}
	plan, err := modulestest.Decoded(&w).Plan(t.Context(), observe.NewRecorded("pve1", observe.Files.Expect("/x", observe.File{})))
	if err != nil || plan.Steps[0].Settle != time.Second {
		t.Errorf("the plan is %+v (error %v)", plan, err)
	}
}

func TestUnreadable(t *testing.T) {
	w := WaitFor{Path: "/x"}
	if plan, err := modulestest.Decoded(&w).Plan(t.Context(), observe.NewRecorded("pve1")); err == nil {
		t.Errorf("an observation that failed is waited for:\n%s", modulestest.Summaries(plan))
	}
}

func TestFaultsInArguments(t *testing.T) {
	for _, test := range []struct {
		argument string
		wait     WaitFor
	}{
		{"wait_for", WaitFor{}},
		{"wait_for", WaitFor{Port: 1, Path: "/x"}},
		{"port", WaitFor{Port: 70000}},
		{"path", WaitFor{Path: "x"}},
		{"contains", WaitFor{Port: 1, Contains: "x"}},
		{"contains", WaitFor{Path: "/x", State: "absent", Contains: "x"}},
		{"contains", WaitFor{Path: "/x", Contains: "("}},
		{"state", WaitFor{Unit: "x", State: "absent"}},
		{"unit", WaitFor{Unit: "*"}},
		{"command", WaitFor{Command: []string{""}}},
	} {
		var fault *modules.ArgumentError
		if err := modulestest.Decoded(&test.wait).Validate(); !errors.As(err, &fault) || fault.Argument != test.argument {
			t.Errorf("%+v: the fault is %v, expected one in %s", test.wait, err, test.argument)
		}
	}
}

// Time passes on every run, which is no change.
func TestWaitingForNothing(t *testing.T) {
	w := modulestest.Decoded(&WaitFor{Time: 90 * time.Second})
	if err := w.Validate(); err != nil {
		t.Fatal(err)
	}
	plan := modulestest.Converges(t, w, observe.NewRecorded("pve1"))
	if len(plan.Steps) != 1 || !plan.Repeats || !plan.Steps[0].Refresh {
		t.Fatalf("the plan is %+v, expected one step that repeats and is no change", plan)
	}
	if run := plan.Steps[0].Action.(modules.Run); run.Argv[0] != "sleep" || run.Argv[1] != "90" || run.Limit <= w.Time {
		t.Errorf("the command is %q within %s, expected to sleep for 90 seconds within more than that", run.Argv, run.Limit)
	}
	for _, bad := range []*WaitFor{{Time: -time.Second}, {Time: 2 * time.Hour}, {Time: time.Second, Port: 22}} {
		if modulestest.Decoded(bad).Validate() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}
