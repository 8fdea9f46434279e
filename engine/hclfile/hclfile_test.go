package hclfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseRefusesWhatIsNoHCL(t *testing.T) {
	for name, test := range map[string]struct {
		src, summary, detail string
		line                 int
	}{
		"NUL":                     {"a = 1\nb = \x00\n", "not a text file", "NUL byte", 2},
		"Latin-1":                 {"a = 1\n\n# M\xfcller\n", "not a text file", "not UTF-8", 3},
		"UTF-16":                  {"\xff\xfea\x00", "not a text file", "UTF-16", 1},
		"brackets":                {"a = 1\nb = " + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), "nested too deeply", "locals", 2},
		"parentheses":             {"b = " + strings.Repeat("(", 100_000), "nested too deeply", "locals", 1},
		"templates":               {"b = " + strings.Repeat(`"${`, 100_000), "nested too deeply", "locals", 1},
		"blocks":                  {strings.Repeat("a {\n", 100_000), "nested too deeply", "locals", 1000},
		"signs":                   {"b = " + strings.Repeat("!", 100_000) + "true", "nested too deeply", "locals", 1},
		"conditions":              {"b = " + strings.Repeat("a ? b : ", 100_000) + "c", "nested too deeply", "locals", 1},
		"sums":                    {"b = " + strings.Repeat("1 + ", 100_000) + "1", "nested too deeply", "locals", 1},
		"indices":                 {"b = a" + strings.Repeat("[0]", 100_000), "nested too deeply", "locals", 1},
		"the first of two faults": {"a = \"x\nb = ]\n", "Invalid multi-line string", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			file, diags := Parse([]byte(test.src), "x.hcl")
			if file == nil || string(file.Bytes) != test.src {
				t.Error("the file does not hold its source")
			}
			if len(diags) != 1 {
				t.Fatalf("%d diagnostics, want one: %v", len(diags), diags)
			}
			if d := diags[0]; d.Summary != test.summary || !strings.Contains(d.Detail, test.detail) || d.Subject.Start.Line != test.line {
				t.Errorf("line %d: %s: %s", d.Subject.Start.Line, d.Summary, d.Detail)
			}
		})
	}
}

func TestParseTakesWhatPeopleAndProgramsWrite(t *testing.T) {
	var long strings.Builder
	long.WriteString("a = [\n")
	for range 10_000 {
		long.WriteString("  { b = -1 + 2 * var.c[0].d, \"e\" = true ? \"${f.g}\" : null },\n")
	}
	long.WriteString("]\n")
	for name, src := range map[string]string{
		"byte order mark": "\ufeffa = 1\n", "CRLF": "a = 1\r\nb = 2\r\n", "empty": "", "long list": long.String(),
		"heredoc": "a = <<E\n" + strings.Repeat("line ${b} and ${c}\n", 5000) + "E\n",
	} {
		if _, diags := Parse([]byte(src), "x.hcl"); diags.HasErrors() {
			t.Errorf("%s: %v", name, diags)
		}
	}
}

func TestReadIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.hcl")
	if err := os.WriteFile(path, []byte("a = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if src, err := Read(path); err != nil || string(src) != "a = 1\n" {
		t.Errorf("read %q (%v)", src, err)
	}
	if err := os.Truncate(path, Largest+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("a file that is too large: %v", err)
	}
}
