package remote

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What a killed acting shell has left behind is removed on the next connection. What a running one uses, and what
// another user may have put there, stays.
func TestLeftoversOfKilledShells(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	dead, alive := fmt.Sprintln(gone.Process.Pid), fmt.Sprintln(os.Getpid())
	make := func(shell string, mode os.FileMode) string {
		t.Helper()
		dir := "/tmp/hlplay." + nonce()
		t.Cleanup(func() { os.RemoveAll(dir) })
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"shell": shell, "script": "export PASSWORD=hunter2\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	left := make(dead, 0o700)
	stays := map[string]string{
		"of a living shell": make(alive, 0o700), "open to others": make(dead, 0o755), "of a shell that is not said": make("", 0o700),
		"of no number": make("../proc\n", 0o700),
	}
	target := make(dead, 0o755)
	link := "/tmp/hlplay." + nonce()
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(link) })
	stays["behind a link"] = filepath.Join(link, "script")
	if os.Geteuid() == 0 {
		others := make(dead, 0o700)
		if err := os.Chown(others, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		stays["of another user"] = others
	}

	c := Local("controller")
	defer c.Close()
	ask(t, c, Query{Script: ":"})
	if _, err := os.Lstat(left); err == nil {
		t.Error("the directory of a killed shell is still there")
	}
	for what, path := range stays {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("a directory %s is gone: %v", what, err)
		}
	}
	run(t, c, Command{Argv: []string{"true"}}) // another shell, which sweeps too
	for what, path := range stays {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("a directory %s is gone: %v", what, err)
		}
	}
}

// What a killed script has left beside a path is removed when the path is next written, in whatever way. What a running
// script uses stays, and so does anything that another user could have given such a name.
func TestLeftoversOfKilledScripts(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		gone := exec.Command("true")
		if err := gone.Run(); err != nil {
			t.Fatal(err)
		}
		for act, make := range map[string]func(string) Command{
			"write": func(p string) Command { return File{Path: p, Content: []byte("new")}.Command() },
			"link":  func(p string) Command { return Link(p, "/anywhere", Seen{}) },
		} {
			t.Run(act, func(t *testing.T) {
				dir := t.TempDir()
				names := map[string]bool{ // whether it stays
					fmt.Sprintf(".a file*.hlplay-0123456789ab.%d", gone.Process.Pid):  false,
					fmt.Sprintf(".a file*.hlplay-ba9876543210.%d", gone.Process.Pid):  false,
					fmt.Sprintf(".a file*.hlplay-0123456789ab.%d", os.Getpid()):       true,
					fmt.Sprintf(".a filed.hlplay-0123456789ab.%d", gone.Process.Pid):  true,
					fmt.Sprintf(".a file*.hlplay-0123456789ab.%dx", gone.Process.Pid): true,
					".a file*.hlplay-0123456789ab":                                    true, ".a file*.hlplay-notes.txt": true,
				}
				for name := range names {
					if err := os.WriteFile(filepath.Join(dir, name), []byte("a secret"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				r, err := here(t).Run(t.Context(), make(filepath.Join(dir, "a file*")))
				if err != nil || r.Exit != 0 {
					t.Fatalf("exit code %d, %s (%v)", r.Exit, r.Stderr, err)
				}
				for name, stays := range names {
					if _, err := os.Lstat(filepath.Join(dir, name)); (err == nil) != stays {
						t.Errorf("%s: %v, want that it stays: %v", name, err, stays)
					}
				}
			})
		}
	})
}

// A large directory is searched once for files that are written one after another. What another connection has left
// meanwhile is removed by the next one.
func TestADirectoryIsSweptOnce(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		gone := exec.Command("true")
		if err := gone.Run(); err != nil {
			t.Fatal(err)
		}
		write := func(c Conn, path string) {
			t.Helper()
			actions := Actions{Commands: []Command{File{Path: path, Content: []byte("new")}.Command()}}
			if r, _, err := c.RunAll(t.Context(), actions); err != nil || r[0].Exit != 0 {
				t.Fatalf("%s: %v (%v)", path, r, err)
			}
		}
		leave := func(dir, name string) string {
			t.Helper()
			path := filepath.Join(dir, fmt.Sprintf(".%s.hlplay-0123456789ab.%d", name, gone.Process.Pid))
			if err := os.WriteFile(path, []byte("a secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		there := func(path string) bool { _, err := os.Lstat(path); return err == nil }
		one, other := t.TempDir(), t.TempDir()
		first := here(t)

		ofAnother := leave(one, "b")
		write(first, filepath.Join(one, "a"))
		if !there(ofAnother) {
			t.Error("what is left of another file is gone")
		}
		write(first, filepath.Join(one, "b")) // the directory was not clean, so it is searched again
		if there(ofAnother) {
			t.Error("what was left of the file is still there")
		}
		write(first, filepath.Join(one, "c"))
		later := leave(one, "d")
		write(first, filepath.Join(one, "d"))
		if !there(later) {
			t.Error("the directory was searched again")
		}
		write(first, filepath.Join(other, "a"))
		write(first, filepath.Join(one, "d"))
		if there(later) {
			t.Error("the directory was not searched, although another one was written to since")
		}
		write(first, filepath.Join(one, "e"))
		later = leave(one, "e")
		second := here(t)
		write(second, filepath.Join(one, "e"))
		if there(later) {
			t.Error("the next connection has not searched the directory")
		}
	})
}

// Writes in a directory of 20,000 files.
func BenchmarkWriteInALargeDirectory(b *testing.B) {
	dir := b.TempDir()
	for i := range 20_000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%d", i)), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	c := Local("node")
	defer c.Close()
	i := 0
	for b.Loop() {
		path := filepath.Join(dir, fmt.Sprintf("new-%d", i%100))
		if r, _, err := c.RunAll(b.Context(), Actions{Commands: []Command{File{Path: path, Content: []byte("new")}.Command()}}); err != nil || r[0].Exit != 0 {
			b.Fatal(r, err)
		}
		i++
	}
}
