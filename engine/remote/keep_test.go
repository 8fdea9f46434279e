package remote

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzKeeper compares what is kept with the whole, however it is written.
func FuzzKeeper(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), 10, 3)
	f.Add([]byte("0123456789"), 10, 1)
	f.Add([]byte("0123456789a"), 10, 100)
	f.Add([]byte("0123456789a"), 9, 7)
	f.Fuzz(func(t *testing.T, all []byte, limit, step int) {
		limit, step = 2+max(0, limit)%64, 1+max(0, step)%128
		k := keeper{limit: limit}
		var early []byte
		for rest := all; len(rest) > 0; rest = rest[min(step, len(rest)):] {
			n, err := k.Write(rest[:min(step, len(rest))])
			if n != min(step, len(rest)) || err != nil {
				t.Fatalf("wrote %d, %v", n, err)
			}
			if early == nil {
				early = k.bytes()
			}
		}
		want := string(all)
		if out := len(all) - limit; out > 0 {
			want = fmt.Sprintf("%s\n[%d bytes are left out here]\n%s", all[:limit/2], out, all[limit/2+out:])
		}
		if got := k.bytes(); string(got) != want {
			t.Errorf("of %q in steps of %d, %d bytes are kept as %q, want %q", all, step, limit, got, want)
		}
		first := all[:min(step, len(all))]
		if out := len(first) - limit; out <= 0 && !bytes.Equal(early, first) {
			t.Errorf("what was kept at first is now %q, want %q", early, first)
		}
	})
}

// ways are the different ways in which a command's output is received.
var ways = map[string]func(t testing.TB, c *conn, script string) (stdout, stderr []byte, exit int){
	"acting shell": func(t testing.TB, c *conn, script string) ([]byte, []byte, int) {
		r, err := c.Run(t.Context(), Command{Argv: []string{"sh", "-c", script}})
		if err != nil {
			t.Fatal(err)
		}
		return r.Stdout, r.Stderr, r.Exit
	},
	"session of its own": func(t testing.TB, c *conn, script string) ([]byte, []byte, int) {
		r, err := c.runAlone(t.Context(), Command{Argv: []string{"sh", "-c", script}})
		if err != nil {
			t.Fatal(err)
		}
		return r.Stdout, r.Stderr, r.Exit
	},
	"reading shell": func(t testing.TB, c *conn, script string) ([]byte, []byte, int) {
		answers, err := c.Ask(t.Context(), []Query{{Script: script, Most: MaxOutput}})
		if err != nil {
			t.Fatal(err)
		}
		return answers[0].Stdout, answers[0].Stderr, answers[0].Exit
	},
}

// long prints a line of several MB between two short ones on both streams, and exits with 3.
func long(megabytes int) string {
	one := fmt.Sprintf(`echo first; head -c %d /dev/zero | tr '\0' x; echo; echo last`, megabytes*1000*1000)
	return one + "; { " + one + "; } >&2; exit 3"
}

// Excessive output of a command is neither kept whole nor a failure: its beginning and its end are kept, and the size
// of the gap.
func TestLongOutputIsCut(t *testing.T) {
	const megabytes = 40
	for name, run := range ways {
		t.Run(name, func(t *testing.T) {
			c := Local("node").(*conn)
			defer c.Close()
			stdout, stderr, exit := run(t, c, long(megabytes))
			if exit != 3 {
				t.Errorf("exit code %d, want 3", exit)
			}
			for stream, text := range map[string][]byte{"stdout": stdout, "stderr": stderr} {
				if !bytes.HasPrefix(text, []byte("first\nxxx")) || !bytes.HasSuffix(text, []byte("xxx\nlast\n")) {
					t.Errorf("%s is %.20q…%q, want the beginning and the end", stream, text, text[max(0, len(text)-20):])
				}
				expectCut(t, stream, text, megabytes*1000*1000+len("first\n\nlast\n"))
			}
			if stdout, _, exit := run(t, c, "echo still there"); string(stdout) != "still there\n" || exit != 0 {
				t.Errorf("the next command printed %q and ended with %d", stdout, exit)
			}
		})
	}
}

// expectCut checks that as much of the output is kept as the limit allows, and that the rest is counted.
func expectCut(t *testing.T, stream string, text []byte, printed int) {
	t.Helper()
	var out int
	_, gap, _ := strings.Cut(string(text), "[")
	if _, err := fmt.Sscanf(gap, "%d bytes are left out here]\n", &out); err != nil {
		t.Fatalf("%s does not say what is left out: %v", stream, err)
	}
	kept := len(text) - len(fmt.Sprintf("\n[%d bytes are left out here]\n", out))
	if out+kept != printed || kept > MaxOutput || kept < MaxOutput-100 {
		t.Errorf("%s: of %d bytes %d were kept, and %d are said to be left out", stream, printed, kept, out)
	}
}

// One of hlplay's own queries that prints far too much fails alone.
func TestOversizedAnswerFailsAlone(t *testing.T) {
	u := newUnframer("N")
	u.expect([]int{0, 0})
	p := &pairs{most: []int{0, 0}}
	u.kept.limit = 100 // a low limit, for the test
	for _, text := range []string{strings.Repeat("x", 99), "yy", "\nN 0 0\nz\nN 1 0\n"} {
		pieces, err := u.feed([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range pieces {
			if err := p.take(&p.out)(one); err != nil {
				t.Fatal(err)
			}
			if err := p.take(&p.errs)(piece{id: one.id}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a := p.answers[0]; a.Exit == 0 || a.Stdout != nil || !strings.Contains(string(a.Stderr), "printed more than") {
		t.Errorf("the answer is %+v, want a failure", a)
	}
	if a := p.answers[1]; a.Exit != 0 || string(a.Stdout) != "z" {
		t.Errorf("the answer behind it is %+v", a)
	}
}

// A command's output is also limited on the host while it is read: an endless line is kept neither in memory nor in a
// file, whole or in part.
func TestLongOutputIsBoundedOnTheHost(t *testing.T) {
	c := Local("node").(*conn)
	defer c.Close()
	run(t, c, Command{Argv: []string{"true"}})
	shell, dir := c.act.shell.out.said, "/dev/shm/"+c.act.shell.dir
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the acting shell has its files elsewhere: ", err)
	}
	at := t.TempDir()
	const printed = 200_000_000
	script := fmt.Sprintf(`p() { head -c %d /dev/zero | tr '\0' x; }; p; p >&2; echo yes >"$1/printed"; while [ -d "$1" ] && [ ! -e "$1/go" ]; do sleep 0.01; done`, printed)
	ended := make(chan Result, 1)
	go func() {
		r, err := c.Run(bounded(t), Command{Argv: []string{"sh", "-c", script, "sh", at}})
		if err != nil {
			t.Error(err)
		}
		ended <- r
	}()
	waitFor(t, filepath.Join(at, "printed"))
	// The beginning and the end of a stream; the latter is in two files of that size.
	if size, most := sizeOf(t, dir), 2*3*MaxOutput/2+1<<20; size > most {
		t.Errorf("%d bytes of it are in files, want at most %d", size, most)
	}
	for name, memory := range memoryBelow(t, shell) {
		if memory > 8<<20 {
			t.Errorf("%s has had %d bytes in memory", name, memory)
		}
	}
	if err := os.WriteFile(filepath.Join(at, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := <-ended
	expectCut(t, "stdout", r.Stdout, printed)
	expectCut(t, "stderr", r.Stderr, printed)
	if size := sizeOf(t, dir); size > 1<<10 {
		t.Errorf("%d bytes are in files when it is over", size)
	}
}

// sizeOf returns the number of bytes in the files of a directory.
func sizeOf(t *testing.T, dir string) int {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			sum += int(info.Size())
		}
	}
	return sum
}

// memoryBelow returns the peak memory use of each descendant of a process.
func memoryBelow(t *testing.T, pid string) map[string]int {
	t.Helper()
	children := map[string][]string{}
	peak := map[string]int{}
	statuses, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range statuses {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		fields := map[string]string{}
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(line, ":")
			fields[name] = strings.TrimSpace(value)
		}
		name := fields["Pid"] + " " + fields["Name"]
		kilobytes, _ := strconv.Atoi(strings.TrimSuffix(fields["VmHWM"], " kB"))
		children[fields["PPid"]] = append(children[fields["PPid"]], name)
		peak[name] = kilobytes << 10
	}
	found := map[string]int{}
	for below := children[pid]; len(below) > 0; below = below[1:] {
		found[below[0]] = peak[below[0]]
		pid, _, _ := strings.Cut(below[0], " ")
		below = append(below, children[pid]...)
	}
	if len(found) == 0 {
		t.Fatal("there is no process below the shell")
	}
	return found
}

// If there is no space for a command's output, the command runs to its end, and the gap is reported.
func TestOutputWithoutRoom(t *testing.T) {
	for name, printed := range map[string]int{"out": 1, "err": 1, "out.0": 20, "err.0": 20} {
		c := Local("node").(*conn)
		defer c.Close()
		run(t, c, Command{Argv: []string{"true"}})
		inTheWay := filepath.Join("/dev/shm", c.act.shell.dir, name)
		if err := os.RemoveAll(inTheWay); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(inTheWay, 0o700); err != nil {
			t.Skip("the acting shell has its files elsewhere: ", err)
		}
		r := run(t, c, Command{Argv: []string{"sh", "-c", long(printed)}})
		stdout, stderr := string(r.Stdout), string(r.Stderr)
		lacking, other := stdout, stderr
		if strings.HasPrefix(name, "err") {
			lacking, other = stderr, stdout
		}
		const missing = "[the host had no room for the rest of what it printed]"
		if !strings.Contains(lacking, missing) || r.Exit != 3 {
			t.Errorf("without %s: exit code %d, and the stream of %d bytes does not say %q", name, r.Exit, len(lacking), missing)
		}
		if !strings.HasSuffix(other, "xxx\nlast\n") {
			t.Errorf("without %s: the other stream ends with %q", name, other[max(0, len(other)-20):])
		}
	}
}

// Gaps left by the host and gaps left here add up.
func TestGaps(t *testing.T) {
	u := newUnframer("N")
	u.expect([]int{8, 8, 8})
	var got []string
	for _, text := range []string{"0123\nN ga", "p 100\n456789\nN 0 0\n012", "3\nN gap 5\n\nN gap 6\n89\nN 1 0\nshort\nN 2 0\n"} {
		pieces, err := u.feed([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pieces {
			got = append(got, fmt.Sprintf("%d %s", p.out, p.data))
		}
	}
	want := []string{
		"102 0123\n[102 bytes are left out here]\n6789",
		"11 0123\n[11 bytes are left out here]\n89",
		"0 short",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"x\nN gap -1\n", "x\nN gap\n", "x\nN gap 99999999999999999999\n"} {
		if _, err := newUnframer("N").feed([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// BenchmarkLongOutput runs a command that prints 200 MB in one line.
func BenchmarkLongOutput(b *testing.B) {
	for name, run := range ways {
		b.Run(name, func(b *testing.B) {
			c := Local("node").(*conn)
			defer c.Close()
			b.ReportAllocs()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				run(b, c, `head -c 200000000 /dev/zero | tr '\0' x`)
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapSys-before.HeapSys)/1e6, "MB-heap")
		})
	}
}
