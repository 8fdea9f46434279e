package lang

import (
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"hlplay/engine/hclfile"
)

// validation is a `validation` block of a variable.
type validation struct {
	condition, message hcl.Expression
	at                 hcl.Range
}

var (
	variableShape = shape{
		what:       "a variable",
		attributes: []string{"type", "default", "description", "sensitive"},
		blocks:     []string{"validation"},
	}
	validationShape = shape{what: "a validation", attributes: []string{"condition", "error_message"}}
)

// variable declares a variable. It gets its value after all files have been read.
func (l *loader) variable(block *hclsyntax.Block, dir string) {
	name, ok := l.label(block, "its name")
	if !ok {
		return
	}
	if !hclsyntax.ValidIdentifier(name) {
		l.report(fault(block.LabelRanges[0], fmt.Sprintf("%q cannot be the name of a variable", name),
			"Expected a letter or underscore and then letters, digits, underscores and dashes."))
		return
	}
	if earlier, ok := l.space.variables[name]; ok {
		l.report(fault(block.DefRange(), fmt.Sprintf("variable %q is declared twice", name),
			fmt.Sprintf("The first declaration is at %s. All files of a playbook share their variables: rename or remove one.", lineOf(earlier.Range))))
		return
	}
	l.check(block.Body, variableShape)
	v := &Variable{Name: name, Type: cty.DynamicPseudoType, Default: cty.NilVal, Range: block.DefRange(), dir: dir}
	l.space.variables[name] = v
	l.space.declared = append(l.space.declared, v)
	if l.space.role == nil {
		l.playbook.Variables = append(l.playbook.Variables, v)
	}

	p := l.constants(dir)
	v.Description, _ = l.text(block.Body, "description", p)
	v.Sensitive = l.flag(block.Body, "sensitive", p)
	if attr := block.Body.Attributes["type"]; attr != nil {
		ty, defaults, diags := typeexpr.TypeConstraintWithDefaults(attr.Expr)
		l.report(diags...)
		if !diags.HasErrors() {
			v.Type, v.defaults = ty, defaults
		}
	}
	if attr := block.Body.Attributes["default"]; attr != nil {
		v.Default = cty.UnknownVal(v.Type)
		if l.references(attr.Expr, place{what: "default", why: p.why, ctx: p.ctx}) {
			value, diags := evaluate(attr.Expr, p.ctx)
			l.report(diags...)
			if !diags.HasErrors() {
				v.Default = l.convertVariable(v, value, attr.Expr.Range(), "its default")
			}
		}
	}
	for _, b := range block.Body.Blocks {
		if b.Type != "validation" {
			continue
		}
		l.noLabels(b)
		l.check(b.Body, validationShape)
		condition, message := b.Body.Attributes["condition"], b.Body.Attributes["error_message"]
		if condition == nil || message == nil {
			l.report(fault(b.DefRange(), "incomplete validation",
				"A validation has a condition, which is true for valid values, and an error_message for all others."))
			continue
		}
		v.validations = append(v.validations, validation{condition.Expr, message.Expr, condition.Expr.Range()})
	}
}

// lineOf formats a range for people: "file:line".
func lineOf(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// convertVariable converts a value to the type of its variable. A value that does not fit is reported and becomes
// unknown, so that expressions that depend on it are not reported as well.
func (l *loader) convertVariable(v *Variable, value cty.Value, at hcl.Range, origin string) cty.Value {
	converted, d := v.convert(value, at, origin)
	if d != nil {
		l.report(d)
	}
	return converted
}

// convert converts a value to the type of the variable; a value that does not fit becomes unknown.
func (v *Variable) convert(value cty.Value, at hcl.Range, origin string) (cty.Value, *hcl.Diagnostic) {
	if v.Sensitive {
		at = v.Range // the source line of the value would reveal it
	}
	raw, marks := value.UnmarkDeep()
	if hclfile.TooLarge(raw) {
		return cty.UnknownVal(v.Type), fault(at, fmt.Sprintf("the number for variable %q is too large", v.Name), hclfile.TooLargeDetail)
	}
	unexpected := hclfile.Unexpected
	if v.Sensitive {
		unexpected = hclfile.UnexpectedSecret
	}
	err := unexpected(value, v.Type)
	var converted cty.Value
	if err == nil {
		if v.defaults != nil && !raw.IsNull() {
			raw = v.defaults.Apply(raw)
		}
		converted, err = hclfile.Convert(raw, v.Type)
	}
	if err != nil {
		problem := conversionProblem(err)
		var path cty.PathError
		if v.Sensitive && errors.As(err, &path) { // the keys of a map may be secret too
			problem = path.Error()
		}
		return cty.UnknownVal(v.Type), fault(at, fmt.Sprintf("wrong type for variable %q", v.Name),
			fmt.Sprintf("The variable is %s, and %s does not fit: %s.", article(words(v.Type)), origin, problem))
	}
	if hclfile.TooLarge(converted) {
		return cty.UnknownVal(v.Type), fault(at, fmt.Sprintf("the number for variable %q is too large", v.Name), hclfile.TooLargeDetail)
	}
	return converted.WithMarks(marks), nil
}

// conversionProblem returns why a conversion failed, with the place within a nested value.
func conversionProblem(err error) string {
	if path, ok := err.(cty.PathError); ok && len(path.Path) > 0 {
		return "at " + pathText(path.Path) + ", " + path.Error()
	}
	return err.Error()
}

func pathText(path cty.Path) string {
	text := ""
	for _, step := range path {
		switch s := step.(type) {
		case cty.GetAttrStep:
			text += "." + s.Name
		case cty.IndexStep:
			key, _ := s.Key.Unmark()
			switch {
			case !key.IsKnown() || key.IsNull():
				text += "[…]"
			case key.Type() == cty.String:
				text += fmt.Sprintf("[%q]", key.AsString())
			case key.Type() == cty.Number:
				text += "[" + key.AsBigFloat().Text('f', 0) + "]"
			default:
				text += "[…]"
			}
		}
	}
	return text
}

// words returns the name of a type in HCL: "list(string)".
func words(ty cty.Type) string {
	if ty == cty.DynamicPseudoType {
		return "value of any type"
	}
	return typeexpr.TypeString(ty)
}

// resolveVariables determines the values of all variables and builds `var`.
func (l *loader) resolveVariables() {
	given := l.givenValues()
	values := make(map[string]cty.Value, len(l.space.variables))
	for _, v := range l.playbook.Variables {
		value, at := v.Default, v.Range
		if g, ok := given[v.Name]; ok {
			value, at, v.FromEnvironment = g.value, g.at, g.environment
		}
		if value == cty.NilVal {
			if !l.locked {
				l.report(fault(v.Range, fmt.Sprintf("variable %q has no value", v.Name),
					fmt.Sprintf("It has no default, so a value must be given: -e %s=VALUE, -e @FILE with a line %s = VALUE, or %s%s=VALUE in the environment.", v.Name, v.Name, EnvironmentPrefix, v.Name)))
			}
			value = cty.UnknownVal(v.Type)
		}
		if v.Sensitive {
			value = value.Mark(Sensitive)
			l.tooShort(value, at, fmt.Sprintf("the value of variable %q", v.Name), true)
		}
		values[v.Name] = value
	}
	l.space.varObject = cty.ObjectVal(values)
	for _, v := range l.playbook.Variables {
		for _, check := range v.validations {
			l.validateVariable(v, check)
		}
	}
}

func (l *loader) validateVariable(v *Variable, check validation) {
	if !l.checkValidation(v, check) {
		return
	}
	l.report(v.validate(check, l.space.context(v.dir, nil))...)
}

// checkValidation checks the names in a validation.
func (l *loader) checkValidation(v *Variable, check validation) bool {
	p := place{what: "condition", roots: []string{"var"},
		why: "A validation checks variables, so only var can be used.", ctx: l.space.context(v.dir, nil)}
	if !l.references(check.condition, p) {
		return false
	}
	p.what = "error_message"
	return l.references(check.message, p)
}

// validate reports whether a validation rejects the values in a context.
func (v *Variable) validate(check validation, ctx *hcl.EvalContext) hcl.Diagnostics {
	holds, diags := evaluate(check.condition, ctx)
	if diags.HasErrors() {
		return diags
	}
	holds, _ = holds.UnmarkDeep()
	holds, err := convert.Convert(holds, cty.Bool)
	if err != nil || holds.IsNull() {
		return hcl.Diagnostics{fault(check.at, "wrong type for condition", "Expected true or false.")}
	}
	if !holds.IsKnown() || holds.True() {
		return nil
	}
	message, diags := evaluate(check.message, ctx)
	if diags.HasErrors() {
		return diags
	}
	text := "The error_message of this validation is not shown because it contains a sensitive value."
	if !message.ContainsMarked() {
		message, err = convert.Convert(message, cty.String)
		if err != nil || message.IsNull() || !message.IsKnown() {
			return hcl.Diagnostics{fault(check.message.Range(), "wrong type for error_message", "Expected a string.")}
		}
		text = message.AsString()
	}
	d := fault(check.at, fmt.Sprintf("invalid value for variable %q", v.Name), text)
	d.Expression, d.EvalContext = check.condition, ctx
	return hcl.Diagnostics{d}
}
