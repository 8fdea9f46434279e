package remote

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// counted returns a connection to this machine whose shells each start in a new PID namespace, so that process IDs
// count the processes. They have a /dev/shm of their own, because they would take the directories of shells outside for those
// of shells that have ended.
func counted(t *testing.T) *conn {
	c := local()
	t.Cleanup(func() { c.Close() })
	c.transport = namespaced{c.transport}
	return c
}

type namespaced struct{ transport }

func (n namespaced) start(ctx context.Context, line string, brief bool) (process, error) {
	words := []string{"exec", "unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "setsid", "sh", "-c", "mount -t tmpfs none /dev/shm && " + line}
	if os.Getuid() != 0 {
		words = append([]string{"exec", "unshare", "--map-root-user"}, words[2:]...)
	}
	text, err := Quote(words)
	if err != nil {
		return nil, err
	}
	return n.transport.start(ctx, text, brief)
}

// processes returns how many processes the acting shell starts for commands, not counting itself.
func processes(t *testing.T, c *conn, do ...Command) int {
	t.Helper()
	last := Command{Argv: []string{"cat", "/proc/sys/kernel/ns_last_pid"}, Brief: true}
	number := func(r Result) int {
		n, err := strconv.Atoi(strings.TrimSpace(string(r.Stdout)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first, second := number(run(t, c, last)), number(run(t, c, last))
	results, _, err := c.RunAll(bounded(t), Actions{Commands: do})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Exit != 0 {
			t.Errorf("%q: exit code %d: %s", do[i].Argv, r.Exit, r.Stderr)
		}
	}
	return number(run(t, c, last)) - second - (second - first)
}

// A distant host starts two more processes for a long script: gzip, and a head to feed it, which otherwise is the subshell.
func TestProcessesOfPackedScripts(t *testing.T) {
	c, long := counted(t), strings.Repeat("line\n", packedFrom/5)
	ask(t, c, Query{Script: ":"})
	c.packFrom = 0
	path := filepath.Join(t.TempDir(), "file")
	for content, most := range map[string]int{"short\n": 1, long: 3} {
		if n := processes(t, c, File{Path: path, Content: []byte(content)}.Command()); n > most {
			t.Errorf("a file of %d bytes starts %d processes, want at most %d", len(content), n, most)
		}
	}
}

// What an action costs its host, so that an increase is noticed. In each flight, one process reads the script. The hand does
// the actions on paths in its own process, and starts one for each command. Without it, one process is the subshell that carries
// out the action, and paths that other users may change, and files that differ from what was seen, cost more.
func TestProcessesOfActions(t *testing.T) {
	for _, way := range []string{"by hand", "without a hand"} {
		t.Run(way, func(t *testing.T) {
			c, dir := counted(t), t.TempDir()
			if way == "without a hand" {
				c.hand = ""
			}
			at := func(name string) string { return filepath.Join(dir, name) }
			file := func(name, content string, mode os.FileMode) Command {
				return File{Path: at(name), Content: []byte(content), Mode: mode}.Command()
			}
			over := func(name, content, before string) Command { // the stamp differs from that of the file
				seen := Seen{Stamp: "1:1.5", Sum: fmt.Sprintf("%x", sha256.Sum256([]byte(before)))}
				return File{Path: at(name), Content: []byte(content), Over: seen}.Command()
			}
			mode := os.FileMode(0o640)
			before := Query{Script: `true >"$1"`, Args: []string{at("locked")}}
			for _, tc := range []struct {
				name        string
				do          []Command
				hand, shell int
			}{
				{"a command", []Command{{Argv: []string{"true"}}}, 2, 15}, // 11, and more heads if the mark arrives late
				{"a brief command", []Command{{Argv: []string{"true"}, Brief: true}}, 2, 3},
				{"a brief command with output", []Command{{Argv: []string{"echo", "x"}, Brief: true}}, 2, 4},
				{"a command with output", []Command{{Argv: []string{"head", "-c", "300000", "/dev/zero"}}}, 2, 15},
				{"a command with input", []Command{{Argv: []string{"cat"}, Stdin: []byte("text\n")}}, 2, 15},
				{"a command with binary input", []Command{{Argv: []string{"cat"}, Stdin: []byte("\x00")}}, 3, 16}, // and head
				{"a command after another script", []Command{{Argv: []string{"true"}, Before: before}}, 3, 16},    // its subshell
				{"a brief command after another script", []Command{{Argv: []string{"true"}, Brief: true, Before: before}}, 3, 4},
				{"a file after another script", []Command{File{Path: at("after"), Content: []byte("one\n"), Before: before}.Command()}, 2, 7},
				{"three commands", []Command{{Argv: []string{"true"}}, {Argv: []string{"true"}, Brief: true}, {Argv: []string{"true"}}}, 4, 25},
				{"a new file", []Command{file("new", "one\n", 0)}, 1, 6},                                                  // stat, stat, sync, mv
				{"a file that is replaced", []Command{file("new", "two\n", 0)}, 1, 7},                                     // and cp
				{"a file that the hand has written, with a new stamp", []Command{over("new", "three\n", "two\n")}, 1, 10}, // stat, sha256sum
				{"a new program", []Command{file("program", "one\n", 0o755)}, 1, 7},                                       // and chmod
				{"a file that is no text", []Command{file("binary", "\x00\n", 0)}, 9, 21},                                 // a command in its own shell
				{"a directory", []Command{MakeDir(at("dir"), 0o750, "", "")}, 1, 4},                                       // stat, mkdir
				{"a link", []Command{Link(at("link"), "new", Seen{})}, 1, 5},                                              // stat, ln, mv
				{"attributes", []Command{SetAttributes(at("new"), &mode, "", "")}, 1, 4},                                  // stat, chmod
				{"a file that is removed", []Command{Remove(at("new"), false, Seen{})}, 1, 4},                             // stat, rm
				{"three files", []Command{file("a", "1\n", 0), file("b", "2\n", 0), file("c", "3\n", 0)}, 1, 16},          // one reads all of them
				{"a file of a tree", []Command{MakeDir(at("x/y/z"), 0o700, "", ""), file("x/y/z/f", "1\n", 0)}, 1, 10},    // both of one flight
			} {
				most := tc.hand
				if c.hand == "" {
					most = tc.shell
				}
				if n := processes(t, c, tc.do...); n > most {
					t.Errorf("%s starts %d processes, want at most %d", tc.name, n, most)
				}
			}
		})
	}
}
