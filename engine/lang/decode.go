package lang

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hclfile"
	"hlplay/engine/pattern"
	"hlplay/modules"
)

// Decode returns the task's module with all arguments evaluated, converted and validated, and defaults applied. A null
// argument counts as not set. The strings are all sensitive texts that were used, longest first: they must not be
// shown, wherever they appear. The error is an *EvalError if something is wrong, and an *UnknownError if something
// cannot be known in check mode. Decode is safe for concurrent use.
func (t *Task) Decode(s Scope) (modules.Module, []string, error) {
	body, ok := t.Body.(*hclsyntax.Body)
	if !ok || t.schema == nil {
		return nil, nil, t.fail(fault(t.Range, "the task has no module", "Load reports why; such a playbook cannot run."))
	}
	s, err := t.withVars(s, bodyExpressions(t.Body)...)
	if err != nil {
		return nil, nil, err
	}
	d := &decoder{dir: t.Dir, ctx: t.space.context(t.Dir, s), secrets: make(secrets)}
	module, complete := d.module(t, body)
	if d.diags.HasErrors() {
		return nil, nil, t.fail(d.diags...)
	}
	if !complete {
		d.unknown.Task = t.Name
		return nil, nil, d.unknown
	}
	return module, d.secrets.list(), nil
}

// Foresee returns the task's module as far as it is known, even if the scope leaves something unknown. It returns nil
// if the task is known to be skipped, if it has for_each, or if Decode would report an error.
func (t *Task) Foresee(s Scope) modules.Module {
	body, ok := t.Body.(*hclsyntax.Body)
	if !ok || t.schema == nil || t.ForEach != nil {
		return nil
	}
	if holds, err := t.WhenTrue(s); !holds && !isUnknown(err) {
		return nil
	}
	s, err := t.withVars(s, bodyExpressions(t.Body)...)
	if err != nil {
		return nil
	}
	d := &decoder{dir: t.Dir, ctx: t.space.context(t.Dir, s), secrets: make(secrets)}
	module, _ := d.module(t, body)
	if d.diags.HasErrors() {
		return nil
	}
	return module
}

// decoder decodes one module. It omits everything unknown, so that Load can use it too.
type decoder struct {
	dir     string // base of relative paths of files on the controller
	ctx     *hcl.EvalContext
	diags   hcl.Diagnostics
	unknown *UnknownError // the first one found
	// unknowns holds the paths of all unknown arguments, in the form of an ArgumentError. standIn, if set, supplies a
	// value for each of them, or cty.NilVal for none.
	unknowns []string
	standIn  func(Argument) cty.Value
	secrets  secrets
	// same remembers arguments that have been evaluated on another host. It may be nil.
	same *sameEverywhere
	// sensitive holds the paths of the arguments that contain secrets.
	sensitive []string
}

// module decodes and validates a module; complete reports whether everything was known.
func (d *decoder) module(t *Task, body *hclsyntax.Body) (m modules.Module, complete bool) {
	m = t.schema.spec.New()
	d.body(body, t.schema.Body, "", t.ModuleRange, reflect.ValueOf(m).Elem())
	if d.diags.HasErrors() || d.unknown != nil {
		return m, false
	}
	v, ok := m.(modules.Validator)
	if !ok {
		return m, true
	}
	if err := v.Validate(); err != nil {
		d.diags = append(d.diags, d.invalid(err, t, body))
	}
	return m, true
}

// invalid converts an error of a module's Validate to a diagnostic at the argument that it names.
func (d *decoder) invalid(err error, t *Task, body *hclsyntax.Body) *hcl.Diagnostic {
	at, summary, detail := t.ModuleRange, fmt.Sprintf("invalid arguments of %s", t.Module.Name), sentence(err.Error())
	var argument *modules.ArgumentError
	if errors.As(err, &argument) {
		at = argumentRange(body, argument.Argument, at)
		summary = fmt.Sprintf("%s: %s", argument.Argument, argument.Problem)
		detail = sentence(argument.Want)
	}
	hide := d.secrets.replacer()
	summary, detail = hide.Replace(summary), hide.Replace(detail)
	if argument != nil && d.quotesSecret(argument.Argument) {
		summary = quotedText.ReplaceAllString(summary, "(sensitive)")
	}
	return fault(at, summary, detail)
}

// quotedText matches quotations of an argument in a module's message, complete or truncated.
var quotedText = pattern.New("\"(\\\\.|[^\"\\\\])*\"|`[^`]*`")

// quotesSecret reports whether an argument, in the form of an ArgumentError, has a sensitive value. The module's
// message may then quote a part of the value, which no replacer knows.
func (d *decoder) quotesSecret(argument string) bool {
	return slices.ContainsFunc(d.sensitive, func(path string) bool {
		return argument == path || strings.HasPrefix(argument, path+".")
	})
}

// argumentRange returns the range of an argument such as "pool.size" or "bridge.vmbr0.gateway", or else of the
// innermost block around it.
func argumentRange(body *hclsyntax.Body, path string, at hcl.Range) hcl.Range {
	name, rest, nested := strings.Cut(path, ".")
	if attr := body.Attributes[name]; attr != nil && !nested {
		return attr.SrcRange
	}
	var inner *hclsyntax.Block
	label := ""
	for _, block := range body.Blocks {
		if block.Type != name {
			continue
		}
		of := strings.Join(block.Labels, ".") // labels may contain dots themselves: vlan.bond0.20.address
		if inner == nil && of == "" || of != "" && len(of) > len(label) && strings.HasPrefix(rest+".", of+".") {
			inner, label = block, of
		}
	}
	if inner == nil {
		return at
	}
	if rest = strings.TrimPrefix(strings.TrimPrefix(rest, label), "."); rest == "" {
		return inner.DefRange()
	}
	return argumentRange(inner.Body, rest, inner.DefRange())
}

func (d *decoder) fault(at hcl.Range, summary, detail string) {
	d.diags = append(d.diags, fault(at, summary, detail))
}

// body decodes a struct. at is the start of its block. within holds the names of the blocks around its arguments, each
// followed by a dot.
func (d *decoder) body(body *hclsyntax.Body, schema BodySchema, within string, at hcl.Range, into reflect.Value) {
	schema.setDefaults(into)
	for _, a := range schema.Arguments {
		if attr := body.Attributes[a.Name]; attr != nil {
			if value, known := d.argument(a, within, attr.Expr); known {
				d.set(into.FieldByIndex(a.index), a, value, attr.Expr.Range())
			}
		}
	}
	for _, b := range schema.Blocks {
		for _, block := range body.Blocks {
			if block.Type != b.Name {
				continue
			}
			inner, path := nested(into.FieldByIndex(b.index)), within+b.Name+"."
			if label := b.Body.Label; label != nil && len(block.Labels) == 1 {
				inner.FieldByIndex(label.index).SetString(block.Labels[0])
				path += block.Labels[0] + "."
			}
			d.body(block.Body, b.Body, path, block.DefRange(), inner)
		}
	}
}

// set assigns the value of an argument to its field. If the value is cty.NilVal, which represents null, the field
// keeps its default.
func (d *decoder) set(field reflect.Value, a Argument, value cty.Value, at hcl.Range) {
	if value == cty.NilVal {
		if a.Required {
			d.fault(at, fmt.Sprintf("argument %q is null", a.Name), fmt.Sprintf("It is required: expected %s.", article(a.Type)))
		}
		return
	}
	if err := assign(field, value); err != nil {
		d.fault(at, fmt.Sprintf("invalid value for argument %q", a.Name), sentence(err.Error()))
		return
	}
	if a.Controller && field.String() != "" && !filepath.IsAbs(field.String()) {
		field.SetString(filepath.Join(d.dir, field.String()))
	}
}

// nested adds another block to a field and returns the struct to decode into.
func nested(field reflect.Value) reflect.Value {
	switch field.Kind() {
	case reflect.Slice:
		field.Set(reflect.Append(field, reflect.Zero(field.Type().Elem())))
		return nested(field.Index(field.Len() - 1))
	case reflect.Pointer:
		field.Set(reflect.New(field.Type().Elem()))
		return field.Elem()
	}
	return field
}

// argument evaluates and converts an argument. The value is cty.NilVal if it is null; known is false if it is unknown
// or wrong.
func (d *decoder) argument(a Argument, within string, expr hcl.Expression) (value cty.Value, known bool) {
	if value, ok := d.same.value(expr); ok {
		return value, true
	}
	v, diags := evaluate(expr, d.ctx)
	d.diags = append(d.diags, diags...)
	if diags.HasErrors() {
		return cty.NilVal, false
	}
	marked := v.ContainsMarked()
	if marked {
		d.secrets.collect(v)
		d.secrets.collectRead(expr, d.ctx)
		d.sensitive = append(d.sensitive, within+a.Name)
	}
	v, _ = v.UnmarkDeep()
	if hclfile.TooLarge(v) {
		d.fault(expr.Range(), fmt.Sprintf("the number for argument %q is too large", a.Name), hclfile.TooLargeDetail)
		return cty.NilVal, false
	}
	converted, err := hclfile.Convert(v, a.want)
	if err != nil {
		detail := fmt.Sprintf("Expected %s, found %s.", article(a.Type), found(v))
		shown := v
		if marked {
			shown = cty.DynamicVal
		}
		if form := a.form(shown); form != "" {
			detail += fmt.Sprintf(" Write %s = %s.", a.Name, form)
		}
		if !v.Type().IsPrimitiveType() && !a.want.IsPrimitiveType() {
			detail = fmt.Sprintf("Expected %s: %s.", article(a.Type), conversionProblem(err))
		}
		d.fault(expr.Range(), fmt.Sprintf("wrong type for argument %q", a.Name), detail)
		return cty.NilVal, false
	}
	switch {
	case !converted.IsWhollyKnown():
		if d.unknown == nil {
			d.unknown = &UnknownError{Range: expr.Range(), What: fmt.Sprintf("argument %q", a.Name)}
		}
		d.unknowns = append(d.unknowns, within+a.Name)
		if d.standIn != nil {
			value = d.standIn(a)
		}
		return value, value != cty.NilVal
	case a.notGiven(converted):
		return cty.NilVal, true
	}
	if wrong, ok := a.wrongChoice(converted); ok {
		if marked {
			wrong = "(sensitive)"
		}
		d.diags = append(d.diags, a.choiceFault(wrong, expr.Range()))
		return cty.NilVal, false
	}
	if !marked {
		d.same.remember(expr, converted)
	}
	return converted, true
}
