package remote

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// handed returns a connection whose hand has more functions, for tests.
func handed(c *conn, more string) *conn {
	c.hand = handWith(more)
	return c
}

// withShells runs a test with each shell that starts a hand.
func withShells(t *testing.T, more string, test func(t *testing.T, c *conn)) {
	everywhere(t, func(t *testing.T, c *conn) {
		if c.hand == "" || strings.HasSuffix(t.Name(), "interpreter") {
			t.Skip("it has no hand")
		}
		test(t, handed(c, more))
	})
}

// bothWays runs a test with the hand and without it. It uses the connections of here.
func bothWays(t *testing.T, test func(t *testing.T)) {
	t.Run("by hand", test)
	t.Run("without a hand", test)
}

// here returns a connection to this machine, without a hand if bothWays says so.
func here(t *testing.T) *conn {
	c := Local("node").(*conn)
	t.Cleanup(func() { c.Close() })
	if strings.Contains(t.Name(), "/without_a_hand") {
		c.hand = ""
	}
	return c
}

// testFunctions are functions of the hand for these tests.
const testFunctions = `
$does{test_words} = sub { say_out(join('|', @_)); complain(scalar @_); return 3 };
$does{test_pid} = sub { say_out($$); return 0 };
$does{test_fail} = sub { fail('it failed') };
$does{test_left} = sub { return -1 };
$does{test_defect} = sub { die "a defect\n" };
$does{test_die} = sub { kill 'KILL', $$; sleep 60 };
$does{test_sleep} = sub { open my $f, '>', "$_[0]/started"; print $f "yes\n"; close $f; sleep 60; return 0 };
$does{test_unable} = sub { return -1 };
$does{test_env} = sub { say_out(join(',', map { "$_=$ENV{$_}" } sort grep { /PERL/ } keys %ENV)); return 0 };
$does{test_slow} = sub {
	my ($dir) = @_;
	open my $started, '>', "$dir/started";
	syswrite $started, "yes\n";
	select undef, undef, undef, 0.01 until -e "$dir/go";
	rename "$dir/started", "$dir/ended";
	return 0;
};
$does{test_much} = sub { say_out('x' x 1_000_000); return 0 };
$does{test_busy} = sub {
	my @flags = map { fcntl $_, F_GETFL, 0 } \*STDOUT, \*STDERR;
	fcntl STDOUT, F_SETFL, $flags[0] | O_NONBLOCK;
	fcntl STDERR, F_SETFL, $flags[1] | O_NONBLOCK;
	say_out('x' x 1_000_000);
	complain('y' x 999_999);
	fcntl STDOUT, F_SETFL, $flags[0] & ~O_NONBLOCK;
	fcntl STDERR, F_SETFL, $flags[1] & ~O_NONBLOCK;
	return 0;
};
`

// byHand returns a command that only the hand has.
func byHand(name string, args ...string) Command {
	return Command{Argv: []string{"false"}, Dir: "/", own: own{name: name, args: args, byHand: true}}
}

// after returns the answers to queries that are sent along with a command.
func after(t *testing.T, c *conn, queries ...Query) []text {
	t.Helper()
	_, answers, err := c.RunAll(bounded(t), Actions{Commands: []Command{{Argv: []string{"true"}, Brief: true}}, Then: queries})
	if err != nil {
		t.Fatal(err)
	}
	return readable(answers)
}

// The hand gets the words as they are, and answers in order with what else is asked.
func TestHandAnswers(t *testing.T) {
	withShells(t, testFunctions, func(t *testing.T, c *conn) {
		words := []string{"", "it's", "two\nlines\n", "h\xc3\xa4nd \xff", strings.Repeat("long ", 60_000), ""}
		for range 2 {
			got := after(t, c,
				Query{Script: "echo one"},
				Query{Script: "echo script", Hand: "test_words", Args: words},
				Query{Script: "echo two >&2; exit 2"},
				Query{Script: "echo script", Hand: "test_fail"},
				Query{Script: "echo script", Hand: "test_defect"},
				Query{Script: "echo script", Hand: "test_none"},
				Query{Script: "echo script", Hand: "test_words"},
				Query{Script: `echo "script $1"; exit 6`, Hand: "test_unable", Args: []string{"x"}},
			)
			want := []text{
				{"one\n", "", 0}, {strings.Join(words, "|"), "6\n", 3}, {"", "two\n", 2}, {"", "it failed\n", 1}, {"", "a defect\n\n", 1},
				{"", "the hand has no function test_none\n", 1}, {"", "0\n", 3}, {"script x\n", "", 6},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		if got := after(t, c, Query{Hand: "test_much"}); len(got[0].Out) != 1_000_000 {
			t.Errorf("%d bytes of a long answer", len(got[0].Out))
		}
		// Nothing is lost if a program has left the streams without blocking.
		if got := after(t, c, Query{Hand: "test_busy"}); len(got[0].Out) != 1_000_000 || len(got[0].Err) != 1_000_000 {
			t.Errorf("%d and %d bytes of an answer on busy streams", len(got[0].Out), len(got[0].Err))
		}
	})
}

// Where there is no hand, the script answers.
func TestQueriesWithoutAHand(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		c.hand = ""
		words := []string{"", "it's", "two\nlines\n"}
		q := Query{Script: `printf '<%s>' "$@"; exit 4`, Hand: "test_words", Args: words}
		want := text{"<><it's><two\nlines\n>", "", 4}
		if diff := cmp.Diff([]text{want, want}, after(t, c, q, q)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]text{want}, readable(ask(t, c, q))); diff != "" {
			t.Errorf("by the reading shell (-want +got):\n%s", diff)
		}
	})
}

// What the hand leaves to the shell, the script answers.
func TestHandLeavesToTheShell(t *testing.T) {
	withShells(t, testFunctions, func(t *testing.T, c *conn) {
		q := Query{Hand: "test_left", Script: `printf '<%s>' "$@"; exit 4`, Args: []string{"it's", ""}}
		want := text{"<it's><>", "", 4}
		if diff := cmp.Diff([]text{want, {"", "0\n", 3}, want}, after(t, c, q, Query{Hand: "test_words"}, q)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for code, want := range map[string]bool{"0": true, "1": false} {
			ahead := &Ahead{If: []Query{{Hand: "test_left", Script: `exit "$1"`, Args: []string{code}}}, Commands: []Command{{Argv: []string{"true"}, Brief: true}}}
			if _, _, err := c.RunAll(bounded(t), Actions{Commands: []Command{{Argv: []string{"true"}, Brief: true}}, Ahead: []*Ahead{ahead}}); err != nil {
				t.Fatal(err)
			}
			if ahead.Begun != want {
				t.Errorf("a condition of exit code %s: begun: %t", code, ahead.Begun)
			}
		}
	})
}

// A reading shell tells whether the acting shell would have a hand.
func TestWhetherThereIsAHand(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		if c.Stats().Hand {
			t.Error("it is known before anything was asked")
		}
		ask(t, c, Query{Script: "true"})
		if got, want := c.Stats().Hand, c.hand != "" && !strings.HasSuffix(t.Name(), "interpreter"); got != want {
			t.Errorf("a hand: %t, want %t", got, want)
		}
	})
}

// Commands of the hand stop what follows as others do, and conditions are asked of it.
func TestHandActs(t *testing.T) {
	withShells(t, testFunctions, func(t *testing.T, c *conn) {
		good, bad := byHand("test_words", "x"), byHand("test_words", "y")
		good.OK = []int{3}
		met := func(hand string) *Ahead {
			return &Ahead{If: []Query{{Hand: hand, Script: "exit 9"}}, Commands: []Command{good}, Then: []Query{{Hand: "test_words", Args: []string{"z"}}}}
		}
		a := Actions{Commands: []Command{good, {Argv: []string{"true"}}, good}, Ahead: []*Ahead{met("test_pid"), met("test_fail"), met("test_pid")}}
		results, _, err := c.RunAll(bounded(t), a)
		if err != nil || len(results) != 3 {
			t.Fatalf("%d results, %v", len(results), err)
		}
		if r := results[2]; string(r.Stdout) != "x" || string(r.Stderr) != "1\n" || r.Exit != 3 {
			t.Errorf("%+v", r)
		}
		if a.Ahead[0].Err != nil || len(a.Ahead[0].Answers) != 1 || string(a.Ahead[0].Answers[0].Stdout) != "z" {
			t.Errorf("%+v", a.Ahead[0])
		}
		if a.Ahead[1].Begun || a.Ahead[2].Begun {
			t.Error("something was begun although a condition was not met")
		}
		results, answers, err := c.RunAll(bounded(t), Actions{Commands: []Command{good, bad, good}, Then: []Query{{Hand: "test_pid"}}})
		if err != nil || len(results) != 2 || answers != nil {
			t.Errorf("%d results, %v, %v; want two", len(results), answers, err)
		}
	})
}

// A hand that is killed takes only one request with it, and the next one gets another hand.
func TestHandIsKilled(t *testing.T) {
	withShells(t, testFunctions, func(t *testing.T, c *conn) {
		r := run(t, c, byHand("test_die"))
		if r.Exit != 137 {
			t.Errorf("exit code %d of a command that was killed", r.Exit)
		}
		pid := Query{Hand: "test_pid", Script: "echo script"}
		got := after(t, c, Query{Hand: "test_die", Script: "echo script"}, pid)
		if got[0].Exit != 137 || got[1].Exit != 0 || got[1].Out == "script\n" {
			t.Errorf("%+v; want that it was killed, and another one", got)
		}
		// It is killed between two requests.
		number, err := strconv.Atoi(got[1].Out)
		if err != nil {
			t.Fatal(err)
		}
		kill := Query{Script: `kill -9 "$1"; while [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status"; do :; done`, Args: []string{fmt.Sprint(number)}}
		got = after(t, c, kill, pid, pid)
		if got[1].Out != "script\n" || got[2].Out == "script\n" || got[2].Out == fmt.Sprint(number) {
			t.Errorf("%+v; want the script's answer and that of a new hand", got)
		}
	})
}

// A command of the hand that is given up ends at once, and the hand lives on.
func TestHandIsInterrupted(t *testing.T) {
	withShells(t, testFunctions, func(t *testing.T, c *conn) {
		dir := t.TempDir()
		before := after(t, c, Query{Hand: "test_pid"})
		c.silenceLimit = time.Minute
		sleeps := byHand("test_sleep", dir)
		ctx, cancel := contextWith(t)
		done := make(chan error)
		go func() {
			_, _, err := c.RunAll(ctx, Actions{Commands: []Command{sleeps, {Argv: []string{"touch", filepath.Join(dir, "after")}, Brief: true}}})
			done <- err
		}()
		waitFor(t, filepath.Join(dir, "started"))
		cancel()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "it has ended since") {
			t.Errorf("error %v, want that it has ended", err)
		}
		if diff := cmp.Diff(before, after(t, c, Query{Hand: "test_pid"})); diff != "" {
			t.Errorf("another hand (-before +after):\n%s", diff)
		}
		if _, err := os.Stat(filepath.Join(dir, "after")); err == nil {
			t.Error("something was begun after the interruption")
		}
	})
}

// No other process gets the pipes to the hand, and the hand ends with its shell, whatever is left in the background.
func TestHandsPipes(t *testing.T) {
	withShells(t, testFunctions, func(t *testing.T, c *conn) {
		dir := t.TempDir()
		pid := after(t, c, Query{Hand: "test_pid"})[0].Out
		const open = `cd /proc/self/fd && for f in *; do case $(readlink "$f") in */ask|*/told) echo "$f"; esac; done; :`
		for _, brief := range []bool{false, true} {
			if r := run(t, c, Command{Argv: []string{"sh", "-c", open}, Brief: brief}); string(r.Stdout) != "" {
				t.Errorf("a command (brief: %t) has the pipes %q", brief, r.Stdout)
			}
		}
		ahead := &Ahead{If: []Query{{Script: open}}, Commands: []Command{{Argv: []string{"true"}, Brief: true}}, Then: []Query{{Script: open}, {Script: `sh -c "$1"`, Args: []string{open}, Inline: true}}}
		_, answers, err := c.RunAll(bounded(t), Actions{Commands: []Command{{Argv: []string{"true"}, Brief: true}}, Then: ahead.Then, Ahead: []*Ahead{ahead}})
		if err != nil || len(answers) != 2 || len(ahead.Answers) != 2 {
			t.Fatal(err)
		}
		for _, a := range append(answers, ahead.Answers...) {
			if len(a.Stdout) > 0 || a.Exit != 0 {
				t.Errorf("a query has the pipes %q (%d, %s)", a.Stdout, a.Exit, a.Stderr)
			}
		}
		if after(t, c, Query{Hand: "test_pid"})[0].Out != pid {
			t.Error("it is another hand")
		}
		run(t, c, Command{Argv: []string{"sh", "-c", `sleep 600 >/dev/null 2>&1 & echo $! >"$1"`, "sh", filepath.Join(dir, "left")}})
		left := waitFor(t, filepath.Join(dir, "left"))
		t.Cleanup(func() { _ = endProcess(left) })
		c.Close()
		for ctx := bounded(t); ; {
			if _, err := os.Stat("/proc/" + pid); err != nil {
				break
			}
			select {
			case <-ctx.Done():
				t.Fatal("the hand does not end")
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
}

// Perl's own variables do not reach the hand.
func TestHandsEnvironment(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key, func(s *server) {
		s.env = append(s.env, "PERL5OPT=-Mnonesuch", "PERL_UNICODE=", `PERL5LIB=/it's "here"`, "PERLIO=:utf8")
	})
	c := handed(mustDial(t, s.target("root", key), plain()), testFunctions)
	got := after(t, c, Query{Hand: "test_words", Args: []string{"\xe4 \xc3\xa4"}, Script: "echo script"})
	if diff := cmp.Diff([]text{{"\xe4 \xc3\xa4", "1\n", 3}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := "PERL5LIB=/it's \"here\",PERL5OPT=-Mnonesuch,PERLIO=:utf8,PERL_UNICODE="
	if got := after(t, c, Query{Hand: "test_env"})[0].Out; got != want {
		t.Errorf("the programs that it starts get %s, want %s", got, want)
	}
}

// A Perl that does not start a hand is not asked again, and the scripts answer.
func TestPerlThatIsOfNoUse(t *testing.T) {
	for _, perl := range []string{"exit 0", "exit 1", "kill -9 $$", "echo >&3 no"} {
		key, bin := newKey(t, "id", ""), t.TempDir()
		tried := filepath.Join(bin, "tried")
		if err := os.WriteFile(filepath.Join(bin, "perl"), []byte("#!/bin/sh\necho x >>"+tried+"\nhead -c 1 >/dev/null\n"+perl+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		s := newServer(t, key, func(s *server) { s.env[0] = "PATH=" + bin + ":" + os.Getenv("PATH") })
		c := handed(mustDial(t, s.target("root", key), plain()), testFunctions)
		q := Query{Hand: "test_words", Script: "echo script"}
		for range 2 {
			if diff := cmp.Diff([]text{{"script\n", "", 0}, {"script\n", "", 0}}, after(t, c, q, q)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", perl, diff)
			}
		}
		if text, err := os.ReadFile(tried); err != nil || string(text) != "x\n" {
			t.Errorf("%s: tried as %q (%v), want once", perl, text, err)
		}
	}
}

// A signal ends the shell once the hand has done what it was asked for, as with any other process.
func TestSignalWhileTheHandActs(t *testing.T) {
	withShells(t, testFunctions, func(t *testing.T, c *conn) {
		dir := t.TempDir()
		run(t, c, Command{Argv: []string{"true"}})
		sh, after := c.act.shell, byHand("test_words")
		done := make(chan error)
		go func() {
			_, _, err := c.RunAll(bounded(t), Actions{Commands: []Command{byHand("test_slow", dir), after}})
			done <- err
		}()
		waitFor(t, filepath.Join(dir, "started"))
		ask(t, c, Query{Script: `kill -TERM "$1" "$1"; kill -HUP "$1"`, Args: []string{sh.out.said}})
		ask(t, c, Query{Script: `: >"$1/go"`, Args: []string{dir}})
		waitFor(t, filepath.Join(dir, "ended"))
		if err := <-done; err == nil {
			t.Error("the shell has not ended")
		}
		if _, err := os.Stat("/dev/shm/" + sh.dir); err == nil {
			t.Error("its directory is still there")
		}
	})
}

// The program is sent as bytes that any shell counts the same.
func TestHandProgram(t *testing.T) {
	program := handProgram()
	for i, b := range []byte(program) {
		if b >= 0x80 || b == '\r' || b == 0 {
			t.Fatalf("byte %d is %#x", i, b)
		}
	}
	check := exec.Command("perl", "-wc", "-")
	check.Stdin = strings.NewReader(program)
	if said, err := check.CombinedOutput(); err != nil || string(said) != "- syntax OK\n" {
		t.Errorf("perl -wc: %v\n%s", err, said)
	}
	if len(program) > 60_000 {
		t.Errorf("the program has %d bytes", len(program))
	}
}

func contextWith(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(bounded(t))
}

func endProcess(pid string) error {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return err
	}
	return syscall.Kill(n, syscall.SIGKILL)
}

// The hand knows what it has written by its sum, so that comparing it takes no process.
func TestHandKnowsWhatItWrote(t *testing.T) {
	knows := `$does{test_knows} = sub { say_out(exists $look_known{$_[0]} ? $look_known{$_[0]} : 'unknown'); return 0 };` + "\n"
	withShells(t, knows, func(t *testing.T, c *conn) {
		for name, content := range map[string]string{"text": "h\xc3\xa4nd\n'two'", "empty": ""} {
			path := filepath.Join(t.TempDir(), name)
			if r := run(t, c, File{Path: path, Content: []byte(content), Mode: 0o640}.Command()); r.Exit != 0 {
				t.Fatalf("exit code %d: %s", r.Exit, r.Stderr)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != content {
				t.Errorf("%q was written (%v), want %q", text, err, content)
			}
			q := Query{Hand: "test_knows", Script: "echo script", Args: []string{fmt.Sprintf("%x", sha256.Sum256([]byte(content)))}}
			if diff := cmp.Diff([]text{{content, "", 0}}, after(t, c, q)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}
