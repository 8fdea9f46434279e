package remote

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Before always runs first, does not affect the command's input and output, and can prevent the command.
func TestBefore(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		for _, barred := range []bool{false, true} { // with and without an acting shell
			c.act.drop()
			c.act.barred = barred
			trace := filepath.Join(t.TempDir(), "it's a trace")
			command := func(before string) Command {
				return Command{
					Argv: []string{"sh", "-c", `cat; echo "$FROM"; echo err >&2; exit 3`}, Stdin: []byte("in\n"),
					Env: map[string]string{"FROM": "env"}, OK: []int{0, 3},
					Before: Query{Script: before, Args: []string{trace, "two words"}},
				}
			}
			results, _, err := c.RunAll(bounded(t), Actions{Commands: []Command{
				command(`echo noise; echo noise >&2; read -r x; echo "$2$x" >>"$1"; false`),
				command(`echo "again" >>"$1"; return 1`),
			}})
			if err != nil || len(results) != 2 {
				t.Fatalf("%d results: %v", len(results), err)
			}
			for _, r := range results {
				if string(r.Stdout) != "in\nenv\n" || string(r.Stderr) != "err\n" || r.Exit != 3 {
					t.Errorf("the command printed %q and %q and ended with %d", r.Stdout, r.Stderr, r.Exit)
				}
			}
			if text, err := os.ReadFile(trace); err != nil || string(text) != "two words\nagain\n" {
				t.Errorf("before the commands, %q was written (%v)", text, err)
			}
			results, _, err = c.RunAll(bounded(t), Actions{Commands: []Command{
				command(":"), command("echo 'somebody else' >&2; exit 76"), command(`echo "begun" >>"$1"`),
			}})
			var prevented *PreventedError
			if !errors.As(err, &prevented) || !strings.Contains(prevented.Said, "somebody else\n") || len(results) != 1 {
				t.Errorf("%d results: %v, want that the second command was prevented", len(results), err)
			}
			if text, _ := os.ReadFile(trace); strings.Contains(string(text), "begun") {
				t.Error("what was behind it was begun")
			}
			if _, err := c.Run(bounded(t), command("exit 76")); !errors.As(err, &prevented) {
				t.Errorf("%v, want that a command alone was prevented", err)
			}
			if r, err := c.Run(bounded(t), command(":")); err != nil || r.Exit != 3 {
				t.Errorf("the command after one that was prevented: %v, exit code %d", err, r.Exit)
			}
		}
	})
}

// What a command has registered for the end of the acting shell is done when the connection is closed.
func TestEndOfTheActingShell(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		trace := filepath.Join(t.TempDir(), "trace")
		_, err := c.Run(bounded(t), Command{Argv: []string{"true"}, Before: Query{
			Script: `printf 'echo over >%s\n' "$1" >"${_hl_at%/*}/end"`, Args: []string{trace},
		}})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		for text := ""; text != "over\n"; time.Sleep(time.Millisecond) { // limited by the test's deadline
			b, _ := os.ReadFile(trace)
			text = string(b)
		}
	})
}
