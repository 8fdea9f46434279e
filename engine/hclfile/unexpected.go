package hclfile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/suggest"
)

// Unexpected returns an error if an object in v, at any depth, has an attribute that the object type in its place does
// not have. Conversion would drop it silently, so that a misspelt optional attribute would count as left out. A map in
// the place of an object is checked by its keys. The error is a cty.PathError unless v itself is that object; it names
// the attribute, except in marked values, whose names may be secret as well.
//
// Values of another kind than the type wants are left to the conversion.
func Unexpected(v cty.Value, want cty.Type) error { return unexpected(v, want, nil, false) }

// UnexpectedSecret is like Unexpected, for a value of which not even the names may be shown.
func UnexpectedSecret(v cty.Value, want cty.Type) error { return unexpected(v, want, nil, true) }

// unexpected checks the value at a path. hidden is set if no names may be shown.
func unexpected(v cty.Value, want cty.Type, at cty.Path, hidden bool) error {
	if !hasObject(want) {
		return nil
	}
	hidden = hidden || v.IsMarked()
	v, _ = v.Unmark()
	switch {
	case v.IsNull():
		return nil
	case !v.IsKnown():
		return unexpectedIn(v.Type(), want, at, hidden)
	case !v.CanIterateElements():
		return nil
	}
	named := v.Type().IsObjectType() || v.Type().IsMapType()
	switch {
	case want.IsObjectType() && named:
		names := want.AttributeTypes()
		values := v.AsValueMap()
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if _, ok := names[name]; !ok {
				return noAttribute(name, want, at, hidden)
			}
			if err := unexpected(values[name], names[name], step(at, cty.GetAttrStep{Name: name}, hidden), hidden); err != nil {
				return err
			}
		}
	case want.IsMapType() && named:
		values := v.AsValueMap()
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if err := unexpected(values[name], want.ElementType(), step(at, cty.IndexStep{Key: cty.StringVal(name)}, hidden), hidden); err != nil {
				return err
			}
		}
	case !named && (want.IsListType() || want.IsSetType() || want.IsTupleType()):
		for i, element := range v.AsValueSlice() {
			to, ok := elementType(want, i)
			if !ok {
				return nil
			}
			if err := unexpected(element, to, step(at, cty.IndexStep{Key: cty.NumberIntVal(int64(i))}, hidden), hidden); err != nil {
				return err
			}
		}
	}
	return nil
}

// unexpectedIn checks the type of an unknown value.
func unexpectedIn(from, want cty.Type, at cty.Path, hidden bool) error {
	switch {
	case from.IsObjectType() && (want.IsObjectType() || want.IsMapType()):
		types := from.AttributeTypes()
		for _, name := range slices.Sorted(maps.Keys(types)) {
			var to cty.Type
			switch {
			case want.IsMapType():
				to = want.ElementType()
			case want.HasAttribute(name):
				to = want.AttributeType(name)
			default:
				return noAttribute(name, want, at, hidden)
			}
			if err := unexpected(cty.UnknownVal(types[name]), to, step(at, cty.GetAttrStep{Name: name}, hidden), hidden); err != nil {
				return err
			}
		}
	case from.IsMapType() && want.IsMapType(), (from.IsListType() || from.IsSetType()) && (want.IsListType() || want.IsSetType()):
		key := cty.UnknownVal(cty.String)
		return unexpected(cty.UnknownVal(from.ElementType()), want.ElementType(), step(at, cty.IndexStep{Key: key}, hidden), hidden)
	case from.IsTupleType():
		for i, element := range from.TupleElementTypes() {
			to, ok := elementType(want, i)
			if !ok {
				return nil
			}
			if err := unexpected(cty.UnknownVal(element), to, step(at, cty.IndexStep{Key: cty.NumberIntVal(int64(i))}, hidden), hidden); err != nil {
				return err
			}
		}
	}
	return nil
}

// elementType returns the type of an element of a list, set or tuple; ok is false if the type has no such element.
func elementType(of cty.Type, i int) (ty cty.Type, ok bool) {
	switch {
	case of.IsListType() || of.IsSetType():
		return of.ElementType(), true
	case of.IsTupleType() && i < of.Length():
		return of.TupleElementType(i), true
	}
	return cty.NilType, false
}

// hasObject reports whether a type is or contains an object type.
func hasObject(ty cty.Type) bool {
	switch {
	case ty.IsObjectType():
		return true
	case ty.IsCollectionType():
		return hasObject(ty.ElementType())
	case ty.IsTupleType():
		return slices.ContainsFunc(ty.TupleElementTypes(), hasObject)
	}
	return false
}

// step returns a path with a further step, or the same path if the step could show a secret.
func step(at cty.Path, next cty.PathStep, hidden bool) cty.Path {
	if hidden {
		return at
	}
	return append(at[:len(at):len(at)], next)
}

func noAttribute(name string, of cty.Type, at cty.Path, hidden bool) error {
	known := slices.Sorted(maps.Keys(of.AttributeTypes()))
	text := fmt.Sprintf("there is no attribute %q", name)
	if hidden {
		text = "it has an attribute that is not declared"
	}
	near := suggest.Nearest(name, known)
	switch {
	case near != "" && !hidden:
		text += fmt.Sprintf(" (did you mean %q?)", near)
	case len(known) > 0:
		text += fmt.Sprintf(" (expected %s)", strings.Join(known, ", "))
	}
	if len(at) == 0 {
		return errors.New(text)
	}
	return at.NewErrorf("%s", text)
}
