// Package hostvar implements the declaration of host variables: `host_variable` blocks in an inventory or a playbook.
package hostvar

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/suggest"
)

// Sensitive marks values that must not be shown.
const Sensitive = mark("sensitive")

type mark string

// Variable is a declared host variable. Its declaration converts and validates the values of hosts; undeclared
// variables are left unchanged.
type Variable struct {
	Name, Description string
	Type              cty.Type
	Default           cty.Value // cty.NilVal if there is none: each host concerned needs a value
	Sensitive         bool
	// Hosts is the pattern of the hosts that have the variable, in a playbook. If it is nil, these are the hosts of all
	// plays.
	Hosts *hclsyntax.Attribute
	Range hcl.Range

	defaults    *typeexpr.Defaults // of optional attributes in Type
	validations []validation
}

// Declaration is a variable and the names of the hosts that have it.
type Declaration struct {
	*Variable
	Names []string
}

// validation is a `validation` block.
type validation struct{ condition, message hcl.Expression }

// Evaluate returns the value of an expression that may refer to the given names and to functions.
type Evaluate func(expr hcl.Expression, names map[string]cty.Value) (cty.Value, hcl.Diagnostics)

var (
	attributeNames  = []string{"type", "default", "description", "sensitive", "hosts"}
	validationNames = []string{"condition", "error_message"}
)

func fault(at hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &at}
}

// Parse decodes a `host_variable` block. It returns nil only if the block has no usable name.
func Parse(block *hclsyntax.Block) (*Variable, hcl.Diagnostics) {
	if len(block.Labels) != 1 {
		return nil, hcl.Diagnostics{fault(block.DefRange(), "Wrong number of names", `A host_variable block has one name: host_variable "name" { … }.`)}
	}
	v := &Variable{Name: block.Labels[0], Type: cty.DynamicPseudoType, Default: cty.NilVal, Range: block.DefRange()}
	if !hclsyntax.ValidIdentifier(v.Name) {
		return nil, hcl.Diagnostics{fault(block.LabelRanges[0], "Invalid variable name",
			"%q cannot be read as host.vars.NAME: a name has letters, digits, \"_\" and \"-\", and begins with a letter or \"_\".", v.Name)}
	}
	diags := unknown(block.Body, "A host_variable", attributeNames, "validation")
	v.Hosts = block.Body.Attributes["hosts"]
	if attr := block.Body.Attributes["type"]; attr != nil {
		ty, defaults, more := typeexpr.TypeConstraintWithDefaults(attr.Expr)
		diags = append(diags, more...)
		if !more.HasErrors() {
			v.Type, v.defaults = ty, defaults
		}
	}
	if value, more := constant(block.Body, "description", cty.String); len(more) > 0 {
		diags = append(diags, more...)
	} else if value != cty.NilVal {
		v.Description = value.AsString()
	}
	if value, more := constant(block.Body, "sensitive", cty.Bool); len(more) > 0 {
		diags = append(diags, more...)
	} else if value != cty.NilVal {
		v.Sensitive = value.True()
	}
	if attr := block.Body.Attributes["default"]; attr != nil {
		v.Default = cty.NullVal(v.Type)
		value, more := plain(attr)
		diags = append(diags, more...)
		if !more.HasErrors() {
			if converted, d := v.Convert(value, attr.Expr.Range(), "its default"); d != nil {
				diags = append(diags, d)
			} else {
				v.Default = converted
			}
		}
	}
	for _, b := range block.Body.Blocks {
		if b.Type != "validation" {
			continue
		}
		diags = append(diags, unknown(b.Body, "A validation", validationNames, "")...)
		condition, message := b.Body.Attributes["condition"], b.Body.Attributes["error_message"]
		if condition == nil || message == nil {
			diags = append(diags, fault(b.DefRange(), "Incomplete validation",
				"A validation has a condition, which is true for valid values, and an error_message for all others."))
			continue
		}
		v.validations = append(v.validations, validation{condition.Expr, message.Expr})
	}
	return v, diags
}

// unknown reports everything in a body other than the given attributes and blocks of one type.
func unknown(body *hclsyntax.Body, where string, attributes []string, blocks string) hcl.Diagnostics {
	var diags hcl.Diagnostics
	known := make(map[string]bool, len(attributes))
	for _, name := range attributes {
		known[name] = true
	}
	for name, attr := range body.Attributes {
		if !known[name] {
			hint := "; there are " + strings.Join(attributes, ", ") + "."
			if near := suggest.Nearest(name, attributes); near != "" {
				hint = fmt.Sprintf("; did you mean %q?", near)
			}
			diags = append(diags, fault(attr.NameRange, "Unknown attribute", "%s has no attribute %q%s", where, name, hint))
		}
	}
	for _, b := range body.Blocks {
		if b.Type != blocks {
			hint := "."
			if blocks != "" {
				hint = fmt.Sprintf("; it has %s blocks.", blocks)
			}
			diags = append(diags, fault(b.TypeRange, "Unknown block", "%s has no block %q%s", where, b.Type, hint))
		}
	}
	return diags
}

// plain returns the value of an attribute that may not refer to anything.
func plain(attr *hclsyntax.Attribute) (cty.Value, hcl.Diagnostics) {
	value, diags := attr.Expr.Value(nil)
	for _, d := range diags {
		switch d.Summary {
		case "Variables not allowed", "Function calls not allowed":
			d.Detail = fmt.Sprintf("%s of a host_variable is a plain value, without references or functions. Write text in quotes.", attr.Name)
		}
	}
	return value, diags
}

// constant returns the value of an attribute of the given type, or cty.NilVal if it is not set.
func constant(body *hclsyntax.Body, name string, ty cty.Type) (cty.Value, hcl.Diagnostics) {
	attr := body.Attributes[name]
	if attr == nil {
		return cty.NilVal, nil
	}
	value, diags := plain(attr)
	if diags.HasErrors() || value.IsNull() {
		return cty.NilVal, diags
	}
	if value.Type() != ty {
		want := "true or false, without quotes"
		if ty == cty.String {
			want = "a string"
		}
		return cty.NilVal, hcl.Diagnostics{fault(attr.Expr.Range(), "Wrong type", "%s must be %s.", name, want)}
	}
	return value, nil
}
