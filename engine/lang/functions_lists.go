package lang

import (
	"slices"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"hlplay/engine/hclfile"
)

// linear returns a function whose arguments are converted to lists, sets and maps in linear time: see hclfile.Convert. A function
// without such parameters is returned as it is.
func linear(f function.Function) function.Function {
	params, rest := slices.Clone(f.Params()), f.VarParam()
	var wants []cty.Type
	converts := false
	open := func(p *function.Parameter) {
		wants = append(wants, p.Type)
		p.AllowUnknown = true // f decides
		if p.Type.IsCollectionType() {
			converts = true
			p.Type, p.AllowDynamicType = cty.DynamicPseudoType, true
		}
	}
	for i := range params {
		open(&params[i])
	}
	if rest != nil {
		all := *rest
		rest = &all
		open(rest)
	}
	if !converts {
		return f
	}
	converted := func(args []cty.Value) ([]cty.Value, error) {
		args = slices.Clone(args)
		for i := range args {
			want := wants[min(i, len(wants)-1)]
			if !want.IsCollectionType() {
				continue
			}
			v, err := hclfile.Convert(args[i], want)
			if err != nil {
				return nil, function.NewArgError(i, err)
			}
			args[i] = v
		}
		return args, nil
	}
	return function.New(&function.Spec{
		Description: f.Description(), Params: params, VarParam: rest,
		Type: func(args []cty.Value) (cty.Type, error) {
			args, err := converted(args)
			if err != nil {
				return cty.NilType, err
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			args, err := converted(args)
			if err != nil {
				return cty.NilVal, err
			}
			return f.Call(args)
		},
	})
}
