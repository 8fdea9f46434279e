package lang

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

// An expression whose value would not fit into memory is rejected at its line, before memory runs out.
func TestValuesThatGrowWithoutEndAreRefused(t *testing.T) {
	// The limit makes the test fail rather than the machine.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(2 << 30))
	doubling := func(step string) string {
		var b strings.Builder
		b.WriteString("locals {\n  a0 = \"xxxxxxxxxxxxxxxx\"\n")
		for i := 1; i <= 24; i++ {
			fmt.Fprintf(&b, "  a%d = %s\n", i, strings.ReplaceAll(step, "@", fmt.Sprintf("local.a%d", i-1)))
		}
		return b.String() + "}\n"
	}
	local := func(expr string) string { return "locals {\n  a = " + expr + "\n}\n" }
	aliases := `a: &a [x,x]\nb: &b [*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e]`
	dir := t.TempDir()
	for i := range 12 {
		next := fmt.Sprintf(`${templatefile("t%d", {})}`, i+1)
		if i == 11 {
			next = strings.Repeat("x", 64<<10)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("t%d", i)), []byte(next+next+next+next), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct{ src, want string }{
		"a text doubled":             {doubling(`"${@}${@}"`), "value grows too large"},
		"a list doubled":             {doubling(`[@, @]`), "value grows too large"},
		"an object doubled":          {doubling(`{ l = @, r = @ }`), "value grows too large"},
		"joined":                     {doubling(`join("", [@, @])`), "value grows too large"},
		"formatted":                  {doubling(`format("%s%s", @, @)`), "value grows too large"},
		"replaced":                   {doubling(`replace(@, "x", "xx")`), "value grows too large"},
		"as JSON":                    {doubling(`jsonencode([@, @])`), "value grows too large"},
		"concatenated":               {"locals {\n  a0 = [\"x\"]\n" + strings.SplitN(doubling(`concat(@, @)`), "\n", 3)[2], "value grows too large"},
		"loops in loops":             {local(`[for a in range(1000) : [for b in range(1000) : [for c in range(1000) : c]]]`), "value grows too large"},
		"loops in a text":            {local(`"%{for a in range(1000)}%{for b in range(1000)}%{for c in range(1000)}x%{endfor}%{endfor}%{endfor}"`), "value grows too large"},
		"one swallowed":              {local(`try(join("", [for a in range(1000) : [for b in range(1000) : [for c in range(1000) : c]]]), "else")`), "value grows too large"},
		"aliases":                    {local(`yamldecode("` + strings.ReplaceAll(aliases, `f: [`, `f: &f [`) + `\ng: [*f,*f]")`), "more than 20 aliases"},
		"aliases, deep in a call":    {local(`length(keys(yamldecode("` + aliases + `")))`), "more than 20 aliases"},
		"deep YAML":                  {local(`yamldecode("` + strings.Repeat("[", 5000) + `")`), "nested more than 200"},
		"deep JSON":                  {local(`jsondecode("` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `")`), "nested more than 200"},
		"a width":                    {local(`format("%999999999d", 1)`), "a width of 999999999 is more than"},
		"a precision":                {local(`format("%.999999999f", 1)`), "a width of 999999999 is more than"},
		"a width of a list":          {local(`formatlist("%-999999999s", ["a"])`), "a width of 999999999 is more than"},
		"an indent":                  {local(`indent(999999999, "a\nb")`), "999999999 spaces"},
		"all combinations":           {local(`setproduct(range(1000), range(1000), range(1000))`), "more than 64 MiB of text or 1048576 elements"},
		"a range":                    {local(`range(1000000000)`), "more than 1024 values"},
		"between all characters":     {local(`replace(join("", [for a in range(1000) : join("", [for b in range(100) : "x"])]), "", join("", [for a in range(1000) : "x"]))`), "more than 64 MiB"},
		"by a regular expression":    {local(`replace(join("", [for a in range(1000) : join("", [for b in range(100) : "x"])]), "/./", join("", [for a in range(1000) : "x"]))`), "more than 64 MiB"},
		"what was found, repeated":   {local(`replace(join("", [for a in range(1000) : join("", [for b in range(100) : "x"])]), "/.*/", join("", [for a in range(1000) : "$0"]))`), "more than 64 MiB"},
		"a separator":                {local(`join(join("", [for a in range(1000) : join("", [for b in range(100) : "x"])]), range(1000))`), "more than 64 MiB"},
		"templates":                  {local(`templatefile("t0", {})`), "more than 64 MiB"},
		"a template of many of them": {local(`"` + strings.Repeat(`${templatefile("t8", {})}`, 100) + `"`), "value grows too large"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "play.hcl")
			_, diags := LoadSource(path, []byte(test.src), Options{})
			if len(diags) != 1 || diags[0].Subject == nil || diags[0].Subject.Start.Line < 2 {
				t.Fatalf("%d diagnostics, want one with its line: %.1500s", len(diags), diags.Errs())
			}
			if text := diags[0].Summary + ": " + diags[0].Detail; !strings.Contains(text, test.want) || strings.Contains(text, meterName) {
				t.Errorf("%s, want one that says %q", text, test.want)
			}
		})
	}
}

// Values on a command line and in its files cannot grow either, and values of a usual size are not rejected.
func TestBoundsOfValues(t *testing.T) {
	bomb := "[for a in range(1000) : a]" // a function
	nested := `[for a in [` + strings.Repeat("1,", 1000) + `] : [for b in [` + strings.Repeat("1,", 1000) + `] : [for c in [` + strings.Repeat("1,", 1000) + `] : c]]]`
	declared := []byte("variable \"l\" {\n  type = list(any)\n}\n")
	for _, value := range []string{bomb, nested} {
		if _, diags := LoadSource("play.hcl", declared, Options{Values: map[string]string{"l": value}}); len(diags) != 1 || diags[0].Summary != `invalid value for variable "l"` {
			t.Errorf("%.40s: %.300s", value, diags)
		}
	}
	path := filepath.Join(t.TempDir(), "values.hcl")
	if err := os.WriteFile(path, []byte("l = "+nested+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, diags := LoadSource("play.hcl", declared, Options{ValueFiles: []string{path}}); len(diags) != 1 || !strings.Contains(diags[0].Summary, `the value of "l" is not constant`) {
		t.Errorf("in a file: %.300s", diags)
	}

	src := `
variable "l" {
  type = list(string)
}
locals {
  many   = [for a in range(300) : { for b in range(300) : "k${b}" => "v${a}-${b}" }]
  long   = join("\n", [for a in range(1000) : format("%100s", a)])
  pairs  = setproduct(range(100), range(100))
  data   = yamldecode("a: &a 1\nb: [*a, *a]")
  secret = sensitive("part ${local.long}")
  text   = "%{for a in range(3)}${a}%{endfor}"
  null   = [for a in [null, "x"] : a]
}
`
	if _, diags := LoadSource("play.hcl", []byte(src), Options{Values: map[string]string{"l": `[for a in ["x", "y"] : "${a}z"]`}}); diags.HasErrors() {
		t.Errorf("%.1000s", diags)
	}
}
