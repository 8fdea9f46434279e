package remote

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Long scripts reach a distant host compressed, and do the same there.
func TestPackedScripts(t *testing.T) {
	key := newKey(t, "id", "")
	dir := t.TempDir()
	long := strings.Repeat("it's a line with \\ and $HOME\n", 500)
	sent := map[string]int64{}
	said := map[string][]string{}
	for name, from := range map[string]int{"near": 1, "distant": 0} {
		c := mustDial(t, newServer(t, key).target("root", key), plain())
		ask(t, c, Query{Script: ":"})
		if !c.gzip.Load() {
			t.Skip("no perl or no gzip on this machine")
		}
		c.packFrom = 0
		if from == 1 {
			c.packFrom = 1 << 62
		}
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
