package localfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hlplay/engine/localfile"
)

func TestEntrusted(t *testing.T) {
	for name, c := range map[string]struct {
		file, dir os.FileMode
		want      string
	}{
		"its owner's":            {0o755, 0o755, ""},
		"of a group":             {0o775, 0o755, "its group can write to it"},
		"of everybody":           {0o757, 0o755, "every user can write to it"},
		"in a directory of all":  {0o755, 0o777, "/open above it is not safe: every user can write to it"},
		"in a group's directory": {0o755, 0o775, "/open above it is not safe: its group can write to it"},
		"in one such as /tmp":    {0o755, 0o777 | os.ModeSticky, ""},
		"another's in one such":  {0o777, 0o777 | os.ModeSticky, "every user can write to it"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "open", "below")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "program")
			if err := os.WriteFile(file, nil, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, c.file); err != nil { // whatever the umask
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Dir(dir), c.dir); err != nil {
				t.Fatal(err)
			}
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(file, link); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{file, link} {
				if why, err := localfile.Entrusted(path); err != nil || (why == "") != (c.want == "") || !strings.Contains(why, c.want) {
					t.Errorf("%s: %q (%v), want %q", path, why, err, c.want)
				}
			}
		})
	}
	if _, err := localfile.Entrusted(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("a file that is not there is entrusted")
	}
}

// Whoever can replace a link, or owns a directory in the path, decides which program runs.
func TestEntrustedOnTheWay(t *testing.T) {
	dir := t.TempDir()
	place := func(name string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := func(target, name string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	place("own", 0o755)
	open := place("open", 0o777)
	file := filepath.Join(dir, "own", "program")
	if err := os.WriteFile(file, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	link("../own/program", "open/there") // others can replace it
	below := "the directory " + open + " above it is not safe: every user can write to it (run chmod o-w)"
	for path, want := range map[string]string{
		link("own/program", "relative"):           "",
		link("own/../own/./program", "dots"):      "",
		link("open/there", "twice"):               below,
		link("open", "way") + "/there":            below,
		filepath.Join(dir, "open", "there"):       below,
		link(filepath.Join(dir, "own"), "around"): "",
	} {
		if why, err := localfile.Entrusted(path); err != nil || why != want {
			t.Errorf("%s: %q (%v), want %q", path, why, err, want)
		}
	}
	if _, err := localfile.Entrusted(link("round", "round")); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a link to itself: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	theirs := place("theirs", 0o777|os.ModeSticky)
	program := filepath.Join(theirs, "program")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	given := link("own/program", "given")
	for _, path := range []string{theirs, given} {
		if err := os.Lchown(path, 65534, -1); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		program: "the directory " + theirs + " above it is not safe: it belongs to another user",
		given:   "the link " + given + " to it is not safe: it belongs to another user",
	} {
		if why, err := localfile.Entrusted(path); err != nil || why != want {
			t.Errorf("%s: %q (%v), want %q", path, why, err, want)
		}
	}
}
