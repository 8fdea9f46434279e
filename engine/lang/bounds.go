package lang

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"hlplay/engine/pattern"
)

// A few lines can ask for a value that does not fit into any memory: a chain of forty locals that each double the
// previous one, nested loops, a width of a billion. These limits bound the text and the number of elements that an
// expression may produce.
const (
	mostText     = 64 << 20
	mostElements = 1 << 20
	// mostHeld bounds the text of all locals together.
	mostHeld = 4 * mostText
	// mostData limits the text that is decoded: a value takes a hundred times the memory of its text.
	mostData = 4 << 20
	// widest is the largest width in a format.
	widest = 1 << 16
)

const tooMuchDetail = "Look for something that doubles with every step, or for nested loops."

// errTooMuch is returned for an expression whose value exceeds the limits.
var errTooMuch = fmt.Errorf("it produces more than %d MiB of text or %d elements", mostText>>20, mostElements)

// weight returns how much text a value holds; ok reports whether the text and the number of elements are within the
// limits. A value may contain the same part many times over, so a complete walk might never end.
func weight(v cty.Value) (text int, ok bool) {
	elements := 0
	err := cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
		v, _ = v.Unmark()
		if v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
			text += len(v.AsString())
		}
		if elements++; elements > mostElements || text > mostText {
			return false, errTooMuch
		}
		return true, nil
	})
	return text, err == nil
}

// meter instruments a parsed node so that the results of each round of a loop, and of each part of a template, are
// counted.
func meter(node hclsyntax.Node) {
	hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.ForExpr:
			n.ValExpr = throughMeter(n.ValExpr)
		case *hclsyntax.TemplateExpr:
			for i, part := range n.Parts {
				if _, literal := part.(*hclsyntax.LiteralValueExpr); !literal {
					n.Parts[i] = throughMeter(part)
				}
			}
		}
		return nil
	})
}

// metered counts the values of an expression. It wraps the expression in parentheses, so that code that walks through
// expressions still reaches it, as their only child.
type metered struct{ hclsyntax.Expression }

func throughMeter(expr hclsyntax.Expression) hclsyntax.Expression {
	if _, done := expr.(metered); done {
		return expr
	}
	return metered{&hclsyntax.ParenthesesExpr{Expression: expr, SrcRange: expr.Range()}}
}

// Value implements hclsyntax.Expression. When the limit is exceeded, it ends the whole evaluation with a panic, because
// a loop would otherwise run through all of its remaining rounds.
func (e metered) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := e.Expression.Value(ctx)
	for ; ctx != nil; ctx = ctx.Parent() {
		if m, ok := ctx.Variables[meterName]; ok {
			m.EncapsulatedValue().(*counter).count(v, e.Range())
			break
		}
	}
	return v, diags
}

// meterName is the name of the variable that holds the counter of an evaluation. No source can refer to it.
const meterName = "(meter)"

var counterType = cty.Capsule("counter", reflect.TypeFor[counter]())

// counter counts what an evaluation produces.
type counter struct {
	text, rounds int
	// full is where the limit was exceeded, or nil.
	full *hcl.Range
}

func (c *counter) count(v cty.Value, at hcl.Range) {
	c.rounds++
	if v, _ = v.Unmark(); v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
		c.text += len(v.AsString())
	}
	if c.full == nil && (c.rounds > mostElements || c.text > mostText) {
		c.full = &at
	}
	if c.full != nil {
		panic(c)
	}
}

// measured evaluates an expression whose intermediate values are subject to the same limits. functions are available
// in addition to those of the context. If a limit is exceeded, the error is errTooMuch, which has its own diagnostic.
func measured(expr hcl.Expression, ctx *hcl.EvalContext, functions map[string]function.Function) (v cty.Value, diags hcl.Diagnostics, err error) {
	c := &counter{}
	inner := ctx
	if !literal(expr) { // a literal has nothing to count and calls no function
		inner = ctx.NewChild()
		inner.Variables = map[string]cty.Value{meterName: cty.CapsuleVal(counterType, c)}
		inner.Functions = functions
	}
	tooMuch := func(at hcl.Range) (cty.Value, hcl.Diagnostics, error) {
		return cty.DynamicVal, hcl.Diagnostics{fault(at, "the value grows too large", sentence(errTooMuch.Error())+" "+tooMuchDetail)}, errTooMuch
	}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(c) {
				panic(r)
			}
		}()
		v, diags = expr.Value(inner)
	}()
	if c.full != nil { // even if a try() has hidden it
		return tooMuch(*c.full)
	}
	for _, d := range diags {
		extra, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d)
		if ok && errors.Is(extra.FunctionCallError(), errTooMuch) {
			return tooMuch(*d.Subject)
		}
	}
	if diags.HasErrors() {
		return v, diags, nil
	}
	if _, ok := weight(v); !ok {
		return tooMuch(expr.Range())
	}
	return v, diags, nil
}

// guarded returns a function that checks its arguments, if they are known, before it does anything with them.
func guarded(f function.Function, check func(args []cty.Value) error) function.Function {
	judge := func(args []cty.Value) error {
		plain := make([]cty.Value, len(args))
		for i, arg := range args {
			if plain[i], _ = arg.UnmarkDeep(); !plain[i].IsWhollyKnown() || plain[i].IsNull() {
				return nil
			}
		}
		return check(plain)
	}
	return function.New(&function.Spec{
		Description: f.Description(), Params: f.Params(), VarParam: f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			if err := judge(args); err != nil { // some functions decode to determine the type
				return cty.NilType, err
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f.Call(args) },
	})
}

// data limits the size of a text that is decoded.
func data(f function.Function, check func(src []byte) error) function.Function {
	return guarded(f, func(args []cty.Value) error {
		src := []byte(args[0].AsString())
		if len(src) > mostData {
			return function.NewArgErrorf(0, "the text has more than %d MiB", mostData>>20)
		}
		if err := check(src); err != nil {
			return function.NewArgError(0, err)
		}
		return nil
	})
}

// shallow rejects text that is nested too deeply to be decoded.
func shallow(src []byte) error {
	if nesting(src) > deepestData {
		return fmt.Errorf("it is nested more than %d deep", deepestData)
	}
	return nil
}

// fewAliases rejects YAML whose aliases may multiply.
func fewAliases(src []byte) error {
	if n := len(yamlAlias.FindAllIndex(src, mostAliases+1)); n > mostAliases {
		return fmt.Errorf("it has more than %d aliases (*name), which can expand to a value too large for memory: write the values out", mostAliases)
	}
	return shallow(src)
}

// formatWidth matches the widths and precisions of a format.
var formatWidth = pattern.New(`%[^a-zA-Z%]*`)

var formatDigits = pattern.New(`[0-9]+`)

// narrow limits the widths of a format.
func narrow(f function.Function) function.Function {
	return guarded(f, func(args []cty.Value) error {
		for _, verb := range formatWidth.FindAllString(args[0].AsString(), -1) {
			for _, digits := range formatDigits.FindAllString(verb, -1) {
				if n, err := strconv.Atoi(digits); err != nil || n > widest {
					return function.NewArgErrorf(0, "a width of %s is more than %d", digits, widest)
				}
			}
		}
		return nil
	})
}

// count returns the number of elements of a list or set, or 0 for anything else.
func count(v cty.Value) int {
	if !v.CanIterateElements() {
		return 0
	}
	return v.LengthInt()
}

// bounds returns an error if the product of two numbers exceeds the limit.
func bounds(n, each, most int) error {
	if n > 0 && each > most/n {
		return errTooMuch
	}
	return nil
}

var (
	setProductFunc = guarded(stdlib.SetProductFunc, func(args []cty.Value) error {
		product := 1
		for _, arg := range args {
			n := count(arg)
			if err := bounds(product, n*len(args), mostElements); err != nil {
				return err
			}
			product *= max(n, 1)
		}
		return nil
	})
	joinFunc = guarded(stdlib.JoinFunc, func(args []cty.Value) error {
		n := 0
		for _, arg := range args[1:] {
			n += count(arg)
		}
		return bounds(n, len(args[0].AsString()), mostText)
	})
	indentFunc = guarded(stdlib.IndentFunc, func(args []cty.Value) error {
		spaces, _ := args[0].AsBigFloat().Int64()
		if spaces > widest {
			return function.NewArgErrorf(0, "%d spaces are more than %d", spaces, widest)
		}
		return bounds(strings.Count(args[1].AsString(), "\n"), int(spaces), mostText)
	})
	splitFunc = guarded(stdlib.SplitFunc, func(args []cty.Value) error {
		if strings.Count(args[1].AsString(), args[0].AsString()) > mostElements {
			return errTooMuch
		}
		return nil
	})
	regexAllFunc = guarded(stdlib.RegexAllFunc, func(args []cty.Value) error {
		if len(args[1].AsString()) > mostElements {
			return function.NewArgErrorf(1, "the text has more than %d MiB", mostElements>>20)
		}
		return nil
	})
	boundedReplaceFunc = guarded(replaceFunc, func(args []cty.Value) error {
		text, old, replacement := args[0].AsString(), args[1].AsString(), args[2].AsString()
		n, each := strings.Count(text, old), len(replacement)
		if strings.HasPrefix(old, "/") && strings.HasSuffix(old, "/") && len(old) > 1 {
			re, err := regexp.Compile(old[1 : len(old)-1])
			if err != nil {
				return nil // replace itself reports the error
			}
			// The text that $1 stands for is repeated each time it is used.
			n = 0
			for _, at := range re.FindAllStringIndex(text, mostElements) {
				n++
				if err := bounds(strings.Count(replacement, "$"), at[1]-at[0], mostText/max(n, 1)); err != nil {
					return err
				}
			}
		}
		return bounds(n, each, mostText)
	})
)
