package observe

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hlplay/engine/remote"
)

// anyOwner ignores which user runs the test, and when.
var anyOwner = cmpopts.IgnoreFields(File{}, "Owner", "Group", "Stamp")

func TestFilesAreReadAsTheyAre(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	contents := map[string]string{
		"plain":            "hello\n",
		"empty":            "",
		"no final newline": "x",
		"binary":           "a\x00b\xff\n\x00",
		"-n":               "leading dash\n",
		"new\nline":        "in the name\n",
		`quo"te's $(id)`:   "quoted\n",
		"looks like head":  "\n==> " + filepath.Join(dir, "plain") + " <==\nfake\n",
	}
	want := map[string]File{}
	var names []string
	for name, content := range contents {
		if err := os.WriteFile(at(name), []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		want[at(name)] = File{Type: Regular, Mode: 0o640, Size: int64(len(content)), Content: []byte(content)}
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), FileLimit/16+7)
	must(t, os.WriteFile(at("big"), big, 0o600))
	want[at("big")] = File{Type: Regular, Mode: 0o600, Size: int64(len(big)), Content: big[:FileLimit], Truncated: true}
	must(t, os.Mkdir(at("dir"), 0o750))
	must(t, os.Chmod(at("dir"), 0o750|os.ModeSetgid|os.ModeSticky))
	want[at("dir")] = File{Type: Directory, Mode: 0o3750}
	must(t, os.Symlink("no\nwhere", at("link")))
	want[at("link")] = File{Type: Symlink, Mode: 0o777, Size: 8, Target: "no\nwhere"}
	must(t, os.Symlink("dir", at("link to dir")))
	want[at("link to dir")] = File{Type: Symlink, Mode: 0o777, Size: 3, Target: "dir"}
	must(t, os.Symlink("a -> b'", at("link -> away")))
	want[at("link -> away")] = File{Type: Symlink, Mode: 0o777, Size: 7, Target: "a -> b'"}
	must(t, syscall.Mkfifo(at("pipe"), 0o600))
	want[at("pipe")] = File{Type: Other, Mode: 0o600}
	want[at("missing")] = File{}
	want[at("plain/below a file")] = File{}
	for name := range want {
		names = append(names, name)
	}
	got, err := Files.ObserveAll(t.Context(), localHost(t), names)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, anyOwner, cmp.Comparer(bytes.Equal), cmpopts.IgnoreFields(File{}, "Size")); diff != "" {
		t.Errorf("the files were observed wrong (-want +got):\n%s", diff)
	}
	for name, f := range want {
		if f.Type == Regular && got[name].Size != f.Size {
			t.Errorf("%q: size %d, expected %d", name, got[name].Size, f.Size)
		}
		if f.Exists() && (got[name].Owner == "" || got[name].Group == "") {
			t.Errorf("%q: owner %q and group %q, expected names", name, got[name].Owner, got[name].Group)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesOfTheKernelAreReadToTheEnd(t *testing.T) {
	f, err := Files.Observe(t.Context(), localHost(t), "/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	if f.Type != Regular || !bytes.HasPrefix(f.Content, []byte("MemTotal:")) || f.Size != int64(len(f.Content)) {
		t.Errorf("/proc/meminfo is %s of %d bytes: %q", f.Type, f.Size, f.Content)
	}
}

func TestRelativePathsAreRefused(t *testing.T) {
	for _, name := range []string{"etc/hosts", "", "-n", "/a\x00b"} {
		if _, err := Files.Observe(t.Context(), localHost(t), name); err == nil {
			t.Errorf("%q was observed, expected an error", name)
		}
	}
}

// answersOf returns the answers to reading regular files.
func answersOf(stat, heads string) []remote.Answer {
	return []remote.Answer{{Stdout: []byte(stat + rootRecord + "0\n\n" + heads)}}
}

// rootRecord is the record of the root directory.
const rootRecord = "drwxr-xr-x 0 41ed 4096 18 1:1.5:root:root: \"/\"\n"

// recordOf returns the record of a regular file.
func recordOf(name string, size int) string {
	quoted := ""
	for _, b := range []byte(name) {
		quoted += fmt.Sprintf("\\%03o", b)
	}
	return fmt.Sprintf("-rw-r--r-- 0 81a4 %d 1 1:1.5:root:domain users: \"%s\"\n", size, quoted)
}

func TestFileChanging(t *testing.T) {
	names := []string{"/a", "/b", "/c"}
	stat := recordOf("/a", 2) + recordOf("/b", 2) + recordOf("/c", 2)
	for _, test := range []struct {
		name, heads string
		changed     []string
	}{
		{"nothing changed", "==> /a <==\nA\n\n==> /b <==\nB\n\n==> /c <==\nC\n", nil},
		{"b grew", "==> /a <==\nA\n\n==> /b <==\nBBBB\n\n==> /c <==\nC\n", []string{"/b"}},
		{"b shrank", "==> /a <==\nA\n\n==> /b <==\n\n==> /c <==\nC\n", []string{"/b"}},
		{"b went", "==> /a <==\nA\n\n==> /c <==\nC\n", []string{"/b"}},
		{"the last one grew", "==> /a <==\nA\n\n==> /b <==\nB\n\n==> /c <==\nCC\n", []string{"/c"}},
		{"b grew and shows a header", "==> /a <==\nA\n\n==> /b <==\n\n==> /c <==\nX\n\n==> /c <==\nC\n", []string{"/b", "/c"}},
		{"nothing was printed", "", names},
	} {
		t.Run(test.name, func(t *testing.T) {
			values, errs := told(t, Files, names, answersOf(stat, test.heads))
			var changed []string
			for _, name := range names {
				if changing(errs[name]) {
					changed = append(changed, name)
					continue
				}
				if want := strings.ToUpper(name[1:]) + "\n"; string(values[name].Content) != want || errs[name] != nil {
					t.Errorf("%s holds %q (error %v), expected %q", name, values[name].Content, errs[name], want)
				}
			}
			if diff := cmp.Diff(test.changed, changed); diff != "" {
				t.Errorf("wrong files are said to have changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhyAFileCannotBeReadIsTold(t *testing.T) {
	answers := []remote.Answer{{
		Stdout: []byte("-rw-r----- 0 81a0 9 1 1:1.5:root:shadow: \"/etc/shadow\"\n" + rootRecord +
			"drwxr-xr-x 0 41ed 4096 18 1:1.5:root:root: \"/etc\"\ndrwx------ 0 41c0 4096 18 1:1.5:root:root: \"/root\"\n1000\n\n"),
		Stderr: []byte("stat: cannot statx '/root/x': Permission denied\nhead: cannot open '/etc/shadow' for reading: Permission denied\n"), Exit: 1,
	}}
	_, errs := told(t, Files, []string{"/etc/shadow", "/root/x"}, answers)
	for name, err := range errs {
		if err == nil || !strings.Contains(err.Error(), "Permission denied") {
			t.Errorf("%s: the error is %v, expected the program's own message", name, err)
		}
	}
}

func TestFollowGoesThroughLinks(t *testing.T) {
	h := NewRecorded("h",
		Files.Expect("/root/.ssh/authorized_keys", File{Type: Symlink, Target: "/etc/pve/priv/authorized_keys"}),
		Files.Expect("/etc/pve/priv/authorized_keys", File{Type: Regular, Content: []byte("key\n")}),
		Files.Expect("/etc/os-release", File{Type: Symlink, Target: "../usr/lib/os-release"}),
		Files.Expect("/usr/lib/os-release", File{}),
		Files.Expect("/loop", File{Type: Symlink, Target: "loop"}))
	text, exists, err := Text(t.Context(), h, "/root/.ssh/authorized_keys")
	if text != "key\n" || !exists || err != nil {
		t.Errorf("through the link there is %q (exists %v, error %v), expected the key", text, exists, err)
	}
	at, f, err := Follow(t.Context(), h, "/etc/os-release")
	if at != "/usr/lib/os-release" || f.Exists() || err != nil {
		t.Errorf("the dangling link leads to %q (%s, error %v)", at, f.Type, err)
	}
	if _, _, err := Follow(t.Context(), h, "/loop"); err == nil {
		t.Error("a loop of links was followed to an end")
	}
}

// FuzzHeads checks that files are told apart whatever their contents and names.
func FuzzHeads(f *testing.F) {
	f.Add("a", "b", []byte("x\n"), []byte("y\n"), uint8(0))
	f.Add("a", "b", []byte("\n==> /b <==\n"), []byte(""), uint8(0))
	f.Add("==> ", "<==\n", []byte(""), []byte("\n"), uint8(1))
	f.Fuzz(func(t *testing.T, name1, name2 string, content1, content2 []byte, grown uint8) {
		name1, name2 = "/1"+name1, "/2"+name2
		if checkPath(name1) != nil || checkPath(name2) != nil {
			return
		}
		stat := recordOf(name1, len(content1)) + recordOf(name2, len(content2))
		for _, dir := range above([]string{name1, name2}) {
			stat += recordOf(dir, 0)
		}
		late := append(bytes.Clone(content1), bytes.Repeat([]byte("+"), int(grown))...)
		heads := fmt.Sprintf("==> %s <==\n%s\n==> %s <==\n%s", name1, late, name2, content2)
		values, errs := told(t, Files, []string{name1, name2}, answersOf(stat, heads))
		if errs[name1] == nil && !bytes.Equal(values[name1].Content, content1) {
			t.Errorf("%q holds %q, expected %q", name1, values[name1].Content, content1)
		}
		if grown == 0 && errs[name1] != nil {
			t.Errorf("%q did not change, but: %v", name1, errs[name1])
		}
		if errs[name2] == nil && !bytes.Equal(values[name2].Content, content2) {
			t.Errorf("%q holds %q, expected %q", name2, values[name2].Content, content2)
		}
	})
}

// FuzzStat checks that any output of stat and head yields a result for each name.
func FuzzStat(f *testing.F) {
	f.Add([]byte(recordOf("/a", 2)+"lrwxrwxrwx 0 a1ff 1 1 1:1.5:root:root: \"/b\" -> \"x\"\n0 1\n"), []byte("==> /a <==\nA\n"), []byte(""))
	f.Add([]byte("-rw-r--r-- 0 zz -2 1 1:1.5:root:root: \"/a\"\n0 9\n"), []byte("==> "), []byte("stat: cannot statx '/b': Not a directory\n"))
	f.Fuzz(func(t *testing.T, stat, heads, stderr []byte) {
		told(t, Files, []string{"/a", "/b"}, []remote.Answer{{Stdout: slices.Concat(stat, []byte("\n"), heads), Stderr: stderr}})
	})
}
