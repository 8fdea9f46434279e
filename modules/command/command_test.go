package command

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

func guard(exit int, argv ...string) observe.Expectation {
	return observe.AuthorCommands.Expect(observe.Reading{Argv: argv}.Key(), remote.Answer{Exit: exit})
}

func TestGuards(t *testing.T) {
	there := observe.File{Type: observe.Regular}
	argv := []string{"make", "it"}
	for _, test := range []struct {
		name    string
		command Command
		known   []observe.Expectation
		runs    bool
	}{
		{"created already", Command{Creates: "/x"}, []observe.Expectation{observe.Files.Expect("/x", there)}, false},
		{"to be created", Command{Creates: "/x"}, []observe.Expectation{observe.Files.Expect("/x", observe.File{})}, true},
		{"created by a predicted command", Command{Creates: "/x"}, []observe.Expectation{observe.Files.Unknown("/x", "a command"), observe.Paths.Expect("/x", true)}, false},
		{"removed already", Command{Removes: "/x"}, []observe.Expectation{observe.Files.Expect("/x", observe.File{})}, false},
		{"to be removed", Command{Removes: "/x"}, []observe.Expectation{observe.Files.Expect("/x", there)}, true},
		{"unless it is so", Command{Unless: []string{"test", "a"}}, []observe.Expectation{guard(0, "test", "a")}, false},
		{"it is not so", Command{Unless: []string{"test", "a"}}, []observe.Expectation{guard(1, "test", "a")}, true},
		{"only if it is so", Command{OnlyIf: []string{"test", "a"}}, []observe.Expectation{guard(0, "test", "a")}, true},
		{"it is not so, and need not be done", Command{OnlyIf: []string{"test", "a"}}, []observe.Expectation{guard(1, "test", "a")}, false},
		{"a condition beside a guard", Command{OnlyIf: []string{"test", "a"}, Creates: "/x"}, []observe.Expectation{guard(0, "test", "a"), observe.Files.Expect("/x", observe.File{})}, true},
		{"each time", Command{Always: true}, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.command.Argv = argv
			if err := modulestest.Decoded(&test.command).Validate(); err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, &test.command, observe.NewRecorded("pve1", test.known...))
			if (len(plan.Steps) == 1) != test.runs {
				t.Fatalf("the plan is:\n%sexpected a run: %v", modulestest.Summaries(plan), test.runs)
			}
			if test.runs {
				run := plan.Steps[0].Action.(modules.Run)
				if diff := cmp.Diff(argv, run.Argv); diff != "" {
					t.Errorf("wrong command (-want +got):\n%s", diff)
				}
			}
			if plan.Repeats != test.command.Always {
				t.Errorf("Repeats is %v, expected %v", plan.Repeats, test.command.Always)
			}
		})
	}
}

func TestRunsAsGiven(t *testing.T) {
	c := Command{Shell: "a | b\nc", Always: true, Env: map[string]string{"A": "b"}, Stdin: "in", Dir: "/srv", OK: []int{0, 3}, Limit: 7}
	plan, err := modulestest.Decoded(&c).Plan(t.Context(), observe.NewRecorded("pve1", observe.Files.Expect("/srv", observe.File{Type: observe.Directory})))
	if err != nil {
		t.Fatal(err)
	}
	want := modules.Step{Summary: "run a | b …", Action: modules.Run{
		Argv: []string{"sh", "-c", "a | b\nc"}, Env: c.Env, Stdin: []byte("in"), Dir: "/srv", OK: c.OK, Limit: 7, Shows: true,
	}, Unknown: true}
	if diff := cmp.Diff(want, plan.Steps[0], cmp.Comparer(func(a, b func(int, []byte, []byte) error) bool { return a == nil && b == nil })); diff != "" {
		t.Errorf("wrong step (-want +got):\n%s", diff)
	}
}

func TestWhereTheCommandCannotRun(t *testing.T) {
	for what, test := range map[string]struct {
		found observe.File
		want  string
	}{
		"nothing": {observe.File{}, "the working directory /srv/d of \"make it\" does not exist"},
		"file":    {observe.File{Type: observe.Regular}, "is a regular file, not a directory"},
		"link":    {observe.File{Type: observe.Symlink, Target: "/root", Loose: "alice"}, "alice may change it: it is not followed"},
	} {
		c := Command{Argv: []string{"make", "it"}, Always: true, Dir: "/srv/d"}
		_, err := modulestest.Decoded(&c).Plan(t.Context(), observe.NewRecorded("pve1", observe.Files.Expect("/srv/d", test.found)))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("in a %s: error %v, want %q", what, err, test.want)
		}
	}
}

func TestReading(t *testing.T) {
	c := Command{Argv: []string{"list"}, Reads: true, OK: []int{0, 1}, Dir: "/srv"}
	key := observe.Reading{Argv: []string{"list"}, User: "ops", Dir: "/srv"}.Key()
	ctx := observe.WithUser(t.Context(), "ops")
	plan := modulestest.ConvergesIn(t, ctx, &c, observe.NewRecorded("pve1",
		observe.AuthorCommands.Expect(key, remote.Answer{Stdout: []byte("a\r\nb\n\n"), Stderr: []byte("warning\n"), Exit: 1})))
	want := cty.ObjectVal(map[string]cty.Value{
		"stdout": cty.StringVal("a\r\nb"), "stderr": cty.StringVal("warning"), "rc": cty.NumberIntVal(1),
		"stdout_lines": cty.ListVal([]cty.Value{cty.StringVal("a"), cty.StringVal("b")}),
	})
	if !plan.Data.RawEquals(want) || len(plan.Steps) > 0 {
		t.Errorf("the data is %#v with %d steps, expected %#v with none", plan.Data, len(plan.Steps), want)
	}
	_, err := modulestest.Decoded(&c).Plan(ctx, observe.NewRecorded("pve1", observe.AuthorCommands.Expect(key, remote.Answer{Stderr: []byte("no such thing\n"), Exit: 2})))
	if err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("a reading that failed gives %v, expected its message", err)
	}
	_, err = modulestest.Decoded(&c).Plan(ctx, observe.NewRecorded("pve1", observe.AfterChange("install x")))
	if !observe.IsUnknown(err) {
		t.Errorf("a reading after a change in check mode gives %v, expected unknown", err)
	}
}

func TestGuardCannotRun(t *testing.T) {
	c := Command{Argv: []string{"x"}, Unless: []string{"no-such"}}
	if _, err := modulestest.Decoded(&c).Plan(t.Context(), observe.NewRecorded("pve1", guard(127, "no-such"))); err == nil {
		t.Error("a guard whose program is missing passes for one that says no")
	}
}

func TestDataIsOfOneType(t *testing.T) {
	if a, b := toBeRun.Type(), notRun.Type(); !a.Equals(b) {
		t.Errorf("before the command has run the data is a %#v, without that a %#v", a, b)
	}
	if a, b := notRun.Type(), printed(remote.Answer{}).Type(); !a.Equals(b) {
		t.Errorf("without a reading the data is a %#v, with one a %#v", a, b)
	}
}

func TestFaultsInArguments(t *testing.T) {
	argv := []string{"x"}
	for _, test := range []struct {
		argument string
		command  Command
	}{
		{"argv", Command{Always: true}},
		{"argv", Command{Argv: argv, Shell: "x", Always: true}},
		{"argv", Command{Argv: []string{""}, Always: true}},
		{"argv", Command{Argv: []string{"a\x00"}, Always: true}},
		{"command", Command{Argv: argv}},
		{"reads", Command{Argv: argv, Reads: true, Creates: "/x"}},
		{"reads", Command{Argv: argv, Reads: true, Always: true}},
		{"always", Command{Argv: argv, Always: true, Unless: argv}},
		{"unless", Command{Argv: argv, Unless: []string{""}}},
		{"creates", Command{Argv: argv, Creates: "x"}},
		{"dir", Command{Argv: argv, Always: true, Dir: "x"}},
	} {
		var fault *modules.ArgumentError
		if err := modulestest.Decoded(&test.command).Validate(); !errors.As(err, &fault) || fault.Argument != test.argument {
			t.Errorf("%+v: the fault is %v, expected one in %s", test.command, err, test.argument)
		}
	}
}
