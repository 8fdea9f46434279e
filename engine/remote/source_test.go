package remote

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// settledSource returns a file as a source that was not changed recently.
func settledSource(t *testing.T, content []byte) Source {
	t.Helper()
	name := filepath.Join(t.TempDir(), "from")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := ReadSource(name)
	if err != nil {
		t.Fatal(err)
	}
	s.sum = nil
	return s
}

// move puts another file in place of a source, so that the change shows even right after another one.
func move(t *testing.T, s Source, content []byte) {
	t.Helper()
	if err := os.WriteFile(s.Path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.Path+".new", s.Path); err != nil {
		t.Fatal(err)
	}
}

// A file that was just changed is read at once, because another change may not show.
func TestReadSource(t *testing.T) {
	content := []byte("content")
	s := settledSource(t, content)
	recent, err := ReadSource(s.Path)
	if err != nil || recent.sum == nil || *recent.sum != sha256.Sum256(content) || recent.Size != 7 {
		t.Errorf("%+v, error %v: want the sum of a file that was just written", recent, err)
	}
	if old, err := ReadSource("/bin/sh"); err != nil || old.sum != nil {
		t.Errorf("%+v, error %v: want an old file to be left unread", old, err)
	}
}

// The size of some files, as in /proc, is known only once they are read: taken for empty, they would be sent as nothing.
func TestReadSourceOfUnknownSize(t *testing.T) {
	const name = "/proc/version"
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ReadSource(name)
	if err != nil || s.Size != int64(len(content)) {
		t.Fatalf("%d bytes, error %v, want %d", s.Size, err, len(content))
	}
	if sum, err := s.Sum(); err != nil || sum != sha256.Sum256(content) {
		t.Errorf("sum %x, error %v, want that of the content", sum, err)
	}
}

// The sum is calculated once, whether the file is sent first or the sum is asked for.
func TestSourceIsReadOnce(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 200_000)
	want := sha256.Sum256(content)
	everywhere(t, func(t *testing.T, c *conn) {
		to := filepath.Join(t.TempDir(), "to")
		sent := settledSource(t, content)
		write(t, c, File{Path: to, Source: &sent})
		expectFile(t, to, content, 0o644)
		asked := settledSource(t, content)
		if sum, err := asked.Sum(); err != nil || sum != want {
			t.Fatalf("sum %x, error %v, want %x", sum, err, want)
		}
		for how, s := range map[string]Source{"sent": sent, "asked": asked} {
			if err := os.Remove(s.Path); err != nil {
				t.Fatal(err)
			}
			if sum, err := s.Sum(); err != nil || sum != want {
				t.Errorf("%s: sum %x, error %v, want %x without reading the file again", how, sum, err, want)
			}
		}
	})
}

// A change of a settled source is found out, and nothing is replaced.
func TestSourceHasChanged(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 200_000)
	everywhere(t, func(t *testing.T, c *conn) {
		for name, changed := range map[string][]byte{
			"other": append([]byte("x"), content[1:]...), "same": content, "shorter": content[1:], "longer": append([]byte("x"), content...),
		} {
			to := filepath.Join(t.TempDir(), "to")
			if err := os.WriteFile(to, []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
			s := settledSource(t, content)
			move(t, s, changed)
			if _, err := c.WriteFile(bounded(t), File{Path: to, Source: &s}); err == nil || !strings.Contains(err.Error(), "has changed since") {
				t.Errorf("%s: error %v, want one that says so", name, err)
			}
			expectFile(t, to, []byte("old"), 0o644)
			if _, err := s.Sum(); err == nil || !strings.Contains(err.Error(), "has changed since") {
				t.Errorf("%s: the sum: error %v, want one that says so", name, err)
			}
		}
	})
}
