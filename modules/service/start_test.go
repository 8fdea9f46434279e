package service

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// thread is what the kernel says about a thread at one moment.
type thread struct {
	id, process int
	// name is as /proc shows it, in parentheses.
	name, state string
	// ran is how long it has run, in nanoseconds.
	ran int
}

// moment is what a host says about a unit at one moment.
type moment struct {
	// main is the main process. If it is 0, the unit has failed.
	main    int
	threads []thread
	// below is the number of control groups in the unit's own.
	below int
}

// asleep is a daemon with a single thread that has run for some time.
func asleep(ran int) moment {
	return moment{main: 7, threads: []thread{{7, 7, "(daemon)", "S", ran}}}
}

// running is the same daemon in another state.
func running(state string) moment {
	return moment{main: 7, threads: []thread{{7, 7, "(daemon)", state, 5}}}
}

// TestWatch runs the script with stand-ins: each sleep leads to the next moment, and the last one lasts.
func TestWatch(t *testing.T) {
	ended := moment{}
	other := moment{main: 8, threads: []thread{{8, 8, "(daemon)", "S", 5}}}
	pair := func(state string) moment {
		return moment{main: 7, threads: []thread{{7, 7, "(sh)", "S", 5}, {9, 9, "(sleep)", state, 1}}}
	}
	second := []string{"0.2", "0.1", "0.2", "0.5"}
	half := func(more int) []string {
		pauses := second[:len(second):len(second)]
		for range more {
			pauses = append(pauses, "0.5")
		}
		return pauses
	}
	for name, test := range map[string]struct {
		moments []moment
		slept   []string
		fails   bool
	}{
		"a quiet daemon":                           {[]moment{running("R"), asleep(5)}, second[:2], false},
		"quiet after half a second":                {[]moment{asleep(5), asleep(6), asleep(7), asleep(7)}, second[:3], false},
		"it wakes up all the time":                 {[]moment{asleep(5), asleep(6), asleep(7), asleep(8), asleep(9)}, second, false},
		"all threads are asleep":                   {[]moment{{main: 7, threads: []thread{{7, 7, "(d)", "S", 5}, {8, 7, "(a ) R b)", "S", 5}}}}, second[:2], false},
		"a thread runs now and then":               {[]moment{asleep(5), {main: 7, threads: []thread{{7, 7, "(d)", "S", 5}, {8, 7, "(d)", "S", 5}}}, {main: 7, threads: []thread{{7, 7, "(d)", "S", 5}, {8, 7, "(d)", "S", 6}}}}, second[:3], false},
		"a thread appears":                         {[]moment{asleep(5), asleep(5), {main: 7, threads: []thread{{7, 7, "(d)", "S", 5}, {8, 7, "(d)", "S", 5}}}}, second[:3], false},
		"it is stopped":                            {[]moment{running("T")}, second, false},
		"a process waits for another":              {[]moment{pair("S")}, second, false},
		"a process waits for another, and ends":    {[]moment{pair("S"), pair("S"), pair("S"), pair("S"), ended}, second, true},
		"a control group below":                    {[]moment{{main: 7, threads: []thread{{7, 7, "(d)", "S", 5}}, below: 1}}, second, false},
		"processes only in control groups below":   {[]moment{{main: 7, below: 1}}, second, false},
		"the kernel does not count":                {[]moment{asleep(0)}, second, false},
		"it ends at once":                          {[]moment{running("R"), ended}, second, true},
		"it is started again":                      {[]moment{running("R"), other}, second, true},
		"started again, and again":                 {[]moment{running("R"), {main: 8, threads: []thread{{8, 8, "(d)", "R", 5}}}}, second, true},
		"its last moments":                         {[]moment{asleep(5), running("Z"), running("Z"), running("Z"), ended}, second, true},
		"busy for a second":                        {[]moment{running("R"), running("R"), running("R"), running("R"), asleep(6)}, second, false},
		"busy for more than a second, and quiet":   {[]moment{running("R"), running("R"), running("R"), running("R"), running("D"), running("R"), asleep(6)}, half(2), false},
		"busy for more than a second, and it ends": {[]moment{running("R"), running("R"), running("R"), running("R"), running("D"), ended}, half(1), true},
		"busy for ever":                            {[]moment{running("R")}, half(4), false},
		"another of its processes is busy":         {[]moment{pair("S"), pair("D"), pair("S"), pair("S"), pair("D"), pair("R"), pair("S")}, half(2), false},
		"still a process of systemd's":             {[]moment{{main: 7, threads: []thread{{7, 7, "((daemon))", "S", 5}}}}, half(4), false},
		"a process of systemd's, and it ends":      {[]moment{{main: 7, threads: []thread{{7, 7, "((daemon))", "S", 5}}}, running("R"), running("R"), running("R"), running("R"), running("R"), running("R"), ended}, half(3), true},
	} {
		t.Run(name, func(t *testing.T) {
			code, slept, asked := watch(t, test.moments, true)
			if want := map[bool]int{true: 1}[test.fails]; code != want {
				t.Errorf("the exit code is %d, expected %d", code, want)
			}
			if diff := cmp.Diff(test.slept, slept); diff != "" {
				t.Errorf("wrong pauses (-want +got):\n%s", diff)
			}
			// The process of a unit at rest is still there: systemd need not be asked.
			if want := map[bool]int{true: 1, false: 2}[len(slept) < len(second)]; asked != want {
				t.Errorf("systemd was asked %d times, expected %d", asked, want)
			}
		})
	}
	t.Run("nothing can be read", func(t *testing.T) {
		for _, moments := range [][]moment{{asleep(5)}, {asleep(5), ended}} {
			code, slept, asked := watch(t, moments, false)
			if want := len(moments) - 1; code != want || asked != 2 {
				t.Errorf("the exit code is %d, expected %d, and systemd was asked %d times, expected 2", code, want, asked)
			}
			if diff := cmp.Diff([]string{"1"}, slept); diff != "" {
				t.Errorf("wrong pauses (-want +got):\n%s", diff)
			}
		}
	})
}

// watch runs the script on a host that goes through these moments, and returns its exit code, its pauses, and how often it has asked
// systemd. The kernel answers only if it is readable.
func watch(t *testing.T, moments []moment, readable bool) (code int, slept []string, asked int) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range moments {
		at := strconv.Itoa(i) + "/"
		state := "ActiveState=active\nSubState=running\nResult=success\n"
		if m.main == 0 {
			state = "ActiveState=failed\nSubState=failed\nResult=exit-code\n"
		}
		write(at+"show", fmt.Sprintf("Type=simple\nMainPID=%d\nExecMainStatus=0\nControlGroup=/system.slice/x\\x2dy.service\n%s", m.main, state), 0o600)
		if !readable {
			continue
		}
		var processes, threads strings.Builder
		for _, th := range m.threads {
			if th.id == th.process && th.state != "Z" {
				fmt.Fprintln(&processes, th.id)
			}
			if th.state != "Z" {
				fmt.Fprintln(&threads, th.id)
			}
			write(fmt.Sprintf("%sproc/%d/stat", at, th.id), fmt.Sprintf("%d %s %s 1 43 43 0 -1\n", th.id, th.name, th.state), 0o600)
			write(fmt.Sprintf("%sproc/%d/schedstat", at, th.id), fmt.Sprintf("%d 0 %d\n", th.ran, th.ran), 0o600)
		}
		group := at + "sys/fs/cgroup/system.slice/x\\x2dy.service/"
		write(group+"cgroup.procs", processes.String(), 0o600)
		write(group+"cgroup.threads", threads.String(), 0o600)
		write(group+"cgroup.stat", fmt.Sprintf("nr_descendants %d\nnr_dying_descendants 0\n", m.below), 0o600)
	}
	last := strconv.Itoa(len(moments) - 1)
	write("bin/systemctl", "#!/bin/sh\ncd "+dir+"\n[ $1 = start ] || { echo >>asked; exec cat now/show; }\n", 0o700)
	write("bin/journalctl", "#!/bin/sh\n", 0o700)
	write("bin/sleep", "#!/bin/sh\ncd "+dir+"\necho $1 >>slept\nread n <moment\n[ $n = "+last+" ] || n=$((n + 1))\necho $n >moment\nln -sfn $n now\n", 0o700)
	write("moment", "0\n", 0o600)
	if err := os.Symlink("0", filepath.Join(dir, "now")); err != nil {
		t.Fatal(err)
	}
	script := strings.NewReplacer("/proc/", dir+"/now/proc/", "/sys/fs/", dir+"/now/sys/fs/").Replace(startScript)
	cmd := exec.Command("sh", "-c", script, "sh", "start", "x.service", "75")
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(out), "Type=simple\n") {
		t.Errorf("the unit's properties are missing:\n%s", out)
	}
	lines := func(name string) []string {
		text, _ := os.ReadFile(filepath.Join(dir, name)) // it is missing if there are none
		return strings.Fields(string(text))
	}
	text, _ := os.ReadFile(filepath.Join(dir, "asked"))
	return cmd.ProcessState.ExitCode(), lines("slept"), strings.Count(string(text), "\n")
}

// TestUnderway checks that only a unit that is on the way from one state to another has to be waited for.
func TestUnderway(t *testing.T) {
	for _, test := range []struct {
		kind, state string
		systemctl   int
		want        int
	}{
		{"notify", "active", 0, 0},
		{"notify", "activating", 0, underway},
		{"notify", "reloading", 0, underway},
		{"notify", "refreshing", 0, underway},
		{"notify", "deactivating", 0, 1},
		{"oneshot", "inactive", 0, 0},
		{"oneshot", "deactivating", 0, underway},
		{"notify", "activating", 1, 1},
		{"notify", "active", 5, 5},
		{"notify", "active", underway, 1},
	} {
		bin := t.TempDir()
		systemctl := fmt.Sprintf("#!/bin/sh\n[ $1 = show ] || exit %d\nprintf 'Type=%s\\nActiveState=%s\\nSubState=start\\nMainPID=0\\nResult=success\\n'\n", test.systemctl, test.kind, test.state)
		for name, text := range map[string]string{"systemctl": systemctl, "journalctl": "#!/bin/sh\n"} {
			if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("sh", "-c", startScript, "sh", "restart", "x.service", strconv.Itoa(underway))
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.Output()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if code := cmd.ProcessState.ExitCode(); code != test.want {
			t.Errorf("%s is %s, and systemctl ends with %d: the exit code is %d, expected %d:\n%s", test.kind, test.state, test.systemctl, code, test.want, out)
		}
	}
}
