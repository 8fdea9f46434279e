package observe

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// home creates a directory of another user with a file, a directory, and links to root's files.
func home(t *testing.T) (dir, secret string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can read where another user is at work")
	}
	top := t.TempDir()
	dir, secret = filepath.Join(top, "home"), filepath.Join(top, "root")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.Mkdir(secret, 0o700))
	must(t, os.WriteFile(filepath.Join(secret, "f"), []byte("secret"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "d", "f"), []byte("theirs"), 0o644))
	must(t, os.Symlink(filepath.Join(secret, "f"), filepath.Join(dir, "file")))
	must(t, os.Symlink(secret, filepath.Join(dir, "evil")))
	must(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, 65534, 65534)
		}
		return err
	}))
	must(t, os.Symlink(dir, filepath.Join(top, "link")))
	return dir, secret
}

// A link that another user created is not followed for reading.
func TestLinksOfOthersAreNotFollowed(t *testing.T) {
	dir, _ := home(t)
	for name, want := range map[string]string{"d/f": "theirs", "../link/d/f": "theirs", "file": "", "evil/f": "", "evil/none": "", "../link/evil/f": "", "../link/file": ""} {
		path := filepath.Join(filepath.Dir(dir), strings.TrimPrefix("home/"+name, "home/../"))
		text, _, err := Text(t.Context(), localHost(t), path)
		switch {
		case text != want:
			t.Errorf("%s holds %q, expected %q", name, text, want)
		case want == "" && (err == nil || !strings.Contains(err.Error(), "symbolic link") || !strings.Contains(err.Error(), "nobody may change it")):
			t.Errorf("%s: the error is %v, expected one that says whose link it is", name, err)
		case want != "" && err != nil:
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The acting user's links are followed to what that user owns, and to nothing else.
func TestLinksOfTheActingUser(t *testing.T) {
	dir, _ := home(t)
	for link, target := range map[string]string{"own": "d/f", "dotfiles": "d", "new": "d/new", "round": "evil/none"} {
		must(t, os.Symlink(target, filepath.Join(dir, link)))
		must(t, os.Lchown(filepath.Join(dir, link), 65534, 65534))
	}
	for name, want := range map[string]string{
		"own": "d/f", "dotfiles/f": "d/f", "../link/dotfiles/f": "d/f", "new": "d/new", "dotfiles": "d",
		"file": "", "evil/f": "", "evil": "",
	} {
		path := filepath.Join(filepath.Dir(dir), strings.TrimPrefix("home/"+name, "home/../"))
		h := localHost(t)
		h.Predict([]Expectation{Whoami.Expect("nobody", "nobody"), Whoami.Expect("daemon", "daemon")})
		at, f, err := Follow(WithUser(t.Context(), "nobody"), h, path)
		switch {
		case want == "" && (err == nil || len(f.Content) > 0 || !strings.Contains(err.Error(), "belongs to root")):
			t.Errorf("%s leads to %s, %q (%v); expected a refusal that says whose it is", name, at, f.Content, err)
		case want != "" && (err != nil || strings.TrimPrefix(at, filepath.Dir(dir)) != "/home/"+want && strings.TrimPrefix(at, filepath.Dir(dir)) != "/link/"+want):
			t.Errorf("%s leads to %s (%v), expected %s", name, at, err, want)
		}
		if _, _, err := Follow(WithUser(t.Context(), "daemon"), h, path); err == nil {
			t.Errorf("%s: another user's link is followed", name)
		}
	}
}

// No command that reads as root starts in a directory reached through such a link.
func TestReadingInDirectoriesOfOthers(t *testing.T) {
	dir, secret := home(t)
	for at, want := range map[string]string{filepath.Join(dir, "evil"): "", filepath.Join(dir, "d"): filepath.Join(dir, "d"), dir + "/../link/d": filepath.Join(dir, "d"), secret + "/": secret} {
		a, err := Reading{Argv: []string{"pwd"}, Dir: at}.Observe(t.Context(), localHost(t))
		if want == "" {
			if err != nil || a.Exit != 126 || !strings.Contains(string(a.Stderr), "symbolic link, and nobody may change what lies in") {
				t.Errorf("in %s: %+v, %v; expected a refusal", at, a, err)
			}
		} else if err != nil || string(a.Stdout) != want+"\n" {
			t.Errorf("in %s: %+v, %v; expected %s", at, a, err, want)
		}
	}
}

// The other names of a file are observed.
func TestFurtherNamesAreObserved(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a"), nil, 0o600))
	must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	f, err := Files.Observe(t.Context(), localHost(t), filepath.Join(dir, "a"))
	if err != nil || f.Others != 1 {
		t.Errorf("the file has %d further names (%v), expected 1", f.Others, err)
	}
}

// While names are being swapped, root reads only what the users own, or nothing.
func TestReadingWhileNamesAreSwapped(t *testing.T) {
	dir, _ := home(t)
	must(t, os.Symlink("../root/f", filepath.Join(dir, "d", "evil")))
	must(t, os.Lchown(filepath.Join(dir, "d", "evil"), 65534, 65534))
	var ended atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !ended.Load() {
			_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "d"), unix.AT_FDCWD, filepath.Join(dir, "evil"), unix.RENAME_EXCHANGE)
			_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "d", "f"), unix.AT_FDCWD, filepath.Join(dir, "d", "evil"), unix.RENAME_EXCHANGE)
		}
	}()
	read := 0
	for range 40 {
		f, err := Files.Observe(t.Context(), localHost(t), filepath.Join(dir, "d", "f"))
		if strings.Contains(string(f.Content), "secret") {
			t.Fatal("root's secret was read")
		}
		if err == nil && string(f.Content) == "theirs" {
			read++
		}
	}
	ended.Store(true)
	<-done
	t.Logf("their own file was read %d times of 40", read)
}

// Owners and groups in a Windows domain have spaces and backslashes in their names.
func TestNamesOfADomain(t *testing.T) {
	dir, _ := home(t)
	stat, err := exec.LookPath("stat")
	must(t, err)
	programs := t.TempDir()
	must(t, os.WriteFile(filepath.Join(programs, "stat"), []byte("#!/bin/sh\n"+stat+` "$@" | sed -e 's/nobody/DOM\\carl * smith/g' -e 's/nogroup/domain users/g'`+"\n"), 0o755))
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	f, err := Files.Observe(t.Context(), localHost(t), filepath.Join(dir, "d", "f"))
	if err != nil || f.Owner != `DOM\carl * smith` || f.Group != "domain users" || string(f.Content) != "theirs" {
		t.Errorf("the file is %+v (%v)", f, err)
	}
	_, _, err = Text(t.Context(), localHost(t), filepath.Join(dir, "file"))
	if err == nil || !strings.Contains(err.Error(), `DOM\carl * smith may change it`) {
		t.Errorf("error %v, expected a refusal that names the owner", err)
	}
}

// The target of a link that another user created is not listed, hashed or searched. Files of the users themselves, and
// targets of root's links, are.
func TestLooseLinks(t *testing.T) {
	dir, secret := home(t)
	must(t, os.Symlink("../../root/f", filepath.Join(dir, "d", "evil")))
	must(t, os.Lchown(filepath.Join(dir, "d", "evil"), 65534, 65534))
	h := localHost(t)
	reads := map[string]func(name string) (string, error){
		"list": func(name string) (string, error) {
			l, err := Dirs.Observe(t.Context(), h, name)
			return strings.Join(l.Entries, " "), err
		},
		"sum": func(name string) (string, error) { return Sums.Observe(t.Context(), h, name) },
		"checksums": func(name string) (string, error) {
			s, err := Checksums.Observe(t.Context(), h, name)
			return s.SHA512, err
		},
		"search": func(name string) (string, error) {
			found, err := Matches.Observe(t.Context(), h, Pattern{Path: name, Regexp: "^(secret|theirs)$"}.Key())
			if !found {
				return "", err
			}
			return "found", err
		},
	}
	for what, names := range map[string]map[string]bool{
		"list":      {"home/d": true, "link/d": true, "home": true, "home/evil": false, "link/evil": false, "root": true},
		"sum":       {"home/d/f": true, "link/d/f": true, "home/file": false, "home/evil/f": false, "home/d/evil": false, "root/f": true},
		"checksums": {"home/d/f": true, "home/file": false, "link/evil/f": false, "home/d/evil": false, "root/f": true},
		"search":    {"home/d/f": true, "home/evil/f": false, "root/f": true},
	} {
		for name, allowed := range names {
			got, err := reads[what](filepath.Join(filepath.Dir(secret), name))
			if allowed && (err != nil || got == "") {
				t.Errorf("%s %s: %q, %v", what, name, got, err)
			}
			if !allowed && (err == nil || got != "" || !strings.Contains(err.Error(), "symbolic link")) {
				t.Errorf("%s %s: %q, %v, expected a refusal", what, name, got, err)
			}
		}
	}
}
