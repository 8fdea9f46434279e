package remote

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// seenAt returns what is now at a path.
func seenAt(t *testing.T, path string) Seen {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		return Seen{Absent: true}
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	seen := Seen{Stamp: fmt.Sprintf("%d:%d.%09d", st.Ino, st.Ctim.Sec, st.Ctim.Nsec)}
	if info.Mode()&os.ModeSymlink != 0 {
		seen.Target, err = os.Readlink(path)
	} else {
		var content []byte
		content, err = os.ReadFile(path)
		seen.Sum = fmt.Sprintf("%x", sha256.Sum256(content))
	}
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// A path that has changed since it was observed is not replaced, unless its content is the same as before.
func TestChangedPathIsNotReplaced(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		put := func(t *testing.T, path, content string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		link := func(t *testing.T, path, target string) {
			t.Helper()
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
		}
		gone := func(t *testing.T, path string) {
			t.Helper()
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		type change func(t *testing.T, path string)
		for _, test := range []struct {
			name          string
			before, after change // what is there when it is observed; what changes it then
			changed       bool
			spares        string // the command that does not check: none
		}{
			{name: "nothing happened", before: func(t *testing.T, p string) { put(t, p, "old") }},
			{name: "a line more", before: func(t *testing.T, p string) { put(t, p, "old") }, changed: true, after: func(t *testing.T, p string) { put(t, p, "older") }},
			{name: "as long as before", before: func(t *testing.T, p string) { put(t, p, "old") }, changed: true, after: func(t *testing.T, p string) { put(t, p, "odd") }},
			{name: "written anew, the same", before: func(t *testing.T, p string) { put(t, p, "old") }, after: func(t *testing.T, p string) { gone(t, p); put(t, p, "old") }},
			{name: "replaced by another file", before: func(t *testing.T, p string) { put(t, p, "old") }, changed: true, after: func(t *testing.T, p string) { put(t, p+".x", "odd"); _ = os.Rename(p+".x", p) }},
			{name: "another mode", before: func(t *testing.T, p string) { put(t, p, "old") }, after: func(t *testing.T, p string) { _ = os.Chmod(p, 0o600) }},
			{name: "it is gone", before: func(t *testing.T, p string) { put(t, p, "old") }, changed: true, after: gone, spares: "remove"},
			{name: "it has come", before: func(*testing.T, string) {}, changed: true, after: func(t *testing.T, p string) { put(t, p, "new here") }},
			{name: "an empty one has come", before: func(*testing.T, string) {}, changed: true, after: func(t *testing.T, p string) { put(t, p, "") }},
			{name: "a link has come", before: func(*testing.T, string) {}, changed: true, after: func(t *testing.T, p string) { link(t, p, "/nowhere") }, spares: "write"},
			{name: "still nothing", before: func(*testing.T, string) {}},
			{name: "the link is the same", before: func(t *testing.T, p string) { link(t, p, "a") }, after: func(t *testing.T, p string) { gone(t, p); link(t, p, "a") }, spares: "write"},
			{name: "the link leads elsewhere", before: func(t *testing.T, p string) { link(t, p, "a") }, changed: true, after: func(t *testing.T, p string) { gone(t, p); link(t, p, "b") }, spares: "write"},
			{name: "a file in place of the link", before: func(t *testing.T, p string) { link(t, p, "a") }, changed: true, after: func(t *testing.T, p string) { gone(t, p); put(t, p, "a") }, spares: "write"},
		} {
			for act, make := range map[string]func(string, Seen) Command{
				"write": func(p string, over Seen) Command { return File{Path: p, Content: []byte("ours"), Over: over}.Command() },
				"write, a mode": func(p string, over Seen) Command {
					return File{Path: p, Content: []byte("ours"), Mode: 0o604, Over: over}.Command()
				},
				"remove": func(p string, over Seen) Command { return Remove(p, false, over) },
				"link":   func(p string, over Seen) Command { return Link(p, "ours", over) },
			} {
				if test.spares != "" && strings.HasPrefix(act, test.spares) {
					continue
				}
				check := func(t *testing.T, c *conn) {
					path := filepath.Join(t.TempDir(), "file")
					test.before(t, path)
					over := seenAt(t, path)
					if test.after != nil {
						test.after(t, path)
					}
					// A change with the same stamp cannot be detected: a kernel's clock may not tick in between.
					if now := seenAt(t, path); test.changed && now.Stamp == over.Stamp {
						over.Stamp = "1:2.5"
					}
					want := seenAt(t, path)
					command := make(path, over)
					command.Argv[2] = "sync() { :; }\n" + command.Argv[2] // a disk takes its time
					r, err := c.Run(t.Context(), command)
					if err != nil {
						t.Fatal(err)
					}
					var stale *StaleError
					if is := errors.As(Stale(path, r), &stale); is != test.changed || !is && r.Exit != 0 {
						t.Errorf("exit code %d, %s: %v; changed meanwhile: %v", r.Exit, r.Stderr, Stale(path, r), test.changed)
					}
					if now := seenAt(t, path); test.changed && now != want || !test.changed && act != "remove" && now == want {
						t.Errorf("%+v lies there, and there was %+v", now, want)
					}
					if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
						t.Errorf("left behind: %q", left)
					}
				}
				t.Run(test.name+", "+act, func(t *testing.T) { check(t, here(t)) })
				t.Run(test.name+", "+act+", content known by its sum", func(t *testing.T) { // has_sum in place.pl
					c := here(t)
					run(t, c, File{Path: filepath.Join(t.TempDir(), "other"), Content: []byte("old"), Over: Seen{Absent: true}}.Command())
					check(t, c)
				})
			}
		}
	})
}

// A stamp without fractions of a second comes from a file system that does not record them. Then the content counts.
func TestStampInWholeSeconds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	script := script("same") + `path=/f only=yes; _hl_same "$1" "$2" "$3"`
	const check = `
$does{test_check} = sub {
	my ($seen, $file, $stamp) = @_;
	no warnings 'redefine';
	local *stamp = sub { $stamp };
	check({ path => '/f' }, $seen, $file);
	return 0;
};
`
	for _, test := range []struct {
		seen, stamp string
		exit        int
	}{
		{"7:5.000000000 " + strings.Repeat("0", 64), "7:5.000000000", exitStale},
		{"7:5.100000000 " + strings.Repeat("0", 64), "7:5.100000000", 0},
		{"7:5.100000000 ", "7:5.100000000", 0},
		{"7:5.100000000 ", "7:5.200000000", exitStale},
		{" " + strings.Repeat("0", 64), "", exitStale},
		{fmt.Sprintf(" %x", sha256.Sum256([]byte("theirs"))), "", 0},
		{fmt.Sprintf("7:5.000000000 %x", sha256.Sum256([]byte("theirs"))), "7:9.000000000", 0},
	} {
		for _, c := range []Command{
			{Argv: []string{"sh", "-c", script, "sh", test.seen, path, test.stamp}},
			byHand("test_check", test.seen, path, test.stamp),
		} {
			r, err := handed(here(t), check).Run(t.Context(), c)
			if err != nil || r.Exit != test.exit {
				t.Errorf("%q over %q: exit code %d (%v, %s), want %d", test.seen, test.stamp, r.Exit, err, r.Stderr, test.exit)
			}
		}
	}
}
