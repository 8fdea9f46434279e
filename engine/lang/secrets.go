package lang

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hclfile"
	"hlplay/engine/secret"
)

// The minimum lengths at which sensitive texts (see report.Redactor), lines of such texts, and sensitive numbers are
// hidden. Hiding shorter ones would make output unreadable without protecting a secret.
const (
	shortestSecret = 3
	shortestLine   = 8
	shortestNumber = 4
)

// secrets is a set of texts that must not be shown.
type secrets map[string]bool

// collect adds all text below sensitive marks. It reports whether there is any mark.
func (s secrets) collect(v cty.Value) bool {
	return eachSensitive(v, false, func(text string, number bool) {
		switch {
		case !number:
			s.add(text)
		case len(text) >= shortestNumber:
			s[text] = true
		}
	})
}

// eachSensitive visits the strings and numbers below sensitive marks, or all of them if sensitive is set. It reports
// whether anything is sensitive.
func eachSensitive(v cty.Value, sensitive bool, visit func(text string, number bool)) bool {
	if v.HasMark(Sensitive) {
		sensitive = true
	}
	v, _ = v.Unmark()
	if v.IsNull() || !v.IsKnown() {
		return sensitive
	}
	switch ty := v.Type(); {
	case ty == cty.String && sensitive:
		visit(v.AsString(), false)
	case ty == cty.Number && sensitive:
		if !hclfile.TooLarge(v) {
			visit(v.AsBigFloat().Text('f', -1), true)
		}
	case v.CanIterateElements():
		found := sensitive
		for it := v.ElementIterator(); it.Next(); {
			key, element := it.Element()
			if ty.IsMapType() || ty.IsObjectType() {
				// The names of an object's attributes are part of its type, and not secret.
				eachSensitive(key, sensitive && ty.IsMapType(), visit)
			}
			if eachSensitive(element, sensitive, visit) {
				found = true
			}
		}
		return found
	}
	return sensitive
}

// tooShort warns about a sensitive value that is too short to be hidden, because such a text occurs everywhere. Numbers
// in the result of an expression do not count: most of them are lengths and positions of something sensitive.
func (l *loader) tooShort(v cty.Value, at hcl.Range, what string, numbers bool) {
	short := false
	eachSensitive(v, false, func(text string, number bool) {
		least := shortestSecret
		if number {
			least = shortestNumber
		}
		short = short || text != "" && len(text) < least && (numbers || !number)
	})
	if !short {
		return
	}
	d := fault(at, what+" is too short to be redacted", fmt.Sprintf("It is sensitive, but text of less than %d characters, or a number of less than %d digits, "+
		"occurs too often in output to be replaced there, so it may be visible. Choose a longer one.", shortestSecret, shortestNumber))
	d.Severity = hcl.DiagWarning
	l.report(d)
}

// shortLiterals warns about encrypted secrets, and literals in calls of sensitive(), that are too short to be hidden.
// Those in locals are checked with the values of the locals.
func (l *loader) shortLiterals(body *hclsyntax.Body) {
	for _, attr := range body.Attributes {
		visitCalls(attr.Expr, func(call *hclsyntax.FunctionCallExpr) {
			if len(call.Args) == 1 && call.Name == secret.ValueFunction {
				ctx := &hcl.EvalContext{Functions: l.options.Secrets.Functions(l.read)}
				if v, diags := call.Value(ctx); !diags.HasErrors() {
					l.tooShort(v, call.Range(), "the secret", true)
				}
				return
			}
			if call.Name != "sensitive" || len(call.Args) != 1 {
				return
			}
			if v, diags := call.Args[0].Value(nil); !diags.HasErrors() {
				l.tooShort(v.Mark(Sensitive), call.Range(), "a literal", true)
			}
		})
	}
	for _, block := range body.Blocks {
		if block.Type != "locals" {
			l.shortLiterals(block.Body)
		}
	}
}

func (s secrets) add(text string) {
	if text == "" {
		return
	}
	s[text] = true
	if trimmed := strings.TrimSpace(text); trimmed != "" {
		s[trimmed] = true
	}
	if strings.Contains(text, "\n") {
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); len(line) >= shortestLine {
				s[line] = true
			}
		}
	}
}

// list returns the texts of the set, longest first, so that hiding one does not leave a part of another.
func (s secrets) list() []string {
	all := sortedKeys(s)
	slices.SortStableFunc(all, func(a, b string) int { return len(b) - len(a) })
	return all
}

// replacer returns a Replacer that hides the texts of the set, as they are and in Go quotes.
func (s secrets) replacer() *strings.Replacer {
	var pairs []string
	for _, text := range s.list() {
		pairs = append(pairs, text, "(sensitive)")
		for _, quoted := range []string{strconv.Quote(text), strconv.QuoteToASCII(text)} {
			pairs = append(pairs, quoted[1:len(quoted)-1], "(sensitive)")
		}
	}
	return strings.NewReplacer(pairs...)
}

// collectRead adds the sensitive values that the expression reads, and the results of functions in it, which may be
// shown without their context. It reports whether there are any.
func (s secrets) collectRead(expr hcl.Expression, ctx *hcl.EvalContext) bool {
	tainted := calls(expr, "sensitive")
	visitCalls(expr, func(call *hclsyntax.FunctionCallExpr) {
		if call.Name != "nonsensitive" {
			// A call inside a for expression has no value of its own; the result of the for expression covers it.
			if v, diags := call.Value(ctx); !diags.HasErrors() {
				s.collect(v)
			}
		}
	})
	for _, traversal := range expr.Variables() {
		v, ok := ctx.Variables[traversal.RootName()]
		if !ok {
			continue
		}
		if deep, diags := traversal.TraverseAbs(ctx); !diags.HasErrors() {
			v = deep
		}
		if s.collect(v) {
			tainted = true
		}
	}
	return tainted
}

// redact removes sensitive values from the diagnostics of an expression. Messages of a function about a sensitive
// argument are removed as a whole, because they may be derived from it.
func redact(diags hcl.Diagnostics, expr hcl.Expression, ctx *hcl.EvalContext) hcl.Diagnostics {
	hidden := make(secrets)
	if !hidden.collectRead(expr, ctx) {
		return diags
	}
	hide := hidden.replacer()
	out := make(hcl.Diagnostics, 0, len(diags))
	for _, d := range diags {
		clean := *d
		extra, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d)
		if ok && extra.FunctionCallError() != nil && !opens(extra.CalledFunctionName()) {
			clean.Detail = "The function " + extra.CalledFunctionName() + " failed. Sensitive values take part in the expression, so no more is shown."
		} else if d.Summary == "Duplicate object key" {
			clean.Detail = "Two items have the same key. Sensitive values take part in the expression, so no more is shown."
		} else {
			clean.Detail = hide.Replace(d.Detail)
		}
		clean.Extra = nil
		out = append(out, &clean)
	}
	return out
}

// opens reports whether a function decrypts secrets. Its messages about a secret that it cannot decrypt may be shown.
func opens(function string) bool {
	return function == secret.ValueFunction || function == secret.FileFunction
}

// calls reports whether an expression calls a function.
func calls(expr hcl.Expression, name string) bool {
	found := false
	visitCalls(expr, func(call *hclsyntax.FunctionCallExpr) {
		if call.Name == name {
			found = true
		}
	})
	return found
}

func visitCalls(expr hcl.Expression, f func(*hclsyntax.FunctionCallExpr)) {
	node, ok := expr.(hclsyntax.Node)
	if !ok {
		return
	}
	hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok {
			f(call)
		}
		return nil
	})
}
