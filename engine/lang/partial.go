package lang

import (
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"hlplay/modules"
)

// judge decodes a task's module block with what is known, and returns what is wrong with it. If arguments are unknown,
// an error that the module finds in the others counts only if the unknown arguments cannot make it go away. same may be nil.
func judge(t *Task, body *hclsyntax.Body, ctx *hcl.EvalContext, same *sameEverywhere) hcl.Diagnostics {
	d := &decoder{dir: t.Dir, ctx: ctx, secrets: make(secrets), same: same}
	m, _ := d.module(t, body)
	if d.unknown != nil && !d.diags.HasErrors() {
		if err := d.certainFault(m, t, body); err != nil {
			d.diags = append(d.diags, d.invalid(err, t, body))
		}
	}
	if !d.diags.HasErrors() {
		d.diags = append(d.diags, advise(m, t, body)...)
	}
	return d.diags
}

// certainFault returns the error that a module's Validate finds in a known argument, if it is the same whatever is
// substituted for the unknown arguments.
func (d *decoder) certainFault(m modules.Module, t *Task, body *hclsyntax.Body) *modules.ArgumentError {
	var found *modules.ArgumentError
	times := 0
	for i := -1; i < len(standIns); i++ {
		if i >= 0 {
			other := &decoder{dir: d.dir, ctx: d.ctx, secrets: make(secrets), same: d.same, standIn: func(a Argument) cty.Value { return standIn(a, i) }}
			m = t.schema.spec.New()
			other.body(body, t.schema.Body, "", t.ModuleRange, reflect.ValueOf(m).Elem())
			if other.diags.HasErrors() {
				continue // the value does not fit here
			}
		}
		v, ok := m.(modules.Validator)
		if !ok {
			return nil
		}
		var fault *modules.ArgumentError
		if err := v.Validate(); !errors.As(err, &fault) {
			return nil
		}
		switch {
		case slices.Contains(d.unknowns, fault.Argument): // it may hide an error in another argument
		case d.speaksOfUnknown(fault), found != nil && *found != *fault:
			return nil
		default:
			found = fault
			times++
		}
	}
	if times < 2 {
		return nil
	}
	return found
}

// speaksOfUnknown reports whether an error mentions an unknown argument, which may then decide whether it is an error.
func (d *decoder) speaksOfUnknown(fault *modules.ArgumentError) bool {
	return slices.ContainsFunc(d.unknowns, func(path string) bool {
		name := path[strings.LastIndexByte(path, '.')+1:]
		return regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).MatchString(fault.Error())
	})
}

// standIns holds sample values of many kinds for an argument whose value is not known.
var standIns = []string{"x", "/x", "192.0.2.1", "1", "0", "3", "64", "true", "false", "90s", "0644", "10G", "present", "absent", "1000000", "/dev/sdb"}

// standIn returns the i-th value for an argument, or cty.NilVal, which means none, if it has the wrong type.
func standIn(a Argument, i int) cty.Value {
	text := standIns[i]
	one := func(ty cty.Type) cty.Value {
		v, err := convert.Convert(cty.StringVal(text), ty)
		if err != nil {
			return cty.NilVal
		}
		return v
	}
	switch {
	case a.want.IsListType():
		if v := one(a.want.ElementType()); v != cty.NilVal {
			return cty.ListVal([]cty.Value{v})
		}
		return cty.ListValEmpty(a.want.ElementType())
	case a.want.IsMapType():
		if v := one(a.want.ElementType()); v != cty.NilVal {
			return cty.MapVal(map[string]cty.Value{text: v})
		}
		return cty.MapValEmpty(a.want.ElementType())
	case a.want == cty.DynamicPseudoType:
		return cty.StringVal(text)
	}
	return one(a.want)
}
