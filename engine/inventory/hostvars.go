package inventory

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hostvar"
)

// declared is a declared variable and the group whose hosts have it.
type declared struct {
	*hostvar.Variable
	group string
}

// Variables returns the variables that the inventory declares, each with its group, in the order of the source.
func (inv *Inventory) Variables() (vars []*hostvar.Variable, groups []string) {
	for _, v := range inv.declared {
		vars, groups = append(vars, v.Variable), append(groups, v.group)
	}
	return vars, groups
}

// addVariable declares a variable of a group's hosts.
func (d *declarations) addVariable(block *hclsyntax.Block, group string) {
	v, diags := hostvar.Parse(block)
	d.diags = append(d.diags, diags...)
	if v == nil {
		return
	}
	if v.Hosts != nil {
		d.errorf(v.Hosts.NameRange, "Hosts of a host variable", "hosts is for declarations in a playbook. In an inventory, put the block into the group whose hosts have the variable, or at the top level for all hosts.")
	}
	for _, other := range d.vars {
		if other.Name == v.Name && other.group == group {
			d.errorf(v.Range, "Duplicate host variable", "host_variable %q is declared for these hosts at %s already.", v.Name, other.Range)
			return
		}
	}
	d.vars = append(d.vars, &declared{v, group})
}

// give sets the variable on hosts: to their own value converted to its type, or to the default.
func (v *declared) give(hosts []*Host) hcl.Diagnostics {
	var diags hcl.Diagnostics
	reported := map[hcl.Range]bool{} // a group's value is reported only once
	for _, h := range hosts {
		if v.Sensitive {
			if h.sensitive == nil {
				h.sensitive = map[string]bool{}
			}
			h.sensitive[v.Name] = true
		}
		if h.Vars == nil {
			h.Vars = map[string]cty.Value{}
		}
		if h.varsAt == nil {
			h.varsAt = map[string]hcl.Range{}
		}
		value, ok := h.Vars[v.Name]
		switch {
		case (!ok || value.IsNull()) && v.Default != cty.NilVal:
			h.Vars[v.Name] = v.Default
			h.varsAt[v.Name] = v.Range
		case !ok || value.IsNull():
			diags = append(diags, missing(v, h))
			h.Vars[v.Name] = cty.UnknownVal(v.Type) // do not report expressions that depend on it as well
		default:
			at := h.varsAt[v.Name]
			converted, d := v.Convert(value, at, fmt.Sprintf("the value of host %q", h.Name))
			if d != nil {
				converted = cty.UnknownVal(v.Type)
				if !reported[at] {
					reported[at] = true
					diags = append(diags, d)
				}
			}
			h.Vars[v.Name] = converted
		}
	}
	return diags
}

func missing(v *declared, h *Host) *hcl.Diagnostic {
	what := ""
	if v.Description != "" {
		what = " It is: " + v.Description
	}
	return &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: fmt.Sprintf("Host %q has no variable %q", h.Name, v.Name),
		Detail: fmt.Sprintf("The variable is declared at %s:%d without a default: set it in vars of the host or of one of its groups.%s",
			v.Range.Filename, v.Range.Start.Line, what),
		Subject: h.Range.Ptr(),
	}
}

// Validate checks the values of the declared variables against the validations of their declarations.
func (inv *Inventory) Validate(evaluate hostvar.Evaluate) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, v := range inv.declared {
		diags = append(diags, v.validate(inv.Group(v.group).Hosts, evaluate)...)
	}
	return diags
}

func (v *declared) validate(hosts []*Host, evaluate hostvar.Evaluate) hcl.Diagnostics {
	var diags hcl.Diagnostics
	reported := map[hcl.Range]bool{}
	for _, h := range hosts {
		found := v.Validate(h.Name, h.Value(), h.varsAt[v.Name], evaluate)
		for _, d := range found {
			if d.Subject == nil || !reported[*d.Subject] {
				diags = append(diags, d)
			}
			if d.Subject != nil {
				reported[*d.Subject] = true
			}
		}
	}
	return diags
}

// Declare applies a playbook's declarations of host variables to their hosts, in addition to the inventory's own declarations.
// It changes the inventory.
func (inv *Inventory) Declare(declarations []hostvar.Declaration, evaluate hostvar.Evaluate) hcl.Diagnostics {
	hosts := make([][]*Host, len(declarations))
	var diags hcl.Diagnostics
	for i, d := range declarations {
		for _, name := range d.Names {
			hosts[i] = append(hosts[i], inv.Host(name))
		}
		diags = append(diags, (&declared{d.Variable, groupAll}).give(hosts[i])...)
	}
	if diags.HasErrors() {
		return diags
	}
	for i, d := range declarations {
		diags = append(diags, (&declared{d.Variable, groupAll}).validate(hosts[i], evaluate)...)
	}
	return diags
}

// secret reports whether a variable is declared as sensitive.
func (inv *Inventory) secret(name string) bool {
	for _, v := range inv.declared {
		if v.Name == name && v.Sensitive {
			return true
		}
	}
	return false
}

// shown returns variables as they are printed.
func (inv *Inventory) shown(vars map[string]cty.Value) map[string]cty.Value {
	shown := merged(vars, nil)
	for name := range shown {
		if shown[name] = masked(shown[name]); inv.secret(name) {
			shown[name] = cty.StringVal("(sensitive)")
		}
	}
	return shown
}
