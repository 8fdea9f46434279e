package lang

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"hlplay/engine/hclfile"
	"hlplay/engine/suggest"
)

// InlineValues parses an object of values by name, written on a command line in JSON or HCL. Its errors do not quote
// the text, because any value may be secret.
func InlineValues(text string) (map[string]cty.Value, error) {
	src := []byte(text)
	if nesting(src) > deepestData {
		return nil, errors.New("it is nested too deeply")
	}
	var value cty.Value
	if json.Valid(src) {
		ty, err := ctyjson.ImpliedType(src)
		if err == nil {
			value, err = ctyjson.Unmarshal(src, ty)
		}
		if err != nil {
			return nil, errors.New(malformed(src, err))
		}
	} else {
		expr, diags := hclfile.ParseExpression(src, "-e")
		if !diags.HasErrors() {
			value, diags = constant(expr)
		}
		if diags.HasErrors() {
			return nil, errors.New(`expected an object in JSON, '{"name": "value"}', or in HCL, '{ name = "value" }'`)
		}
	}
	if value.IsNull() || !value.Type().IsObjectType() {
		return nil, fmt.Errorf("expected an object of variables, found %s", found(value))
	}
	return value.AsValueMap(), nil
}

// inlineValues adds the values of Options.Inline. Later objects override earlier ones.
func (l *loader) inlineValues(all map[string]given) {
	for _, text := range l.options.Inline {
		values, err := InlineValues(text)
		if err != nil {
			at := commandLine("{…}")
			l.report(fault(at, "invalid object of values", sentence(err.Error())))
			continue
		}
		for _, name := range sortedKeys(values) {
			if v, ok := l.declared(name, commandLine(name)); ok {
				all[name] = given{value: l.convertVariable(v, values[name], v.Range, "the value of -e "+name), at: v.Range}
			}
		}
	}
}

// environmentValues adds the values of Options.Environment. An undeclared name is assumed to belong to another
// playbook, unless it looks like a misspelling.
func (l *loader) environmentValues(all map[string]given) {
	for _, name := range sortedKeys(l.options.Environment) {
		if v, ok := l.space.variables[name]; ok {
			all[name] = given{value: l.textValue(v, l.options.Environment[name], EnvironmentPrefix+name), at: v.Range, environment: true}
			continue
		}
		var undecided []string
		for _, declared := range sortedKeys(l.space.variables) {
			if _, ok := l.options.Environment[declared]; !ok {
				undecided = append(undecided, declared)
			}
		}
		if near := suggest.Nearest(name, undecided); near != "" {
			d := fault(commandLine(name), fmt.Sprintf("%s%s is not used", EnvironmentPrefix, name),
				fmt.Sprintf("The playbook declares no variable %q; did you mean %s%s?", name, EnvironmentPrefix, near))
			d.Severity = hcl.DiagWarning
			d.Subject = nil
			l.report(d)
		}
	}
}

// EnvironmentPrefix is the prefix of environment variables that set variables.
const EnvironmentPrefix = "HLPLAY_VAR_"

// textValue converts a value given as text: the text itself for a variable of a primitive type, else an HCL expression,
// which JSON is too. For a variable without a type, only a list or an object is read as an expression. source says
// where it was given.
func (l *loader) textValue(v *Variable, text, source string) cty.Value {
	value := cty.StringVal(text)
	switch {
	case v.Type.IsPrimitiveType():
	case v.Type == cty.DynamicPseudoType:
		if collection, ok := collection(text); ok {
			value = collection
		}
	default:
		expr, diags := hclfile.ParseExpression([]byte(text), source)
		if !diags.HasErrors() {
			value, diags = constant(expr)
		}
		if diags.HasErrors() {
			// HCL's own diagnostics could show the value.
			l.report(fault(v.Range, fmt.Sprintf("invalid value for variable %q", v.Name), fmt.Sprintf(
				"The variable is %s, so %s=… must be an HCL expression such as %s.", article(words(v.Type)), source, example(v.Type))))
			return cty.UnknownVal(v.Type)
		}
	}
	return l.convertVariable(v, value, v.Range, "the value of "+source)
}

// collection returns the list or object that a text is in HCL or JSON; ok is false if it is other text.
func collection(text string) (value cty.Value, ok bool) {
	text = strings.TrimSpace(text)
	if text == "" || text[0] != '[' && text[0] != '{' || nesting([]byte(text)) > deepestData {
		return cty.NilVal, false
	}
	expr, diags := hclfile.ParseExpression([]byte(text), "-e")
	if diags.HasErrors() {
		return cty.NilVal, false
	}
	value, diags = constant(expr)
	return value, !diags.HasErrors()
}
