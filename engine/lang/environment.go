package lang

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"hlplay/engine/hclfile"
	"hlplay/engine/pattern"
)

// environmentName matches the names of variables that every shell accepts.
var environmentName = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// surroundings is one `environment` argument with what its expression sees on a host.
type surroundings struct {
	placed
	dir   string
	scope func(Scope) (Scope, hcl.Diagnostics)
}

// environments returns the `environment` arguments that apply to a task: those of the play, of the groups from the
// outermost to the innermost, and of the task itself. A later one overrides an earlier one.
func (t *Task) environments() []surroundings {
	var all []surroundings
	if expr := t.play.Environment; expr != nil {
		all = append(all, surroundings{placed{expr, t.play.space}, t.play.dir, func(s Scope) (Scope, hcl.Diagnostics) {
			return t.play.around(s, reads(expr, "vars"))
		}})
	}
	at := len(all)
	for g := t.group; g != nil; g = g.parent {
		if expr := g.Environment; expr != nil {
			of := surroundings{placed{expr, g.space}, g.dir, func(s Scope) (Scope, hcl.Diagnostics) { return g.scope(t.play, s, expr) }}
			all = append(all[:at], append([]surroundings{of}, all[at:]...)...)
		}
	}
	if expr := t.Environment; expr != nil {
		all = append(all, surroundings{placed{expr, t.space}, t.Dir, func(s Scope) (Scope, hcl.Diagnostics) {
			in, err := t.withVars(s, expr)
			if err != nil {
				return nil, err.(*EvalError).Diags
			}
			return in, nil
		}})
	}
	return all
}

// EnvironmentOf returns the environment variables that the commands of a task get on a host in addition to those that
// its module sets; nil means none. The strings are all sensitive texts among the values, longest first: they must not
// be shown. The error is an *EvalError if something is wrong, and an *UnknownError if a value cannot be known in check
// mode.
func (t *Task) EnvironmentOf(s Scope) (map[string]string, []string, error) {
	env, hidden, unknown, diags := t.environment(s)
	switch {
	case diags.HasErrors():
		return nil, nil, t.fail(diags...)
	case unknown != nil:
		return nil, nil, unknown
	}
	return env, hidden.list(), nil
}

func (t *Task) environment(s Scope) (env map[string]string, hidden secrets, unknown *UnknownError, diags hcl.Diagnostics) {
	hidden = make(secrets)
	for _, e := range t.environments() {
		in, faults := e.scope(s)
		if faults.HasErrors() {
			return nil, nil, nil, faults
		}
		ctx := e.space.context(e.dir, in)
		value, faults := evaluate(e.Expression, ctx)
		if faults.HasErrors() {
			return nil, nil, nil, faults
		}
		if hidden.collect(value) {
			hidden.collectRead(e.Expression, ctx)
		}
		variables, known, faults := environmentVariables(value, e.Expression)
		if faults.HasErrors() {
			return nil, nil, nil, faults
		}
		if !known && unknown == nil {
			unknown = &UnknownError{t.Name, e.Range(), "environment"}
		}
		for name, text := range variables {
			if env == nil {
				env = make(map[string]string)
			}
			if text == nil {
				delete(env, name)
			} else {
				env[name] = *text
			}
		}
	}
	return env, hidden, unknown, nil
}

// environmentVariables converts the value of an `environment` argument. A nil string stands for null, which removes a
// variable. known reports whether all of it is known.
func environmentVariables(v cty.Value, expr hcl.Expression) (variables map[string]*string, known bool, diags hcl.Diagnostics) {
	v, _ = v.UnmarkDeep()
	ty := v.Type()
	switch {
	case v.IsNull():
		return nil, true, nil
	case ty == cty.DynamicPseudoType:
		return nil, false, nil
	case !ty.IsObjectType() && !ty.IsMapType():
		return nil, false, hcl.Diagnostics{fault(expr.Range(), "wrong type for environment",
			fmt.Sprintf(`Expected an object { NAME = "value", … }, found %s.`, found(v)))}
	case !v.IsKnown():
		return nil, false, nil
	}
	variables, known = make(map[string]*string), true
	all := v.AsValueMap()
	for _, name := range sortedKeys(all) {
		at := itemRange(expr, name)
		if !environmentName.MatchString(name) {
			diags = append(diags, fault(at, fmt.Sprintf("%q cannot be the name of an environment variable", name),
				"Expected letters, digits and underscores, not beginning with a digit."))
			continue
		}
		value := all[name]
		if hclfile.TooLarge(value) {
			diags = append(diags, fault(at, fmt.Sprintf("the number for environment variable %s is too large", name), hclfile.TooLargeDetail))
			continue
		}
		text, err := convert.Convert(value, cty.String)
		switch {
		case err != nil:
			diags = append(diags, fault(at, fmt.Sprintf("wrong type for environment variable %s", name), fmt.Sprintf("Expected a string, found %s.", found(value))))
		case !text.IsKnown():
			known = false
		case text.IsNull():
			variables[name] = nil
		case strings.ContainsRune(text.AsString(), 0):
			diags = append(diags, fault(at, fmt.Sprintf("environment variable %s holds a NUL byte", name), "No program can receive one in its environment."))
		default:
			plain := text.AsString()
			variables[name] = &plain
		}
	}
	return variables, known, diags
}

// environment checks an `environment` argument with what is known.
func (v *validator) environment(sp *namespace, expr hcl.Expression, dir string, s Scope) {
	if expr == nil {
		return
	}
	p := v.place(sp, "environment", dir, s)
	if !v.references(expr, p) {
		return
	}
	value, diags := evaluate(expr, p.ctx)
	if !diags.HasErrors() {
		_, _, diags = environmentVariables(value, expr)
	}
	v.report(diags...)
}

// itemRange returns the range of an item of an object, or else of the whole expression.
func itemRange(expr hcl.Expression, name string) hcl.Range {
	if object, ok := expr.(*hclsyntax.ObjectConsExpr); ok {
		for _, item := range object.Items {
			if hcl.ExprAsKeyword(item.KeyExpr) == name || isLiteral(item.KeyExpr, name) {
				return hcl.RangeBetween(item.KeyExpr.Range(), item.ValueExpr.Range())
			}
		}
	}
	return expr.Range()
}
