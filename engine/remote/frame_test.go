package remote

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAskKeepsQueriesApart(t *testing.T) {
	hostile := "it's \"$(rm x)\" `y` \\ \t\x01\x1b é *\n--"
	queries := []Query{
		{Script: `printf 'a\nb'`},
		{Script: `printf 'x\000y\000'`},
		{Script: `:`},
		{Script: `printf '%s' "$1$2"; printf '%s' "$#" >&2`, Args: []string{hostile, ""}},
		{Script: `v=1; cd /tmp; set -f; exit 3`},
		{Script: `printf '%s' "v=$v"; [ "$PWD" != /tmp ] && printf ok`},
		{Script: `cat; read -r x || printf eof`},
		{Script: `printf '\n\n'; printf '\n' >&2; false`},
		{Script: `nonesuch-program 2>/dev/null`},
		{Script: `printf '%s' "$LC_ALL"`},
		{Script: `set -- a b; shift; printf '%s' "$1"`},
		{Script: `printf last`},
	}
	want := []text{
		{"a\nb", "", 0}, {"x\x00y\x00", "", 0}, {"", "", 0}, {hostile, "2", 0}, {"", "", 3}, {"v=ok", "", 0},
		{"eof", "", 0}, {"\n\n", "\n", 1}, {"", "", 127}, {"C", "", 0}, {"b", "", 0}, {"last", "", 0},
	}
	everywhere(t, func(t *testing.T, c *conn) {
		for range 2 { // the second time in the same shell
			if diff := cmp.Diff(want, readable(ask(t, c, queries...))); diff != "" {
				t.Errorf("answers differ (-want +got):\n%s", diff)
			}
		}
		if flights := c.Stats().Flights; flights != 2 {
			t.Errorf("flights counted: %d, want 2", flights)
		}
	})
}

func TestAskDropsNoiseBeforeTheShell(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key, func(s *server) {
		s.run = func(line string, env []string, in io.Reader, out, errs io.Writer) int {
			return runSh("echo 'Welcome to node'; printf 'no newline' >&2; head -c 100000 /dev/zero >&2; "+line, env, in, out, errs)
		}
	})
	c := mustDial(t, s.target("root", key), plain())
	want := []text{{"out", "err", 0}}
	if diff := cmp.Diff(want, readable(ask(t, c, Query{Script: `printf out; printf err >&2`}))); diff != "" {
		t.Errorf("ask (-want +got):\n%s", diff)
	}
	r, err := c.Run(bounded(t), Command{Argv: []string{"sh", "-c", "printf out; printf err >&2"}})
	if err != nil || string(r.Stdout) != "out" || string(r.Stderr) != "err" {
		t.Errorf("run: %q %q %v, want the command's own output only", r.Stdout, r.Stderr, err)
	}
}

func FuzzUnframer(f *testing.F) {
	f.Add([]byte("hello"), []byte{0, '\n'}, 3)
	f.Add([]byte("\nabc 0 0\n"), []byte("\nabc"), 1)
	f.Add([]byte("\n\n\n"), []byte(""), 2)
	f.Fuzz(func(t *testing.T, first, second []byte, step int) {
		step = max(1, min(step, 1000))
		id := nonce()
		if bytes.Contains(first, []byte(id)) || bytes.Contains(second, []byte(id)) {
			return
		}
		stream := fmt.Appendf(nil, "%s\n%s 0 7\n%s\n%s 1 0\nrest", first, id, second, id)
		u := newUnframer(id)
		var got []piece
		for len(stream) > 0 {
			n := min(step, len(stream))
			pieces, err := u.feed(stream[:n])
			if err != nil {
				t.Fatalf("feed: %v", err)
			}
			got = append(got, pieces...)
			stream = stream[n:]
		}
		if len(got) != 2 || got[0].id != 0 || got[0].exit != 7 || got[1].id != 1 || got[1].exit != 0 ||
			!bytes.Equal(got[0].data, first) || !bytes.Equal(got[1].data, second) {
			t.Fatalf("pieces %+v of %q and %q", got, first, second)
		}
	})
}

// Whatever a broken or hostile host sends, the parser neither panics nor invents answers.
func FuzzUnframerNoise(f *testing.F) {
	for _, seed := range []string{"\nN 0 0\n", "\nN 0\n", "\nN -1 0\n", "\nN 0 99999999999999999999\n", "\nN " + strings.Repeat("x", 100)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		u := newUnframer("N")
		pieces, _ := u.feed(stream)
		if marks := bytes.Count(stream, []byte("\nN ")); len(pieces) > marks {
			t.Fatalf("%d pieces from %d marks", len(pieces), marks)
		}
	})
}

func FuzzSkipper(f *testing.F) {
	f.Add([]byte("banner\n"), []byte("output"))
	f.Add([]byte("\nMARK"), []byte("\n"))
	f.Fuzz(func(t *testing.T, noise, output []byte) {
		if bytes.Contains(noise, []byte("\nMARK ")) {
			return
		}
		stream := fmt.Appendf(nil, "%s\nMARK 17\n%s", noise, output)
		s := newSkipper(oneByte{bytes.NewReader(stream)}, "MARK")
		got, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(got, output) || s.said != "17" {
			t.Fatalf("got %q, %q, %v; want %q", got, s.said, err, output)
		}
	})
}

// oneByte reads one byte at a time.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", "a", "it's", "a b\tc\n", "\xff\xfe", "$(x)`y`", "-n", "é\u200b", `\`, "!x"} {
		f.Add(seed)
	}
	c := local()
	f.Cleanup(func() { c.Close() })
	f.Fuzz(func(t *testing.T, s string) {
		answers, err := c.Ask(bounded(t), []Query{{Script: `printf '%s' "$1"`, Args: []string{s}}})
		if strings.Contains(s, "\x00") {
			if err == nil {
				t.Fatal("a NUL byte was accepted")
			}
			return
		}
		if err != nil || string(answers[0].Stdout) != s {
			t.Fatalf("%q came back as %+v, %v", s, answers, err)
		}
	})
}
