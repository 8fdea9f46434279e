package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/architecture.md and CONTRIBUTING.md describe the tree as it is: the paths, packages and tests that they name exist, and the
// table of folders has a row for each package of the engine.
func TestDocsDescribeTheTree(t *testing.T) {
	out, err := exec.Command("git", "-C", "../..", "ls-files").Output()
	if err != nil {
		t.Skipf("git ls-files: %v", err)
	}
	exists := map[string]bool{}
	var sources strings.Builder
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSpace(name)
		for at := name; at != "."; at = filepath.Dir(at) {
			exists[at] = true
		}
		if strings.HasSuffix(name, "_test.go") {
			if text, err := os.ReadFile(filepath.Join("../..", name)); err == nil { // unless it is being deleted
				sources.Write(text)
			}
		}
	}
	architecture := readText(t, "../../docs/architecture.md")
	for name, text := range map[string]string{"docs/architecture.md": architecture, "CONTRIBUTING.md": readText(t, "../../CONTRIBUTING.md")} {
		for _, m := range regexp.MustCompile("`((?:engine|modules|cmd|playbooks|testdata|docs|inventory)/[^` ]*)`").FindAllStringSubmatch(text, -1) {
			if !exists[strings.TrimSuffix(m[1], "/")] {
				t.Errorf("%s names %s, which does not exist", name, m[1])
			}
		}
		for _, test := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(text, -1) {
			if !strings.Contains(sources.String(), "func "+test+"(") {
				t.Errorf("%s names %s, which does not exist", name, test)
			}
		}
	}
	packages, err := filepath.Glob("../../engine/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range packages {
		name := "engine/" + filepath.Base(folder)
		if exists[name] && !strings.Contains(architecture, "| `"+name+"` |") {
			t.Errorf("the table in docs/architecture.md lacks %s", name)
		}
	}
}
