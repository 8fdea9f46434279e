package lang

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/modules"
)

// ModuleSchema describes a module's block, derived from the struct of the module.
type ModuleSchema struct {
	Name, Summary string
	Body          BodySchema

	spec     modules.Spec
	problems []error
}

// Err returns what is wrong with the module's struct. Such an error is a defect of the program, not of a playbook.
func (s ModuleSchema) Err() error { return errors.Join(s.problems...) }

// BodySchema lists the arguments and blocks of a block, in the order of the struct's fields.
type BodySchema struct {
	// Label describes a nested block's label; nil if it has none.
	Label     *Label
	Arguments []Argument
	Blocks    []BlockSchema
}

// Argument is one attribute of a module's block.
type Argument struct {
	Name string
	// Type is the name of the type in HCL: "string", "list(string)", "duration".
	Type     string
	Required bool
	// Default is written in HCL; empty if there is none.
	Default string
	Doc     string
	// Choices lists the values that the argument, or each of its elements, can have; empty if they are not enumerated.
	Choices []string
	// Controller is set if the argument is the path of a file on the controller. A relative path is relative to the
	// file that contains the task.
	Controller bool

	index []int
	want  cty.Type
	value cty.Value // of Default; cty.NilVal if there is none
}

// form shows what a value of the argument's type looks like, if that is not obvious from the name of the type. If text
// was given instead of a list, the form is a list with that text.
func (a Argument) form(given cty.Value) string {
	switch {
	case a.want.IsListType() && a.want.ElementType() == cty.String && given.Type() == cty.String && given.IsKnown() && !given.IsNull() && len(given.AsString()) < 60:
		return fmt.Sprintf("[%q]", given.AsString())
	case a.want.IsListType() && a.want.ElementType() == cty.String:
		return `["…"]`
	case a.want.IsListType():
		return "[…, …]"
	case a.want.IsMapType():
		return "{ NAME = … }"
	}
	return ""
}

// Label is the label of a nested block: bridge "vmbr0" { … }. Labels are unique among blocks of a kind.
type Label struct {
	Name, Doc string

	index []int
}

// BlockSchema is a nested block.
type BlockSchema struct {
	Name, Doc string
	// Required is set if the block must be present, Repeated if there may be several.
	Required, Repeated bool
	Body               BodySchema

	index []int
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	modeType     = reflect.TypeFor[fs.FileMode]()
	ctyValueType = reflect.TypeFor[cty.Value]()
)

// Schema derives the schema of a module from the tags of its struct.
func Schema(spec modules.Spec) ModuleSchema {
	s := ModuleSchema{Name: spec.Name, Summary: spec.Summary, spec: spec}
	if spec.New == nil {
		s.problems = append(s.problems, errors.New("its Spec has no New"))
		return s
	}
	t := reflect.TypeOf(spec.New())
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		s.problems = append(s.problems, fmt.Errorf("its New returns %v: expected a pointer to a struct", t))
		return s
	}
	s.Body = s.body(t.Elem(), nil)
	return s
}

// body reads the fields of a struct. within lists the structs around it, which it must not contain.
func (s *ModuleSchema) body(t reflect.Type, within []reflect.Type) BodySchema {
	var b BodySchema
	for _, outer := range within {
		if outer == t {
			s.problems = append(s.problems, fmt.Errorf("%v contains itself: a block cannot", t))
			return b
		}
	}
	within = append(within[:len(within):len(within)], t)
	for _, field := range fields(t) {
		tag := field.Tag.Get("hcl")
		name, option, _ := strings.Cut(tag, ",")
		switch option {
		case "block":
			block := BlockSchema{Name: name, Doc: field.Tag.Get("doc"), index: field.Index}
			inner := field.Type
			switch inner.Kind() {
			case reflect.Slice:
				block.Repeated, inner = true, inner.Elem()
			case reflect.Struct:
				block.Required = true
			}
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() != reflect.Struct {
				s.problems = append(s.problems, fmt.Errorf("block %q is a %v: expected a struct, a pointer to one, or a slice of one", name, field.Type))
				continue
			}
			block.Body = s.body(inner, within)
			b.Blocks = append(b.Blocks, block)
		case "label":
			if field.Type.Kind() != reflect.String || len(within) == 1 || b.Label != nil {
				s.problems = append(s.problems, fmt.Errorf("label %q: expected the only one of a nested block, and a string", name))
				continue
			}
			b.Label = &Label{Name: name, Doc: field.Tag.Get("doc"), index: field.Index}
		case "", "optional":
			a, err := argument(name, option, field)
			if err != nil {
				s.problems = append(s.problems, fmt.Errorf("argument %q: %w", name, err))
				continue
			}
			b.Arguments = append(b.Arguments, a)
		default:
			s.problems = append(s.problems, fmt.Errorf("argument %q: unknown option %q in its hcl tag: expected optional, label or block", name, option))
		}
	}
	return b
}

// fields returns the fields that have an hcl tag, with those of embedded structs in their place.
func fields(t reflect.Type) []reflect.StructField {
	var all []reflect.StructField
	for i := range t.NumField() {
		field := t.Field(i)
		switch _, tagged := field.Tag.Lookup("hcl"); {
		case tagged && field.IsExported():
			all = append(all, field)
		case field.Anonymous && field.Type.Kind() == reflect.Struct:
			for _, inner := range fields(field.Type) {
				inner.Index = append([]int{i}, inner.Index...)
				all = append(all, inner)
			}
		}
	}
	return all
}

func argument(name, option string, field reflect.StructField) (Argument, error) {
	a := Argument{Name: name, Required: option == "", Doc: field.Tag.Get("doc"), Controller: field.Tag.Get("path") == "controller", index: field.Index}
	if !hclsyntax.ValidIdentifier(name) {
		return a, errors.New("its name is not an identifier of HCL")
	}
	t := field.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var ok bool
	if a.want, a.Type, ok = fieldType(t); !ok {
		return a, fmt.Errorf("a field of type %v cannot be decoded", field.Type)
	}
	if enum, ok := field.Tag.Lookup("enum"); ok {
		a.Choices = strings.Split(enum, ",")
		if a.want != cty.String && a.want != cty.List(cty.String) || slices.Contains(a.Choices, "") {
			return a, fmt.Errorf("its enum %q: expected values with commas between them, for a string or a list of strings", enum)
		}
	}
	return a, a.readDefault(field)
}

// fieldType returns the type of the values that a field takes, and its name in HCL.
func fieldType(t reflect.Type) (cty.Type, string, bool) {
	switch t {
	case durationType:
		return cty.String, "duration", true
	case modeType:
		return cty.String, "mode", true
	case ctyValueType:
		return cty.DynamicPseudoType, "any", true
	}
	switch t.Kind() {
	case reflect.String:
		return cty.String, "string", true
	case reflect.Bool:
		return cty.Bool, "bool", true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return cty.Number, "number", true
	case reflect.Slice:
		want, name, ok := fieldType(t.Elem())
		if !ok || want == cty.DynamicPseudoType {
			return cty.NilType, "", false
		}
		return cty.List(want), "list(" + name + ")", true
	case reflect.Map:
		want, name, ok := fieldType(t.Elem())
		if !ok || want == cty.DynamicPseudoType || t.Key().Kind() != reflect.String {
			return cty.NilType, "", false
		}
		return cty.Map(want), "map(" + name + ")", true
	}
	return cty.NilType, "", false
}
