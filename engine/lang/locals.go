package lang

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// local is a definition in a `locals` block.
type local struct {
	name string
	expr hcl.Expression
	at   hcl.Range
	dir  string
	// value is cty.NilVal until it is evaluated; busy is set during the evaluation.
	value cty.Value
	busy  bool
}

func (l *loader) localsBlock(block *hclsyntax.Block, dir string) {
	l.noLabels(block)
	for _, b := range block.Body.Blocks {
		l.report(fault(b.TypeRange, fmt.Sprintf("unexpected block %q", b.Type), "A locals block has only lines of the form name = value."))
	}
	for _, attr := range attributes(block.Body) {
		if earlier, ok := l.space.locals[attr.Name]; ok {
			l.report(fault(attr.NameRange, fmt.Sprintf("local %q is defined twice", attr.Name),
				fmt.Sprintf("The first definition is at %s. All files of a playbook share their locals: rename or remove one.", lineOf(earlier.at))))
			continue
		}
		l.space.locals[attr.Name] = &local{name: attr.Name, expr: attr.Expr, at: attr.NameRange, dir: dir}
	}
}

// resolveLocals evaluates all locals in dependency order and builds `local`.
func (l *loader) resolveLocals() {
	values := make(map[string]cty.Value, len(l.space.locals))
	for _, name := range sortedKeys(l.space.locals) {
		values[name] = l.resolveLocal(l.space.locals[name], nil)
	}
	l.space.localObject = cty.ObjectVal(values)
}

// resolveLocal evaluates a local. trail lists the locals that need it. A local that cannot be evaluated is unknown, so
// that expressions that depend on it are not reported as well.
func (l *loader) resolveLocal(x *local, trail []string) cty.Value {
	if x.value != cty.NilVal {
		return x.value
	}
	trail = append(trail[:len(trail):len(trail)], "local."+x.name)
	if x.busy {
		l.report(fault(x.at, fmt.Sprintf("local %q depends on itself", x.name),
			fmt.Sprintf("Its value depends on itself: %s. Break the cycle.", strings.Join(trail, " → "))))
		return cty.DynamicVal
	}
	x.busy = true
	defer func() { x.busy = false }()

	p := l.static(x.dir)
	p.what = "a local"
	x.value = cty.DynamicVal
	if !l.references(x.expr, p) {
		return x.value
	}
	x.value = cty.NilVal
	needed := make(map[string]cty.Value)
	for _, traversal := range x.expr.Variables() {
		if traversal.RootName() != "local" {
			continue
		}
		names := sortedKeys(l.space.locals)
		if name, ok := second(traversal); ok {
			names = []string{name}
		}
		for _, name := range names {
			needed[name] = l.resolveLocal(l.space.locals[name], trail)
		}
	}
	ctx := p.ctx
	ctx.Variables["local"] = cty.ObjectVal(needed)
	value, diags := evaluate(x.expr, ctx)
	l.report(diags...)
	if diags.HasErrors() {
		value = cty.DynamicVal
	}
	text, _ := weight(value)
	if l.held += text; l.held > mostHeld && l.held-text <= mostHeld {
		l.report(fault(x.at, "the locals grow too large", fmt.Sprintf("Together they hold more than %d MiB of text. %s", mostHeld>>20, tooMuchDetail)))
		value = cty.DynamicVal
	}
	x.value = value
	l.space.evaluated = append(l.space.evaluated, x)
	l.tooShort(value, x.at, fmt.Sprintf("local %q", x.name), false)
	return value
}

// second returns the name after the root of a traversal: "pve" for groups.pve and for groups["pve"].
func second(traversal hcl.Traversal) (string, bool) {
	if len(traversal) < 2 {
		return "", false
	}
	switch step := traversal[1].(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		key, _ := step.Key.Unmark()
		if key.Type() == cty.String && key.IsKnown() && !key.IsNull() {
			return key.AsString(), true
		}
	}
	return "", false
}
