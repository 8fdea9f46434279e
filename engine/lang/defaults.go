package lang

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hclfile"
	"hlplay/modules"
)

// Defaults sets every argument of a module that has its zero value to its default, including those in nested blocks.
// It is for modules that are built in Go; Decode applies the defaults itself.
func Defaults(m modules.Module) {
	schema := Schema(modules.Spec{New: func() modules.Module { return m }})
	schema.Body.complete(reflect.ValueOf(m).Elem())
}

// complete sets the zero fields of a struct, and of the blocks in it, to their defaults.
func (b BodySchema) complete(into reflect.Value) {
	for _, a := range b.Arguments {
		if field := into.FieldByIndex(a.index); field.IsZero() {
			a.setDefault(field)
		}
	}
	for _, block := range b.Blocks {
		field := into.FieldByIndex(block.index)
		switch {
		case block.Repeated:
			for i := range field.Len() {
				block.Body.complete(reflect.Indirect(field.Index(i)))
			}
		case field.Kind() != reflect.Pointer:
			block.Body.complete(field)
		case !field.IsNil():
			block.Body.complete(field.Elem())
		}
	}
}

// setDefaults sets the arguments of a new struct to their defaults.
func (b BodySchema) setDefaults(into reflect.Value) {
	for _, a := range b.Arguments {
		a.setDefault(into.FieldByIndex(a.index))
	}
}

func (a Argument) setDefault(field reflect.Value) {
	if a.value != cty.NilVal {
		_ = assign(field, a.value) // readDefault has already assigned it to a field of this type
	}
}

// notGiven reports whether a value counts as not set: null, or an empty string for an argument that has a default or
// choices. This lets expressions set an argument conditionally.
func (a Argument) notGiven(value cty.Value) bool {
	return value.IsNull() ||
		(len(a.Choices) > 0 || a.value != cty.NilVal) && value.Type() == cty.String && value.AsString() == ""
}

// readDefault parses the default tag of the argument's field.
func (a *Argument) readDefault(field reflect.StructField) error {
	text, given := field.Tag.Lookup("default")
	switch {
	case !given:
		return nil
	case a.Required:
		return errors.New("it is required, so it cannot have a default")
	}
	value, err := defaultValue(text, a.want)
	if err == nil {
		err = assign(reflect.New(field.Type).Elem(), value)
	}
	if err != nil {
		return fmt.Errorf("its default %q: %w", text, err)
	}
	if wrong, ok := a.wrongChoice(value); ok {
		return fmt.Errorf("its default %q is not one of its choices", wrong)
	}
	a.value, a.Default = value, text
	if a.want == cty.String {
		a.Default = fmt.Sprintf("%q", value.AsString())
	}
	return nil
}

// defaultValue parses a default written in HCL. A string may also be written without quotes.
func defaultValue(text string, want cty.Type) (cty.Value, error) {
	if want == cty.String && !strings.HasPrefix(text, `"`) {
		return cty.StringVal(text), nil
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), "default", hcl.InitialPos)
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	value, diags := expr.Value(nil)
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	value, err := hclfile.Convert(value, want)
	if err != nil {
		return cty.NilVal, err
	}
	if value.IsNull() {
		return cty.NilVal, errors.New("null cannot be a default")
	}
	return value, nil
}
