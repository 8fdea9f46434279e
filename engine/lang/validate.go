package lang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// validate checks the tasks of all plays, with unknown values for everything that only a host can provide.
func (l *loader) validate() {
	v := &validator{loader: l, registers: make(map[string]hcl.Range)}
	for _, p := range l.playbook.Plays {
		walk(p, func(t *Task) {
			if _, ok := v.registers[t.Register]; t.Register != "" && !ok {
				v.registers[t.Register] = t.Range
			}
		})
	}
	for _, p := range l.playbook.Plays {
		v.play(p)
	}
}

// walk visits the tasks of a play in the order in which they may run, handlers last.
func walk(p *Play, f func(*Task)) {
	var nodes func([]Node)
	nodes = func(all []Node) {
		for _, n := range all {
			switch n := n.(type) {
			case *Task:
				f(n)
			case *Group:
				nodes(n.Tasks)
				nodes(n.Rescue)
				nodes(n.Always)
			}
		}
	}
	nodes(p.Tasks)
	for _, h := range p.Handlers {
		f(h)
	}
}

// validator goes through the plays in order and keeps track of the available results.
type validator struct {
	*loader
	results   []string
	registers map[string]hcl.Range
}

var hostRoots = []string{"var", "local", "host", "hosts", "groups", "facts", "result", "play", "vars"}

// place returns the place of an expression in a namespace; it includes `each` if the scope has it.
func (v *validator) place(sp *namespace, what, dir string, s Scope) place {
	roots := hostRoots
	if _, ok := s["each"]; ok {
		roots = append(slices.Clip(roots), "each")
	}
	return place{what: what, roots: roots, ctx: sp.context(dir, s), results: v.results, registers: v.registers, space: sp}
}

func (v *validator) play(p *Play) {
	scope := v.scope(p)
	scope["vars"] = v.vars(p.space, p.Vars, p.dir, scope, cty.EmptyObjectVal)
	v.environment(p.space, p.Environment, p.dir, scope)
	handlers := make([]string, 0, len(p.Handlers))
	for _, h := range p.Handlers {
		handlers = append(handlers, h.Name)
	}
	groups := make(map[*Group]bool)
	var sound []*Task
	walk(p, func(t *Task) {
		before := v.errors()
		for g := t.group; g != nil && !groups[g]; g = g.parent {
			groups[g] = true
			if g.role != nil && g.role.vars != nil {
				v.givenReferences(g.role, place{results: v.results, registers: v.registers})
			}
			in, _ := g.scope(p, scope, g.When) // errors in it are reported with the values given to the role
			v.condition(g.space, g.When, "when", g.dir, in)
			in, _ = g.scope(p, scope, g.Environment)
			v.environment(g.space, g.Environment, g.dir, in)
		}
		v.notify(t, handlers)
		v.task(t, scope)
		if v.errors() == before {
			sound = append(sound, t)
		}
		if t.Register != "" {
			v.results = append(v.results, t.Register)
		}
	})
	v.notifyCycles(p)
	v.forHosts(p, sound, scope)
}

// errors returns the number of errors reported so far.
func (v *validator) errors() int {
	n := 0
	for _, d := range v.diags {
		if d.Severity == hcl.DiagError {
			n++
		}
	}
	return n
}

// scope returns the variables of expressions as far as they are known without a host.
func (v *validator) scope(p *Play) Scope {
	s := v.unknownScope(p).with("result", v.resultShapes())
	s["hosts"] = v.withPeers(p, s, s["hosts"])
	return s
}

// withPeers adds what the tasks of a play read of any host to `hosts`, with the facts and results of a scope.
func (v *validator) withPeers(p *Play, s Scope, hosts cty.Value) cty.Value {
	return WithPeers(hosts, p.readsPeers(), func(string) cty.Value { return s["facts"] }, func(string) cty.Value { return s["result"] })
}

// unknownScope returns the scope without results.
func (l *loader) unknownScope(p *Play) Scope {
	facts := cty.DynamicVal
	if l.options.Facts != nil {
		known := make(map[string]cty.Value, len(l.options.Facts))
		for name, ty := range l.options.Facts {
			known[name] = cty.UnknownVal(ty)
		}
		facts = cty.ObjectVal(known)
	}
	s := Scope{
		"host": unknownHost, "hosts": cty.DynamicVal, "groups": cty.DynamicVal,
		"facts": facts,
		"play": cty.ObjectVal(map[string]cty.Value{
			"name":  cty.StringVal(p.Name),
			"hosts": cty.UnknownVal(cty.List(cty.String)), "selected": cty.UnknownVal(cty.List(cty.String)),
		}),
	}
	if l.options.Inventory != nil {
		s["hosts"] = objectOf(attributeNames(l.options.Inventory.HostsValue()), unknownPeer)
		s["groups"] = objectOf(attributeNames(l.options.Inventory.GroupsValue()), cty.UnknownVal(cty.List(cty.String)))
	}
	return s
}

// unknownHost is `host` if it may be any host.
var unknownHost = cty.ObjectVal(map[string]cty.Value{
	"name":    cty.UnknownVal(cty.String),
	"address": cty.UnknownVal(cty.String),
	"port":    cty.UnknownVal(cty.Number),
	"user":    cty.UnknownVal(cty.String),
	"groups":  cty.UnknownVal(cty.List(cty.String)),
	"vars":    cty.DynamicVal,
})

// unknownPeer is any host in `hosts` if nothing is known of it.
var unknownPeer = func() cty.Value {
	attributes := unknownHost.AsValueMap()
	attributes["facts"], attributes["result"] = cty.DynamicVal, cty.DynamicVal
	return cty.ObjectVal(attributes)
}()

// objectOf returns an object with the same value for all names.
func objectOf(names []string, value cty.Value) cty.Value {
	all := make(map[string]cty.Value, len(names))
	for _, name := range names {
		all[name] = value
	}
	return cty.ObjectVal(all)
}

// vars returns the value of a `vars` argument merged over the outer ones, unknown if it is wrong.
func (v *validator) vars(sp *namespace, expr hcl.Expression, dir string, s Scope, outer cty.Value) cty.Value {
	if expr == nil {
		return outer
	}
	p := v.place(sp, "vars", dir, s.with("vars", outer))
	if !v.references(expr, p) {
		return cty.DynamicVal
	}
	all, diags := evaluateVars(expr, p.ctx, outer)
	v.report(diags...)
	return all
}

// condition checks a condition and returns its value, unknown if it is wrong or absent.
func (v *validator) condition(sp *namespace, expr hcl.Expression, what, dir string, s Scope) cty.Value {
	unknown := cty.UnknownVal(cty.Bool)
	if expr == nil {
		return unknown
	}
	p := v.place(sp, what, dir, s)
	if !v.references(expr, p) {
		return unknown
	}
	value, diags := evaluate(expr, p.ctx)
	v.report(diags...)
	if diags.HasErrors() {
		return unknown
	}
	holds, d := truth(value, expr, what)
	if d != nil {
		v.report(d)
	}
	return holds
}

func (v *validator) notify(t *Task, handlers []string) {
	for _, name := range t.Notify {
		if !slices.Contains(handlers, name) {
			of, prefix := "play", t.space.namePrefix()
			if t.space.role != nil {
				of = "role"
			}
			var own []string
			for _, h := range handlers {
				if h, ok := strings.CutPrefix(h, prefix); ok && (prefix != "" || !strings.Contains(h, ": ")) {
					own = append(own, h)
				}
			}
			name = strings.TrimPrefix(name, prefix)
			v.report(fault(t.notifyAt, fmt.Sprintf("there is no handler %q", name),
				fmt.Sprintf("The %s has no such handler.%s", of, didYouMean(name, own))))
		}
	}
}

// notifyCycles reports handlers that notify each other in a cycle, which would never end.
func (v *validator) notifyCycles(p *Play) {
	byName := make(map[string]*Task, len(p.Handlers))
	for _, h := range p.Handlers {
		byName[h.Name] = h
	}
	done := make(map[*Task]bool)
	var follow func(h *Task, trail []string)
	follow = func(h *Task, trail []string) {
		if i := slices.Index(trail, h.Name); i >= 0 {
			v.report(fault(h.notifyAt, "handlers notify each other in a cycle",
				strings.Join(append(trail[i:len(trail):len(trail)], h.Name), " → ")+". Remove one of these notifications."))
			return
		}
		if done[h] {
			return
		}
		for _, name := range h.Notify {
			if next := byName[name]; next != nil {
				follow(next, append(trail[:len(trail):len(trail)], h.Name))
			}
		}
		done[h] = true
	}
	for _, h := range p.Handlers {
		follow(h, nil)
	}
}

// task checks a task's expressions and its module block.
func (v *validator) task(t *Task, scope Scope) {
	raw := scope
	scope, _ = t.around(scope, false, true) // errors in it are reported with the values given to the role
	rounds, inner := v.rounds(t, scope)
	if t.ForEach != nil {
		inner = inner.with("each", unknownItem)
	}
	inner["vars"] = v.vars(t.space, t.Vars, t.Dir, inner, scope["vars"])
	when := v.condition(t.space, t.When, "when", t.Dir, inner)
	v.until(t, inner)
	v.environment(t.space, t.Environment, t.Dir, inner)
	v.settingsFit(t, scope, raw)
	body, ok := t.Body.(*hclsyntax.Body)
	if !ok || t.schema == nil {
		return
	}
	good := v.body(body, t.schema.Body, t.Module.Name, t.ModuleRange)
	for _, expr := range bodyExpressions(body) {
		v.foreignTemplate(expr)
		if !v.references(expr, v.place(t.space, "the module block", t.Dir, inner)) {
			good = false
		}
	}
	if !good {
		return
	}
	if v.off(t, when, raw) {
		// The task will not run with these values, and its arguments may rely on that; only errors that do not depend
		// on the values count.
		rounds = []cty.Value{unknownItem}
		inner["var"], inner["local"] = t.space.anyValues(), cty.DynamicVal
	}
	for _, each := range rounds {
		s := inner
		if t.ForEach != nil {
			s = inner.with("each", each)
			s["vars"] = v.vars(t.space, t.Vars, t.Dir, s, scope["vars"])
		}
		diags := t.space.imported(judge(t, body, t.space.context(t.Dir, s), nil))
		v.report(v.new(diags)...)
		if diags.HasErrors() {
			return
		}
	}
}

// unknownItem is `each` if the items are not known.
var unknownItem = cty.ObjectVal(map[string]cty.Value{"key": cty.UnknownVal(cty.String), "value": cty.DynamicVal})

// rounds returns the values of `each`, as far as they are known, or a single unknown one.
func (v *validator) rounds(t *Task, scope Scope) ([]cty.Value, Scope) {
	unknown, inner := []cty.Value{unknownItem}, scope.with("vars", scope["vars"])
	if t.ForEach == nil {
		return unknown, inner
	}
	p := v.place(t.space, "for_each", t.Dir, scope)
	if !v.references(t.ForEach, p) {
		return unknown, inner
	}
	value, diags := evaluate(t.ForEach, p.ctx)
	v.report(diags...)
	if diags.HasErrors() {
		return unknown, inner
	}
	all, known, d := items(value, t.ForEach)
	if d != nil {
		v.report(d)
	}
	if d != nil || !known || len(all) == 0 {
		return unknown, inner
	}
	rounds := make([]cty.Value, len(all))
	for i, item := range all {
		rounds[i] = item.Object()
	}
	return rounds, inner
}

// until checks the task's until, which also sees the task's own result.
func (v *validator) until(t *Task, s Scope) {
	if t.Register != "" {
		results := v.results
		v.results = append(slices.Clip(results), t.Register)
		defer func() { v.results = results }()
	}
	v.condition(t.space, t.Until, "until", t.Dir, s)
}

// off reports whether a condition of the task or of a group around it is known to be false.
func (v *validator) off(t *Task, when cty.Value, scope Scope) bool {
	if when.IsKnown() && when.False() {
		return true
	}
	for g := t.group; g != nil; g = g.parent {
		if g.When == nil {
			continue
		}
		in, _ := g.scope(t.play, scope, g.When)
		value, diags := evaluate(g.When, g.space.context(g.dir, in))
		if diags.HasErrors() {
			continue
		}
		if holds, d := truth(value, g.When, "when"); d == nil && holds.IsKnown() && holds.False() {
			return true
		}
	}
	return false
}

// body checks which arguments and blocks a module block has.
func (v *validator) body(body *hclsyntax.Body, schema BodySchema, what string, at hcl.Range) bool {
	before := len(v.diags)
	s := shape{what: "module " + what}
	for _, a := range schema.Arguments {
		s.attributes = append(s.attributes, a.Name)
		if a.Required && body.Attributes[a.Name] == nil {
			detail := fmt.Sprintf("Add %s = …, %s", a.Name, article(a.Type))
			if a.Doc != "" {
				detail += ": " + strings.TrimSuffix(a.Doc, ".")
			}
			v.report(fault(at, fmt.Sprintf("%s needs the argument %q", what, a.Name), detail+"."))
		}
	}
	for _, b := range schema.Blocks {
		s.blocks = append(s.blocks, b.Name)
		var there []*hclsyntax.Block
		for _, block := range body.Blocks {
			if block.Type != b.Name {
				continue
			}
			if b.Body.Label == nil {
				v.noLabels(block)
			} else if label, ok := v.label(block, b.Body.Label.Doc); ok && slices.ContainsFunc(there, func(other *hclsyntax.Block) bool { return slices.Equal(other.Labels, block.Labels) }) {
				v.report(fault(block.LabelRanges[0], fmt.Sprintf("there are two blocks %s %q", b.Name, label), "Merge them, or give one of them another name."))
			}
			there = append(there, block)
			v.body(block.Body, b.Body, what+"."+b.Name, block.DefRange())
		}
		if len(there) > 1 && !b.Repeated {
			v.report(fault(there[1].DefRange(), fmt.Sprintf("two %s blocks", b.Name), "Only one is allowed: merge them, or write a task for each."))
		}
		if len(there) == 0 && b.Required {
			v.report(fault(at, fmt.Sprintf("%s needs a block %q", what, b.Name), fmt.Sprintf("Add %s { … }.", b.Name)))
		}
	}
	v.check(body, s)
	return len(v.diags) == before
}
