package modules

import (
	"fmt"
	"reflect"

	"github.com/zclconf/go-cty/cty"
)

// ResultField is one attribute of what a module registers.
type ResultField struct {
	Name, Doc string
	Type      cty.Type
	index     int
}

var valueType = reflect.TypeFor[cty.Value]()

// ResultFields returns the attributes that a Spec's Result declares: its fields with a tag `cty:"name"`, in order. A
// field is a string, a bool, an int, a []string, a pointer to one of the first three (null if it is nil), or a
// cty.Value, which may be unknown. `type:"number"` or "string" is the type of a cty.Value; without it, the type can be
// any.
func ResultFields(result any) []ResultField {
	if result == nil {
		return nil
	}
	var all []ResultField
	t := reflect.TypeOf(result)
	for i := range t.NumField() {
		field := t.Field(i)
		if name := field.Tag.Get("cty"); name != "" {
			all = append(all, ResultField{Name: name, Doc: field.Tag.Get("doc"), Type: resultType(field), index: i})
		}
	}
	return all
}

func resultType(field reflect.StructField) cty.Type {
	t := field.Type
	if t == valueType {
		switch field.Tag.Get("type") {
		case "number":
			return cty.Number
		case "string":
			return cty.String
		}
		return cty.DynamicPseudoType
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return cty.String
	case reflect.Bool:
		return cty.Bool
	case reflect.Int:
		return cty.Number
	case reflect.Slice:
		return cty.List(cty.String)
	}
	panic(fmt.Sprintf("modules: a result has a field %s of type %v", field.Name, field.Type))
}

// Data returns a Result's values in the form of Plan.Data.
func Data(result any) cty.Value {
	all := make(map[string]cty.Value)
	v := reflect.ValueOf(result)
	for _, field := range ResultFields(result) {
		all[field.Name] = resultValue(v.Field(field.index), field.Type)
	}
	return cty.ObjectVal(all)
}

func resultValue(v reflect.Value, ty cty.Type) cty.Value {
	if v.Type() == valueType {
		if value := v.Interface().(cty.Value); value != cty.NilVal {
			return value
		}
		return cty.NullVal(ty)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return cty.NullVal(ty)
		}
		return resultValue(v.Elem(), ty)
	case reflect.String:
		return cty.StringVal(v.String())
	case reflect.Bool:
		return cty.BoolVal(v.Bool())
	case reflect.Int:
		return cty.NumberIntVal(v.Int())
	}
	if v.Len() == 0 {
		return cty.ListValEmpty(cty.String)
	}
	list := make([]cty.Value, v.Len())
	for i := range list {
		list[i] = cty.StringVal(v.Index(i).String())
	}
	return cty.ListVal(list)
}
