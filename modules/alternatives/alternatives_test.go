package alternatives

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

// pager is what Debian 12 answers to update-alternatives --query pager.
const pager = `Name: pager
Link: /usr/bin/pager
Slaves:
 pager.1.gz /usr/share/man/man1/pager.1.gz
Status: auto
Best: /usr/bin/less
Value: /usr/bin/less

Alternative: /bin/more
Priority: 50
Slaves:
 pager.1.gz /usr/share/man/man1/more.1.gz

Alternative: /usr/bin/less
Priority: 77
Slaves:
 pager.1.gz /usr/share/man/man1/less.1.gz
`

var debian = group{Link: "/usr/bin/pager", Auto: true, Value: "/usr/bin/less", Priorities: map[string]int{"/bin/more": 50, "/usr/bin/less": 77}}

func TestParse(t *testing.T) {
	got := modulestest.Parsed(t, groups, []string{"pager", "nope"}, remote.Answer{Stdout: []byte(pager)},
		remote.Answer{Exit: 2, Stderr: []byte("update-alternatives: error: no alternatives for nope\n")})
	if diff := cmp.Diff(map[string]group{"pager": debian, "nope": {}}, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

// What could not be read is not the same as a name without alternatives.
func TestParseRefuses(t *testing.T) {
	for name, a := range map[string]remote.Answer{
		"no program":    {Exit: 127, Stderr: []byte("sh: 1: update-alternatives: not found\n")},
		"another error": {Exit: 2, Stderr: []byte("update-alternatives: error: pager corrupt: invalid status\n")},
		"nothing":       {},
		"no number":     {Stdout: []byte("Link: /usr/bin/pager\nAlternative: /bin/more\nPriority: high\n")},
	} {
		if g, err := parseGroup("pager", a); err == nil {
			t.Errorf("%s: %+v, want an error", name, g)
		}
	}
}

// The program of this computer answers as expected.
func TestRealProgram(t *testing.T) {
	if _, err := exec.LookPath(program); err != nil {
		t.Skip("this computer has no update-alternatives")
	}
	if _, err := os.Stat("/var/lib/dpkg/alternatives/awk"); err != nil {
		t.Skip("this computer has no alternatives for awk")
	}
	got := modulestest.Fetch(t, groups, "awk", "no-such-name")
	if awk := got["awk"]; awk.Link != "/usr/bin/awk" || awk.Value == "" || len(awk.Priorities) == 0 {
		t.Errorf("awk: %+v", awk)
	}
	if diff := cmp.Diff(group{}, got["no-such-name"]); diff != "" {
		t.Errorf("no-such-name: %s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(pager), 0)
	f.Fuzz(func(t *testing.T, out []byte, exit int) {
		modulestest.FuzzAnswer(t, groups, []string{"pager"}, out, exit)
	})
}

func host(g group) modules.Host {
	return observe.NewRecorded("pve1", groups.Expect("pager", g),
		observe.Files.Expect("/opt/pager", observe.File{Type: observe.Regular}), observe.Files.Expect("/opt/none", observe.File{}),
		observe.Files.Expect("/usr/bin/less", observe.File{Type: observe.Regular}))
}

func TestPlan(t *testing.T) {
	number := func(n int) *int { return &n }
	manual, none := debian.choose(false, "/bin/more"), group{}
	for _, test := range []struct {
		name string
		now  group
		task choice
		want string
	}{
		{"another one", debian, choice{Path: "/bin/more"}, "use /bin/more as pager"},
		{"the best one is chosen", debian, choice{Path: "/usr/bin/less"}, "use /usr/bin/less as pager"},
		{"chosen already", manual, choice{Path: "/bin/more"}, ""},
		{"its link was removed", manual.choose(false, ""), choice{Path: "/bin/more"}, "use /bin/more as pager"},
		{"automatic", manual, choice{Auto: true}, "use the alternative for pager with the highest priority"},
		{"automatic already", debian, choice{Auto: true}, ""},
		{"automatic, changed by hand", debian.choose(true, "/bin/more"), choice{Auto: true}, "use the alternative for pager with the highest priority"},
		{"a new one", debian, choice{Path: "/opt/pager", Link: "/usr/bin/pager", Priority: number(1)},
			"register /opt/pager as pager (priority 1)\n  use /opt/pager as pager"},
		{"a new one that is not used", debian, choice{Path: "/opt/pager", Link: "/usr/bin/pager", Priority: number(1), Auto: true}, "register /opt/pager as pager (priority 1)"},
		{"a new one that is the best", debian, choice{Path: "/opt/pager", Link: "/usr/bin/pager", Priority: number(99), Auto: true}, "register /opt/pager as pager (priority 99)"},
		{"the first one", none, choice{Path: "/opt/pager", Link: "/usr/bin/pager", Priority: number(1), Auto: true}, "register /opt/pager as pager (priority 1)"},
		{"another priority", debian, choice{Path: "/usr/bin/less", Link: "/usr/bin/pager", Priority: number(-7), Auto: true}, "register /usr/bin/less as pager (priority -7)"},
		{"registered already", manual, choice{Path: "/bin/more", Link: "/usr/bin/pager", Priority: number(50)}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.task.Name = "pager"
			if err := test.task.Validate(); err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, &test.task, host(test.now))
			if got := strings.TrimSpace(modulestest.Summaries(plan)); got != test.want {
				t.Errorf("steps: %q, want %q", got, test.want)
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	one := 1
	for _, test := range []struct {
		now  group
		task choice
		want string
	}{
		{group{}, choice{Path: "/bin/more"}, "no alternatives for pager"},
		{debian, choice{Path: "/bin/most"}, "which has /bin/more, /usr/bin/less"},
		{debian, choice{Path: "/opt/none", Link: "/usr/bin/pager", Priority: &one}, "does not exist"},
	} {
		test.task.Name = "pager"
		if plan, err := test.task.Plan(context.Background(), host(test.now)); err == nil || !strings.Contains(err.Error(), test.want) || len(plan.Steps) > 0 {
			t.Errorf("%+v: %d steps, %v; want %q", test.task, len(plan.Steps), err, test.want)
		}
	}
}

func TestValidate(t *testing.T) {
	one := 1
	for _, test := range []struct {
		task choice
		want string
	}{
		{choice{Name: "editor", Path: "/usr/bin/vim.basic"}, ""},
		{choice{Name: "editor", Auto: true}, ""},
		{choice{Path: "/x"}, "name"}, {choice{Name: "/usr/bin/editor", Path: "/x"}, "name"}, {choice{Name: "--all", Path: "/x"}, "name"},
		{choice{Name: "editor"}, "nothing to choose"}, {choice{Name: "editor", Path: "vim"}, "absolute"}, {choice{Name: "editor", Path: "/usr/../x"}, "shortest"},
		{choice{Name: "editor", Path: "/x", Auto: true}, "not used"}, {choice{Name: "editor", Path: "/x", Priority: &one}, "only one"},
		{choice{Name: "editor", Path: "/x", Link: "/y"}, "only one"}, {choice{Name: "editor", Auto: true, Link: "/y", Priority: &one}, "no path to register"},
	} {
		err := test.task.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.task, err, test.want)
		}
	}
}
