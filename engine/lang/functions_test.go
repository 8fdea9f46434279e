package lang

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// eval returns the value of an expression as JSON, or "error: " and the message.
func eval(src string) string {
	files := map[string]string{
		"dir/a.txt":       "text",
		"dir/hello.tpl":   "Hello, ${upper(name)}!%{ for h in hosts } ${h}%{ endfor }",
		"dir/sub/o.tpl":   "${templatefile(\"i.tpl\", { x = x })}",
		"dir/sub/i.tpl":   "inner ${x}",
		"dir/circle.tpl":  "${templatefile(\"circle.tpl\", {})}",
		"dir/broken.tpl":  "${",
		"dir/binary":      "\xff\xfe",
		"dir/expects.tpl": "${missing}",
		"dir/notastring":  "${x}",
	}
	read := func(path string) ([]byte, error) {
		if s, ok := files[path]; ok {
			return []byte(s), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	expr, diags := hclsyntax.ParseExpression([]byte(src), "test", hcl.InitialPos)
	if diags.HasErrors() {
		return "error: " + diags.Error()
	}
	ctx := &hcl.EvalContext{Functions: newFiles(read, testOptions.Modules, nil).functions(caller{dir: "dir"}), Variables: map[string]cty.Value{"unknown": cty.DynamicVal}}
	v, diags := expr.Value(ctx)
	if diags.HasErrors() {
		return "error: " + diags[0].Detail
	}
	if v.HasMark(Sensitive) {
		return "sensitive"
	}
	if !v.IsWhollyKnown() {
		return "unknown"
	}
	out, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return "error: " + err.Error()
	}
	return string(out)
}

func TestFunctionValues(t *testing.T) {
	t.Setenv("HLPLAY_TEST", "set")
	for _, c := range [][2]string{
		// Names as in Terraform where the library's differ.
		{`length("naïve")`, `5`},
		{`length({ a = 1 })`, `1`},
		{`index(["a", "b"], "b")`, `1`},
		{`replace("aab", "a", "c")`, `"ccb"`},
		{`replace("aab", "/a+(b)/", "$1$1")`, `"bb"`},
		{`one([])`, `null`},
		{`one(["x"])`, `"x"`},
		{`one(toset(["x"]))`, `"x"`},
		{`one(["x", "y"])`, `error: Invalid value for "list" parameter: the list has several elements: expected at most one.`},
		{`sum([1, 2.5])`, `3.5`},
		{`alltrue([])`, `true`},
		{`alltrue([true, false, unknown])`, `false`},
		{`anytrue([false, true])`, `true`},
		{`anytrue([])`, `false`},
		{`startswith("pve1", "pve")`, `true`},
		{`endswith("pve1", "2")`, `false`},
		{`strcontains("pve1", "ve")`, `true`},
		{`base64decode(base64encode("x"))`, `"x"`},
		{`sha256("")`, `"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`},
		{`cidrcontains("10.1.2.0/24", "10.1.2.9")`, `true`},
		{`cidrcontains("10.1.2.9/24", "10.1.3.9")`, `false`},
		{`cidrcontains("10.1.2.0/24", "pve1")`, `error: Invalid value for "address" parameter: expected an address such as "10.1.0.5".`},
		{`cidrhost("10.1.2.3/24", 5)`, `"10.1.2.5"`},
		{`cidrhost("10.1.2.0/24", -1)`, `"10.1.2.255"`},
		{`cidrhost("fd00::/64", 16)`, `"fd00::10"`},
		{`cidrhost("10.1.2.0/30", 4)`, `error: Invalid value for "number" parameter: the network 10.1.2.0/30 has only 4 addresses.`},
		{`cidrnetmask("10.1.0.0/20")`, `"255.255.240.0"`},
		{`cidrsubnet("10.1.0.0/16", 8, 2)`, `"10.1.2.0/24"`},
		{`cidrsubnet("fd00::/48", 16, 5)`, `"fd00:0:0:5::/64"`},
		{`cidrsubnet("10.1.0.0/16", 2, 4)`, `error: Invalid value for "number" parameter: with 2 more bits, the networks are numbered from 0 to 3.`},
		{`try(jsondecode("{"), "fallback")`, `"fallback"`},
		{`can(tonumber("x"))`, `false`},
		{`yamldecode("a: [1, 2]")`, `{"a":[1,2]}`},
		{`jsonencode({ a = [1] })`, `"{\"a\":[1]}"`},
		{`sensitive("x")`, `sensitive`},
		{`upper(sensitive("x"))`, `sensitive`},
		{`templatefile("hello.tpl", { name = sensitive("x"), hosts = [] })`, `sensitive`},
		{`nonsensitive(sensitive("x"))`, `"x"`},
		// Files are relative to the calling file.
		{`file("a.txt")`, `"text"`},
		{`file("./sub/../a.txt")`, `"text"`},
		{`filebase64("binary")`, `"//4="`},
		{`file("binary")`, `error: Invalid value for "path" parameter: dir/binary is not UTF-8 text: use filebase64 for other content.`},
		{`fileexists("a.txt")`, `true`},
		{`fileexists("b.txt")`, `false`},
		{`templatefile("hello.tpl", { name = "x", hosts = ["a", "b"] })`, `"Hello, X! a b"`},
		{`templatefile("hello.tpl", { name = "x", hosts = unknown })`, `unknown`},
		{`templatefile("sub/o.tpl", { x = 1 })`, `"inner 1"`},
		{`templatefile("notastring", { x = 5 })`, `"5"`},
		{`templatefile("expects.tpl", { mising = 5 })`, `error: Invalid value for "vars" parameter: the template uses "missing" at dir/expects.tpl:1, which is not given. Did you mean "mising"?.`},
		{`env("HLPLAY_TEST")`, `"set"`},
		{`env("HLPLAY_TEST_NOT_SET", "default")`, `"default"`},
		{`env("HLPLAY_TEST_NOT_SET")`, `error: Invalid value for "name" parameter: the environment has no variable HLPLAY_TEST_NOT_SET: set it, or give a default.`},
		{`basename("/etc/hosts")`, `"hosts"`},
		{`dirname("/etc/hosts")`, `"/etc"`},
	} {
		if got := eval(c[0]); got != c[1] {
			t.Errorf("%s\n got  %s\n want %s", c[0], got, c[1])
		}
	}
	for _, src := range []string{`templatefile("circle.tpl", {})`, `templatefile("broken.tpl", {})`, `templatefile("a.txt", 5)`} {
		if got := eval(src); !strings.HasPrefix(got, "error: ") {
			t.Errorf("%s is %s, expected an error", src, got)
		}
	}
}

// No function panics, whatever its arguments.
func TestFunctionsTakeAnything(t *testing.T) {
	args := []string{`null`, `""`, `"x"`, `-1`, `0.5`, `1e40`, `true`, `[]`, `["a"]`, `[null]`, `{}`, `{ a = null }`, `unknown`,
		`[unknown]`, `toset([])`, `sensitive("x")`, `[sensitive("x")]`, `sensitive(["x"])`, `tomap({})`}
	for _, f := range Functions(testOptions.Modules) {
		for _, a := range args {
			eval(f.Name + "(" + a + ")")
			for _, b := range args {
				eval(f.Name + "(" + a + ", " + b + ")")
				eval(f.Name + "(" + a + ", " + b + ", 1)")
				eval(f.Name + "(" + a + ", 1, " + b + ")")
			}
		}
	}
}

func TestFunctionsAreDocumented(t *testing.T) {
	docs := Functions(testOptions.Modules)
	if !slices.IsSortedFunc(docs, func(a, b FunctionDoc) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the functions are not in the order of their names")
	}
	for i, d := range docs {
		if d.Doc == "" || strings.Contains(d.Doc, "\n") || !strings.HasPrefix(d.Signature, d.Name+"(") {
			t.Errorf("%s is not documented in one line: %+v", d.Name, d)
		}
		if i > 0 && docs[i-1].Name == d.Name {
			t.Errorf("%s is defined twice", d.Name)
		}
	}
}
