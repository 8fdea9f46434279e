package modules

import (
	"errors"
	"math/big"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// Function is a function that a module adds to the language, because it knows the arithmetic of its product.
type Function struct {
	// Name is the name in expressions; it must be unique.
	Name string
	// Doc is a single line.
	Doc string
	// Arguments lists the parameter names in the signature ("osds, size, pools, target"); empty means those of Func.
	Arguments string
	Func      function.Function
}

// WholeNumber converts an argument of a function that must be a whole number; index is the argument's position.
func WholeNumber(v cty.Value, index int) (*big.Int, error) {
	n := v.AsBigFloat()
	if n.IsInf() || n.MantExp(nil) > 256 || !n.IsInt() {
		return nil, function.NewArgError(index, errors.New("expected a whole number"))
	}
	i, _ := n.Int(nil)
	return i, nil
}

// PositiveNumber converts an argument of a function that must be a whole number of at least 1.
func PositiveNumber(v cty.Value, index int) (*big.Int, error) {
	n, err := WholeNumber(v, index)
	if err != nil || n.Sign() < 1 {
		return nil, function.NewArgError(index, errors.New("expected a whole number of at least 1"))
	}
	return n, nil
}

// Numbers returns the elements of a list of numbers, some of which may be unknown.
func Numbers(v cty.Value) ([]cty.Value, error) {
	list, err := convert.Convert(v, cty.List(cty.Number))
	if err != nil {
		return nil, errors.New("expected a list of numbers")
	}
	all := list.AsValueSlice()
	for _, n := range all {
		if n.IsNull() {
			return nil, errors.New("the list contains null: expected numbers")
		}
	}
	return all, nil
}
