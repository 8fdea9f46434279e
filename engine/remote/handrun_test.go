package remote

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// handAndShell runs a test with commands that the hand runs, and with commands that the acting shell runs itself.
func handAndShell(t *testing.T, test func(t *testing.T, c *conn)) {
	for name, program := range map[string]string{"hand": handProgram(), "shell": ""} {
		t.Run(name, func(t *testing.T) {
			c := local()
			t.Cleanup(func() { c.Close() })
			c.hand = program
			test(t, c)
		})
	}
}

// script returns a command that runs a script of sh.
func scriptCommand(script string, args ...string) Command {
	return Command{Argv: append([]string{"sh", "-c", script, "sh"}, args...)}
}

// handOf returns the process ID of the connection's hand, and of the acting shell.
func handOf(t *testing.T, c *conn) (hand, shell int) {
	t.Helper()
	r := run(t, c, scriptCommand(`echo $PPID`))
	hand, err := strconv.Atoi(strings.TrimSpace(string(r.Stdout)))
	if err != nil {
		t.Fatal(err)
	}
	if shell, err = strconv.Atoi(c.act.shell.out.said); err != nil {
		t.Fatal(err)
	}
	return hand, shell
}

// A command's own parent is the hand, which stays the same.
func TestCommandsOfTheHand(t *testing.T) {
	c := local()
	defer c.Close()
	first, shell := handOf(t, c)
	second, _ := handOf(t, c)
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", first))
	if err != nil || first != second || first == shell || !strings.Contains(program, "perl") {
		t.Errorf("the parents of two commands are %d and %d, %s, %v", first, second, program, err)
	}
}

func TestCommandsBothWays(t *testing.T) {
	all := make([]byte, 255) // without NUL
	for i := range all {
		all[i] = byte(i + 1)
	}
	odd := string(all)
	megabytes := bytes.Repeat([]byte("0123456789abcde\n"), 300_000)
	binary := append([]byte{0, '\r', 0xff}, megabytes...)
	none := filepath.Join(t.TempDir(), "none")
	noProgram := filepath.Join(t.TempDir(), "it's no program")
	if err := os.WriteFile(noProgram, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	withoutShebang := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(withoutShebang, []byte("echo \"ran $1\"; exit 7"), 0o755); err != nil {
		t.Fatal(err)
	}
	limited := func(c Command) Command { c.Limit = time.Second; return c }
	fed := func(c Command, input []byte) Command { c.Stdin = input; return c }
	for _, test := range []struct {
		name    string
		command Command
		want    text
		overran bool
	}{
		{"binary output", scriptCommand(`printf '\000\377\n\r\001'; printf '\377\000' >&2`), text{"\x00\xff\n\r\x01", "\xff\x00", 0}, false},
		{"what looks like a mark", scriptCommand(`printf '\n%s 0 0\n' 0123456789abcdef`), text{"\n0123456789abcdef 0 0\n", "", 0}, false},
		{"exit code", scriptCommand(`exit 255`), text{"", "", 255}, false},
		{"the exit code of the shell's own queries", scriptCommand(`exit 76`), text{"", "", 76}, false},
		{"exit code 125", scriptCommand(`exit 125`), text{"", "", 125}, false},
		{"killed", scriptCommand(`echo out; kill -KILL $$`), text{"out\n", "", 137}, false},
		{"segmentation fault", scriptCommand(`ulimit -c 0; kill -SEGV $$`), text{"", "", 139}, false},
		{"a signal without a name here", scriptCommand(`kill -USR2 $$`), text{"", "", 140}, false},
		{"it ignores SIGTERM", limited(scriptCommand(`trap '' TERM; echo out; while :; do sleep 0.1; done`)), text{"out\n", "", 124}, true},
		{"it exits on SIGTERM", limited(scriptCommand(`trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done`)), text{"bye\n", "", 124}, true},
		{"it stops itself", limited(scriptCommand(`echo out; kill -STOP $$; echo on`)), text{"out\n", "", 124}, true},
		{"its children are ended, too", limited(scriptCommand(`sh -c 'echo $$; sleep 300'; echo "after $?"`)), text{"", "", 124}, true},
		{"it closes its output and goes on", scriptCommand(`exec >&- 2>&-; sleep 0.2; exit 5`), text{"", "", 5}, false},
		{"it closes its output and reaches its limit", limited(scriptCommand(`exec >&- 2>&-; sleep 300`)), text{"", "", 124}, true},
		{"a child keeps the output", scriptCommand(`echo out; echo err >&2; sleep 300 & echo $! >"$1"`, filepath.Join(t.TempDir(), "child")), text{"out\n", "err\n", 0}, false},
		{"a child stays that prints at once", scriptCommand(`while :; do echo y; sleep 0.01; done & echo $! >"$1"; sleep 0.1; exit 4`, filepath.Join(t.TempDir(), "child")), text{"", "", 4}, false},
		{"several MB of input", fed(scriptCommand(`head -c 2000000 | tail -c 3; cat | wc -c`), megabytes), text{"de\n2800000\n", "", 0}, false},
		{"several MB of bytes", fed(scriptCommand(`head -c 3 | od -An -tx1; wc -c`), binary), text{" 00 0d ff\n4800000\n", "", 0}, false},
		{"input that nobody reads", fed(Command{Argv: []string{"true"}}, binary), text{"", "", 0}, false},
		{"a little input", fed(Command{Argv: []string{"cat"}}, []byte("it's\n\n")), text{"it's\n\n", "", 0}, false},
		{"no input", Command{Argv: []string{"cat"}}, text{"", "", 0}, false},
		{"a program that is a directory", Command{Argv: []string{"/etc"}}, text{"", "timeout: failed to run command '/etc': Permission denied\n", 126}, false},
		{"a file that cannot be run", Command{Argv: []string{noProgram}},
			text{"", "timeout: failed to run command '" + strings.ReplaceAll(noProgram, "'", `\'`) + "': Permission denied\n", 126}, false},
		{"no such program", Command{Argv: []string{none + "\n\t\x01\xc3\xa4"}},
			text{"", "timeout: failed to run command '" + none + "\\n\\t\\001\\303\\244': No such file or directory\n", 127}, false},
		{"a script without an interpreter", Command{Argv: []string{withoutShebang, "x"}}, text{"ran x\n", "", 7}, false},
		{"another PATH", Command{Argv: []string{"script", "x"}, Env: map[string]string{"PATH": filepath.Dir(withoutShebang) + ":/usr/bin:/bin"}}, text{"ran x\n", "", 7}, false},
		{"odd bytes", Command{Argv: []string{"sh", "-c", `printf %s "$1$2"; printf %s "$ODD" >&2`, "sh", odd, ""}, Env: map[string]string{"ODD": odd, "A": "", "B": "=", "C": "x=y"}}, text{odd, odd, 0}, false},
		{"where it runs", Command{Argv: []string{"sh", "-c", `/bin/pwd; echo "$PWD $OLDPWD"`}, Dir: "/usr/share"}, text{"/usr/share\n/usr/share /\n", "", 0}, false},
		{"the root", Command{Argv: []string{"sh", "-c", `/bin/pwd; echo "$PWD $OLDPWD"`}, Dir: "/"}, text{"/\n/ /\n", "", 0}, false},
		{"it leads no group and can become a session's leader", Command{Argv: []string{"setsid", "sh", "-c", `[ "$(ps -o sid= -p $$)" -eq $$ ] && exit 6`}}, text{"", "", 6}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			handAndShell(t, func(t *testing.T, c *conn) {
				for _, brief := range []bool{false, true} {
					command := test.command
					if brief && (len(command.Stdin) > 0 || strings.Contains(test.name, "prints at once")) {
						continue
					}
					command.Brief = brief
					r := run(t, c, command)
					if args := test.command.Argv; strings.HasPrefix(test.name, "a child") {
						if err := endProcess(waitFor(t, args[len(args)-1])); err != nil {
							t.Error(err)
						}
						os.Remove(args[len(args)-1])
					}
					got := text{string(r.Stdout), announced.ReplaceAllString(string(r.Stderr), ""), r.Exit}
					if strings.HasPrefix(test.name, "its children") {
						expectGone(t, got.Out)
						got.Out = ""
					}
					if strings.Contains(test.name, "prints at once") {
						got.Out = strings.ReplaceAll(got.Out, "y\n", "")
					}
					if diff := cmp.Diff(test.want, got); diff != "" {
						t.Errorf("brief %t (-want +got):\n%s", brief, diff)
					}
					if (r.Limit > 0) != test.overran {
						t.Errorf("brief %t: whether it overran: %v, want %t", brief, r.Limit, test.overran)
					}
				}
				if r := run(t, c, Command{Argv: []string{"echo", "x"}}); string(r.Stdout) != "x\n" {
					t.Errorf("the next command printed %q", r.Stdout)
				}
			})
		})
	}
}

// announced is how a shell reports that its child was ended by a signal.
var announced = regexp.MustCompile(`(?m)^(Killed|Terminated|Segmentation fault|User defined signal 2)\n`)

// expectGone checks that a process has ended.
func expectGone(t *testing.T, pid string) {
	t.Helper()
	ctx := bounded(t)
	for {
		b, err := os.ReadFile("/proc/" + strings.TrimSpace(pid) + "/stat")
		if err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("process %s is still there", pid)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// What a command inherits is the same with and without the hand: open files, what it does with signals, limits, the
// environment, and its place among groups and sessions.
func TestWhatCommandsInherit(t *testing.T) {
	for _, brief := range []bool{false, true} {
		got := map[string]string{}
		for name, program := range map[string]string{"hand": handProgram(), "shell": ""} {
			key := newKey(t, "id", "")
			s := newServer(t, key, func(s *server) {
				s.env = append(s.env, "HOME=/usr", "PERL5OPT=-Mstrict", "PERL5LIB=/nonesuch", "PERL_UNICODE=", "PWD=/nonesuch", "ODD=\xff\n", "not-a-name=1")
			})
			c := mustDial(t, s.target("alice", key), plain())
			c.hand = program
			for range 2 {
				r := run(t, c, Command{Brief: brief, Argv: []string{"sh", "-c", `
					ls /proc/self/fd
					grep -E '^(Sig(Ign|Blk)|NoNewPrivs|Cap)' /proc/self/status
					cat /proc/self/oom_score_adj
					umask; ulimit -a; pwd; nice
					[ "$(ps -o pgid= -p $$)" -ne $$ ] && echo "leads no group"
					[ "$(ps -o pgid= -p $$)" -ne "$(ps -o pgid= -p "$1")" ] && echo "not in the shell's group"
					[ "$(ps -o sid= -p $$)" -eq "$(ps -o sid= -p "$1")" ] && echo "in the shell's session"
					env | LC_ALL=C sort`, "sh", strconv.Itoa(shellPid(t, c))}})
				if r.Exit != 0 || len(r.Stderr) > 0 {
					t.Errorf("%s: exit code %d, %s", name, r.Exit, r.Stderr)
				}
				got[name] = string(r.Stdout)
			}
		}
		if diff := cmp.Diff(got["shell"], got["hand"]); diff != "" {
			t.Errorf("brief %t (-without the hand +with it):\n%s", brief, diff)
		}
		if brief {
			continue // the shell runs it in its own group
		}
		for _, want := range []string{"leads no group\n", "not in the shell's group\n", "in the shell's session\n", "PERL5OPT=-Mstrict\n", "\nPWD=/usr\n"} {
			if !strings.Contains(got["hand"], want) {
				t.Errorf("%q is not in\n%s", want, got["hand"])
			}
		}
	}
}

// shellPid returns the process ID of the acting shell, which it starts.
func shellPid(t *testing.T, c *conn) int {
	_, shell := handOf(t, c)
	return shell
}

// If the hand is killed while a command runs, it is not known how the command ends, and nothing after it begins.
func TestHandIsKilledWhileACommandRuns(t *testing.T) {
	for name, c := range map[string]*conn{"local": local(), "ssh": sshConn(t)} {
		dir := t.TempDir()
		hand, _ := handOf(t, c)
		done := make(chan error)
		go func() {
			results, answers, err := c.RunAll(bounded(t), Actions{
				Commands: []Command{
					{Argv: []string{"true"}},
					scriptCommand(`echo yes >"$1/started"; while [ -d "$1" ] && [ ! -e "$1/go" ]; do sleep 0.01; done; echo yes >"$1/ended"`, dir),
					{Argv: []string{"touch", filepath.Join(dir, "after")}},
				},
				Then: []Query{{Script: `: >"$1"`, Args: []string{filepath.Join(dir, "after")}}},
			})
			if len(results) != 1 || answers != nil {
				err = fmt.Errorf("%d results and %d answers, want one and none: %w", len(results), len(answers), err)
			}
			done <- err
		}()
		waitFor(t, filepath.Join(dir, "started"))
		if err := syscall.Kill(hand, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err == nil || !strings.Contains(err.Error(), "sh: whether it ended is not known") {
			t.Errorf("%s: error %v, want that its end is not known", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		waitFor(t, filepath.Join(dir, "ended"))
		if other, _ := handOf(t, c); other == hand {
			t.Errorf("%s: the hand is still there", name)
		}
		if _, err := os.Stat(filepath.Join(dir, "after")); err == nil {
			t.Errorf("%s: something was begun after the hand was killed", name)
		}
	}
}

// The signals of a terminal, which the hand gets with its shell, do not reach a command, and a late SIGTERM ends nothing.
func TestSignalsToTheHand(t *testing.T) {
	c := local()
	defer c.Close()
	dir := t.TempDir()
	hand, _ := handOf(t, c)
	done := make(chan Result)
	go func() {
		done <- run(t, c, scriptCommand(`echo yes >"$1/started"; while [ -d "$1" ] && [ ! -e "$1/go" ]; do sleep 0.01; done; exit 9`, dir))
	}()
	waitFor(t, filepath.Join(dir, "started"))
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGCHLD} {
		if err := syscall.Kill(hand, signal); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.Exit != 9 || len(r.Stderr) > 0 {
		t.Errorf("exit code %d, %q", r.Exit, r.Stderr)
	}
	if err := syscall.Kill(hand, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if other, _ := handOf(t, c); other != hand {
		t.Error("a late SIGTERM has ended the hand")
	}
}

// What a command leaves in the background is not ended with a later command.
func TestWhatIsLeftOutlivesALaterCommand(t *testing.T) {
	handAndShell(t, func(t *testing.T, c *conn) {
		dir := t.TempDir()
		var left []string
		for i := range 3 {
			at := filepath.Join(dir, strconv.Itoa(i))
			run(t, c, scriptCommand(`sleep 300 & echo $! >"$1"`, at))
			left = append(left, waitFor(t, at))
			if r := run(t, c, Command{Argv: []string{"sh", "-c", "sleep 300; :"}, Limit: time.Second}); r.Limit == 0 {
				t.Errorf("%+v", r)
			}
		}
		for _, pid := range left {
			if err := endProcess(pid); err != nil {
				t.Errorf("process %s: %v, want that it is still there", pid, err)
			}
		}
	})
}

// If no process can be started, the command was not.
func TestNoProcessCanBeStarted(t *testing.T) {
	for _, fails := range []string{
		`no warnings 'redefine'; *run_fork = sub { $! = 11; return };`,
		`no warnings 'redefine'; *run_enter = sub { $! = 24; return (71, "pipe: $!") };`,
	} {
		c := handed(local(), fails)
		defer c.Close()
		made := filepath.Join(t.TempDir(), "made")
		touch := Command{Argv: []string{"touch", made}}
		for range 2 {
			results, _, err := c.RunAll(bounded(t), Actions{Commands: []Command{touch, touch}})
			if err == nil || len(results) > 0 || !strings.Contains(err.Error(), "touch was not started") {
				t.Errorf("%d results, error %v; want that it was not started", len(results), err)
			}
		}
	}
}

// A directory that is gone, and one that is reached through a link, which the shell decides about.
func TestDirectoriesOfCommands(t *testing.T) {
	handAndShell(t, func(t *testing.T, c *conn) {
		dir := t.TempDir()
		real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
		if err := os.Mkdir(real, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(real, link); err != nil {
			t.Fatal(err)
		}
		for _, brief := range []bool{false, true} {
			pwd := Command{Argv: []string{"/bin/pwd"}, Dir: link, Brief: brief}
			if r := run(t, c, pwd); string(r.Stdout) != real+"\n" {
				t.Errorf("through a link: %q %q", r.Stdout, r.Stderr)
			}
			if os.Getuid() == 0 {
				if err := os.Lchown(link, 65534, 65534); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Run(bounded(t), pwd); err == nil || !strings.Contains(err.Error(), "it is not followed") {
					t.Errorf("another user's link: error %v", err)
				}
				if err := os.Lchown(link, 0, 0); err != nil {
					t.Fatal(err)
				}
			}
			pwd.Dir = filepath.Join(dir, "gone")
			if _, err := c.Run(bounded(t), pwd); err == nil || !strings.Contains(err.Error(), "cannot be entered") {
				t.Errorf("a directory that is gone: error %v", err)
			}
		}
	})
}

// A command of an ordinary user begins in the home that its environment names.
func TestCommandsBeginAtHome(t *testing.T) {
	key, home := newKey(t, "id", ""), t.TempDir()
	for name, program := range map[string]string{"hand": handProgram(), "shell": ""} {
		c := mustDial(t, newServer(t, key).target("ada", key), plain())
		c.hand = program
		for _, brief := range []bool{false, true} {
			r := run(t, c, Command{Argv: []string{"/bin/pwd"}, Env: map[string]string{"HOME": home}, Brief: brief})
			if string(r.Stdout) != home+"\n" {
				t.Errorf("%s, brief %t: it began in %q, want %s", name, brief, r.Stdout, home)
			}
		}
	}
}

// The acting shell is ended while a command runs, as when a connection to this machine is closed: the command goes on to its
// end, and only then is done what was registered for the end.
func TestActingShellEndsAfterItsCommand(t *testing.T) {
	test := func(t *testing.T, c *conn) {
		dir := t.TempDir()
		before := Query{Script: `printf '[ -e "%s/ended" ] && echo ended >"%s/over" || echo running >"%s/over"\n' "$1" "$1" "$1" >"${_hl_at%/*}/end"`, Args: []string{dir}}
		if _, err := c.Run(bounded(t), Command{Argv: []string{"true"}, Before: before}); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = c.Run(bounded(t), scriptCommand(`echo yes >"$1/started"; while [ -d "$1" ] && [ ! -e "$1/go" ]; do sleep 0.01; done; echo line; echo yes >"$1/ended"`, dir))
		}()
		waitFor(t, filepath.Join(dir, "started"))
		shell, err := strconv.Atoi(c.act.shell.out.said)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := syscall.Kill(shell, syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if said := waitFor(t, filepath.Join(dir, "over")); said != "ended" {
			t.Errorf("at the end of the shell, the command was %s", said)
		}
	}
	handAndShell(t, test)
	withShells(t, "", test)
}

// Commands with inputs and without, of all kinds, are sent along with each other and each gets its own.
func TestInputsOfCommandsTogether(t *testing.T) {
	handAndShell(t, func(t *testing.T, c *conn) {
		var commands []Command
		var want []string
		for i, input := range []string{"a", "", "b\x00c", "", strings.Repeat("x", 100_000), "d\r\n", "e"} {
			command := Command{Argv: []string{"cat"}, Stdin: []byte(input), Brief: i == 3}
			if i == 6 {
				command.Before = Query{Script: ":"}
			}
			commands, want = append(commands, command), append(want, input)
		}
		for range 2 {
			results, answers, err := c.RunAll(bounded(t), Actions{Commands: commands, Then: []Query{{Script: "cat; echo done"}}})
			if err != nil || len(answers) != 1 || string(answers[0].Stdout) != "done\n" {
				t.Fatalf("%v, %v", answers, err)
			}
			var got []string
			for _, r := range results {
				got = append(got, string(r.Stdout))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		// Inputs of commands that are skipped are skipped.
		results, _, err := c.RunAll(bounded(t), Actions{Commands: append([]Command{{Argv: []string{"false"}}}, commands...)})
		if err != nil || len(results) != 1 {
			t.Errorf("%d results, %v", len(results), err)
		}
		if r := run(t, c, Command{Argv: []string{"cat"}}); len(r.Stdout) > 0 {
			t.Errorf("a command without input has %q", r.Stdout)
		}
	})
}

// Random commands give the same result with the hand and without it.
func TestRandomCommandsBothWays(t *testing.T) {
	const half = MaxOutput / 2
	sizes := []int{0, 1, 2, 4095, 65535, 65536, 65537, 81920, 737280, half - 1, half, half + 1, MaxOutput - 1, MaxOutput, MaxOutput + 1, 2*MaxOutput + 5, 3*half + 7}
	with, without := local(), local()
	defer with.Close()
	defer without.Close()
	without.hand = ""
	cases := 40
	if testing.Short() {
		cases = 10
	}
	for seed := range uint64(cases) {
		random := rand.New(rand.NewPCG(seed, 6))
		var script strings.Builder
		for range 1 + random.IntN(4) {
			stream := random.IntN(2) + 1
			switch random.IntN(9) {
			case 0, 1, 2:
				size := sizes[random.IntN(len(sizes))]
				if random.IntN(3) > 0 {
					size = random.IntN(300_000)
				}
				fmt.Fprintf(&script, "head -c %d /dev/zero | tr '\\0' %c >&%d; ", size, 'a'+random.IntN(26), stream)
			case 3:
				fmt.Fprintf(&script, "printf '\\n%%s 0 %d\\n' %s >&%d; ", random.IntN(300), strings.Repeat("0", 32), stream)
			case 4:
				script.WriteString("(sleep 5; echo late) & ")
			case 5:
				fmt.Fprintf(&script, "exec %d>&-; ", stream)
			case 6:
				script.WriteString("cat; ")
			case 7:
				fmt.Fprintf(&script, "printf '\\000\\377\\r' >&%d; ", stream)
			case 8:
				script.WriteString("setsid sleep 1 & ")
			}
		}
		switch random.IntN(4) {
		case 0:
			fmt.Fprintf(&script, "exit %d", random.IntN(256))
		case 1:
			signals := []int{1, 2, 3, 6, 9, 10, 13, 14, 15}
			fmt.Fprintf(&script, "ulimit -c 0; kill -%d $$", signals[random.IntN(len(signals))])
		}
		command := scriptCommand(script.String())
		command.Brief = random.IntN(4) == 0
		if random.IntN(3) == 0 && !command.Brief {
			command.Stdin = bytes.Repeat([]byte{byte(random.IntN(256))}, random.IntN(100_000))
		}
		type outcome struct {
			Out, Err, Failed string
			Exit             int
			Limit            time.Duration
		}
		var got [2]outcome
		for way, c := range []*conn{with, without} {
			r, err := c.Run(bounded(t), command)
			got[way] = outcome{digest(r.Stdout), digest(endings.ReplaceAll(r.Stderr, nil)), fmt.Sprint(err), r.Exit, r.Limit}
		}
		if got[0] != got[1] {
			t.Errorf("seed %d, brief %t, %d bytes of input: %s\n with the hand: %+v\n without it:    %+v", seed, command.Brief, len(command.Stdin), script.String(), got[0], got[1])
		}
	}
}

// endings is how sh reports that its child was ended by a signal.
var endings = regexp.MustCompile(`(Hangup|Quit|Aborted|Killed|User defined signal 1|Alarm clock|Terminated)\n$`)

// digest describes a text so that it can be compared and printed. If something was left out, only how much was printed and
// the first and last bytes are compared, because the shell counts its own marks, too.
func digest(b []byte) string {
	if len(b) < 200 {
		return strconv.Quote(string(b))
	}
	printed := len(b)
	sum := sha256.Sum256(b)
	if gap := leftOutLine.FindSubmatchIndex(b); gap != nil {
		out, _ := strconv.Atoi(string(b[gap[2]:gap[3]]))
		printed += out - (gap[1] - gap[0])
		sum = sha256.Sum256(slices.Concat(b[:MaxOutput/2-200], b[len(b)-MaxOutput/2+200:]))
	}
	return fmt.Sprintf("%d bytes %q…%q (%x)", printed, b[:20], b[len(b)-20:], sum[:4])
}

// leftOutLine stands for what was left out.
var leftOutLine = regexp.MustCompile(`\n\[(\d+) bytes are left out here\]\n`)
