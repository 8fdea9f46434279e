package hostvar

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// parse decodes the first block of a source; ok is false if there is none.
func parse(src string) (v *Variable, diags hcl.Diagnostics, ok bool) {
	file, diags := hclsyntax.ParseConfig([]byte(src), "vars.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, nil, false
	}
	body := file.Body.(*hclsyntax.Body)
	if len(body.Blocks) == 0 {
		return nil, nil, false
	}
	v, diags = Parse(body.Blocks[0])
	return v, diags, true
}

func mustParse(t *testing.T, src string) *Variable {
	t.Helper()
	v, diags, ok := parse(src)
	if !ok || diags.HasErrors() {
		t.Fatalf("%s: %v", src, diags)
	}
	return v
}

func TestParse(t *testing.T) {
	v := mustParse(t, `host_variable "disks" {
  type        = list(object({ path = string, size = optional(number, 4) }))
  default     = [{ path = "/dev/sdb" }]
  description = "Disks."
  sensitive   = true
}`)
	if v.Name != "disks" || v.Description != "Disks." || !v.Sensitive {
		t.Errorf("it is read as %+v", v)
	}
	size := v.Default.Index(cty.NumberIntVal(0)).GetAttr("size")
	if !size.RawEquals(cty.NumberIntVal(4)) {
		t.Errorf("the default has the size %#v, expected that of the type's optional attribute", size)
	}
	if v = mustParse(t, `host_variable "any" {}`); v.Type != cty.DynamicPseudoType || v.Default != cty.NilVal {
		t.Errorf("a declaration that says nothing has type %#v and default %#v, expected any and none", v.Type, v.Default)
	}
	if v = mustParse(t, `host_variable "none" { default = null }`); v.Default == cty.NilVal || !v.Default.IsNull() {
		t.Errorf("a default that is null is %#v", v.Default)
	}
}

// TestFaults checks declarations with one error each: the diagnostic and its position.
func TestFaults(t *testing.T) {
	for src, want := range map[string]string{
		`host_variable {}`:                                                          "1: A host_variable block has one name",
		`host_variable "a" "b" {}`:                                                  "1: A host_variable block has one name",
		`host_variable "a b" {}`:                                                    `1: "a b" cannot be read as host.vars.NAME`,
		"host_variable \"a\" {\n  tpye = string\n}":                                 `2: did you mean "type"?`,
		"host_variable \"a\" {\n  colour = 1\n}":                                    "2: there are type, default, description, sensitive",
		"host_variable \"a\" {\n  type = strin\n}":                                  "2: ",
		"host_variable \"a\" {\n  type = number\n  default = \"many\"\n}":           "3: its default does not fit",
		"host_variable \"a\" {\n  default = b\n}":                                   "2: a plain value",
		"host_variable \"a\" {\n  default = upper(\"b\")\n}":                        "2: a plain value",
		"host_variable \"a\" {\n  sensitive = \"yes\"\n}":                           "2: must be true or false, without quotes",
		"host_variable \"a\" {\n  description = 1\n}":                               "2: must be a string",
		"host_variable \"a\" {\n  validation {\n    condition = true\n  }\n}":       "2: has a condition",
		"host_variable \"a\" {\n  validation {\n    cond = true\n  }\n}":            `3: did you mean "condition"?`,
		"host_variable \"a\" {\n  validate {}\n}":                                   "2: it has validation blocks",
		"host_variable \"a\" {\n  type = set(string)\n  default = { x = [] }\n}":    "3: its default does not fit",
		"host_variable \"a\" {\n  type = map(number)\n  default = { x = \"y\" }\n}": `3: its default does not fit: at ["x"]`,
	} {
		_, diags, ok := parse(src)
		if !ok || !diags.HasErrors() {
			t.Errorf("%s: no fault is found", src)
			continue
		}
		line, words, _ := strings.Cut(want, ": ")
		said := diags[0].Summary + ". " + diags[0].Detail
		if got := diags[0].Subject.Start.Line; line != string(rune('0'+got)) || !strings.Contains(strings.ToLower(said), strings.ToLower(words)) {
			t.Errorf("%s: %d: %s\nexpected it in line %s, with %q", src, got, said, line, words)
		}
	}
}

// TestConvert converts values to the types of declarations; want is the suggestion for a value that does not fit.
func TestConvert(t *testing.T) {
	at := hcl.Range{Filename: "hosts.hcl", Start: hcl.Pos{Line: 7}}
	text := cty.StringVal
	for _, test := range []struct {
		ty    string
		value cty.Value
		want  string // empty if it fits
	}{
		{"string", cty.NumberIntVal(7), ""},
		{"number", text("7"), ""},
		{"number", text("seven"), "Write v = 4."},
		{"bool", text("perhaps"), "Write v = true."},
		{"list(string)", cty.TupleVal([]cty.Value{text("a"), cty.True}), ""},
		{"list(string)", text("/dev/sdb"), `Write v = ["/dev/sdb"].`},
		{"set(string)", text("/dev/sdb"), `Write v = ["/dev/sdb"].`},
		{"list(number)", cty.TupleVal([]cty.Value{cty.True}), "element 0: number required"},
		{"map(string)", text("a"), `Write v = { name = "…" }.`},
		{"object({ a = string, b = optional(number) })", text("a"), `Write v = { a = "…" }.`},
		{"object({ a = string })", cty.EmptyObjectVal, `attribute "a" is required`},
		{"list(object({ a = optional(string) }))", cty.TupleVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{"ab": text("x")})}), `at [0], there is no attribute "ab" (did you mean "a"?)`},
		{"map(string)", cty.ObjectVal(map[string]cty.Value{"ab": text("x")}), ""},
		{"tuple([string, number])", text("a"), `Write v = ["…", 4].`},
		{"any", cty.EmptyTupleVal, ""},
	} {
		v := mustParse(t, `host_variable "v" { type = `+test.ty+` }`)
		got, d := v.Convert(test.value, at, "the value")
		switch {
		case test.want == "" && (d != nil || !got.Type().Equals(v.Type) && v.Type != cty.DynamicPseudoType):
			t.Errorf("%s for %#v: %#v, %v", test.ty, test.value, got, d)
		case test.want != "" && (d == nil || !strings.Contains(d.Detail, test.want) || d.Subject.Start.Line != 7):
			t.Errorf("%s for %#v: %v, expected %q in line 7", test.ty, test.value, d, test.want)
		}
	}
	v := mustParse(t, `host_variable "v" { type = string }`)
	if _, d := v.Convert(cty.MustParseNumberVal("1e100000000"), at, "the value"); d == nil || !strings.Contains(d.Summary, "too large") {
		t.Errorf("a number that takes minutes to write out: %v", d)
	}
	secret := mustParse(t, "\n\nhost_variable \"v\" {\n  type = number\n  sensitive = true\n}")
	if _, d := secret.Convert(text("hunter2"), at, "the value"); d == nil || d.Subject.Filename != "vars.hcl" || strings.Contains(d.Detail, "hunter2") {
		t.Errorf("%v: what is sensitive is told at its declaration, and not shown", d)
	}
}

func TestValidate(t *testing.T) {
	evaluate := func(expr hcl.Expression, names map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
		names["unopened"] = cty.UnknownVal(cty.Number)
		return expr.Value(&hcl.EvalContext{Variables: names})
	}
	host := cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal("a"), "vars": cty.ObjectVal(map[string]cty.Value{
		"n": cty.NumberIntVal(7), "secret": cty.NumberIntVal(7).Mark(Sensitive),
	})})
	for _, test := range []struct{ condition, message, want string }{
		{"host.vars.n > 1", `"never"`, ""},
		{"host.vars.n > 9", `"${host.name} has ${host.vars.n}."`, `a has 7. (On host "a"; the condition is at vars.hcl:4.)`},
		{"host.vars.n > 9", `"it is ${host.vars.secret}"`, "contains a sensitive value"},
		{"host.vars.n", `"never"`, "Expected true or false."},
		{"unopened == 1", `"never"`, ""},
		{"null", `"never"`, "Expected true or false."},
		{"false", "null", "Expected a string."},
		{"host.vars.m > 1", `"never"`, "attribute named"},
		{"false", "host.vars.m", "attribute named"},
	} {
		v := mustParse(t, "\nhost_variable \"n\" {\n  validation {\n    condition = "+test.condition+"\n    error_message = "+test.message+"\n  }\n}")
		diags := v.Validate("a", host, hcl.Range{Filename: "hosts.hcl"}, evaluate)
		if said := diags.Error(); diags.HasErrors() != (test.want != "") || !strings.Contains(said, test.want) {
			t.Errorf("%s: %s\nexpected %q", test.condition, said, test.want)
		}
	}
}

// FuzzParse checks that any declaration is parsed or rejected with a position, and that a value is converted or
// rejected, without a panic. A default that is accepted also fits when it is converted again.
func FuzzParse(f *testing.F) {
	for _, src := range []string{
		`host_variable "a" { type = list(string) default = ["x"] }`,
		"host_variable \"a\" {\n  type = object({ a = optional(number, 1) })\n  default = {}\n}",
		"host_variable \"a\" {\n  validation {\n    condition = host\n    error_message = 1\n  }\n}",
		"host_variable \"a\" {\n  type = tuple([string, map(bool)])\n  default = null\n  sensitive = true\n}",
		`host_variable "a" { type = any default = { b = [1, "c", null] } }`,
		`host_variable { }`,
		"host_variable \"a\" {\n  default = 1e9999\n}",
	} {
		f.Add(src)
	}
	values := []cty.Value{
		cty.StringVal("x"), cty.NumberIntVal(1), cty.True, cty.EmptyTupleVal, cty.EmptyObjectVal, cty.NullVal(cty.DynamicPseudoType),
		cty.TupleVal([]cty.Value{cty.StringVal("x"), cty.NullVal(cty.String)}), cty.ObjectVal(map[string]cty.Value{"a": cty.StringVal("x")}),
	}
	f.Fuzz(func(t *testing.T, src string) {
		v, diags, ok := parse(src)
		if !ok {
			return
		}
		for _, d := range diags {
			if d.Subject == nil || d.Summary == "" {
				t.Errorf("a fault without place or words: %+v", d)
			}
		}
		if v == nil {
			if !diags.HasErrors() {
				t.Error("there is no variable, and no fault")
			}
			return
		}
		for _, value := range values {
			if got, d := v.Convert(value, v.Range, "it"); d == nil && got == cty.NilVal {
				t.Errorf("%#v became nothing, without a fault", value)
			}
		}
		if diags.HasErrors() || v.Default == cty.NilVal {
			return
		}
		if again, d := v.Convert(v.Default, v.Range, "it"); d != nil || !again.RawEquals(v.Default) {
			t.Errorf("the default %#v is %#v when it is converted again: %v", v.Default, again, d)
		}
	})
}
