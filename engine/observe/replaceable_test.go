package observe

import (
	"io/fs"
	"testing"
)

func TestReplaceable(t *testing.T) {
	dir := func(owner string, mode fs.FileMode) File {
		return File{Type: Directory, Mode: mode, Owner: owner, Group: owner}
	}
	link := func(owner, target string) File {
		return File{Type: Symlink, Mode: 0o777, Owner: owner, Group: owner, Target: target}
	}
	files := map[string]File{
		"/":                      dir("root", 0o755),
		"/srv":                   dir("root", 0o755),
		"/srv/bulk":              dir("root", 0o755),
		"/srv/alice":             dir("alice", 0o755),
		"/srv/none":              {},
		"/srv/none/below":        {},
		"/srv/link":              link("root", "/home/alice/d"),
		"/srv/up":                link("root", "../run"),
		"/srv/round":             link("root", "round"),
		"/run":                   dir("root", 0o755),
		"/run/x":                 {},
		"/srv/up/x":              {},
		"/home":                  dir("root", 0o755),
		"/home/alice":            dir("alice", 0o700),
		"/home/alice/d":          dir("root", 0o755),
		"/home/alice/d/deep":     dir("root", 0o755),
		"/tmp":                   dir("root", 0o1777),
		"/tmp/root":              dir("root", 0o755),
		"/tmp/root/x":            {},
		"/tmp/none":              {},
		"/tmp/alice":             dir("alice", 0o755),
		"/open":                  dir("root", 0o777),
		"/open/x":                dir("root", 0o755),
		"/staff":                 {Type: Directory, Mode: 0o2775, Owner: "root", Group: "staff"},
		"/staff/x":               dir("root", 0o755),
		"/home/alice/sticky":     dir("alice", 0o1755),
		"/home/alice/sticky/own": dir("root", 0o755),
	}
	var known []Expectation
	for name, f := range files {
		known = append(known, Files.Expect(name, f))
	}
	for name, want := range map[string]string{
		"/": "", "/srv/bulk": "", "/srv/alice": "", "/srv/none": "", "/srv/none/below": "", "/srv/up/x": "",
		"/home/alice": "", "/home/alice/d": "alice", "/home/alice/d/deep": "alice", "/srv/link": "alice", "/home/alice/sticky/own": "alice",
		"/tmp/root": "", "/tmp/root/x": "", "/tmp/none": "", "/tmp/alice": "every user", "/open/x": "every user", "/staff/x": "the group staff",
	} {
		by, err := Replaceable(t.Context(), NewRecorded("pve1", known...), name)
		if err != nil || by != want {
			t.Errorf("%s can be replaced by %q (%v), expected %q", name, by, err, want)
		}
	}
	if by, err := Replaceable(t.Context(), NewRecorded("pve1", known...), "/srv/round"); err == nil {
		t.Errorf("a link to itself can be replaced by %q, expected an error", by)
	}
}
