package machine

import (
	"bytes"
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// run runs a command line in a user's login shell and returns its output.
func run(t *testing.T, m *Machine, user, line string) (stdout, stderr string, code int) {
	t.Helper()
	return runInput(t, m, user, line, "")
}

func runInput(t *testing.T, m *Machine, user, line, input string) (stdout, stderr string, code int) {
	t.Helper()
	return runArgv(t, m, user, input, "sh", "-c", line)
}

func runArgv(t *testing.T, m *Machine, user, input string, argv ...string) (stdout, stderr string, code int) {
	t.Helper()
	a, ok := m.account(user)
	if !ok {
		t.Fatalf("no user %q on the machine", user)
	}
	var out, errs bytes.Buffer
	environ := []string{"PATH=" + defaultPath, "HOME=" + a.home, "USER=" + user}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	go func() {
		_, _ = io.WriteString(writer, input) // a command may end before it has read all of its input
		_ = writer.Close()
	}()
	c := &Call{Machine: m, Argv: argv, Dir: a.home, User: user, Env: lookup(environ), environ: environ, Stdin: reader, Stdout: &out, Stderr: &errs, ctx: t.Context()}
	code = m.exec(t.Context(), c)
	return out.String(), errs.String(), code
}

func bare(t *testing.T, change ...func(*Config)) *Machine {
	t.Helper()
	c := Config{Name: "pve1", Address: "192.0.2.11/24", Disks: []Disk{{Name: "sdb"}, {Name: "nvme0n1"}}, Users: []User{{Name: "admin"}}}
	for _, f := range change {
		f(&c)
	}
	return New(c)
}

func TestCommands(t *testing.T) {
	for _, tc := range []struct {
		line, stdout, stderr string
		code                 int
	}{
		{line: "echo hello | tr a-z A-Z", stdout: "HELLO\n"},
		{line: "cat /etc/hostname; hostname; uname -n", stdout: "pve1\npve1\npve1\n"},
		{line: "foo", stderr: "sh: 1: foo: not found\n", code: 127},
		{line: "cat /nope", stderr: "cat: /nope: No such file or directory\n", code: 1},
		{line: ". /etc/os-release; echo $VERSION_CODENAME", stdout: "trixie\n"},
		{line: "[ -f /etc/passwd ] && test -d /etc && echo yes", stdout: "yes\n"},
		{line: "mkdir -p /a/b && echo x >/a/b/c && cat /a/b/* && rm -rf /a && ls /a", stdout: "x\n", stderr: "ls: cannot access '/a': No such file or directory\n", code: 2},
		{line: "stat --printf '%f %U %G %s %n\\0' -- /etc/hostname /root", stdout: "81a4 root root 5 /etc/hostname\x0041c0 root root 4096 /root\x00"},
		{line: "readlink -z /etc/os-release", stdout: "../usr/lib/os-release\x00"},
		{line: "readlink -f /bin/cat", stdout: "/usr/bin/cat\n"},
		{line: "command -v cat ls || echo none", stdout: "/usr/bin/cat\n/usr/bin/ls\n"},
		{line: "command -v nope || echo none", stdout: "none\n"},
		{line: "x=$(head -c 3 </etc/hostname); echo $x", stdout: "pve\n"},
		{line: "timeout 5 sleep 10", code: 124},
		{line: "timeout 5 sh -c 'while :; do :; done'", code: 124},
		{line: "timeout 5 cat", code: 0},
		{line: "printf 'a\\0b' | wc -c", stdout: "3\n"},
		{line: "sh -c 'exit 7'", code: 7},
		{line: "systemctl reboot && poweroff", code: 1, stderr: "Call to PowerOff failed: There's already a shutdown or sleep operation in progress\n"},
		{line: "sh -c 'kill -TERM $$'", code: 143},
		{line: "printf 'b\\0a\\0' | xargs -0 -n1 echo", stdout: "b\na\n"},
		{line: "getent hosts pve1; getent ahosts nope", stdout: "127.0.1.1       pve1.example.com pve1\n", code: 2},
		{line: "systemctl is-active ssh; systemctl is-active nope", stdout: "active\ninactive\n", code: 4},
		{line: "sysctl -n vm.swappiness && sysctl -w vm.swappiness=10 && cat /proc/sys/vm/swappiness", stdout: "60\nvm.swappiness = 10\n10\n"},
		{line: "modprobe tcp_bbr && grep -c tcp_bbr /proc/modules", stdout: "1\n"},
		{line: "ls -Z /", stderr: "ls: not supported on simulated nodes: -Z\n", code: 2},
		{line: "id; id -un", stdout: "uid=0(root) gid=0(root) groups=0(root)\nroot\n"},
		{line: "echo 'root:x' | sed 's/:.*//'", stdout: "root\n"},
		{line: "sudo -n -u admin id -un", stdout: "admin\n"},
		{line: "umask 077; touch /tmp/u; stat -c %a /tmp/u", stdout: "600\n"},
	} {
		t.Run(tc.line, func(t *testing.T) {
			stdout, stderr, code := run(t, bare(t), "root", tc.line)
			if stdout != tc.stdout || stderr != tc.stderr || code != tc.code {
				t.Errorf("got %q, %q, %d\nexpected %q, %q, %d", stdout, stderr, code, tc.stdout, tc.stderr, tc.code)
			}
		})
	}
}

// Concurrent shells do not mix up their output.
func TestPrintfOfManyShells(t *testing.T) {
	m := bare(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			want := strings.Repeat(strconv.Itoa(i), 5000)
			line := `i=0; while [ $i -lt 50 ]; do printf '%s\n' "$0"; printf '%9999s' ''; echo; i=$((i+1)); done`
			stdout, stderr, _ := runArgv(t, m, "root", "", "sh", "-c", line, want)
			if stdout != strings.Repeat(want+"\n"+strings.Repeat(" ", 9999)+"\n", 50) {
				t.Errorf("shell %d printed %.100q… in %d bytes (%s)", i, stdout, len(stdout), stderr)
			}
		})
	}
	all.Wait()
}

// The protocol by which hlplay reads: requests of a length and a script, and responses between end marks.
func TestReadingProtocol(t *testing.T) {
	m := bare(t)
	if err := writeFile(view{m: m}, "/etc/odd", "a\x00b no newline", 0o644); err != nil {
		t.Fatal(err)
	}
	scripts := []string{"printf '%s' \"$0\"", "cat /etc/odd", "read -r x; echo \"[$x]\"; sh -c 'exit 3'"}
	var input strings.Builder
	for _, s := range scripts {
		script := s + "\nrc=$?; printf '\\nEND %s\\n' $rc"
		input.WriteString(strconv.Itoa(len(script)) + "\n" + script)
	}
	stdout, stderr, code := runInput(t, m, "root", `exec sh -c 'export LC_ALL=C; N=MARK; printf "\n%s H %s\n" $N $$; while read -r n; do s=$(head -c "$n"); eval "$s" </dev/null; done'`, input.String())
	_, rest, ok := strings.Cut(stdout, "\nMARK H ")
	if !ok || code != 0 && code != 1 {
		t.Fatalf("no hello in %q (stderr %q, code %d)", stdout, stderr, code)
	}
	_, rest, _ = strings.Cut(rest, "\n")
	if want := "sh\nEND 0\na\x00b no newline\nEND 0\n[]\n\nEND 3\n"; rest != want {
		t.Errorf("got  %q\nwant %q (stderr %q)", rest, want, stderr)
	}
}

func TestClock(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := NewVirtualClock(start)
	var got []string
	c.After(2*time.Second, func() {
		got = append(got, "second at "+c.Now().Sub(start).String())
		c.After(time.Second, func() { got = append(got, "third at "+c.Now().Sub(start).String()) })
	})
	c.After(time.Second, func() { got = append(got, "first at "+c.Now().Sub(start).String()) })
	c.Advance(10 * time.Second)
	if want := "first at 1s, second at 2s, third at 3s"; strings.Join(got, ", ") != want {
		t.Errorf("timers ran as %v, expected %s", got, want)
	}
	if c.Now() != start.Add(10*time.Second) {
		t.Errorf("the clock stands at %s", c.Now())
	}
}

var _ = context.Background
