package localfile

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestVersion(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	write := func(name, content string) {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	version := func() Version {
		f, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		v, err := VersionOf(f)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	write(name, "one")
	first := version()
	if version() != first || first.Size() != 3 || first == (Version{}) {
		t.Errorf("the version of an unchanged file is %+v, and then %+v", first, version())
	}
	if first.Settled() {
		t.Error("a file that was just written is settled")
	}
	old := first
	old.changed.Sec -= 3
	if !old.Settled() {
		t.Error("a file that was changed three seconds ago is not settled")
	}
	timeless := first
	timeless.changed = unix.Timespec{}
	if timeless.Settled() {
		t.Error("a file without a time of change is settled")
	}
	unsized := old
	unsized.size = 0
	if unsized.Settled() {
		t.Error("a file whose size is not known is settled")
	}
	ahead := first
	ahead.changed.Sec = time.Now().Unix() + 60
	if ahead.Settled() {
		t.Error("a file whose time lies ahead is settled")
	}
	// Of the same size and modification time, but another file.
	other := name + ".other"
	write(other, "two")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(other, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, name); err != nil {
		t.Fatal(err)
	}
	if version() == first {
		t.Error("a file that has replaced another one has the same version")
	}
	second := version()
	write(name, "longer")
	if version() == second {
		t.Error("a longer file has the same version")
	}
}
