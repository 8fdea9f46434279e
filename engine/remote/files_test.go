package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func write(t *testing.T, s Session, f File) {
	t.Helper()
	if _, err := s.WriteFile(bounded(t), f); err != nil {
		t.Fatalf("write %s: %v", f.Path, err)
	}
}

// expectFile asserts a file's content and mode, and that there is nothing else in the directory.
func expectFile(t *testing.T, path string, content []byte, mode fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, content) {
		t.Errorf("%s holds %d bytes that differ from the %d written", path, len(got), len(content))
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != mode {
		t.Errorf("%s: mode %v, want %v", path, info.Mode(), mode)
	}
	noLeftovers(t, filepath.Dir(path))
}

func noLeftovers(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, ".*hlplay*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestWriteFile(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	large := bytes.Repeat(all, 4096) // is streamed
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		t.Fatal(err)
	}
	everywhere(t, func(t *testing.T, c *conn) {
		for name, content := range map[string][]byte{"empty": nil, "bytes": all, "large": large} {
			dir := t.TempDir()
			path := filepath.Join(dir, "it's a \"file\" "+name)
			write(t, c, File{Path: path, Content: content})
			expectFile(t, path, content, 0o644)
			write(t, c, File{Path: path, Content: append([]byte("new "), content...), Mode: 0o600})
			expectFile(t, path, append([]byte("new "), content...), 0o600)
			write(t, c, File{Path: path, Content: content}) // keeps the mode
			expectFile(t, path, content, 0o600)
			write(t, c, File{Path: path, Content: content, Mode: 0o750 | fs.ModeSetgid, Owner: me.Username, Group: group.Name})
			expectFile(t, path, content, 0o750|fs.ModeSetgid)
		}
	})
}

func TestWriteFileFollowsALink(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		for _, content := range [][]byte{[]byte("small"), bytes.Repeat([]byte("large"), 1<<15)} {
			dir := t.TempDir()
			real, link := filepath.Join(dir, "priv", "authorized_keys"), filepath.Join(dir, "authorized_keys")
			if err := os.Mkdir(filepath.Dir(real), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("priv/authorized_keys", link); err != nil {
				t.Fatal(err)
			}
			write(t, c, File{Path: link, Content: []byte("first"), Mode: 0o640}) // the link is still dangling
			expectFile(t, real, []byte("first"), 0o640)
			write(t, c, File{Path: link, Content: content})
			expectFile(t, real, content, 0o640)
			if target, err := os.Readlink(link); err != nil || target != "priv/authorized_keys" {
				t.Errorf("the link is now %q (%v)", target, err)
			}
		}
	})
}

// With OverLink the link is replaced: what it points to stays, and gives the new file neither mode nor owner.
func TestWriteFileReplacesALink(t *testing.T) {
	c := local()
	defer c.Close()
	for name, target := range map[string]string{"a file": "target", "a directory": "directory", "nothing": "nowhere"} {
		for size, content := range map[string][]byte{"small": []byte("new"), "large": bytes.Repeat([]byte("new"), small)} {
			t.Run(name+" "+size, func(t *testing.T) {
				dir := t.TempDir()
				kept, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
				if err := errors.Join(os.WriteFile(kept, []byte("kept"), 0o600), os.Mkdir(filepath.Join(dir, "directory"), 0o700), os.Symlink(target, link)); err != nil {
					t.Fatal(err)
				}
				for _, seen := range []Seen{{Stamp: "1:1.5", Target: "elsewhere"}, {Stamp: "1:1.5", Target: target}} {
					_, err := c.WriteFile(bounded(t), File{Path: link, Content: content, OverLink: true, Over: seen})
					if wrong := seen.Target != target; wrong != errors.As(err, new(*StaleError)) || !wrong && err != nil {
						t.Fatalf("seen as a link to %s: error %v", seen.Target, err)
					}
				}
				if info, err := os.Lstat(link); err != nil || !info.Mode().IsRegular() {
					t.Fatalf("the link is now %v, error %v", info.Mode(), err)
				}
				expectFile(t, link, content, 0o644)
				expectFile(t, kept, []byte("kept"), 0o600)
			})
		}
	}
}

func TestWriteFileReplacesAtomically(t *testing.T) {
	c := sshConn(t)
	path := filepath.Join(t.TempDir(), "file")
	write(t, c, File{Path: path, Content: []byte("old")})
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	write(t, c, File{Path: path, Content: []byte("new content")})
	got := make([]byte, 100)
	if n, _ := reader.Read(got); string(got[:n]) != "old" {
		t.Errorf("who had the file open sees %q: it was written in place", got[:n])
	}
}

func TestWriteFileErrors(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		dir := t.TempDir()
		if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{
			filepath.Join(dir, "none", "file"): "does not exist",
			dir:                                "is a directory",
			filepath.Join(dir, "loop"):         "cannot be followed",
			"relative":                         "absolute path",
			dir + "/":                          "absolute path",
			"":                                 "absolute path",
		} {
			for _, size := range []int{1, small + 1} {
				_, err := c.WriteFile(bounded(t), File{Path: path, Content: make([]byte, size)})
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q, %d bytes: error %v, want one that says %q", path, size, err, want)
				}
			}
		}
		for _, size := range []int{1, small + 1} {
			file := filepath.Join(dir, "file")
			if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := c.WriteFile(bounded(t), File{Path: file, Content: make([]byte, size), Owner: "no-such-user"})
			if err == nil || !strings.Contains(err.Error(), "no-such-user") {
				t.Errorf("an owner who does not exist: error %v", err)
			}
			expectFile(t, file, []byte("old"), 0o644)
		}
	})
}

// The disk is full: writing fails after a part.
func TestWriteFileFullDisk(t *testing.T) {
	key := newKey(t, "id", "")
	bin := t.TempDir()
	script := `#!/bin/sh
/usr/bin/head -c 4096
echo "dd: error writing 'standard output': No space left on device" >&2
exit 1
`
	if err := os.WriteFile(filepath.Join(bin, "dd"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, key, func(s *server) { s.env[0] = "PATH=" + bin + ":" + os.Getenv("PATH") })
	c := mustDial(t, s.target("root", key), plain())
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := c.WriteFile(bounded(t), File{Path: file, Content: make([]byte, 1_000_000)})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("error %v, want ENOSPC", err)
	}
	expectFile(t, file, []byte("old"), 0o644)
}

// The disk says only when the content is synced that it could not store it.
func TestWriteFileSyncFails(t *testing.T) {
	key := newKey(t, "id", "")
	bin := t.TempDir()
	said := filepath.Join(bin, "said")
	if err := os.WriteFile(filepath.Join(bin, "sync"), []byte("#!/bin/sh\necho \"sync: error syncing '$2': $(cat "+said+")\" >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, key, func(s *server) { s.env[0] = "PATH=" + bin + ":" + os.Getenv("PATH") })
	c := mustDial(t, s.target("root", key), plain())
	c.hand = ""
	for _, size := range []int{1, small + 1} {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(said, []byte("Input/output error"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := c.WriteFile(bounded(t), File{Path: file, Content: make([]byte, size)})
		if err == nil || !strings.Contains(err.Error(), "Input/output error") {
			t.Errorf("%d bytes: error %v, want one that says that syncing failed", size, err)
		}
		expectFile(t, file, []byte("old"), 0o644)
		if err := os.WriteFile(said, []byte("Invalid argument"), 0o644); err != nil { // the file system cannot sync
			t.Fatal(err)
		}
		write(t, c, File{Path: file, Content: make([]byte, size)})
		expectFile(t, file, make([]byte, size), 0o644)
	}
}

// A large file that was written can be known again by its stamp, unless somebody has written to it before the stamp was read.
func TestWriteFileIsKnownAgain(t *testing.T) {
	key := newKey(t, "id", "")
	bin := t.TempDir()
	s := newServer(t, key, func(s *server) { s.env[0] = "PATH=" + bin + ":" + os.Getenv("PATH") })
	c := mustDial(t, s.target("root", key), plain())
	path := filepath.Join(t.TempDir(), "file")
	large := bytes.Repeat([]byte("large"), 1<<20)
	stamp := func() string {
		return strings.TrimSpace(string(run(t, c, Command{Argv: []string{"stat", "-c", "%i:%.9Z", path}}).Stdout))
	}
	for _, kind := range []string{"new", "replaced"} {
		written, err := c.WriteFile(bounded(t), File{Path: path, Content: large})
		if err != nil {
			t.Fatal(err)
		}
		if want := (Written{Stamp: stamp(), Sum: fmt.Sprintf("%x", sha256.Sum256(large))}); written != want {
			t.Errorf("%s: known again by %+v, want %+v", kind, written, want)
		}
	}
	if written, err := c.WriteFile(bounded(t), File{Path: path, Content: large[:1<<20]}); err != nil || written != (Written{}) {
		t.Errorf("%+v, error %v: 1 MiB is read back", written, err)
	}
	if err := os.WriteFile(filepath.Join(bin, "mv"), []byte("#!/bin/sh\n/usr/bin/mv \"$@\" && echo more >>"+path+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if written, err := c.WriteFile(bounded(t), File{Path: path, Content: large}); err != nil || written != (Written{}) {
		t.Errorf("%+v, error %v: somebody has written to the file", written, err)
	}
}

// If the input ends before its size is reached, the connection was cut, and nothing is replaced.
func TestWriteFileCutContent(t *testing.T) {
	c := local()
	defer c.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	cut := placing("_hl_write", file, "tag", "100", "", "", "", "", "file")
	cut.Stdin = []byte("only so much")
	r, err := c.Run(bounded(t), cut)
	if err != nil || r.Exit == 0 || !strings.Contains(string(r.Stderr), "only 12 of 100 bytes") {
		t.Errorf("%+v, error %v: want a failure that says how much is missing", r, err)
	}
	expectFile(t, file, []byte("old"), 0o644)
}

func TestWriteFileCancelled(t *testing.T) {
	c := sshConn(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "file")
	ctx, cancel := context.WithCancel(bounded(t))
	cancel()
	for _, size := range []int{1, small + 1} {
		if _, err := c.WriteFile(ctx, File{Path: fifo, Content: make([]byte, size)}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	}
	noLeftovers(t, dir)
}

// In /etc/pve, attributes are fixed and chmod fails: it must not be called unless an attribute differs.
func TestWriteFileLeavesAttributesThatAgree(t *testing.T) {
	key := newKey(t, "id", "")
	bin := t.TempDir()
	for _, name := range []string{"chmod", "chown", "chgrp"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\necho \"$0: Operation not permitted\" >&2\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := newServer(t, key, func(s *server) { s.env[0] = "PATH=" + bin + ":" + os.Getenv("PATH") })
	for way, hand := range map[string]string{
		"the shell": "",
		"the hand":  "BEGIN { *CORE::GLOBAL::chmod = *CORE::GLOBAL::chown = sub { $! = 1; 0 } }\n" + handProgram(),
	} {
		c := mustDial(t, s.target("root", key), plain())
		c.hand = hand
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		write(t, c, File{Path: path, Content: []byte("new")})
		expectFile(t, path, []byte("new"), 0o600)
		_, err := c.WriteFile(bounded(t), File{Path: path, Content: []byte("newer"), Mode: 0o644})
		if !errors.Is(err, syscall.EPERM) {
			t.Errorf("%s: error %v, want EPERM", way, err)
		}
		expectFile(t, path, []byte("new"), 0o600)
		noLeftovers(t, filepath.Dir(path))
	}
}
