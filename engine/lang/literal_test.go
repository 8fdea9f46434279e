package lang

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Most arguments are literals. Whether they read something is asked many times in a run, and must cost nothing.
func TestLiteral(t *testing.T) {
	for source, want := range map[string]bool{
		`"text"`: true, `"a\tb"`: true, `""`: true, `12`: true, `true`: true, `null`: true,
		"<<EOT\none line\nEOT\n": true,
		`-1`:                     false, `"a ${var.b}"`: false, `"${var.b}"`: false, `var.b`: false, `[1]`: false, `{ a = 1 }`: false, `upper("a")`: false,
		`"%{ if var.b }a%{ endif }"`: false,
	} {
		expr, diags := hclsyntax.ParseExpression([]byte(source), "literal.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		meter(expr)
		if got := literal(expr); got != want {
			t.Errorf("literal(%s) = %v", source, got)
		}
		if allocs := testing.AllocsPerRun(10, func() { reads(expr, "var") }); want && allocs > 0 {
			t.Errorf("reads(%s) allocates %v times", source, allocs)
		}
		v, diags, err := measured(expr, &hcl.EvalContext{}, nil)
		if want && (err != nil || diags.HasErrors()) {
			t.Errorf("%s: %v, %v, %v", source, v, diags, err)
		}
		if len(expr.Variables()) > 0 && literal(expr) {
			t.Errorf("%s reads something", source)
		}
	}
}
