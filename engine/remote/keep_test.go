package remote

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// FuzzKeeper holds what is kept against the whole, however it is written.
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

// ways are all ways in which a command's output comes.
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

// long prints a line of some MB between two short ones on both streams, and ends with 3.
func long(megabytes int) string {
	one := fmt.Sprintf(`echo first; head -c %d /dev/zero | tr '\0' x; echo; echo last`, megabytes*1000*1000)
	return one + "; { " + one + "; } >&2; exit 3"
}

// What a command prints beyond all measure is neither held nor a failure: its beginning and its end come, and how much is missing.
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
				var out int
				_, gap, _ := strings.Cut(string(text), "[")
				if _, err := fmt.Sscanf(gap, "%d bytes are left out here]\n", &out); err != nil {
					t.Fatalf("%s does not say what is left out: %v", stream, err)
				}
				printed, kept := megabytes*1000*1000+len("first\n\nlast\n"), len(text)-len(fmt.Sprintf("\n[%d bytes are left out here]\n", out))
				if out+kept != printed || kept > MaxOutput || kept < MaxOutput-100 {
					t.Errorf("%s: of %d bytes %d were kept, and %d are said to be left out", stream, printed, kept, out)
				}
			}
			if stdout, _, exit := run(t, c, "echo still there"); string(stdout) != "still there\n" || exit != 0 {
				t.Errorf("the next command printed %q and ended with %d", stdout, exit)
			}
		})
	}
}

// A query of ours that prints more than anybody could want fails alone.
func TestAnAnswerBeyondMeasureFailsAlone(t *testing.T) {
	u := newUnframer("N")
	u.expect([]int{0, 0})
	p := &pairs{most: []int{0, 0}}
	u.kept.limit = 100 // as if that were far too much
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

// BenchmarkLongOutput is a command that prints 200 MB in one line.
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
