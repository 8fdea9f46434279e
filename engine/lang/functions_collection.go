package lang

import (
	"errors"
	"unicode/utf8"

	"github.com/apparentlymart/go-textseg/v15/textseg"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"hlplay/engine/hclfile"
)

// lengthFunc counts what a reader would count: elements, or the characters of a string.
var lengthFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		switch v := args[0]; {
		case v.Type() == cty.String:
			n, err := textseg.TokenCount([]byte(v.AsString()), textseg.ScanGraphemeClusters)
			if err != nil {
				n = utf8.RuneCountInString(v.AsString())
			}
			return cty.NumberIntVal(int64(n)), nil
		case v.CanIterateElements():
			return cty.NumberIntVal(int64(v.LengthInt())), nil
		}
		return cty.NilVal, function.NewArgError(0, errors.New("expected a list, a set, a map, an object or a string"))
	},
})

// lookupFunc is the library's function, except that an unknown map does not determine the type of the default: what is
// a map before the run, such as the results of a for_each, may later be an object.
var lookupFunc = function.New(&function.Spec{
	Params: stdlib.LookupFunc.Params(),
	Type: func(args []cty.Value) (cty.Type, error) {
		is, err := stdlib.LookupFunc.ReturnTypeForValues(args)
		if err != nil && !args[0].IsKnown() {
			return cty.DynamicPseudoType, nil
		}
		return is, err
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return stdlib.LookupFunc.Call(args) },
})

// indexFunc differs from the library's function of that name, which looks up an element.
var indexFunc = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "list", Type: cty.DynamicPseudoType},
		{Name: "value", Type: cty.DynamicPseudoType},
	},
	Type: function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		list := args[0]
		if ty := list.Type(); !ty.IsListType() && !ty.IsTupleType() {
			return cty.NilVal, function.NewArgError(0, errors.New("expected a list"))
		}
		position := int64(0)
		for it := list.ElementIterator(); it.Next(); position++ {
			_, element := it.Element()
			equal, err := stdlib.Equal(element, args[1])
			if err != nil {
				return cty.NilVal, err
			}
			if !equal.IsKnown() {
				return cty.UnknownVal(cty.Number), nil
			}
			if equal.True() {
				return cty.NumberIntVal(position), nil
			}
		}
		return cty.NilVal, function.NewArgError(1, errors.New("the list has no such element"))
	},
})

var oneFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
	Type: func(args []cty.Value) (cty.Type, error) {
		ty := args[0].Type()
		switch {
		case ty.IsListType() || ty.IsSetType():
			return ty.ElementType(), nil
		case ty.IsTupleType() && ty.Length() == 1:
			return ty.TupleElementType(0), nil
		case ty.IsTupleType() && ty.Length() == 0:
			return cty.DynamicPseudoType, nil
		case ty.IsTupleType():
			return cty.NilType, function.NewArgError(0, errors.New("the list has several elements: expected at most one"))
		}
		return cty.NilType, function.NewArgError(0, errors.New("expected a list or a set"))
	},
	Impl: func(args []cty.Value, want cty.Type) (cty.Value, error) {
		switch list := args[0]; list.LengthInt() {
		case 0:
			return cty.NullVal(want), nil
		case 1:
			it := list.ElementIterator()
			it.Next()
			_, element := it.Element()
			return element, nil
		}
		return cty.NilVal, function.NewArgError(0, errors.New("the list has several elements: expected at most one"))
	},
})

var sumFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "numbers", Type: cty.List(cty.Number)}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if args[0].LengthInt() == 0 {
			return cty.NilVal, function.NewArgError(0, errors.New("the list is empty: it has no sum"))
		}
		total := cty.Zero
		for it := args[0].ElementIterator(); it.Next(); {
			_, n := it.Element()
			if n.IsNull() {
				return cty.NilVal, function.NewArgError(0, errors.New("the list contains null: expected numbers"))
			}
			var err error
			if total, err = stdlib.Add(total, n); err != nil {
				return cty.NilVal, err
			}
		}
		return total, nil
	},
})

// fold returns a function over a list of bools. The result is start unless an element differs from it.
func fold(start bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			result := cty.BoolVal(start)
			for it := args[0].ElementIterator(); it.Next(); {
				_, b := it.Element()
				switch {
				case b.IsNull():
					if start {
						return cty.False, nil
					}
				case !b.IsKnown():
					result = cty.UnknownVal(cty.Bool)
				case b.True() != start:
					return b, nil
				}
			}
			return result, nil
		},
	})
}

var (
	allTrueFunc = fold(true)
	anyTrueFunc = fold(false)
)

// remark returns a function that returns its argument with different marks.
func remark(f func(cty.Value) cty.Value) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{
			Name: "value", Type: cty.DynamicPseudoType,
			AllowNull: true, AllowUnknown: true, AllowMarked: true, AllowDynamicType: true,
		}},
		Type: func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl: func(args []cty.Value, want cty.Type) (cty.Value, error) { return f(args[0]), nil },
	})
}

var (
	sensitiveFunc    = remark(func(v cty.Value) cty.Value { return v.Mark(Sensitive) })
	nonsensitiveFunc = remark(func(v cty.Value) cty.Value {
		v, _ = v.Unmark()
		return v
	})
)

// toCollection is stdlib.MakeToFunc for lists and sets, in linear time: see hclfile.Convert.
func toCollection(to cty.Type) function.Function {
	base := stdlib.MakeToFunc(to)
	alike := func(args []cty.Value) []cty.Value {
		if converted, err := hclfile.Convert(args[0], to); err == nil {
			return []cty.Value{converted}
		}
		return args
	}
	return function.New(&function.Spec{
		Params: base.Params(),
		Type:   func(args []cty.Value) (cty.Type, error) { return base.ReturnTypeForValues(alike(args)) },
		Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return base.Call(alike(args)) },
	})
}
