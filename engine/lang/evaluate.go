package lang

import (
	"fmt"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"hlplay/engine/hclfile"
)

// UnknownError is returned for an expression that depends on something that check mode cannot know.
type UnknownError struct {
	Task  string
	Range hcl.Range
	// What names the expression: "when", `argument "value"`.
	What string
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("%s: %s of task %q cannot be known before the run", lineOf(e.Range), e.What, e.Task)
}

// EvalError is returned for an expression that has no value, or a value of the wrong type. Its text is a single line;
// WriteDiagnostics shows Diags with their source lines.
type EvalError struct {
	Task  string
	Diags hcl.Diagnostics
}

func (e *EvalError) Error() string {
	if len(e.Diags) == 0 {
		return fmt.Sprintf("task %q cannot be evaluated", e.Task)
	}
	d := e.Diags[0]
	text := d.Summary
	if d.Subject != nil {
		text = lineOf(*d.Subject) + ": " + text
	}
	if d.Detail != "" {
		text += "; " + d.Detail
	}
	if more := len(e.Diags) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return oneLine(text)
}

// evaluate returns the value of an expression. Its diagnostics do not show sensitive values.
func evaluate(expr hcl.Expression, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags, err := measured(expr, ctx, nil)
	if err != nil {
		return cty.DynamicVal, diags
	}
	if diags.HasErrors() {
		return cty.DynamicVal, redact(withNames(diags, expr, ctx), expr, ctx)
	}
	return v, nil
}

// deciding returns the groups whose `when` applies to the task, innermost first. There are none for a handler, although
// it is in its role's group: the conditions were true for the task that notified it, maybe in an earlier run, whose
// results are gone.
func (t *Task) deciding() []*Group {
	var all []*Group
	for g := t.group; g != nil && !t.handler; g = g.parent {
		if g.When != nil {
			all = append(all, g)
		}
	}
	return all
}

// WhenTrue reports whether the task should run: whether its own `when` and those of all enclosing groups are true. If
// one of them is known to be false, the result is false even if others are unknown. For a handler, only its own counts.
//
// A `when` that reads `each` (see WhenPerItem) is evaluated only if the scope has it: the engine calls WhenTrue once
// for the task, before Items, and then once for each item.
func (t *Task) WhenTrue(s Scope) (bool, error) {
	var unknown error
	for _, g := range t.deciding() {
		scope, diags := g.scope(t.play, s, g.When)
		if diags.HasErrors() {
			return false, t.fail(diags...)
		}
		holds, err := t.condition(g.When, "when", g.space.context(g.dir, scope))
		if isUnknown(err) {
			unknown = err
		} else if err != nil || !holds {
			return false, err
		}
	}
	_, item := s["each"]
	if t.When != nil && (item || !t.WhenPerItem()) {
		holds, err := t.ownCondition(t.When, "when", s)
		if err == nil && !holds {
			return false, nil
		}
		if unknown == nil && err != nil {
			return false, err
		}
	}
	return unknown == nil, unknown
}

// WhenPerItem reports whether the task's `when` reads `each`, so that it is evaluated for each item rather than once
// for the task.
func (t *Task) WhenPerItem() bool {
	if t.When == nil {
		return false
	}
	return reads(t.When, "each") || reads(t.When, "vars") && t.Vars != nil && reads(t.Vars, "each")
}

// UntilTrue reports whether `until` is true or absent. The scope contains the task's own result.
func (t *Task) UntilTrue(s Scope) (bool, error) {
	if t.Until == nil {
		return true, nil
	}
	return t.ownCondition(t.Until, "until", s)
}

func (t *Task) ownCondition(expr hcl.Expression, what string, s Scope) (bool, error) {
	s, err := t.withVars(s, expr)
	if err != nil {
		return false, err
	}
	return t.condition(expr, what, t.space.context(t.Dir, s))
}

// condition evaluates to true or false, never null: a task must not run, or be skipped, by accident.
func (t *Task) condition(expr hcl.Expression, what string, ctx *hcl.EvalContext) (bool, error) {
	v, diags := evaluate(expr, ctx)
	if diags.HasErrors() {
		return false, t.fail(diags...)
	}
	truth, d := truth(v, expr, what)
	if d != nil {
		return false, t.fail(d)
	}
	if !truth.IsKnown() {
		return false, &UnknownError{t.Name, expr.Range(), what}
	}
	return truth.True(), nil
}

// truth converts the value of a condition, which may be unknown.
func truth(v cty.Value, expr hcl.Expression, what string) (cty.Value, *hcl.Diagnostic) {
	v, _ = v.UnmarkDeep()
	b, err := convert.Convert(v, cty.Bool)
	if err != nil || b.IsNull() {
		return cty.UnknownVal(cty.Bool), fault(expr.Range(), fmt.Sprintf("%s is not a condition", what),
			fmt.Sprintf("Expected true or false, found %s.%s", found(v), unquoteCondition(v)))
	}
	return b, nil
}

// unquoteCondition returns advice for somebody who wrote a condition as text.
func unquoteCondition(v cty.Value) string {
	if v.Type() == cty.String {
		return " Write a condition without quotes."
	}
	return ""
}

// Items returns the rounds of `for_each`, in the order of a list or of the sorted keys. It returns nil if there is no
// for_each, and an empty slice that is not nil if there is nothing to do.
func (t *Task) Items(s Scope) ([]Item, error) {
	if t.ForEach == nil {
		return nil, nil
	}
	s, diags := t.around(s, reads(t.ForEach, "vars"), readsValues(t.ForEach))
	if diags.HasErrors() {
		return nil, t.fail(diags...)
	}
	v, diags := evaluate(t.ForEach, t.space.context(t.Dir, s))
	if diags.HasErrors() {
		return nil, t.fail(diags...)
	}
	all, known, d := items(v, t.ForEach)
	if d != nil {
		return nil, t.fail(d)
	}
	if !known {
		return nil, &UnknownError{t.Name, t.ForEach.Range(), "for_each"}
	}
	return all, nil
}

// items splits the value of a for_each. Keys are shown, so they must not be sensitive.
func items(v cty.Value, expr hcl.Expression) (all []Item, known bool, d *hcl.Diagnostic) {
	v, marks := v.Unmark()
	ty := v.Type()
	if v.IsNull() {
		return nil, false, fault(expr.Range(), "for_each is null", "Expected a list, a set or a map; [] for none.")
	}
	if ty == cty.DynamicPseudoType && !v.IsKnown() {
		return nil, false, nil
	}
	isList, isMap := ty.IsListType() || ty.IsTupleType(), ty.IsMapType() || ty.IsObjectType()
	if !isList && !isMap && !ty.IsSetType() {
		return nil, false, fault(expr.Range(), "wrong type for for_each", fmt.Sprintf("Expected a list, a set or a map, found %s.", found(v)))
	}
	if !v.IsKnown() {
		return nil, false, nil
	}
	if hclfile.TooLarge(v) {
		return nil, false, fault(expr.Range(), "a number in for_each is too large", hclfile.TooLargeDetail)
	}
	if len(marks) > 0 && !isList {
		return nil, false, fault(expr.Range(), "for_each is sensitive",
			"The keys of a map and the members of a set appear in the output. Use a list, or nonsensitive(keys(…)).")
	}
	all = make([]Item, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		key, value := it.Element()
		item := Item{Value: value.WithMarks(marks)}
		if isList {
			item.Key = strconv.Itoa(len(all))
			all = append(all, item)
			continue
		}
		key, err := convert.Convert(key, cty.String)
		if err != nil {
			return nil, false, fault(expr.Range(), "wrong type for for_each", "A set must contain strings, numbers or bools. For other types use a list, or a map with a key for each item.")
		}
		if !key.IsKnown() {
			return nil, false, nil
		}
		if key.IsNull() {
			return nil, false, fault(expr.Range(), "the set of for_each contains null", "Remove it: each member is the key of its item.")
		}
		item.Key = key.AsString()
		all = append(all, item)
	}
	return all, true, nil
}

// around returns what the task's expressions see on a host, without the task's own vars. If vars is set, this includes
// the vars of the play, which a role does not see. If values is set, it includes the role's variables and locals.
func (t *Task) around(s Scope, vars, values bool) (Scope, hcl.Diagnostics) {
	if t.space.role != nil {
		return t.space.enter(s, values)
	}
	return t.play.around(s, vars)
}

// around adds the play's vars to a scope if vars is set.
func (p *Play) around(s Scope, vars bool) (Scope, hcl.Diagnostics) {
	if !vars {
		return s, nil
	}
	outer := s.with("vars", cty.EmptyObjectVal)
	if p.Vars == nil {
		return outer, nil
	}
	value, diags := evaluateVars(p.Vars, p.space.context(p.dir, outer), cty.EmptyObjectVal)
	return s.with("vars", value), diags
}

// scope returns what an expression of the group, which may be nil, sees on a host.
func (g *Group) scope(p *Play, s Scope, expr hcl.Expression) (Scope, hcl.Diagnostics) {
	switch {
	case g.role != nil:
		return g.role.scope(s, expr)
	case g.space.role != nil:
		return g.space.enter(s, readsValues(expr))
	}
	return p.around(s, expr != nil && reads(expr, "vars"))
}

// EvalVars returns the object that the task's expressions see as `vars`: the task's vars merged over the play's. The
// task's vars can refer to the play's; `for_each` and the conditions of groups see only the play's. If the task's vars
// read `each` and the scope does not have it, only the play's are included. In a role there are only the task's.
func (t *Task) EvalVars(s Scope) (cty.Value, error) {
	in, diags := t.around(s, true, readsValues(t.Vars))
	if diags.HasErrors() {
		return cty.NilVal, t.fail(diags...)
	}
	if _, ok := s["each"]; t.Vars == nil || !ok && reads(t.Vars, "each") {
		return in["vars"], nil
	}
	vars, diags := evaluateVars(t.Vars, t.space.context(t.Dir, in), in["vars"])
	if diags.HasErrors() {
		return cty.NilVal, t.fail(diags...)
	}
	return vars, nil
}

// evaluateVars returns the object of a `vars` argument merged over outer.
func evaluateVars(expr hcl.Expression, ctx *hcl.EvalContext, outer cty.Value) (cty.Value, hcl.Diagnostics) {
	v, diags := evaluate(expr, ctx)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	inner, marks := v.Unmark()
	if inner.IsNull() {
		return outer, nil
	}
	if ty := inner.Type(); !ty.IsObjectType() && !ty.IsMapType() && ty != cty.DynamicPseudoType {
		return cty.DynamicVal, hcl.Diagnostics{fault(expr.Range(), "wrong type for vars",
			fmt.Sprintf("Expected an object { NAME = VALUE, … }, found %s.", found(v)))}
	}
	base, more := outer.Unmark()
	if !inner.IsKnown() || !base.IsKnown() {
		return cty.DynamicVal.WithMarks(marks, more), nil
	}
	all := make(map[string]cty.Value)
	for _, object := range []cty.Value{base, inner} {
		for name, value := range object.AsValueMap() {
			all[name] = value
		}
	}
	return cty.ObjectVal(all).WithMarks(marks, more), nil
}

// with returns the scope with one more root.
func (s Scope) with(name string, v cty.Value) Scope {
	all := make(Scope, len(s)+1)
	for k, value := range s {
		all[k] = value
	}
	all[name] = v
	return all
}

// withVars returns what the task's expressions see on a host, including `vars` if one of exprs reads it.
func (t *Task) withVars(s Scope, exprs ...hcl.Expression) (Scope, error) {
	vars := anyReads(exprs, "vars")
	in, diags := t.around(s, false, readsValues(exprs...) || vars && readsValues(t.Vars))
	if diags.HasErrors() {
		return nil, t.fail(diags...)
	}
	if !vars {
		return in, nil
	}
	v, err := t.EvalVars(s)
	if err != nil {
		return nil, err
	}
	return in.with("vars", v), nil
}

func (t *Task) fail(diags ...*hcl.Diagnostic) error {
	return &EvalError{t.Name, diags}
}

func isUnknown(err error) bool {
	_, ok := err.(*UnknownError)
	return ok
}
