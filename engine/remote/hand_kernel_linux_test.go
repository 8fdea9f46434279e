package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// mounted returns a directory that is a file system of its own.
func mounted(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// If there is no space for the new file, the old one stays, and nothing else.
func TestNoSpaceForAFile(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		dir := mounted(t, "size=64k")
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := here(t).WriteFile(bounded(t), File{Path: file, Content: bytes.Repeat([]byte("x"), small)})
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("error %v, want ENOSPC", err)
		}
		expectFile(t, file, []byte("old"), 0o600)
		noLeftovers(t, dir)
	})
}

// Nothing can be changed on a file system that is mounted read-only, and the error says so.
func TestReadOnlyFileSystem(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		dir := mounted(t, "")
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		c, mode := here(t), os.FileMode(0o640)
		for what, command := range map[string]Command{
			"write": File{Path: file, Content: []byte("new")}.Command(), "create": File{Path: file + "2", Content: []byte("new")}.Command(),
			"make": MakeDir(file+"2", 0o755, "", ""), "attributes": SetAttributes(file, &mode, "nobody", ""),
			"remove": Remove(file, false, Seen{}), "remove all": Remove(file, true, Seen{}), "link": Link(file, "x", Seen{}),
		} {
			r := run(t, c, command)
			if r.Exit == 0 || what != "create" && !errors.Is(errnoIn(string(r.Stderr)), syscall.EROFS) && c.hand != "" {
				t.Errorf("%s: exit code %d, %s; want EROFS", what, r.Exit, r.Stderr)
			}
		}
		expectFile(t, file, []byte("old"), 0o600)
	})
}

// atRename returns the hand's program with code that runs in place of rename(2).
func atRename(code string) string {
	return "BEGIN { *CORE::GLOBAL::rename = sub {\n" + code + "\n} }\n" + handProgram()
}

// What a hand that was killed has left is removed when the file is next written.
func TestHandIsKilledWhileItWrites(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := here(t)
	c.hand = atRename("kill 'KILL', $$; sleep 60;")
	if r := run(t, c, File{Path: file, Content: []byte("new")}.Command()); r.Exit != 137 {
		t.Errorf("exit code %d, want 137", r.Exit)
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "old" {
		t.Errorf("the file holds %q (%v)", content, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".file.hlplay-*"))
	if err != nil || len(left) != 1 {
		t.Fatalf("left: %q (%v)", left, err)
	}
	write(t, here(t), File{Path: file, Content: []byte("newer")})
	expectFile(t, file, []byte("newer"), 0o600)
	noLeftovers(t, dir)
}

// A write that is given up leaves nothing behind, in a directory of others either.
func TestHandIsInterruptedWhileItWrites(t *testing.T) {
	s := newFixture(t)
	for _, dir := range []string{t.TempDir(), s.home} {
		started := filepath.Join(t.TempDir(), "started")
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		c := here(t)
		c.hand = atRename(fmt.Sprintf("open my $f, '>', '%s'; syswrite $f, \"yes\\n\"; sleep 60;", started))
		ctx, cancel := context.WithCancel(bounded(t))
		done := make(chan error)
		go func() {
			_, err := c.Run(ctx, File{Path: file, Content: []byte("new")}.Command())
			done <- err
		}()
		waitFor(t, started)
		cancel()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "it has ended since") {
			t.Errorf("error %v, want that it has ended", err)
		}
		expectFile(t, file, []byte("old"), 0o600)
		noLeftovers(t, dir)
	}
}

// A change that somebody makes while the new file is prepared is not lost.
func TestFileChangesWhileTheHandWrites(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := here(t)
	c.hand = fmt.Sprintf("BEGIN { *CORE::GLOBAL::chmod = sub { open my $f, '>>', '%s'; syswrite $f, 'er'; close $f; CORE::chmod($_[0], $_[1]) } }\n", file) + handProgram()
	r := run(t, c, File{Path: file, Content: []byte("new"), Mode: 0o640, Over: seenAt(t, file)}.Command())
	if err := Stale(file, r); !errors.As(err, new(*StaleError)) {
		t.Errorf("exit code %d, %s (%v); want that it has changed", r.Exit, r.Stderr, err)
	}
	expectFile(t, file, []byte("older"), 0o600)
	noLeftovers(t, dir)

	// Somebody makes a file where there was none.
	fresh := filepath.Join(dir, "fresh")
	c = here(t)
	c.hand = fmt.Sprintf("BEGIN { *CORE::GLOBAL::chmod = sub { open my $f, '>', '%s'; syswrite $f, 'theirs'; close $f; CORE::chmod($_[0], $_[1]) } }\n", fresh) + handProgram()
	r = run(t, c, File{Path: fresh, Content: []byte("new"), Mode: 0o600, Over: Seen{Absent: true}}.Command())
	if r.Exit != 0 { // the mode is that of the temporary file, so that nothing was called
		t.Errorf("exit code %d, %s", r.Exit, r.Stderr)
	}
	if err := os.Remove(fresh); err != nil {
		t.Fatal(err)
	}
	c = here(t)
	c.hand = fmt.Sprintf("BEGIN { *CORE::GLOBAL::chmod = sub { open my $f, '>', '%s'; syswrite $f, 'theirs'; close $f; CORE::chmod($_[0], $_[1]) } }\n", fresh) + handProgram()
	r = run(t, c, File{Path: fresh, Content: []byte("new"), Mode: 0o755, Over: Seen{Absent: true}}.Command())
	if r.Exit != exitStale {
		t.Errorf("exit code %d, %s; want that one has come", r.Exit, r.Stderr)
	}
	if text, err := os.ReadFile(fresh); err != nil || string(text) != "theirs" {
		t.Errorf("%q (%v) is there, want theirs", text, err)
	}
	noLeftovers(t, dir)
}

// Proxmox VE's cluster file system sets modes and owners itself, and any change of them is an error.
func TestHandInTheClusterFileSystem(t *testing.T) {
	dir := t.TempDir()
	c := here(t)
	c.hand = "BEGIN { *CORE::GLOBAL::chmod = *CORE::GLOBAL::chown = sub { $! = 1; 0 } }\n" + strings.TrimSuffix(handProgram(), "serve();\n") +
		fmt.Sprintf("{ no warnings 'redefine'; *in_pve = sub { index(\"$_[0]{at}/\", '%s/') == 0 }; }\nserve();\n", dir)
	path := filepath.Join(dir, "file")
	for _, content := range []string{"new", "newer"} {
		write(t, c, File{Path: path, Content: []byte(content)})
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%q (%v)", got, err)
		}
		if err := os.Chmod(path, 0o600); err != nil { // so that a new file has the same mode, as it has there
			t.Fatal(err)
		}
	}
	if r := run(t, c, MakeDir(filepath.Join(dir, "dir"), 0o700, "nobody", "")); r.Exit != 0 {
		t.Errorf("a directory: exit code %d, %s", r.Exit, r.Stderr)
	}
	if r := run(t, c, File{Path: path, Content: []byte("x"), Mode: 0o755}.Command()); r.Exit == 0 || !errors.Is(errnoIn(string(r.Stderr)), syscall.EPERM) {
		t.Errorf("a mode that it does not have: exit code %d, %s; want EPERM", r.Exit, r.Stderr)
	}
	noLeftovers(t, dir)
}

// A request to the hand is a single write: a hand that is woken up for each part of it costs two switches more.
func TestRequestIsOneWrite(t *testing.T) {
	var ends [2]int
	// Each read of such a pipe returns what one write has written: see O_DIRECT in pipe(2).
	if err := unix.Pipe2(ends[:], unix.O_DIRECT|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	from, to := os.NewFile(uintptr(ends[0]), "from"), os.NewFile(uintptr(ends[1]), "to")
	defer from.Close()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "exec 7>&3 3>&-\n_hl_d=- _hl_program=-\n"+handPipes+`_hl_tell '- 4 4 0' word 'two
' ''`)
	cmd.ExtraFiles = []*os.File{to}
	out, err := cmd.CombinedOutput()
	to.Close()
	if err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	request := make([]byte, 4096)
	n, err := from.Read(request)
	if want := "- 4 4 0\nwordtwo\n"; err != nil || string(request[:n]) != want {
		t.Errorf("the first write is %q (%v), expected %q", request[:n], err, want)
	}
}
