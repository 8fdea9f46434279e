package localfile_test

import (
	"os"
	"path/filepath"
	"strings"
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
		"in a directory of all":  {0o755, 0o777, "/open, and of that: every user can write to it"},
		"in a group's directory": {0o755, 0o775, "/open, and of that: its group can write to it"},
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
			if err := os.Chmod(file, c.file); err != nil { // whatever the umask is
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
