package lang

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hostvar"
)

// hostVariable declares a host variable that the playbook reads.
func (l *loader) hostVariable(block *hclsyntax.Block) {
	v, diags := hostvar.Parse(block)
	l.report(diags...)
	if v == nil {
		return
	}
	for _, earlier := range l.playbook.HostVariables {
		if earlier.Name == v.Name {
			l.report(fault(v.Range, fmt.Sprintf("host_variable %q is declared twice", v.Name),
				fmt.Sprintf("The first declaration is at %s. All files of a playbook share them: remove one.", lineOf(earlier.Range))))
			return
		}
	}
	l.playbook.HostVariables = append(l.playbook.HostVariables, v)
}

// declareHostVariables passes the playbook's declarations to the hosts of all plays, before anything reads the
// variables.
func (l *loader) declareHostVariables() {
	if l.options.Inventory == nil || len(l.playbook.HostVariables) == 0 || l.diags.HasErrors() {
		return
	}
	var hosts []string // includes hosts outside a limit: a task may read the variables of any host
	for _, pb := range l.plays {
		for _, name := range l.matched(pb.hosts) {
			if !slices.Contains(hosts, name) {
				hosts = append(hosts, name)
			}
		}
	}
	l.report(l.options.Inventory.Declare(l.playbook.HostVariables, hosts, EvaluateHostVariable)...)
}

// EvaluateHostVariable evaluates the validations of host variables, with all functions of the language except those
// that read files.
func EvaluateHostVariable(expr hcl.Expression, names map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	return evaluate(expr, &hcl.EvalContext{Variables: names, Functions: functionMap(pureFunctions())})
}
