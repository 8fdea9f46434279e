package lang

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// namespace is that of a playbook with all of its files, or of one import of a role: its variables and locals.
type namespace struct {
	variables map[string]*Variable
	locals    map[string]*local
	// declared are the variables in the order of the source, evaluated the locals in the order of their dependencies.
	declared  []*Variable
	evaluated []*local
	// varObject and localObject are what expressions see as `var` and `local`; sensitive values carry the Sensitive mark. In a role
	// to which values are given that differ from host to host, these are unknown here, and enter knows them.
	varObject, localObject cty.Value
	// functions are the functions of each directory that has a source: `file` and `templatefile`
	// read relative to the file that calls them. Complete after Load, and only read from then on.
	functions map[string]map[string]function.Function
	// role is nil for the playbook itself.
	role *role
}

func newNamespace(functions map[string]map[string]function.Function) *namespace {
	return &namespace{
		variables: make(map[string]*Variable), locals: make(map[string]*local),
		varObject: cty.EmptyObjectVal, localObject: cty.EmptyObjectVal, functions: functions,
	}
}

// context returns the variables and functions for expressions in files of a directory.
func (sp *namespace) context(dir string, s Scope) *hcl.EvalContext {
	variables := make(map[string]cty.Value, len(s)+2)
	variables["var"], variables["local"] = sp.varObject, sp.localObject
	for name, value := range s {
		variables[name] = value
	}
	return &hcl.EvalContext{Variables: variables, Functions: sp.functions[dir]}
}

// named is the full name of a task or handler: within its play, that of its role stands in front.
func (sp *namespace) named(name string) string { return sp.namePrefix() + name }

func (sp *namespace) namePrefix() string {
	if sp.role == nil {
		return ""
	}
	return sp.role.name + ": "
}

// result is the full name of a result that tasks of the space call by a name of their own.
func (sp *namespace) result(name string) string {
	if sp.role == nil || name == "" {
		return name
	}
	return sp.role.name + "/" + name
}

// ownResults are those of full names that belong to the space, as it calls them.
func (sp *namespace) ownResults(names []string) []string {
	if sp.role == nil {
		return names
	}
	var own []string
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, sp.role.name+"/"); ok && hclsyntax.ValidIdentifier(rest) {
			own = append(own, rest)
		}
	}
	return own
}

// varies reports whether `var` and `local` may differ from host to host.
func (sp *namespace) varies() bool { return sp.role != nil && sp.role.varies }

// imported says of faults with the values that a role was given where it is imported.
func (sp *namespace) imported(diags hcl.Diagnostics) hcl.Diagnostics {
	if sp.role == nil {
		return diags
	}
	for _, d := range diags {
		d.Detail = strings.TrimSpace(fmt.Sprintf("%s The role is imported at %s.", d.Detail, lineOf(sp.role.at)))
	}
	return diags
}

// anyValues is `var` with unknown values of the declared types.
func (sp *namespace) anyValues() cty.Value {
	values := make(map[string]cty.Value, len(sp.variables))
	for name, variable := range sp.variables {
		values[name] = cty.UnknownVal(variable.Type)
	}
	return cty.ObjectVal(values)
}

// enter returns what expressions of the space see, given what those of the playbook see on a host: a role has its own `var`, `local` and
// `result`, and no `vars` of the play. The values of `var` and `local` that differ from host to host are there only if they are wanted: they
// may be made of facts and results that nobody has asked for. With an error in them they are unknown.
func (sp *namespace) enter(s Scope, values bool) (Scope, hcl.Diagnostics) {
	r := sp.role
	if r == nil {
		return s, nil
	}
	in := s.with("vars", cty.EmptyObjectVal)
	in["var"], in["local"] = sp.varObject, sp.localObject
	if results, ok := s["result"]; ok && results.IsKnown() && results.Type().IsObjectType() {
		own := make(map[string]cty.Value)
		for _, name := range sp.ownResults(attributeNames(results)) {
			own[name] = results.GetAttr(sp.result(name))
		}
		in["result"] = cty.ObjectVal(own)
	}
	if !r.varies || !values {
		return in, nil
	}
	given, diags := r.given(s)
	if diags.HasErrors() {
		return in, diags
	}
	own, diags := r.bind(given)
	if diags.HasErrors() {
		return in, diags
	}
	in["var"] = own
	locals := make(map[string]cty.Value, len(sp.locals))
	for _, x := range sp.evaluated {
		value, diags := evaluate(x.expr, sp.context(x.dir, Scope{"var": own, "local": cty.ObjectVal(locals)}))
		if diags.HasErrors() {
			return in, diags
		}
		locals[x.name] = value
	}
	in["local"] = cty.ObjectVal(locals)
	return in, nil
}
