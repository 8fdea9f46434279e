package lang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// CheckResults returns an error if a selected task reads something that only an omitted task could provide: a task
// before startAt, or one that tags and skip do not select. An omitted task has the result of a skipped one. A task
// whose `when` reads that result, or that reads it in try or can, is assumed to handle this. known, if not nil, reports
// whether the result of a task before startAt is available nevertheless.
func (p *Playbook) CheckResults(startAt string, tags, skip []string, known func(*Task) bool) error {
	left := make(map[string]omission) // by the name of the result
	waiting := startAt != ""
	for _, play := range p.Plays {
		var run []*Task
		for _, t := range TasksOf(play.Tasks) {
			selected := Selected(t, tags, skip)
			waiting = waiting && !(selected && t.Name == startAt)
			switch {
			case selected && known != nil && waiting && known(t):
				delete(left, t.Register)
			case selected && !waiting:
				if err := t.checkResults(left); err != nil {
					return err
				}
				run = append(run, t)
				delete(left, t.Register)
			case t.Register != "":
				left[t.Register] = omission{task: t, early: selected, startAt: startAt}
			}
		}
		for _, h := range play.Notified(run) {
			if err := h.checkResults(left); err != nil {
				return err
			}
		}
	}
	return nil
}

// omission is an omitted task that registers a result.
type omission struct {
	task    *Task
	early   bool // it comes before the task to start at
	startAt string
}

// OmittedError is returned if a task reads the result of a task that comes before the task to start at.
type OmittedError struct {
	// Task is the omitted task.
	Task *Task
	text string
}

func (e *OmittedError) Error() string { return e.text }

func (o omission) err(reader *Task, at hcl.Range) error {
	text := fmt.Sprintf("task %q (%s) is left out, and task %q reads its result %q (%s)",
		o.task.Name, lineOf(o.task.Range), reader.Name, o.task.Register, lineOf(at))
	switch {
	case o.early:
		return &OmittedError{o.task, fmt.Sprintf("--start-at-task %q: %s; start at %q or before it", o.startAt, text, o.task.Name)}
	case len(o.task.Tags) == 0:
		return fmt.Errorf("--tags, --skip-tags: %s; give it a tag, such as \"always\"", text)
	}
	return fmt.Errorf("--tags, --skip-tags: %s; it is tagged %s", text, strings.Join(o.task.Tags, ", "))
}

// always lists the attributes of every result, even that of a skipped task.
var always = []string{"status", "changed", "failed", "skipped", "message"}

func (t *Task) checkResults(left map[string]omission) error {
	if len(left) == 0 {
		return nil
	}
	guarded := make(map[string]bool)
	if t.Until != nil {
		guarded[t.Register] = true
	}
	own := append(t.expressions(), present([]hcl.Expression{t.Until})...)
	var all []placed
	for _, expr := range own {
		all = append(all, placed{expr, t.space})
	}
	all = append(all, t.behind(t.space, own...)...)
	for _, e := range t.environments() {
		all = append(append(all, e.placed), t.behind(e.space, e.Expression)...)
	}
	for _, when := range t.conditions() {
		all = append(all, t.behind(when.space, when.Expression)...)
		if err := checkReads(t, when, left, guarded); err != nil {
			return err
		}
		for _, traversal := range when.Variables() {
			if name, ok := second(traversal); ok && traversal.RootName() == "result" {
				guarded[when.space.result(name)] = true
			}
		}
	}
	for _, expr := range all {
		if err := checkReads(t, expr, left, guarded); err != nil {
			return err
		}
	}
	return nil
}

// checkReads reports the first attribute of a result that is missing because its task is omitted.
func checkReads(t *Task, expr placed, left map[string]omission, guarded map[string]bool) error {
	for _, traversal := range certainReads(expr.Expression) {
		path := traversal
		if of, ok := second(path[min(1, len(path)-1):]); ok && path.RootName() == "hosts" && of == "result" {
			path = path[2:] // of any host
		} else if path.RootName() != "result" {
			continue
		}
		name, ok := second(path)
		name = expr.space.result(name)
		if !ok || guarded[name] || len(path) < 3 {
			continue
		}
		attr, ok := path[2].(hcl.TraverseAttr)
		if o, out := left[name]; out && ok && !slices.Contains(always, attr.Name) {
			return o.err(t, traversal.SourceRange())
		}
	}
	return nil
}

// certainReads returns the traversals that an expression needs to have a value: not those inside try and can, nor
// those that depend on a condition.
func certainReads(expr hcl.Expression) []hcl.Traversal {
	node, ok := expr.(hclsyntax.Node)
	if !ok {
		return expr.Variables()
	}
	w := &certainWalk{answers: make(map[hclsyntax.Expression]bool)}
	hclsyntax.Walk(node, w)
	return w.reads
}

// certainWalk collects traversals. depth counts the nesting within expressions that can do without them.
type certainWalk struct {
	reads   []hcl.Traversal
	answers map[hclsyntax.Expression]bool
	depth   int
}

func (w *certainWalk) excuses(node hclsyntax.Node) bool {
	expr, ok := node.(hclsyntax.Expression)
	if !ok {
		return false
	}
	call, ok := expr.(*hclsyntax.FunctionCallExpr)
	return ok && (call.Name == "try" || call.Name == "can") || w.answers[expr]
}

// Enter implements hclsyntax.Walker.
func (w *certainWalk) Enter(node hclsyntax.Node) hcl.Diagnostics {
	if w.excuses(node) {
		w.depth++
	}
	switch n := node.(type) {
	case *hclsyntax.ConditionalExpr:
		w.answers[n.TrueResult], w.answers[n.FalseResult] = true, true
	case *hclsyntax.BinaryOpExpr:
		if n.Op == hclsyntax.OpLogicalAnd || n.Op == hclsyntax.OpLogicalOr {
			w.answers[n.RHS] = true
		}
	case *hclsyntax.ScopeTraversalExpr:
		if w.depth == 0 {
			w.reads = append(w.reads, n.Traversal)
		}
	}
	return nil
}

// Exit implements hclsyntax.Walker.
func (w *certainWalk) Exit(node hclsyntax.Node) hcl.Diagnostics {
	if w.excuses(node) {
		w.depth--
	}
	return nil
}
