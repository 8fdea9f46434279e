package localfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	if err := Replace(link, []byte("old"), []byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(file)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "new" || info.Mode() != 0o640 {
		t.Errorf("%q with mode %s, %v; expected the new content and the mode of before", content, info.Mode(), err)
	}
	if target, err := os.Readlink(link); err != nil || target != "file" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	for _, seen := range []string{"old", "ne", "newer", ""} {
		if err := Replace(file, []byte(seen), []byte("lost")); !errors.Is(err, ErrChanged) {
			t.Errorf("seen as %q: %v, expected that it has changed", seen, err)
		}
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "new" {
		t.Errorf("%q, %v", content, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("what was begun is left over: %v, %v", entries, err)
	}
}
