package lang

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFileset(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.tmpl", "a.tmpl", "x/c.tmpl", "x/y/d.tmpl", "x/e.txt", ".hidden.tmpl"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, want := range map[string]string{
		"*.tmpl":    `[".hidden.tmpl","a.tmpl","b.tmpl"]`,
		"**/*.tmpl": `[".hidden.tmpl","a.tmpl","b.tmpl","x/c.tmpl","x/y/d.tmpl"]`,
		"x/*":       `["x/c.tmpl","x/e.txt"]`,
		"x/{c,e}.*": `["x/c.tmpl","x/e.txt"]`,
		"nothing":   `[]`,
		"../*":      "error",
		"[":         "error",
	} {
		got := eval(`fileset("` + dir + `", "` + pattern + `")`)
		if got != want && (want != "error" || !strings.HasPrefix(got, "error: ")) {
			t.Errorf("fileset of %s is %s, want %s", pattern, got, want)
		}
	}
	for _, path := range []string{dir + "/a.tmpl", dir + "/none"} {
		if got := eval(`fileset("` + path + `", "*")`); !strings.Contains(got, path) || !strings.HasPrefix(got, "error: ") {
			t.Errorf("fileset of %s is %s, want an error that names it", path, got)
		}
	}
}
