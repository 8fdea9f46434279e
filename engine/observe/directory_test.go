package observe

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDirectoriesAndSums(t *testing.T) {
	h := localHost(t)
	dir := t.TempDir()
	full := filepath.Join(dir, "fu ll")
	must(t, os.Mkdir(full, 0o755))
	entries := []string{".hidden", "-n", "a b", "new\nline", "x.list", "y.list", "dangling"}
	for _, name := range entries[:6] {
		must(t, os.WriteFile(filepath.Join(full, name), []byte("hello\n"), 0o644))
	}
	must(t, os.Symlink("nowhere", filepath.Join(full, "dangling")))
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	slices.Sort(entries)

	got, err := Dirs.ObserveAll(t.Context(), h, []string{full, filepath.Join(dir, "empty"), filepath.Join(dir, "missing"), filepath.Join(full, "x.list")})
	must(t, err)
	want := map[string]Listing{
		full:                          {Exists: true, Entries: entries},
		filepath.Join(dir, "empty"):   {Exists: true},
		filepath.Join(dir, "missing"): {},
		filepath.Join(full, "x.list"): {},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the directories were listed wrong (-want +got):\n%s", diff)
	}

	sums, err := Sums.ObserveAll(t.Context(), h, []string{full + "/new\nline", full + "/missing"})
	must(t, err)
	wantSums := map[string]string{
		full + "/new\nline": "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
		full + "/missing":   "",
	}
	if diff := cmp.Diff(wantSums, sums); diff != "" {
		t.Errorf("the sums are wrong (-want +got):\n%s", diff)
	}
}

func TestPathsAndPatterns(t *testing.T) {
	h := localHost(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "log")
	must(t, os.WriteFile(file, []byte("one\nready to serve\n"), 0o644))
	for name, want := range map[string]bool{file: true, dir: true, filepath.Join(dir, "missing"): false} {
		if got, err := Exists(t.Context(), h, name); got != want || err != nil {
			t.Errorf("Exists(%s) is %v (error %v), expected %v", name, got, err, want)
		}
		if got, err := Paths.Observe(t.Context(), h, name); got != want || err != nil {
			t.Errorf("Paths says %v of %s (error %v), expected %v", got, name, err, want)
		}
	}
	for expression, want := range map[string]bool{"^ready": true, "^to": false} {
		p := Pattern{Path: file, Regexp: expression}
		if got, err := p.Observe(t.Context(), h); got != want || err != nil {
			t.Errorf("%q matches: %v (error %v), expected %v", expression, got, err, want)
		}
		if got, err := Matches.Observe(t.Context(), h, p.Key()); got != want || err != nil {
			t.Errorf("Matches says %v of %q (error %v), expected %v", got, expression, err, want)
		}
	}
}
