package lang

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// role is one import of a role into a play.
type role struct {
	// name distinguishes the import from others in the same play.
	name string
	// file is the file of the role, dir the directory of the file that contains the import.
	file, dir string
	// repository is the directory of the repository with which the role was fetched. It is empty for a role of the
	// project.
	repository   string
	inner, outer *namespace
	play         *Play
	at           hcl.Range
	// vars holds the values for the role's variables; nil if there are none.
	vars hcl.Expression
	// each is what the import's vars and when see as `each`; cty.NilVal without for_each.
	each cty.Value
	// varies is set if the values in vars may differ between hosts.
	varies bool
}

var (
	roleShape = shape{
		what:   "a role",
		blocks: []string{"import", "variable", "locals", "task", "group", "flush_handlers", "handler"},
	}
	roleImportShape = shape{
		what:       "an import in a play",
		attributes: []string{"vars", "name", "for_each", "when", "tags", "become", "become_user"},
	}
)

// imported decodes an import in a play: a group of tasks for each round. Handlers of the role become handlers of the
// play.
func (d *playDecoder) imported(block *hclsyntax.Block, parent *Group, tags []string) []Node {
	label, ok := d.label(block, "the directory or the address of a role")
	if !ok {
		return nil
	}
	d.check(block.Body, roleImportShape)
	at := block.LabelRanges[0]
	from := ""
	if d.space.role != nil {
		from = d.space.role.repository
	}
	found, ok := d.locate(label, at, d.dir, from)
	if !ok {
		return nil
	}
	path, name := found.file, found.name
	trail := []string{path}
	for r := d.space.role; r != nil; r = r.outer.role {
		trail = append([]string{r.file}, trail...)
		if r.file == path {
			d.report(fault(at, "import cycle", fmt.Sprintf("%s would import itself: %s. Remove one of these imports.", path, strings.Join(trail, " → "))))
			return nil
		}
	}
	body := d.roleBody(path, &at)
	if body == nil {
		return nil
	}
	if own, ok := d.text(block.Body, "name", d.static); ok {
		name = own
	}
	name = d.space.named(name)
	group := &Group{
		Name: name, When: expression(block.Body, "when"), Tags: union(tags, d.tags(block.Body, d.static)),
		Range: block.DefRange(), parent: parent, become: d.becoming(block.Body, d.inventory, d.hosts), space: d.space, dir: d.dir,
	}
	forEach := expression(block.Body, "for_each")
	if forEach == nil {
		return d.round(group, body, found, block, name, cty.NilVal)
	}
	all, known := d.importRounds(forEach)
	if !known {
		return d.round(group, body, found, block, name+"[…]", unknownItem)
	}
	var nodes []Node
	for _, item := range all {
		nodes = append(nodes, d.round(group, body, found, block, fmt.Sprintf("%s[%q]", name, item.Key), item.Object())...)
	}
	return nodes
}

// importRounds returns the items of an import's for_each; known is false if they are not known without an inventory.
func (d *playDecoder) importRounds(expr hcl.Expression) (all []Item, known bool) {
	p := d.inventory
	p.what, p.why = "for_each", "The for_each of an import decides which tasks exist, once for all hosts, so only var, local, hosts, groups and play can be used."
	if !d.references(expr, p) {
		return nil, true
	}
	value, diags := evaluate(expr, p.ctx)
	d.report(diags...)
	if diags.HasErrors() {
		return nil, true
	}
	all, known, fail := items(value, expr)
	switch {
	case fail != nil:
		d.report(fail)
		return nil, true
	case !known && d.space.varies():
		d.report(d.perHost(expr, "for_each"))
		return nil, true
	}
	return all, known
}

// perHost reports an argument that must be the same on all hosts but depends on something that differs.
func (l *loader) perHost(expr hcl.Expression, what string) *hcl.Diagnostic {
	return fault(expr.Range(), fmt.Sprintf("%s depends on the host", what), fmt.Sprintf(
		"It must be the same on all hosts, and the variable that the import at %s sets for it may differ: use a variable that is set from var, local or a constant.", lineOf(l.space.role.at)))
}

// round decodes one round of an import.
func (d *playDecoder) round(of *Group, body *hclsyntax.Body, from roleFile, block *hclsyntax.Block, name string, each cty.Value) []Node {
	if earlier, ok := d.roles[name]; ok {
		d.report(fault(block.LabelRanges[0], fmt.Sprintf("role %q is imported twice in this play", name),
			fmt.Sprintf("The other import is at %s. Tasks are identified by the name of their role: give one of the imports another name, name = \"…\".", lineOf(earlier))))
		return nil
	}
	d.roles[name] = block.DefRange()
	inner := newNamespace(d.space.functions)
	r := &role{name: name, file: from.file, repository: from.repository, dir: d.dir, inner: inner, outer: d.space, play: d.play, at: block.DefRange(), vars: expression(block.Body, "vars"), each: each}
	r.varies = r.vars != nil && (!readsOnly(r.vars, "var", "local", "each") || d.space.varies() && (reads(r.vars, "var") || reads(r.vars, "local")))
	inner.role = r
	d.playbook.roles = append(d.playbook.roles, r)

	g := *of
	g.Name, g.role = name, r
	in := *d
	in.dir, in.registered = filepath.Dir(from.file), make(map[string]hcl.Range)
	in.space = inner
	defer func() { d.loader.space = r.outer }()
	for _, b := range body.Blocks {
		switch b.Type {
		case "variable":
			in.variable(b, in.dir)
		case "locals":
			in.localsBlock(b, in.dir)
		}
	}
	in.give(r)
	in.resolveLocals()
	in.static, in.inventory = in.loader.static(in.dir), in.loader.inventory(in.dir, d.play.Name, d.hosts)
	g.Tasks = in.nodes(body, &g, g.Tags, "variable", "locals", "handler")
	for _, b := range body.Blocks {
		if b.Type == "handler" {
			if t := in.task(b, &g, g.Tags); t != nil {
				d.play.Handlers = append(d.play.Handlers, t)
			}
		}
	}
	return []Node{&g}
}

// roleBody reads the file of a role, but only once. It returns nil if the file cannot be read or parsed.
func (l *loader) roleBody(path string, from *hcl.Range) *hclsyntax.Body {
	if body, ok := l.bodies[path]; ok {
		return body
	}
	l.bodies[path] = nil
	body, ok := l.parse(path, from)
	if !ok {
		return nil
	}
	for _, block := range body.Blocks {
		if block.Type == "play" {
			l.report(fault(*from, fmt.Sprintf("%s has plays", path), "An import in a play imports a role, which has tasks and handlers. Import a file with plays at the top level."))
			return nil
		}
	}
	dir := filepath.Dir(path)
	l.space.functions[dir] = l.files.functions(caller{dir: dir})
	l.check(body, roleShape)
	l.bodies[path] = body
	return body
}

// give sets a role's variables, as far as their values are known without a host, and reports values that do not fit.
func (l *loader) give(r *role) {
	l.space.varObject = l.space.anyValues()
	given := cty.EmptyObjectVal
	if r.vars != nil {
		if !l.givenReferences(r, place{anyResult: true}) {
			return
		}
		scope := l.unknownScope(r.play)
		scope["result"] = cty.DynamicVal
		var diags hcl.Diagnostics
		if given, diags = r.given(scope); diags.HasErrors() {
			l.report(diags...)
			return
		}
	}
	values, diags := r.bind(given)
	l.report(diags...)
	l.space.varObject = values
	for _, v := range l.space.declared {
		l.tooShort(values.GetAttr(v.Name), r.at, fmt.Sprintf("the value of variable %q", v.Name), true)
	}
}

// givenReferences checks the names in the values that are given to a role.
func (l *loader) givenReferences(r *role, p place) bool {
	p.what, p.space, p.roots = "vars", r.outer, hostRoots
	if r.each != cty.NilVal {
		p.roots = append(p.roots[:len(p.roots):len(p.roots)], "each")
	}
	p.ctx = r.outer.context(r.dir, nil)
	return l.references(r.vars, p)
}

// given evaluates the object of values that are given to the role on a host.
func (r *role) given(s Scope) (cty.Value, hcl.Diagnostics) {
	if r.vars == nil {
		return cty.EmptyObjectVal, nil
	}
	scope, diags := r.scope(s, r.vars)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return evaluateVars(r.vars, r.outer.context(r.dir, scope), cty.EmptyObjectVal)
}

// scope returns what an expression of the import sees on a host.
func (r *role) scope(s Scope, expr hcl.Expression) (Scope, hcl.Diagnostics) {
	scope, diags := r.outer.enter(s, readsValues(expr))
	if diags.HasErrors() {
		return scope, diags
	}
	scope = scope.with("each", r.each)
	if r.each == cty.NilVal {
		delete(scope, "each")
	}
	if r.outer.role == nil {
		return r.play.around(scope, expr != nil && reads(expr, "vars"))
	}
	return scope, nil
}

// bind returns the role's `var` with the given values, and reports values that do not fit. given may be unknown.
func (r *role) bind(given cty.Value) (cty.Value, hcl.Diagnostics) {
	given, marks := given.Unmark()
	if !given.IsKnown() {
		return r.inner.anyValues(), nil
	}
	var diags hcl.Diagnostics
	all := given.AsValueMap()
	for _, name := range sortedKeys(all) {
		if r.inner.variables[name] == nil {
			diags = append(diags, fault(r.givenAt(name), fmt.Sprintf("role %q has no variable %q", r.name, name),
				strings.TrimSpace(didYouMean(name, sortedKeys(r.inner.variables)))+fmt.Sprintf(" They are declared in %s.", r.file)))
		}
	}
	values := make(map[string]cty.Value, len(r.inner.declared))
	for _, v := range r.inner.declared {
		value := v.Default
		if x, ok := all[v.Name]; ok {
			at := r.givenAt(v.Name)
			converted, d := v.convert(x.WithMarks(marks), at, "the value given here")
			if value = converted; d != nil {
				d.Subject = r.shownAt(v)
				d.Detail += fmt.Sprintf(" It is declared at %s.", lineOf(v.Range))
				diags = append(diags, d)
			}
		}
		if value == cty.NilVal {
			diags = append(diags, fault(r.at, fmt.Sprintf("role %q needs the variable %q", r.name, v.Name), strings.TrimSpace(fmt.Sprintf(
				"It is %s, has no default, and is declared at %s: add vars = { %s = … }. %s", article(words(v.Type)), lineOf(v.Range), v.Name, v.Description))))
			value = cty.UnknownVal(v.Type)
		}
		if v.Sensitive {
			value = value.Mark(Sensitive)
		}
		values[v.Name] = value
	}
	object := cty.ObjectVal(values)
	if diags.HasErrors() {
		return object, diags
	}
	for _, v := range r.inner.declared {
		for _, check := range v.validations {
			for _, d := range v.validate(check, r.inner.context(v.dir, Scope{"var": object})) {
				d.Subject, d.Detail = r.shownAt(v), sentence(d.Detail)+fmt.Sprintf(" This is checked at %s.", lineOf(check.at))
				diags = append(diags, d)
			}
		}
	}
	return object, diags
}

// shownAt returns the range of the value given to a variable, or for a sensitive variable, whose source line would
// reveal it, the range of the import.
func (r *role) shownAt(v *Variable) *hcl.Range {
	at := r.givenAt(v.Name)
	if v.Sensitive {
		at = r.at
	}
	return &at
}

// givenAt returns the range of the value given to a variable of the role.
func (r *role) givenAt(name string) hcl.Range {
	if r.vars == nil {
		return r.at
	}
	return itemRange(r.vars, name)
}

func isLiteral(expr hcl.Expression, text string) bool {
	v, diags := expr.Value(nil)
	return !diags.HasErrors() && v.Type() == cty.String && v.IsKnown() && !v.IsNull() && v.AsString() == text
}
