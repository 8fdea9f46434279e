package remote

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// stranger is the ID of a user who owns nothing outside the test.
const stranger = 65534

// fixture is a directory of root's that contains a stranger's home and what the stranger wants to get at.
type fixture struct {
	t          *testing.T
	conn       *conn
	home, root string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can act where another user is at work")
	}
	dir := t.TempDir()
	s := &fixture{t: t, conn: here(t), home: filepath.Join(dir, "home"), root: filepath.Join(dir, "root")}
	for _, d := range []string{s.home, s.root, filepath.Join(s.root, "dir")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(s.victim(), []byte("root's own"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.give("")
	return s
}

func (s *fixture) victim() string { return filepath.Join(s.root, "victim") }

// give makes the stranger the owner of a path below the home.
func (s *fixture) give(name string) string {
	s.t.Helper()
	path := filepath.Join(s.home, name)
	if err := os.Lchown(path, stranger, stranger); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *fixture) link(target, name string) {
	s.t.Helper()
	if err := os.Symlink(target, filepath.Join(s.home, name)); err != nil {
		s.t.Fatal(err)
	}
	s.give(name)
}

func (s *fixture) file(name string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.home, name), []byte("mine"), 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.give(name)
}

func (s *fixture) mkdir(name string) {
	s.t.Helper()
	if err := os.Mkdir(filepath.Join(s.home, name), 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.give(name)
}

// untouched checks that root's files have not changed.
func (s *fixture) untouched(after string) {
	s.t.Helper()
	for name, mode := range map[string]os.FileMode{"": os.ModeDir | 0o755, "victim": 0o600, "dir": os.ModeDir | 0o755} {
		info, err := os.Lstat(filepath.Join(s.root, name))
		if err != nil {
			s.t.Fatalf("%s: %v", after, err)
		}
		if st := info.Sys().(*syscall.Stat_t); info.Mode() != mode || st.Uid != 0 || st.Gid != 0 {
			s.t.Fatalf("%s: root/%s is now %v and belongs to %d:%d", after, name, info.Mode(), st.Uid, st.Gid)
		}
	}
	if content, err := os.ReadFile(s.victim()); err != nil || string(content) != "root's own" {
		s.t.Fatalf("%s: root's file holds %q (%v)", after, content, err)
	}
	for dir, want := range map[string]int{s.root: 2, filepath.Join(s.root, "dir"): 0} {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != want {
			s.t.Fatalf("%s: %s holds %v (%v)", after, dir, entries, err)
		}
	}
}

// acts are all commands that change what is at a path.
func acts(path string) map[string]Command {
	mode := os.FileMode(0o606)
	all := map[string]Command{
		"write":      File{Path: path, Content: []byte("written"), Owner: "nobody", Mode: 0o606}.Command(),
		"make":       MakeDir(path, 0o777, "nobody", ""),
		"attributes": SetAttributes(path, &mode, "nobody", "nogroup"),
		"remove":     Remove(path, false, Seen{}),
		"remove all": Remove(path, true, Seen{}),
		"link":       Link(path, "/anywhere", Seen{}),
	}
	return all
}

func TestLinksOfOthersAreRefused(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := newFixture(t)
		s.link(s.victim(), "file")
		s.link(s.root, "dir")
		s.link("nowhere", "dangling")
		s.link("../root/victim", "relative")
		for name, refused := range map[string]string{
			"file": "write make", "relative": "write make", "dangling": "write make",
			"dir": "write make", "dir/victim": "*", "dir/new": "*", "dir/dir": "*", "dir/dir/new": "*",
		} {
			for what, c := range acts(filepath.Join(s.home, name)) {
				if what == "remove" || what == "remove all" || what == "link" || what == "attributes" {
					if refused != "*" {
						continue // these change the link itself
					}
				}
				r, err := s.conn.Run(bounded(t), c)
				if err != nil {
					t.Fatal(err)
				}
				if r.Exit == 0 || !strings.Contains(string(r.Stderr), "symbolic link") || !strings.Contains(string(r.Stderr), "nobody") {
					t.Errorf("%s %s ended with %d and said %q, want a refusal that says whose link it is", what, name, r.Exit, r.Stderr)
				}
				s.untouched(what + " " + name)
			}
		}
		for _, name := range []string{"file", "dir"} {
			for _, what := range []string{"attributes", "link", "remove"} {
				r, err := s.conn.Run(bounded(t), acts(filepath.Join(s.home, name))[what])
				if err != nil || r.Exit != 0 {
					t.Errorf("%s %s: %+v %v", what, name, r, err)
				}
				s.untouched(what + " " + name)
			}
		}
		noLeftovers(t, s.home)
	})
}

// No command starts as root in a directory reached through another user's link.
func TestDirectoriesBehindLinksOfOthers(t *testing.T) {
	s := newFixture(t)
	s.link(s.root, "dir")
	s.link("../root/dir", "relative")
	for _, brief := range []bool{false, true} {
		for name, want := range map[string]string{
			"dir": "", "relative": "", "dir/dir": "", // the stranger's own
			"": s.home, "../root/dir": filepath.Join(s.root, "dir"),
		} {
			c := Command{Argv: []string{"pwd"}, Dir: s.home + "/" + name, Brief: brief}
			r, err := s.conn.Run(bounded(t), c)
			switch {
			case want == "" && (err == nil || !strings.Contains(err.Error(), "symbolic link") || !strings.Contains(err.Error(), "nobody")):
				t.Errorf("in %q (brief: %t): %+v, %v; want a refusal that says whose link it is", c.Dir, brief, r, err)
			case want != "" && (err != nil || string(r.Stdout) != want+"\n"):
				t.Errorf("in %q (brief: %t): %+v, %v; want %s", c.Dir, brief, r, err, want)
			}
		}
	}
	ours := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(s.root, ours); err != nil {
		t.Fatal(err)
	}
	if r, err := s.conn.Run(bounded(t), Command{Argv: []string{"pwd"}, Dir: ours}); err != nil || string(r.Stdout) != s.root+"\n" {
		t.Errorf("behind a link of root's: %+v, %v; want %s", r, err, s.root)
	}
}

// Changes to what a stranger owns are made in place, and nothing of root's is affected.
func TestActingInAHome(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := newFixture(t)
		s.mkdir("sub")
		large := bytes.Repeat([]byte("0123456789"), 1<<15)
		for _, content := range [][]byte{[]byte("small"), large} {
			path := filepath.Join(s.home, "sub", "file")
			write(t, s.conn, File{Path: path, Content: content, Owner: "nobody", Group: "nogroup", Mode: 0o640})
			expectFile(t, path, content, 0o640)
			write(t, s.conn, File{Path: path, Content: []byte("again")})
			expectFile(t, path, []byte("again"), 0o640)
			if info, err := os.Stat(path); err != nil || info.Sys().(*syscall.Stat_t).Uid != stranger {
				t.Errorf("the file belongs to %+v (%v), want the stranger", info.Sys(), err)
			}
		}
		run := func(c Command) {
			t.Helper()
			if r, err := s.conn.Run(bounded(t), c); err != nil || r.Exit != 0 {
				t.Errorf("%+v %v", r, err)
			}
		}
		is := func(name, want string) {
			t.Helper()
			info, err := os.Lstat(filepath.Join(s.home, name))
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%v %d", info.Mode(), info.Sys().(*syscall.Stat_t).Uid); got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
		run(MakeDir(filepath.Join(s.home, "sub/a/b/c"), 0o700, "nobody", ""))
		is("sub/a", "drwxr-xr-x 0")
		is("sub/a/b/c", "drwx------ 65534")
		run(MakeDir(filepath.Join(s.home, "sub"), 0o750, "nobody", ""))
		is("sub", "drwxr-x--- 65534")
		run(Link(filepath.Join(s.home, "sub/link"), "/etc/hosts", Seen{}))
		run(Link(filepath.Join(s.home, "sub/link"), "/etc/passwd", Seen{}))
		if target, err := os.Readlink(filepath.Join(s.home, "sub/link")); err != nil || target != "/etc/passwd" {
			t.Errorf("the link leads to %q (%v)", target, err)
		}
		mode := os.FileMode(0o400)
		run(SetAttributes(filepath.Join(s.home, "sub/file"), &mode, "root", "root"))
		is("sub/file", "-r-------- 0")
		run(SetAttributes(filepath.Join(s.home, "sub/a"), &mode, "nobody", ""))
		is("sub/a", "dr-------- 65534")
		for _, name := range []string{"sub/file", "sub/link", "sub/none", "none/none"} {
			run(Remove(filepath.Join(s.home, name), false, Seen{}))
		}
		run(Remove(filepath.Join(s.home, "sub/a"), true, Seen{}))
		if left, err := os.ReadDir(filepath.Join(s.home, "sub")); err != nil || len(left) > 0 {
			t.Errorf("left: %v %v", left, err)
		}
	})
}

// The former owner of a file may have made it setuid; the bit must not be kept for another owner.
func TestAnotherOwnerDoesNotKeepSetuid(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := newFixture(t)
		for owner, want := range map[string]os.FileMode{"": 0o755 | os.ModeSetuid, "nobody": 0o755 | os.ModeSetuid, "root": 0o755, "0": 0o755} {
			s.file("tool")
			path := filepath.Join(s.home, "tool")
			if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
				t.Fatal(err)
			}
			write(t, s.conn, File{Path: path, Content: []byte("written"), Owner: owner})
			if info, err := os.Lstat(path); err != nil || info.Mode() != want {
				t.Errorf("owner %q: mode %v (%v), want %v", owner, info.Mode(), err, want)
			}
		}
	})
}

// The same is true of setgid and another group.
func TestAnotherGroupDoesNotKeepSetgid(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := newFixture(t)
		for group, want := range map[string]os.FileMode{"": 0o755 | os.ModeSetgid, "nogroup": 0o755 | os.ModeSetgid, "65534": 0o755 | os.ModeSetgid, "root": 0o755, "0": 0o755} {
			s.file("tool")
			path := filepath.Join(s.home, "tool")
			if err := os.Chmod(path, 0o755|os.ModeSetgid); err != nil {
				t.Fatal(err)
			}
			write(t, s.conn, File{Path: path, Content: []byte("written"), Group: group})
			if info, err := os.Lstat(path); err != nil || info.Mode() != want {
				t.Errorf("group %q: mode %v (%v), want %v", group, info.Mode(), err, want)
			}
		}
	})
}

// A link that only root could have made is followed, even into a home. Links inside the home are not.
func TestLinksOfRootAreFollowed(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := newFixture(t)
		s.mkdir("www")
		if err := os.Symlink("../home/www", filepath.Join(s.root, "dir", "www")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("dir/../dir/./www", filepath.Join(s.root, "www")); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(s.root, "dir", "www"))
		if err := os.Symlink("../../home/www", filepath.Join(s.root, "dir", "www")); err != nil {
			t.Fatal(err)
		}
		write(t, s.conn, File{Path: filepath.Join(s.root, "www", "index"), Content: []byte("x"), Mode: 0o644})
		expectFile(t, filepath.Join(s.home, "www", "index"), []byte("x"), 0o644)
		s.link(s.victim(), "www/evil")
		_, err := s.conn.WriteFile(bounded(t), File{Path: filepath.Join(s.root, "www", "evil"), Content: []byte("x")})
		if err == nil || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("error %v, want a refusal", err)
		}
		if content, err := os.ReadFile(s.victim()); err != nil || string(content) != "root's own" {
			t.Errorf("root's file holds %q (%v)", content, err)
		}
	})
}

// In a directory with the sticky bit, names of root's are safe, those of others are not.
func TestStickyDirectories(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := newFixture(t)
		if err := os.Chmod(s.home, 0o777|os.ModeSticky); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(s.home, 0, 0); err != nil {
			t.Fatal(err)
		}
		s.link(s.root, "theirs")
		if err := os.Symlink(s.root, filepath.Join(s.home, "ours")); err != nil {
			t.Fatal(err)
		}
		for name, well := range map[string]bool{"theirs/dir/f": false, "theirs": false, "ours/dir/f": true, "new": true} {
			_, err := s.conn.WriteFile(bounded(t), File{Path: filepath.Join(s.home, name), Content: []byte("x")})
			if (err == nil) != well {
				t.Errorf("%s: error %v, want success: %v", name, err, well)
			}
		}
		noLeftovers(t, s.home)
	})
}

// A link that disappears between two checks still counts as a stranger's. What it led to is root's.
func TestLinkThatDisappears(t *testing.T) {
	s := newFixture(t)
	if err := os.Chmod(s.home, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(s.home, 0, 0); err != nil {
		t.Fatal(err)
	}
	programs, link := t.TempDir(), filepath.Join(s.home, "theirs")
	if err := os.WriteFile(filepath.Join(programs, "readlink"), []byte("#!/bin/sh\n"+
		"PATH=/usr/bin:/bin\nreadlink \"$@\" && rm -f "+link+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for what, c := range acts(link + "/victim") {
		s.link(s.root, "theirs")
		c.Env = map[string]string{"PATH": programs + ":" + os.Getenv("PATH")}
		r, err := s.conn.Run(bounded(t), c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(link); err == nil {
			t.Fatalf("%s: the link was not read", what)
		}
		if r.Exit == 0 {
			t.Errorf("%s: succeeded", what)
		}
		s.untouched(what)
	}
}
