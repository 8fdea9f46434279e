package observe

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
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

// A large file that this run has written is not read again to know its sum, as long as it has the stamp of what was written.
func TestSumOfWhatWasWritten(t *testing.T) {
	h := NewRecorded("h", Sums.Expect("/srv/large", "other"))
	written := remote.Written{Stamp: "7:1.5", Sum: "sent"}
	h.Wrote("/srv/large", written)
	want := func(stamp, want string) {
		t.Helper()
		ctx, saw := Track(t.Context())
		now := File{Type: Regular, Size: 2 << 20, Truncated: true, Stamp: stamp}
		saw.found(h, Files.Key("/srv/large"), now)
		sum, err := SumOf(ctx, h, "/srv/large", now)
		if sum != want || err != nil {
			t.Errorf("stamp %q: sum %q, error %v, want %q", stamp, sum, err, want)
		}
		if seen := saw.Seen(h, "/srv/large", true); seen != (remote.Seen{Stamp: stamp, Sum: want}) {
			t.Errorf("stamp %q: a step would replace %+v", stamp, seen)
		}
	}
	want("7:1.5", "sent")
	want("7:1.6", "other")
	want("", "other") // it is only predicted
	h.Wrote("/srv/large", remote.Written{})
	want("7:1.5", "other")
}

// What takes long to calculate is calculated when it is needed.
func TestExpectLater(t *testing.T) {
	calculated := 0
	var fails error
	h := NewRecorded("h")
	e := Sums.ExpectLater("/srv/large", func() (string, error) {
		calculated++
		return "sum", fails
	})
	h.Predict([]Expectation{e})
	if calculated > 0 {
		t.Error("it was calculated before it was asked for")
	}
	if sum, err := Sums.Observe(t.Context(), h, "/srv/large"); sum != "sum" || err != nil {
		t.Errorf("predicted %q, error %v", sum, err)
	}
	if got := e.kind.unfulfilled("sum", e.Value); got != "" {
		t.Errorf("what was expected counts as %q", got)
	}
	if got := e.kind.unfulfilled("other", e.Value); !strings.Contains(got, "other") {
		t.Errorf("something else counts as %q", got)
	}
	if _, ok := h.Foresee().Holds([]Read{{Sums, "/srv/large"}}); ok {
		t.Error("a host is to compare what is not calculated")
	}
	fails = errors.New("it has changed")
	if _, err := Sums.Observe(t.Context(), h, "/srv/large"); !errors.Is(err, fails) {
		t.Errorf("error %v, want %v", err, fails)
	}
	if got := e.kind.unfulfilled("sum", e.Value); !strings.Contains(got, "it has changed") {
		t.Errorf("what cannot be calculated counts as %q", got)
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
