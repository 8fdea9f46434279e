package hclfile

import (
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// Convert is like convert.Convert but takes linear time. To find a common type for the elements of a collection,
// convert.Convert compares each of them with all others: a list of 20,000 strings takes seconds. Convert converts each
// element on its own, which yields the same if the wanted type, or the type that all elements have, determines the type
// of each element. Other cases, and errors, whose messages should not change, are left to convert.Convert.
func Convert(v cty.Value, want cty.Type) (cty.Value, error) {
	if converted, ok := each(v, want); ok {
		return converted, nil
	}
	return convert.Convert(v, want)
}

// each converts a collection element by element. ok is false if the type does not determine the result.
func each(v cty.Value, want cty.Type) (converted cty.Value, ok bool) {
	if !want.IsCollectionType() || v.IsMarked() || !v.IsKnown() || v.IsNull() || v.Type().Equals(want) {
		return cty.NilVal, false
	}
	from := v.Type()
	switch {
	case want.IsMapType() && !from.IsMapType() && !from.IsObjectType():
		return cty.NilVal, false
	case !want.IsMapType() && !from.IsTupleType() && !from.IsListType() && !from.IsSetType():
		return cty.NilVal, false
	case v.LengthInt() == 0:
		return cty.NilVal, false
	}
	to := want.ElementType()
	if to == cty.DynamicPseudoType {
		if to, ok = common(v); !ok {
			return cty.NilVal, false
		}
	}
	if to.HasDynamicTypes() {
		return cty.NilVal, false
	}
	to = to.WithoutOptionalAttributesDeep()
	var list []cty.Value
	named := make(map[string]cty.Value)
	for it := v.ElementIterator(); it.Next(); {
		key, element := it.Element()
		element, err := Convert(element, want.ElementType())
		if err != nil || !element.Type().Equals(to) {
			return cty.NilVal, false
		}
		if want.IsMapType() {
			named[key.AsString()] = element
		} else {
			list = append(list, element)
		}
	}
	switch {
	case want.IsMapType():
		return cty.MapVal(named), true
	case want.IsListType():
		return cty.ListVal(list), true
	}
	return cty.SetVal(list), true
}

// common returns the type that all elements have.
func common(v cty.Value) (ty cty.Type, ok bool) {
	for it := v.ElementIterator(); it.Next(); {
		_, element := it.Element()
		switch {
		case ty == cty.NilType:
			ty = element.Type()
		case !ty.Equals(element.Type()):
			return cty.NilType, false
		}
	}
	return ty, true
}
