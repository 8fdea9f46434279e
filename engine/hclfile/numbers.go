package hclfile

import (
	"math/big"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// largestExponent limits the numbers that are formatted with all their digits: "1e100000000" takes eleven characters in
// a source, but a hundred million digits, and many minutes, as text.
const largestExponent = 4096

// TooLargeDetail describes the problem with a number for which TooLarge is true.
const TooLargeDetail = "It has more than a thousand digits before or after the decimal point. Expected a number of a sensible size."

// TooLarge reports whether a value contains a number that cannot be written out in digits.
func TooLarge(v cty.Value) bool {
	found := false
	// The callback never returns an error, so neither does Walk.
	_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
		v, _ = v.Unmark()
		if v.Type() == cty.Number && v.IsKnown() && !v.IsNull() && !writable(v.AsBigFloat()) {
			found = true
		}
		return !found, nil
	})
	return found
}

func writable(n *big.Float) bool {
	exponent := n.MantExp(nil)
	return !n.IsInf() && -largestExponent <= exponent && exponent <= largestExponent
}

// largeNumbers reports the numbers in a source that cannot be written out. Merely evaluating an expression that
// contains one may take minutes.
func largeNumbers(node hclsyntax.Node) hcl.Diagnostics {
	return hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		literal, ok := n.(*hclsyntax.LiteralValueExpr)
		if !ok || !TooLarge(literal.Val) {
			return nil
		}
		return hcl.Diagnostics{refusal(literal.SrcRange, "the number is too large", TooLargeDetail)}
	})
}
