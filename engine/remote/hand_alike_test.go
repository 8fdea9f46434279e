package remote

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// dirACL is acl with all permissions for the owner, so that a directory can be made by default.
func dirACL() []byte {
	list := acl()
	list[6] = 7
	return list
}

// plant makes a tree with what may be in the way of an action: files, directories and links of root and of the stranger, with
// all kinds of modes, second names, access control lists and attributes. The same numbers make the same tree.
func plant(t *testing.T, r *rand.Rand, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	owner := func() int { return []int{0, 0, stranger}[r.IntN(3)] }
	dirModes := []uint32{0o755, 0o755, 0o755, 0o700, 0o1777, 0o777, 0o775, 0o2755, 0o2775}
	fileModes := []uint32{0o644, 0o600, 0o755, 0o4755, 0o2755, 0o440, 0o666}
	targets := []string{"a", "b", "../a", "c/../b", "nowhere", "..", dir + "/a", dir + "/b/c", "."}
	var fill func(dir string, depth int)
	fill = func(dir string, depth int) {
		for _, name := range []string{"a", "b", "c"} {
			path := filepath.Join(dir, name)
			uid := owner()
			switch n := r.IntN(8); {
			case n == 0:
				continue
			case n < 4 && depth < 3:
				must(os.Mkdir(path, 0o700))
				fill(path, depth+1)
				must(os.Lchown(path, uid, uid))
				must(unix.Chmod(path, dirModes[r.IntN(len(dirModes))]))
				if r.IntN(8) == 0 {
					_ = unix.Setxattr(path, "system.posix_acl_default", dirACL(), 0) // not every file system has them
				}
			case n == 4 || n == 5:
				must(os.Symlink(targets[r.IntN(len(targets))], path))
				must(os.Lchown(path, uid, uid))
			default:
				must(os.WriteFile(path, []byte(name), 0o600))
				must(os.Lchown(path, uid, uid))
				must(unix.Chmod(path, fileModes[r.IntN(len(fileModes))]))
				switch r.IntN(8) {
				case 0:
					_ = unix.Setxattr(path, "system.posix_acl_access", acl(), 0)
				case 1:
					_ = unix.Setxattr(path, "user.note", []byte("kept"), 0)
				case 2:
					_ = os.Link(path, path+"2")
				}
			}
		}
	}
	fill(dir, 0)
}

// grown describes everything in a tree.
func grown(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		text := fmt.Sprintf("%o %d:%d", st.Mode, st.Uid, st.Gid)
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " -> " + target
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %d %q", st.Nlink, content)
		}
		list := make([]byte, 1000)
		if n, err := unix.Llistxattr(path, list); err == nil && n > 0 {
			for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
				value := make([]byte, 1000)
				n, _ := unix.Lgetxattr(path, name, value)
				text += fmt.Sprintf(" %s=%x", name, value[:max(n, 0)])
			}
		}
		all[strings.TrimPrefix(path, dir)] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// anAction returns an action on a path below a directory.
func anAction(t *testing.T, r *rand.Rand, dir string) (string, Command) {
	t.Helper()
	var names []string
	for range 1 + r.IntN(4) {
		names = append(names, []string{"a", "b", "c", "a", "b", "c", "d", "..", "."}[r.IntN(9)])
	}
	if names[len(names)-1] == "." { // mkdir(1) then sets no mode; the engine's paths are clean
		names = append(names, "d")
	}
	path := dir + "/" + strings.Join(names, "/")
	mode := []os.FileMode{0, 0, 0o600, 0o644, 0o640, 0o755, 0o2755, 0o4755, 0o1777, 0o777}[r.IntN(10)]
	owner := []string{"", "", "", "root", "root", "nobody", "nobody", "65534", "65534", "no-such-user"}[r.IntN(10)]
	group := []string{"", "", "root", "nogroup", "0"}[r.IntN(5)]
	seen := Seen{}
	now := Seen{Absent: true}
	if info, err := os.Lstat(path); err == nil && !info.IsDir() {
		now = seenAt(t, path)
	}
	switch r.IntN(4) {
	case 0:
		seen = now
	case 1:
		seen.Absent = true
	case 2:
		if seen = now; seen.Stamp != "" {
			seen.Stamp = "1:2.5"
		}
	}
	switch r.IntN(6) {
	case 0, 1:
		f := File{Path: path, Content: []byte("written"), Mode: mode, Owner: owner, Group: group, Over: seen, OverLink: r.IntN(2) == 0}
		if r.IntN(3) == 0 {
			f.Content = nil
		}
		return "write", f.Command()
	case 2:
		return "make", MakeDir(path, mode, owner, group)
	case 3:
		if r.IntN(2) == 0 {
			return "attributes", SetAttributes(path, nil, owner, group)
		}
		return "attributes", SetAttributes(path, &mode, owner, group)
	case 4:
		return "remove", Remove(path, r.IntN(2) == 0, seen)
	}
	return "link", Link(path, "target", seen)
}

// programs are those whose complaints the hand words in its own way.
var programs = regexp.MustCompile(`(?m)^(sh|cp|chown|chgrp|chmod|mkdir|mv|rm|rmdir|ln|cannot (enter|create)|head)\b.*|(?m)^.*: cd: .*`)

// Whatever is there, the hand and the shell's functions do the same, or refuse it in the same words.
func TestHandAndShellActAlike(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can act where another user is at work")
	}
	times := 150
	if testing.Short() {
		times = 30
	}
	hand, shell := Local("node").(*conn), Local("node").(*conn)
	defer hand.Close()
	defer shell.Close()
	shell.hand = ""
	top := t.TempDir()
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for i := range times {
		type outcome struct {
			Exit int
			Said string
			Tree map[string]string
		}
		var came [2]outcome
		var what string
		var tried Command
		for k, c := range []*conn{hand, shell} {
			r := rand.New(rand.NewPCG(7, uint64(i)))
			dir := filepath.Join(top, "1/2/3/4/5/tree") // links and .. may lead out of it
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			plant(t, r, dir)
			what, tried = anAction(t, r, dir)
			result, err := c.Run(bounded(t), tried)
			if err != nil {
				t.Fatal(err)
			}
			said := programs.ReplaceAllString(string(result.Stderr), "a program")
			came[k] = outcome{result.Exit, said, grown(t, top)}
			if err := os.RemoveAll(filepath.Join(top, "1")); err != nil {
				t.Fatal(err)
			}
		}
		count[fmt.Sprintf("%s %d", what, came[0].Exit)]++
		if diff := cmp.Diff(came[1], came[0]); diff != "" {
			t.Errorf("%d: %s %q (-shell +hand):\n%s", i, what, tried.own.args, diff)
		}
	}
	t.Logf("%v", count)
}

// A number that is no ID is refused, as chown(1) does: the kernel would take it for another one, or for none.
func TestOwnersThatAreNoID(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can change owners")
	}
	bothWays(t, func(t *testing.T) {
		c := here(t)
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"4294967295", "99999999999"} {
			for _, command := range []Command{
				SetAttributes(path, nil, id, ""), SetAttributes(path, nil, "root", id), MakeDir(path+"s", 0o755, id, ""),
				File{Path: path, Content: []byte("x"), Owner: id}.Command(),
			} {
				if r := run(t, c, command); r.Exit == 0 {
					t.Errorf("%q is done for %s", command.own.args, id)
				}
			}
		}
		if info, err := os.Stat(path); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 || info.Size() != 0 {
			t.Errorf("%+v, %v", info, err)
		}
	})
}
