package hostvar

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"hlplay/engine/hclfile"
)

// Convert converts a value to the type of the variable, or reports at the given range that it does not fit. whose
// names the value in the diagnostic: "its default".
func (v *Variable) Convert(value cty.Value, at hcl.Range, whose string) (cty.Value, *hcl.Diagnostic) {
	if hclfile.TooLarge(value) {
		return cty.NilVal, fault(at, fmt.Sprintf("The number for host variable %q is too large", v.Name), "%s", hclfile.TooLargeDetail)
	}
	raw := value
	if v.defaults != nil && !raw.IsNull() {
		raw = v.defaults.Apply(raw)
	}
	unexpected := hclfile.Unexpected
	if v.Sensitive {
		unexpected = hclfile.UnexpectedSecret
	}
	if err := unexpected(value, v.Type); err != nil {
		return cty.NilVal, v.misfit(err, raw, at, whose)
	}
	converted, err := hclfile.Convert(raw, v.Type)
	if err != nil {
		return cty.NilVal, v.misfit(err, raw, at, whose)
	}
	return converted, nil
}

// misfit reports a value that does not fit the type of the variable.
func (v *Variable) misfit(err error, raw cty.Value, at hcl.Range, whose string) *hcl.Diagnostic {
	problem, want := err.Error(), example(v.Type)
	switch path, ok := err.(cty.PathError); {
	case v.Sensitive:
		at = v.Range // quoting the line of the value would reveal it
	case ok && len(path.Path) > 0:
		problem = "at " + place(path.Path) + ", " + problem
	case v.Type == cty.List(cty.String) || v.Type == cty.Set(cty.String):
		if text, err := convert.Convert(raw, cty.String); err == nil && text.IsKnown() && !text.IsNull() && !text.IsMarked() {
			want = fmt.Sprintf("[%q]", text.AsString())
		}
	}
	return fault(at, fmt.Sprintf("Wrong type for host variable %q", v.Name),
		"It is declared as %s at %s:%d, and %s does not fit: %s. Write %s = %s.",
		typeexpr.TypeString(v.Type), v.Range.Filename, v.Range.Start.Line, whose, problem, v.Name, want)
}

// example returns a sample value of a type, in HCL syntax.
func example(ty cty.Type) string {
	switch {
	case ty == cty.String:
		return `"…"`
	case ty == cty.Number:
		return "4"
	case ty == cty.Bool:
		return "true"
	case ty.IsListType() || ty.IsSetType():
		return "[" + example(ty.ElementType()) + "]"
	case ty.IsMapType():
		return "{ name = " + example(ty.ElementType()) + " }"
	case ty.IsTupleType():
		var elements []string
		for _, e := range ty.TupleElementTypes() {
			elements = append(elements, example(e))
		}
		return "[" + strings.Join(elements, ", ") + "]"
	case ty.IsObjectType():
		var attributes []string
		for name, t := range ty.AttributeTypes() {
			if !ty.AttributeOptional(name) {
				attributes = append(attributes, name+" = "+example(t))
			}
		}
		slices.Sort(attributes)
		return "{ " + strings.Join(attributes, ", ") + " }"
	}
	return "…"
}

// place returns a path within a value, in HCL syntax.
func place(path cty.Path) string {
	var b strings.Builder
	for _, step := range path {
		switch s := step.(type) {
		case cty.GetAttrStep:
			b.WriteString("." + s.Name)
		case cty.IndexStep:
			switch {
			case s.Key.IsKnown() && s.Key.Type() == cty.String:
				fmt.Fprintf(&b, "[%q]", s.Key.AsString())
			case s.Key.IsKnown() && s.Key.Type() == cty.Number:
				b.WriteString("[" + s.Key.AsBigFloat().Text('f', 0) + "]")
			default:
				b.WriteString("[…]")
			}
		}
	}
	return b.String()
}

// Validate checks the variable of a host against its validations, which see the host as `host`; one whose condition is unknown is passed over. at is the range of the
// value.
func (v *Variable) Validate(name string, host cty.Value, at hcl.Range, evaluate Evaluate) hcl.Diagnostics {
	names := map[string]cty.Value{"host": host}
	for _, check := range v.validations {
		value, diags := evaluate(check.condition, names)
		if diags.HasErrors() {
			return diags
		}
		value, _ = value.UnmarkDeep()
		holds, err := convert.Convert(value, cty.Bool)
		if err == nil && !holds.IsKnown() { // it depends on a secret that was not opened
			continue
		}
		if err != nil || holds.IsNull() {
			return hcl.Diagnostics{fault(check.condition.Range(), "Wrong type for condition", "Expected true or false.")}
		}
		if holds.True() {
			continue
		}
		message, diags := evaluate(check.message, names)
		if diags.HasErrors() {
			return diags
		}
		text := "The error_message of the validation is not shown because it contains a sensitive value."
		if !message.ContainsMarked() {
			if message, err = convert.Convert(message, cty.String); err != nil || message.IsNull() || !message.IsKnown() {
				return hcl.Diagnostics{fault(check.message.Range(), "Wrong type for error_message", "Expected a string.")}
			}
			text = message.AsString()
		}
		if v.Sensitive {
			at = v.Range
		}
		return hcl.Diagnostics{fault(at, fmt.Sprintf("Invalid value for host variable %q", v.Name),
			"%s (On host %q; the condition is at %s:%d.)", text, name, check.condition.Range().Filename, check.condition.Range().Start.Line)}
	}
	return nil
}
