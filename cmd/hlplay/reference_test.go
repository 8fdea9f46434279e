package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"

	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/registry"
)

// TestReference compares the reference in docs/ with the code. `make docs` regenerates it.
func TestReference(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	language := filepath.Join(docs, "language.md")
	text, err := os.ReadFile(language)
	if err != nil {
		t.Fatal(err)
	}
	current(t, filepath.Join(docs, "modules.md"), moduleReference())
	current(t, language, between(t, between(t, string(text), "facts", factTable()), "functions", lang.DescribeFunctions(registry.All())))
}

func current(t *testing.T, path, want string) {
	t.Helper()
	if os.Getenv("HLPLAY_WRITE_DOCS") != "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; `make docs` writes it", err)
	}
	if diff := cmp.Diff(string(got), want); diff != "" {
		t.Errorf("%s is not current, `make docs` writes it anew (-file +code):\n%s", path, diff)
	}
}

// between replaces the text between the markers of a section.
func between(t *testing.T, text, section, content string) string {
	t.Helper()
	begin := fmt.Sprintf("<!-- %s: written by `make docs` -->\n", section)
	end := fmt.Sprintf("<!-- end of %s -->", section)
	before, rest, ok := strings.Cut(text, begin)
	if !ok {
		t.Fatalf("docs/language.md has no marker %q", begin)
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatalf("docs/language.md has no marker %q", end)
	}
	return before + begin + content + end + after
}

func moduleReference() string {
	var b strings.Builder
	b.WriteString("# Modules\n\nWritten by `make docs` from the code; `hlplay doc MODULE` prints the same.\n\n" +
		"In the names of tasks, `G1.14` is step 14 of the first guide, and `G2.3` step 3 of the second: see [coverage.md](coverage.md).\n\n")
	for _, spec := range registry.All() {
		fmt.Fprintf(&b, "- [%s](#%s): %s\n", spec.Name, spec.Name, spec.Summary)
	}
	for _, spec := range registry.All() {
		b.WriteString("\n" + deeper(lang.Describe(spec)))
	}
	return b.String()
}

// deeper moves the headings of a module's own page one level down.
func deeper(page string) string {
	lines := strings.SplitAfter(page, "\n")
	fenced := false
	for i, line := range lines {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if strings.HasPrefix(line, "#") && !fenced {
			lines[i] = "#" + line
		}
	}
	return strings.Join(lines, "")
}

func factTable() string {
	var b strings.Builder
	b.WriteString("| fact | type | |\n|---|---|---|\n")
	for _, f := range observe.Facts() {
		fmt.Fprintf(&b, "| `facts.%s` | %s | %s |\n", f.Name, strings.ReplaceAll(typeexpr.TypeString(f.Type), "|", "\\|"), f.Doc)
	}
	return b.String()
}

// TestModuleExamples validates the example of every module, which newcomers copy.
func TestModuleExamples(t *testing.T) {
	for _, spec := range registry.All() {
		t.Run(spec.Name, func(t *testing.T) {
			if spec.Example == "" {
				t.Fatal("no example")
			}
			if diags := lang.CheckExample(spec, lang.Options{Modules: registry.All()}); diags.HasErrors() {
				t.Errorf("%v\n%s", diags, spec.Example)
			}
		})
	}
}

// TestFunctionsHaveNamesOfTheirOwn checks that no module's function has the name of another module's, or of one of the
// language.
func TestFunctionsHaveNamesOfTheirOwn(t *testing.T) {
	docs := lang.Functions(registry.All())
	for i, d := range docs {
		if i > 0 && docs[i-1].Name == d.Name {
			t.Errorf("function %s is defined twice", d.Name)
		}
	}
}

// TestModuleResults compares what modules register with what validate and the documentation know about it.
func TestModuleResults(t *testing.T) {
	for _, spec := range registry.All() {
		for _, field := range modules.ResultFields(spec.Result) {
			if field.Doc == "" {
				t.Errorf("%s: its result %q has no doc tag", spec.Name, field.Name)
			}
		}
		if len(modules.ResultFields(spec.Result)) > 0 && !strings.Contains(moduleReference(), "## Results of `"+spec.Name+"`") {
			t.Errorf("%s: the reference does not show its results", spec.Name)
		}
	}
}
