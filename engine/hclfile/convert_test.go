package hclfile

import (
	"fmt"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// TestConvert compares Convert with the library's function that it replaces.
func TestConvert(t *testing.T) {
	text, number, truth := cty.StringVal("a"), cty.NumberIntVal(3), cty.True
	secret := cty.StringVal("s").Mark("secret")
	object := cty.ObjectVal(map[string]cty.Value{"a": text, "b": number})
	smaller := cty.ObjectVal(map[string]cty.Value{"a": text})
	tuple := func(elements ...cty.Value) cty.Value { return cty.TupleVal(elements) }
	values := []cty.Value{
		cty.EmptyTupleVal, tuple(text), tuple(text, text), tuple(text, number), tuple(number, truth), tuple(text, truth), tuple(text, secret),
		tuple(text, cty.UnknownVal(cty.String)), tuple(text, cty.DynamicVal), tuple(cty.DynamicVal), tuple(cty.NullVal(cty.String), text),
		tuple(cty.NullVal(cty.DynamicPseudoType), text), tuple(object, object), tuple(object, smaller), tuple(object, text),
		tuple(tuple(text), tuple(text, text)), tuple(tuple(text), tuple(number)), tuple(cty.EmptyTupleVal, tuple(text)),
		tuple(text, text).Mark("secret"), cty.ListVal([]cty.Value{text, text}), cty.SetVal([]cty.Value{number, cty.NumberIntVal(4)}),
		cty.ListValEmpty(cty.String), cty.UnknownVal(cty.List(cty.String)), cty.NullVal(cty.List(cty.String)), cty.DynamicVal,
		object, smaller, cty.EmptyObjectVal, cty.ObjectVal(map[string]cty.Value{"a": object, "b": object}), cty.ObjectVal(map[string]cty.Value{"a": text, "b": secret}),
		cty.MapVal(map[string]cty.Value{"a": text}), cty.MapVal(map[string]cty.Value{"a": tuple(text)}), text, number,
	}
	var wants []cty.Type
	elements := []cty.Type{
		cty.String, cty.Number, cty.Bool, cty.DynamicPseudoType, cty.List(cty.String), cty.Map(cty.String), cty.List(cty.DynamicPseudoType),
		cty.Object(map[string]cty.Type{"a": cty.String}), cty.ObjectWithOptionalAttrs(map[string]cty.Type{"a": cty.String, "b": cty.Number, "c": cty.Bool}, []string{"b", "c"}),
	}
	for _, element := range elements {
		wants = append(wants, element, cty.List(element), cty.Set(element), cty.Map(element))
	}
	for _, v := range values {
		for _, want := range wants {
			t.Run(fmt.Sprintf("%#v to %#v", v, want), func(t *testing.T) {
				expected, expectedErr := convert.Convert(v, want)
				got, err := Convert(v, want)
				if (err == nil) != (expectedErr == nil) { // if several attributes are wrong, the library reports any of them
					t.Fatalf("error %v, want %v", err, expectedErr)
				}
				if err == nil && !got.RawEquals(expected) {
					t.Errorf("%#v, want %#v", got, expected)
				}
			})
		}
	}
}

// BenchmarkConvert shows that twice as many elements take twice as long.
func BenchmarkConvert(b *testing.B) {
	for _, n := range []int{1000, 2000, 4000} {
		elements := make([]cty.Value, n)
		for i := range elements {
			elements[i] = cty.StringVal(fmt.Sprint(i))
		}
		v := cty.TupleVal(elements)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for range b.N {
				if _, err := Convert(v, cty.List(cty.String)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
