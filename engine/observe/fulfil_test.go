package observe

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFulfil(t *testing.T) {
	in(t, func(t *testing.T) {
		a, b := newWire(t.Context(), "a"), newWire(t.Context(), "b")
		notes := &Kind[string]{Name: "note"}
		got := a.host.Fulfil(t.Context(), []Expectation{
			words.Expect("right", "right 1"),
			words.Expect("wrong", "something"),
			words.Expect("twice", "something"), words.Expect("twice", "twice 1"),
			words.Expect("then unknown", "something"), words.Unknown("then unknown", "who knows"),
			words.Expect("there", "there 2").On(b.host),
			words.Expect("bad", "good"),
			notes.Expect("", "nobody can be asked"),
			words.ExpectUpdate("parts", "", func(s string) string { return s + "parts" }),
			words.ExpectUpdate("parts", "", func(s string) string { return s + " 1" }),
			{Match: func(Key) bool { return true }, Unknown: "fog"},
		})
		var all []string
		for _, u := range got {
			all = append(all, u.String())
		}
		want := []string{
			"word:bad on a cannot be observed: bad word",
			`word:wrong on a: found "wrong 1", expected "something"`,
			`word:there on b: found "there 1", expected "there 2"`,
		}
		if diff := cmp.Diff(want, all); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// An expectation claims everything that can be known beforehand, and nothing else.
func TestFulfilClaims(t *testing.T) {
	for name, test := range map[string]struct {
		unfulfilled func() string
		want        string
	}{
		"the version of a package to come": {func() string {
			return Packages.unfulfilled(Package{InstalledStatus, "1"}, Package{Status: InstalledStatus})
		}, ""},
		"another version": {func() string {
			return Packages.unfulfilled(Package{InstalledStatus, "1"}, Package{InstalledStatus, "2"})
		}, `Version: found "1", expected "2"`},
		"a package that left nothing": {func() string { return Packages.unfulfilled(Package{}, Package{"deinstall ok config-files", "1"}) }, ""},
		"a package that stayed": {func() string {
			return Packages.unfulfilled(Package{InstalledStatus, "1"}, Package{"deinstall ok config-files", "1"})
		}, `Status: found "install ok installed", expected "deinstall ok config-files"`},
		"the id of a new account": {func() string {
			return Users.unfulfilled(User{Name: "u", UID: 1000, GID: 1000}, User{Name: "u", UID: -1, GID: -1})
		}, ""},
		"the size of a directory": {func() string { return Files.unfulfilled(File{Type: Directory, Size: 4096}, File{Type: Directory}) }, ""},
		"the content of a file": {func() string {
			return Files.unfulfilled(File{Type: Regular, Size: 1, Content: []byte("a")}, File{Type: Regular, Size: 1, Content: []byte("b")})
		}, `Content: found "a", expected "b"`},
		"one of two checksums":  {func() string { return Checksums.unfulfilled(Checksum{SHA256: "a", SHA512: "b"}, Checksum{SHA256: "a"}) }, ""},
		"a file that is absent": {func() string { return Checksums.unfulfilled(Checksum{SHA256: "a", SHA512: "b"}, Checksum{}) }, `SHA256: found "a", expected ""; SHA512: found "b", expected ""`},
		"the order of files": {func() string {
			return textFiles.unfulfilled([]TextFile{{"/a", ""}, {"/b", ""}}, []TextFile{{"/b", ""}, {"/a", ""}})
		}, ""},
		"volumes of a disk that LVM gets": {func() string {
			return Disks.unfulfilled([]BlockDevice{{Name: "sdb", Filesystem: "LVM2_member", Children: []BlockDevice{{Name: "dm-0"}}}}, []BlockDevice{{Name: "sdb", Filesystem: "LVM2_member"}})
		}, ""},
		"empty and none": {func() string { return PackageGlobs.unfulfilled([]string(nil), []string{}) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.unfulfilled(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// textFiles observes a set of files that are read together.
var textFiles = TextFiles("test-files", "/etc/test.d/*.conf")

// Steps of one plan that each change a part of a value add up: two new files in one directory, which are read together.
func TestPlacedFilesAddUp(t *testing.T) {
	const dir = "/etc/test.d"
	h := NewRecorded("a", Dirs.Expect(dir, Listing{Exists: true}), textFiles.Expect("", nil),
		Files.Expect(dir+"/a.conf", File{}), Files.Expect(dir+"/b.conf", File{}))
	file := File{Type: Regular, Mode: 0o644, Owner: "root", Group: "root"}
	AddMeanings(func(h *Host, name string, f File) []Expectation {
		if !strings.HasPrefix(name, dir+"/") {
			return nil
		}
		return []Expectation{ExpectTextFile(h, textFiles, name, f)}
	})
	h.Predict(append(Placed(h, dir+"/a.conf", file), Placed(h, dir+"/b.conf", file)...))
	listing, err := Dirs.Observe(t.Context(), h, dir)
	if diff := cmp.Diff(Listing{Exists: true, Entries: []string{"a.conf", "b.conf"}}, listing); err != nil || diff != "" {
		t.Errorf("the directory (-want +got): %v\n%s", err, diff)
	}
	files, err := textFiles.Observe(t.Context(), h, "")
	if err != nil || len(files) != 2 {
		t.Errorf("the files: %v, %v; want both", files, err)
	}
}
