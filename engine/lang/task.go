package lang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hlplay/engine/suggest"
	"hlplay/modules"
)

var (
	taskShape = shape{
		what: "a task",
		attributes: []string{"when", "for_each", "tags", "notify", "register", "retries", "delay", "until",
			"ignore_errors", "run_once", "delegate_to", "throttle", "become", "become_user", "timeout", "vars", "environment", "allow"},
		otherBlocks: true,
	}
	groupShape = shape{
		what:       "a group",
		attributes: []string{"when", "tags", "become", "become_user", "environment"},
		blocks:     []string{"task", "group", "import", "flush_handlers", "rescue", "always"},
	}
	partShape  = shape{blocks: []string{"task", "group", "import", "flush_handlers"}}
	flushShape = shape{what: "a flush_handlers block"}
)

// playDecoder decodes the tasks of a play, or of a role imported into it.
type playDecoder struct {
	*loader
	play  *Play
	dir   string   // of the file
	hosts []string // of the play
	// static is the place of arguments that depend only on variables, inventory the place of those that may also
	// depend on the hosts and groups.
	static, inventory place
	// names holds the full names of tasks and handlers, roles the names of imports, and registered the names of the
	// namespace's own results.
	names, registered, roles map[string]hcl.Range
}

// nodes decodes the tasks and groups in a body in source order. Blocks of the types in others are left to the caller.
func (d *playDecoder) nodes(body *hclsyntax.Body, parent *Group, tags []string, others ...string) []Node {
	var nodes []Node
	for _, block := range body.Blocks {
		switch {
		case slices.Contains(others, block.Type):
		case block.Type == "task":
			if t := d.task(block, parent, tags); t != nil {
				nodes = append(nodes, t)
			}
		case block.Type == "group":
			if g := d.group(block, parent, tags); g != nil {
				nodes = append(nodes, g)
			}
		case block.Type == "import":
			nodes = append(nodes, d.imported(block, parent, tags)...)
		case block.Type == "flush_handlers":
			d.noLabels(block)
			d.check(block.Body, flushShape)
			nodes = append(nodes, &Flush{Range: block.DefRange()})
		}
	}
	return nodes
}

func (d *playDecoder) group(block *hclsyntax.Block, parent *Group, tags []string) *Group {
	name, ok := d.label(block, "a name")
	if !ok {
		return nil
	}
	d.check(block.Body, groupShape)
	g := &Group{
		Name:        name,
		When:        expression(block.Body, "when"),
		Environment: expression(block.Body, "environment"),
		Tags:        union(tags, d.tags(block.Body, d.static)),
		Range:       block.DefRange(),
		parent:      parent,
		become:      d.becoming(block.Body, d.inventory, d.hosts),
		space:       d.space,
		dir:         d.dir,
	}
	g.Tasks = d.nodes(block.Body, g, g.Tags, "rescue", "always")
	parts := make(map[string]bool)
	for _, part := range block.Body.Blocks {
		if part.Type != "rescue" && part.Type != "always" {
			continue
		}
		if parts[part.Type] {
			d.report(fault(part.TypeRange, fmt.Sprintf("two %s blocks in one group", part.Type), "Merge them into one."))
			continue
		}
		parts[part.Type] = true
		d.noLabels(part)
		s := partShape
		s.what = "a " + part.Type + " block"
		d.check(part.Body, s)
		nodes := d.nodes(part.Body, g, g.Tags)
		if part.Type == "rescue" {
			g.Rescue = nodes
		} else {
			g.Always = nodes
		}
	}
	return g
}

// task decodes a task or handler, except for what depends on a host.
func (d *playDecoder) task(block *hclsyntax.Block, parent *Group, tags []string) *Task {
	name, ok := d.label(block, "a name")
	if !ok {
		return nil
	}
	full := d.space.named(name)
	if earlier, ok := d.names[full]; ok {
		d.report(fault(block.LabelRanges[0], fmt.Sprintf("there are two tasks %q in this play", name),
			fmt.Sprintf("The other one is at %s. Results are identified by the names of tasks and handlers: rename one.", lineOf(earlier))))
	}
	d.names[full] = block.DefRange()
	s := taskShape
	handler := block.Type == "handler"
	if handler {
		s.what = "a handler"
	}
	d.check(block.Body, s)
	body, at := block.Body, d.static
	t := &Task{
		Name:        full,
		When:        expression(body, "when"),
		ForEach:     expression(body, "for_each"),
		Until:       expression(body, "until"),
		Vars:        expression(body, "vars"),
		Environment: expression(body, "environment"),
		Tags:        union(tags, d.tags(body, at)),
		Notify:      d.notified(body, at),
		Register:    d.space.result(d.register(body, at)),
		RunOnce:     d.flag(body, "run_once", d.inventory),
		Dir:         d.dir,
		Range:       block.DefRange(),
		space:       d.space,
		play:        d.play,
		group:       parent,
		handler:     handler,
		become:      d.becoming(body, d.inventory, d.hosts),
	}
	t.Allow = d.allow(body)
	t.delegate = d.delegating(t, body)
	d.settings(t, body)
	if attr := body.Attributes["notify"]; attr != nil {
		t.notifyAt = attr.Expr.Range()
	}
	d.module(t, block)
	return t
}

// notified returns the full names of the handlers that a task notifies.
func (d *playDecoder) notified(body *hclsyntax.Body, at place) []string {
	all := union(d.stringList(body, "notify", at))
	for i, name := range all {
		all[i] = d.space.named(name)
	}
	return all
}

// register returns the name of a result.
func (d *playDecoder) register(body *hclsyntax.Body, at place) string {
	name, ok := d.text(body, "register", at)
	if !ok {
		return ""
	}
	where := body.Attributes["register"].Expr.Range()
	if !hclsyntax.ValidIdentifier(name) {
		d.report(fault(where, fmt.Sprintf("%q cannot be the name of a result", name),
			"Expressions read it as result.NAME: expected a letter or underscore and then letters, digits, underscores and dashes."))
		return ""
	}
	if earlier, ok := d.registered[name]; ok {
		d.report(fault(where, fmt.Sprintf("result %q is registered twice in this play", name),
			fmt.Sprintf("The other task is at %s, and the later result would hide the earlier one: rename one.", lineOf(earlier))))
	}
	d.registered[name] = where
	return name
}

// module finds the single module block of a task.
func (d *playDecoder) module(t *Task, block *hclsyntax.Block) {
	what := block.Type // "task" or "handler"
	var first *hclsyntax.Block
	for _, b := range block.Body.Blocks {
		if slices.Contains(taskShape.attributes, b.Type) {
			d.report(fault(b.TypeRange, fmt.Sprintf("%q is an argument, not a block", b.Type),
				fmt.Sprintf("Write it with an equals sign: %s = ….", b.Type)))
			continue
		}
		if first != nil {
			d.report(fault(b.TypeRange, fmt.Sprintf("the %s has a second module block", what),
				fmt.Sprintf("It has %s at line %d already. Write a %s of its own for %s.", first.Type, first.TypeRange.Start.Line, what, b.Type)))
			continue
		}
		first = b
	}
	if first == nil {
		d.report(fault(block.DefRange(), fmt.Sprintf("the %s has no module block", what),
			"Add one that describes the desired state, such as file { … }. `hlplay doc` lists the modules."))
		return
	}
	t.ModuleRange, t.Body = first.DefRange(), first.Body
	d.noLabels(first)
	spec, ok := d.modules[first.Type]
	if !ok {
		d.report(fault(first.TypeRange, fmt.Sprintf("unknown module %q", first.Type), d.unknownModule(first.Type)))
		return
	}
	t.schema = d.schema(spec, first.TypeRange)
	t.Module = spec
}

// schema returns the schema of a module. A playbook uses few of the modules, and most of them have many arguments.
func (l *loader) schema(spec modules.Spec, at hcl.Range) *ModuleSchema {
	if known := l.schemas[spec.Name]; known != nil {
		return known
	}
	schema := Schema(spec)
	if err := schema.Err(); err != nil {
		l.report(fault(at, fmt.Sprintf("module %q is defective", spec.Name), err.Error()))
	}
	l.schemas[spec.Name] = &schema
	return &schema
}

func (d *playDecoder) unknownModule(name string) string {
	names := sortedKeys(d.modules)
	for _, here := range names {
		if slices.Contains(d.modules[here].Aliases, name) {
			return fmt.Sprintf("Use %q for what it does in Ansible: `hlplay doc %s`.", here, here)
		}
	}
	if near := suggest.Nearest(name, names); near != "" {
		return fmt.Sprintf("There is no such module. Did you mean %q? `hlplay doc` lists the modules.", near)
	}
	return "There is no such module. The modules are " + strings.Join(names, ", ") + "; `hlplay doc` explains them."
}
