package modulestest

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"hlplay/modules"
)

// Functions evaluates expressions with the functions that a module adds to the language, and compares their values:
// JSON, "unknown", or "error: " and what is wrong. In an expression, `unknown` is a value that is not known yet. It
// then calls each function with arguments of all kinds: none may panic.
func Functions(t *testing.T, spec modules.Spec, values [][2]string) {
	t.Helper()
	ctx := &hcl.EvalContext{Functions: map[string]function.Function{}, Variables: map[string]cty.Value{"unknown": cty.DynamicVal}}
	for _, f := range spec.Functions {
		ctx.Functions[f.Name] = f.Func
		if f.Doc == "" || strings.Contains(f.Doc, "\n") {
			t.Errorf("%s is not documented in one line: %q", f.Name, f.Doc)
		}
	}
	for _, v := range values {
		if got := evaluate(t, ctx, v[0]); got != v[1] {
			t.Errorf("%s is %s, expected %s", v[0], got, v[1])
		}
	}
	odd := []string{`null`, `""`, `"x"`, `-1`, `0.5`, `1e40`, `true`, `[]`, `["a"]`, `[null]`, `{}`, `unknown`, `[unknown]`}
	for _, f := range spec.Functions {
		for _, a := range odd {
			evaluate(t, ctx, f.Name+"("+a+")")
			for _, b := range odd {
				evaluate(t, ctx, f.Name+"("+a+", "+b+")")
				evaluate(t, ctx, f.Name+"("+a+", 1, "+b+")")
			}
		}
	}
}

func evaluate(t *testing.T, ctx *hcl.EvalContext, src string) string {
	t.Helper()
	expr, diags := hclsyntax.ParseExpression([]byte(src), "test.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%s: %v", src, diags)
	}
	v, diags := expr.Value(ctx)
	switch {
	case diags.HasErrors():
		return "error: " + diags[0].Detail
	case !v.IsWhollyKnown():
		return "unknown"
	}
	text, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return string(text)
}
