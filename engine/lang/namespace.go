package lang

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// namespace holds the variables and locals of a playbook with all its files, or of one import of a role.
type namespace struct {
	variables map[string]*Variable
	locals    map[string]*local
	// declared holds the variables in source order, evaluated the locals in dependency order.
	declared  []*Variable
	evaluated []*local
	// varObject and localObject are what expressions see as `var` and `local`; sensitive values carry the Sensitive
	// mark. In a role whose values differ between hosts, these values are unknown here; enter determines them.
	varObject, localObject cty.Value
	// functions holds the functions for each directory that has a source: `file` and `templatefile` read relative to
	// the file that calls them. It is complete after Load and not modified from then on.
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

// named returns the full name of a task or handler. Within a play, it is prefixed with the name of its role.
func (sp *namespace) named(name string) string { return sp.namePrefix() + name }

func (sp *namespace) namePrefix() string {
	if sp.role == nil {
		return ""
	}
	return sp.role.name + ": "
}

// result returns the full name of a result, given the name that tasks in the namespace use.
func (sp *namespace) result(name string) string {
	if sp.role == nil || name == "" {
		return name
	}
	return sp.role.name + "/" + name
}

// ownResults returns those of the full names that belong to the namespace, as tasks in it use them.
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

// ownResult converts `result` to what expressions in the namespace see.
func (sp *namespace) ownResult(results cty.Value) cty.Value {
	if !results.IsKnown() || !results.Type().IsObjectType() {
		return results
	}
	own := make(map[string]cty.Value)
	for _, name := range sp.ownResults(attributeNames(results)) {
		own[name] = results.GetAttr(sp.result(name))
	}
	return cty.ObjectVal(own)
}

// varies reports whether `var` and `local` may differ between hosts.
func (sp *namespace) varies() bool { return sp.role != nil && sp.role.varies }

// imported adds the place where the role is imported to diagnostics caused by the values that it was given.
func (sp *namespace) imported(diags hcl.Diagnostics) hcl.Diagnostics {
	if sp.role == nil {
		return diags
	}
	for _, d := range diags {
		d.Detail = strings.TrimSpace(d.Detail + " " + importedAt + lineOf(sp.role.at) + ".")
	}
	return diags
}

// importedAt comes before the place in the sentence that says where a role is imported, the last of a detail.
const importedAt = "The role is imported at "

// anyValues returns `var` with unknown values of the declared types.
func (sp *namespace) anyValues() cty.Value {
	values := make(map[string]cty.Value, len(sp.variables))
	for name, variable := range sp.variables {
		values[name] = cty.UnknownVal(variable.Type)
	}
	return cty.ObjectVal(values)
}

// enter converts what the playbook's expressions see on a host to what expressions in the namespace see: a role has its
// own `var`, `local` and `result`, and does not see the play's `vars`. Values of `var` and `local` that differ between
// hosts are included only if values is set, because they may depend on facts and results that have not been read. If
// they cannot be evaluated, they are unknown.
func (sp *namespace) enter(s Scope, values bool) (Scope, hcl.Diagnostics) {
	r := sp.role
	if r == nil {
		return s, nil
	}
	in := s.with("vars", cty.EmptyObjectVal)
	in["var"], in["local"] = sp.varObject, sp.localObject
	if results, ok := s["result"]; ok {
		in["result"] = sp.ownResult(results)
	}
	if hosts, ok := s["hosts"]; ok {
		in["hosts"] = sp.ownPeers(hosts)
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
