package observe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTextFilesScript(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"a.list": "deb one\n", "b.list": "no final newline", "empty.list": "", "odd name.list": "left out"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := fetch(t, TextFiles("test", dir+"/*.list", dir+"/none/*.list"), "")[""]
	want := []TextFile{{dir + "/a.list", "deb one\n"}, {dir + "/b.list", "no final newline"}, {dir + "/empty.list", ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the files differ (-want +got):\n%s", diff)
	}
}

func TestTextFilesThatAreNotClear(t *testing.T) {
	for _, printed := range []string{
		"/a\n",
		"/a\n\n",
		"/a\n\n==> /b <==\nx\n",
		"/a\n/b\n\n==> /a <==\nx\n",
		"/a\n/b\n\n==> /a <==\nx\n\n==> /b <==\ny\n\n==> /b <==\nz\n",
		"/a\n/b\n\n==> /a <==\n\n==> /b <==\n==> /b <==\n",
		"/a\n\n==> /a <==\n" + strings.Repeat("x", textLimit+1),
	} {
		if files, err := parseTextFiles(out(printed)); err == nil {
			t.Errorf("%.100q was taken for %d files", printed, len(files))
		}
	}
}

func TestWithTextFile(t *testing.T) {
	a, b, changed := TextFile{"/a", "1"}, TextFile{"/b", "2"}, "3"
	for _, c := range []struct {
		name    string
		content *string
		want    []TextFile
	}{
		{"/a", &changed, []TextFile{{"/a", "3"}, b}},
		{"/c", &changed, []TextFile{a, b, {"/c", "3"}}},
		{"/a", nil, []TextFile{b}},
		{"/c", nil, []TextFile{a, b}},
	} {
		if diff := cmp.Diff(c.want, withTextFile([]TextFile{a, b}, c.name, c.content)); diff != "" {
			t.Errorf("writing %s: the files differ (-want +got):\n%s", c.name, diff)
		}
	}
}

// FuzzTextFiles checks that what the script would print for any files is read back unchanged, or rejected if it
// contains a header.
func FuzzTextFiles(f *testing.F) {
	f.Add("deb a b c\n", "")
	f.Add("\n\nabc", "\n\n")
	f.Add("\n==> /etc/apt/b.list <==", "x")
	f.Fuzz(func(t *testing.T, a, b string) {
		want := []TextFile{{"/etc/apt/a.list", a}, {"/etc/apt/b.list", b}}
		printed := "/etc/apt/a.list\n/etc/apt/b.list\n\n==> /etc/apt/a.list <==\n" + a + "\n==> /etc/apt/b.list <==\n" + b
		got, err := parseTextFiles(out(printed))
		switch {
		case err == nil && !cmp.Equal(want, got):
			t.Errorf("%q was read as %v", printed, got)
		case err != nil && !strings.Contains(a+b, "==> /etc/apt/b.list <=="):
			t.Errorf("%q was refused: %v", printed, err)
		}
	})
}
