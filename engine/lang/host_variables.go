package lang

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hostvar"
)

// hostVariable declares a host variable that the playbook reads. dir is the directory of the file.
func (l *loader) hostVariable(block *hclsyntax.Block, dir string) {
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
	l.hostVariables = append(l.hostVariables, playBlock{block: block, dir: dir})
}

// declareHostVariables passes the playbook's declarations to the hosts of all plays, or to those that a declaration
// names, before anything reads the variables.
func (l *loader) declareHostVariables() {
	named := make([][]string, len(l.playbook.HostVariables))
	for i, v := range l.playbook.HostVariables {
		if v.Hosts != nil { // a wrong pattern is an error even without an inventory
			named[i] = l.matched(l.pattern(l.hostVariables[i].block.Body, l.hostVariables[i].dir))
		}
	}
	if l.options.Inventory == nil || len(l.playbook.HostVariables) == 0 {
		return
	}
	var hosts []string // includes hosts outside the limit: a task may read the variables of any host
	for _, pb := range l.plays {
		for _, name := range l.matched(pb.hosts) {
			if !slices.Contains(hosts, name) {
				hosts = append(hosts, name)
			}
		}
	}
	declarations := make([]hostvar.Declaration, len(l.playbook.HostVariables))
	for i, v := range l.playbook.HostVariables {
		declarations[i] = hostvar.Declaration{Variable: v, Names: hosts}
		if v.Hosts != nil {
			declarations[i].Names = slices.DeleteFunc(slices.Clone(hosts), func(name string) bool { return !slices.Contains(named[i], name) })
		}
	}
	l.report(l.options.Inventory.Declare(declarations, func(expr hcl.Expression, names map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
		with := maps.Clone(names)
		with["var"] = l.space.varObject
		return EvaluateHostVariable(expr, with)
	})...)
}

// EvaluateHostVariable evaluates the validations of host variables that an inventory declares, with all functions of the language except those
// that read files.
func EvaluateHostVariable(expr hcl.Expression, names map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	return evaluate(expr, &hcl.EvalContext{Variables: names, Functions: functionMap(pureFunctions())})
}
