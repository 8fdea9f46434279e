package remote

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hasGzip asks a host something, so that it says which programs it has. Without Perl and gzip the test is skipped.
func hasGzip(t *testing.T, c *conn) {
	t.Helper()
	for _, program := range []string{"perl", "gzip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	ask(t, c, Query{Script: ":"})
	if !c.gzip.Load() {
		t.Fatal("the host has not said that it has perl and gzip")
	}
}

// Long scripts reach a distant host compressed, and do the same there.
func TestPackedScripts(t *testing.T) {
	key := newKey(t, "id", "")
	dir := t.TempDir()
	long := strings.Repeat("it's a line with \\ and $HOME\n", 500)
	sent := map[string]int64{}
	said := map[string][]string{}
	for name, from := range map[string]time.Duration{"near": time.Hour, "distant": 0} {
		c := mustDial(t, newServer(t, key).target("root", key), plain())
		hasGzip(t, c)
		c.packFrom = from
		before := c.Stats().Sent
		path := filepath.Join(dir, name)
		for range 2 {
			results, answers, err := c.RunAll(bounded(t), Actions{
				Commands: []Command{File{Path: path, Content: []byte(long), Mode: 0o644}.Command(), {Argv: []string{"echo", long}, Brief: true}},
				Then:     []Query{{Script: `cat "$1"; printf %s "$2"; exit 3`, Args: []string{path, long}}},
				Ahead: []*Ahead{{
					If:       []Query{{Script: `[ -s "$1" ]`, Args: []string{path}}},
					Commands: []Command{Remove(path, false, Seen{})},
					Then:     []Query{{Script: `ls "$1"`, Args: []string{path}}},
				}},
			})
			if err != nil || len(results) != 2 || len(answers) != 1 {
				t.Fatalf("%s: %d results, %d answers, %v", name, len(results), len(answers), err)
			}
			said[name] = append(said[name], string(results[1].Stdout), string(answers[0].Stdout))
			if _, err := os.Lstat(path); err == nil {
				t.Errorf("%s: what was sent ahead was not done", name)
			}
		}
		sent[name] = c.Stats().Sent - before
	}
	if diff := cmp.Diff(said["near"], said["distant"]); diff != "" {
		t.Errorf("(-near +distant):\n%s", diff)
	}
	if sent["distant"] > sent["near"]/4 {
		t.Errorf("%d bytes were sent to a distant host, and %d to a near one", sent["distant"], sent["near"])
	}
}

// packing returns a connection to a distant host whose shells have these variables.
func packing(t *testing.T, env ...string) *conn {
	t.Helper()
	key := newKey(t, "id", "")
	s := newServer(t, key, func(s *server) { s.env = append(s.env, env...) })
	c := mustDial(t, s.target("root", key), plain())
	hasGzip(t, c)
	c.packFrom = 0
	return c
}

// A gzip that fails costs the acting shell, and no command is lost.
func TestBrokenGzip(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gzip"), []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := packing(t, "PATH="+dir+":"+os.Getenv("PATH"))
	if r := run(t, c, Command{Argv: []string{"echo", "hello"}}); string(r.Stdout) != "hello\n" {
		t.Errorf("got %q", r.Stdout)
	}
}

// What a user has set for gzip does not keep it from decompressing, nor what it says about that from being told apart from answers.
func TestOptionsOfGzip(t *testing.T) {
	for _, options := range []string{"-9", "-k", "/usr/bin/gzip"} {
		c := packing(t, "GZIP="+options)
		_, answers, err := c.RunAll(bounded(t), Actions{
			Commands: []Command{{Argv: []string{"true"}, Before: Query{Script: ":"}}},
			Then:     []Query{{Script: "printf %s \"$1\" | wc -c; echo \"$GZIP\"", Args: []string{strings.Repeat("x", packedFrom)}}},
		})
		if err != nil || len(answers) != 1 {
			t.Fatalf("GZIP=%s: %d answers, error %v", options, len(answers), err)
		}
		if got, want := string(answers[0].Stdout), "8192\n"+options+"\n"; got != want || len(answers[0].Stderr) > 0 {
			t.Errorf("GZIP=%s: got %q and %q, want %q", options, got, answers[0].Stderr, want)
		}
	}
}

// A host that is near, or has no gzip, gets scripts as they are.
func TestWhoGetsPackedScripts(t *testing.T) {
	c := local()
	t.Cleanup(func() { c.Close() })
	for _, tc := range []struct{ gzip, near, want bool }{{true, false, true}, {true, true, false}, {false, false, false}} {
		c.gzip.Store(tc.gzip)
		c.packFrom = 0
		if tc.near {
			c.packFrom = distant
		}
		if got := c.packs(); got != tc.want {
			t.Errorf("%+v: got %v", tc, got)
		}
	}
}
