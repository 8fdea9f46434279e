package lang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/suggest"
)

// References returns the facts and results that must be known before the task's expressions can be evaluated: those
// that are read by its `when` and `environment` and those around it, `for_each`, `until`, `vars`, its settings, the
// play's vars if they are read, and its module block. The task's own result, which `until` may read, is not included.
func (t *Task) References() References {
	r := newReferences()
	if t.Until != nil {
		r.read(placed{t.Until, t.space})
		delete(r.results, t.Register)
	}
	own := t.expressions()
	for _, expr := range own {
		r.read(placed{expr, t.space})
	}
	r.read(t.behind(t.space, append(own, present([]hcl.Expression{t.Until})...)...)...)
	for _, c := range t.conditions() {
		r.read(c)
		r.read(t.behind(c.space, c.Expression)...)
	}
	for _, e := range t.environments() {
		r.read(e.placed)
		r.read(t.behind(e.space, e.Expression)...)
	}
	return References{Facts: names(r.facts), AllFacts: r.allFacts, Results: names(r.results), AllResults: r.allResults, Peers: Peers{
		Hosts: names(r.of.hosts), Facts: names(r.of.facts), AllFacts: r.of.allFacts, Results: names(r.of.results), AllResults: r.of.allResults,
	}}
}

// expressions returns the expressions in the task's module block, for_each, vars and settings.
func (t *Task) expressions() []hcl.Expression {
	exprs := append(bodyExpressions(t.Body), present([]hcl.Expression{t.ForEach, t.Vars})...)
	for _, c := range t.computed {
		exprs = append(exprs, c.expr)
	}
	return exprs
}

// placed is an expression with its namespace.
type placed struct {
	hcl.Expression
	space *namespace
}

// conditions returns the task's own `when` and those of the groups that decide about it, innermost first.
func (t *Task) conditions() []placed {
	var conditions []placed
	if t.When != nil {
		conditions = append(conditions, placed{t.When, t.space})
	}
	for _, g := range t.deciding() {
		conditions = append(conditions, placed{g.When, g.space})
	}
	return conditions
}

func present(exprs []hcl.Expression) []hcl.Expression {
	return slices.DeleteFunc(exprs, func(expr hcl.Expression) bool { return expr == nil })
}

type references struct {
	facts, results       map[string]bool
	allFacts, allResults bool
	// of is what is read of hosts by name.
	of struct {
		hosts, facts, results map[string]bool
		allFacts, allResults  bool
	}
}

func newReferences() *references {
	r := &references{facts: make(map[string]bool), results: make(map[string]bool)}
	r.of.hosts, r.of.facts, r.of.results = make(map[string]bool), make(map[string]bool), make(map[string]bool)
	return r
}

// readsValues reports whether any of the expressions, which may be nil, reads variables or locals.
func readsValues(exprs ...hcl.Expression) bool {
	return slices.ContainsFunc(exprs, func(expr hcl.Expression) bool { return expr != nil && (reads(expr, "var") || reads(expr, "local")) })
}

// behind returns what expressions of a namespace read indirectly: the vars of the play, or what is given to their
// role.
func (t *Task) behind(sp *namespace, exprs ...hcl.Expression) []placed {
	switch {
	case sp.role == nil && t.play != nil && t.play.Vars != nil && anyReads(exprs, "vars"):
		return []placed{{t.play.Vars, sp}}
	case sp.varies() && readsValues(exprs...):
		return append([]placed{{sp.role.vars, sp.role.outer}}, t.behind(sp.role.outer, sp.role.vars)...)
	}
	return nil
}

func (r *references) read(exprs ...placed) {
	for _, expr := range exprs {
		r.readOne(expr)
	}
}

func (r *references) readOne(expr placed) {
	if literal(expr.Expression) {
		return
	}
	r.peers(expr)
	for _, traversal := range expr.Variables() {
		name, ok := second(traversal)
		switch root := traversal.RootName(); {
		case root == "facts" && ok:
			r.facts[name] = true
		case root == "facts":
			r.allFacts = true
		case root == "result" && ok:
			r.results[expr.space.result(name)] = true
		case root == "result":
			r.allResults = true
		}
	}
}

func names(set map[string]bool) []string {
	if len(set) == 0 {
		return nil
	}
	return sortedKeys(set)
}

// bodyExpressions returns all expressions in a block and its nested blocks.
func bodyExpressions(body hcl.Body) []hcl.Expression {
	b, ok := body.(*hclsyntax.Body)
	if !ok || b == nil {
		return nil
	}
	var exprs []hcl.Expression
	for _, attr := range attributes(b) {
		exprs = append(exprs, attr.Expr)
	}
	for _, block := range b.Blocks {
		exprs = append(exprs, bodyExpressions(block.Body)...)
	}
	return exprs
}

// literal reports whether an expression is a number, true, false, null, or a string without interpolation, as most
// arguments are. Nothing has to be allocated to see that it reads nothing.
func literal(expr hcl.Expression) bool {
	switch e := expr.(type) {
	case *hclsyntax.LiteralValueExpr:
		return true
	case *hclsyntax.TemplateExpr:
		return e.IsStringLiteral()
	}
	return false
}

// reads reports whether an expression reads a root.
func reads(expr hcl.Expression, root string) bool {
	if literal(expr) {
		return false
	}
	for _, traversal := range expr.Variables() {
		if traversal.RootName() == root {
			return true
		}
	}
	return false
}

func anyReads(exprs []hcl.Expression, root string) bool {
	return slices.ContainsFunc(exprs, func(expr hcl.Expression) bool { return reads(expr, root) })
}

// references reports references in an expression to anything that is not available.
func (l *loader) references(expr hcl.Expression, p place) bool {
	ok := true
	for _, traversal := range expr.Variables() {
		if d := l.reference(traversal, p); d != nil {
			l.report(d)
			ok = false
		}
	}
	ok = l.peerReferences(expr, p) && ok
	visitCalls(expr, func(call *hclsyntax.FunctionCallExpr) {
		if _, known := p.ctx.Functions[call.Name]; !known {
			near := suggest.Nearest(call.Name, sortedKeys(p.ctx.Functions))
			hint := "docs/language.md lists all functions."
			if near != "" {
				hint = fmt.Sprintf("Did you mean %q? ", near) + hint
			}
			l.report(fault(call.NameRange, fmt.Sprintf("there is no function %q", call.Name), hint))
			ok = false
		}
	})
	return ok
}

// allRoots maps the names that exist in some expressions to what makes them available.
var allRoots = map[string]string{
	"var": "", "local": "", "host": "", "hosts": "", "groups": "", "facts": "", "result": "", "play": "", "vars": "",
	"each": "each exists only in a task with for_each.",
}

func (l *loader) reference(traversal hcl.Traversal, p place) *hcl.Diagnostic {
	if p.space == nil {
		p.space = l.space
	}
	root := traversal.RootName()
	at := traversal.SourceRange()
	if !slices.Contains(p.roots, root) {
		return l.unknownRoot(root, traversal, p)
	}
	name, ok := second(traversal)
	if !ok {
		return nil
	}
	var members []string
	var what, advice string
	switch root {
	case "var":
		members, what = sortedKeys(p.space.variables), "variable"
		advice = fmt.Sprintf(" Declare it: variable %q { … }.", name)
	case "local":
		members, what = sortedKeys(p.space.locals), "local"
		advice = fmt.Sprintf(" Define it: locals { %s = … }.", name)
	case "host":
		members, what = []string{"name", "address", "port", "user", "groups", "vars"}, "attribute of host"
		advice = fmt.Sprintf(" A variable of the inventory is host.vars.%s.", name)
	case "hosts":
		if l.options.Inventory == nil {
			return nil
		}
		members, what = attributeNames(l.options.Inventory.HostsValue()), "host"
	case "groups":
		if l.options.Inventory == nil {
			return nil
		}
		members, what = attributeNames(l.options.Inventory.GroupsValue()), "group"
	case "facts":
		if l.options.Facts == nil {
			return nil
		}
		members, what = sortedKeys(l.options.Facts), "fact"
	case "each":
		members, what = []string{"key", "value"}, "attribute of each"
	case "play":
		members, what = []string{"name", "hosts", "selected"}, "attribute of play"
		advice = " The vars of a play are read as vars.NAME."
	case "result":
		return p.result(name, at)
	default:
		return nil
	}
	if slices.Contains(members, name) {
		return nil
	}
	detail := strings.TrimSpace(didYouMean(name, members))
	if suggest.Nearest(name, members) == "" && advice != "" {
		detail += advice
	}
	return fault(at, fmt.Sprintf("there is no %s %q", what, name), detail)
}

// result checks a reference to the result of an earlier task.
func (p place) result(name string, at hcl.Range) *hcl.Diagnostic {
	if p.anyResult || slices.Contains(p.results, p.space.result(name)) {
		return nil
	}
	if later, ok := p.registers[p.space.result(name)]; ok {
		return fault(at, fmt.Sprintf("result %q does not exist yet", name),
			fmt.Sprintf("It is registered at %s, which runs later. Move that task before this one.", lineOf(later)))
	}
	detail := fmt.Sprintf("Add register = %q to the task that provides it.", name)
	if near := suggest.Nearest(name, p.space.ownResults(sortedKeys(p.registers))); near != "" {
		detail = fmt.Sprintf("Did you mean %q? If not: ", near) + "add" + strings.TrimPrefix(detail, "Add")
	}
	return fault(at, fmt.Sprintf("result %q is never registered", name), detail)
}

func (l *loader) unknownRoot(root string, traversal hcl.Traversal, p place) *hcl.Diagnostic {
	at := traversal.SourceRange()
	if why, ok := allRoots[root]; ok {
		if why == "" || p.why != "" {
			why = p.why
		}
		return fault(at, fmt.Sprintf("%s is not available in %s", root, p.what), why)
	}
	var hint string
	switch near := suggest.Nearest(root, p.roots); {
	case p.space.variables[root] != nil && slices.Contains(p.roots, "var"):
		hint = fmt.Sprintf("Did you mean var.%s?", root)
	case p.space.locals[root] != nil && slices.Contains(p.roots, "local"):
		hint = fmt.Sprintf("Did you mean local.%s?", root)
	case nameHabit(root) != "":
		hint = nameHabit(root)
	case near != "" && len(traversal) > 1:
		hint = fmt.Sprintf("Did you mean %q?", near)
	case len(traversal) == 1:
		hint = fmt.Sprintf("Write text in quotes: %q.", root)
	case len(p.roots) > 0:
		hint = "Expressions here can use " + strings.Join(p.roots, ", ") + "."
	default:
		hint = p.why
	}
	return fault(at, fmt.Sprintf("undefined name %q", root), hint)
}

// attributeNames returns the sorted names of an object's attributes.
func attributeNames(object cty.Value) []string { return sortedKeys(object.Type().AttributeTypes()) }
