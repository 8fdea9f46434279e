package lang

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// delegating says on which host a task is carried out.
type delegating struct {
	given bool
	same  string // the delegate on all hosts; empty if it differs
	// on holds the delegate for each host, if it differs between hosts; empty means the host itself.
	on map[string]string
	// at is where the expression is.
	at hcl.Range
}

// Delegated reports whether the task may be carried out on a host other than its own.
func (t *Task) Delegated() bool { return t.delegate.given }

// Delegate returns the name of the inventory's host on which the task is carried out for a host of the play. It is
// empty if that is the host itself.
func (t *Task) Delegate(host string) string {
	if t.delegate.on != nil {
		return t.delegate.on[host]
	}
	return t.delegate.same
}

// Delegates returns the names of all hosts that Delegate returns, sorted.
func (t *Task) Delegates() []string {
	var all []string
	if t.delegate.same != "" {
		all = append(all, t.delegate.same)
	}
	for _, name := range t.delegate.on {
		if name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// delegating decodes the delegate_to of a task. Delegates are connected to and locked like the task's own hosts, so
// they must be known before anything is read from a host.
func (d *playDecoder) delegating(t *Task, body *hclsyntax.Body) delegating {
	attr := body.Attributes["delegate_to"]
	if attr == nil {
		return delegating{}
	}
	all := delegating{given: true, at: attr.Expr.Range()}
	if reads(attr.Expr, "each") {
		d.report(fault(all.at, "delegate_to cannot differ between the items of for_each",
			"A task with all of its items is carried out on one host, and fails or succeeds there. To do something on each of several hosts, write a play whose hosts these are; to do it from here, one task for each of them."))
		return delegating{}
	}
	p := d.inventory
	p.roots = append(p.roots[:len(p.roots):len(p.roots)], "host")
	p.why = "It is decided before a host is connected to, so only var, local, host, hosts, groups and play can be used."
	if !reads(attr.Expr, "host") || d.options.Inventory == nil {
		p.ctx = withVariable(p.ctx, "host", unknownHost)
		all.same = d.delegate(t, body, p)
		return all
	}
	limited := d.limited(d.hosts)
	all.on = make(map[string]string, len(d.hosts))
	hosts := d.options.Inventory.HostsValue()
	for _, name := range d.hosts {
		p.ctx = withVariable(p.ctx, "host", hosts.GetAttr(name))
		before := len(d.diags)
		all.on[name] = d.delegate(t, body, p)
		faults := d.diags[before:]
		if len(faults) == 0 {
			continue
		}
		if !slices.Contains(limited, name) { // the task is not done for this host
			d.diags = d.diags[:before]
			continue
		}
		for _, fault := range faults {
			fault.Detail += fmt.Sprintf(" This is so on %s.", name)
		}
		break
	}
	return all
}

// delegate returns the name of the host that a task is delegated to for the host of the place, or "".
func (d *playDecoder) delegate(t *Task, body *hclsyntax.Body, p place) string {
	name, ok := d.text(body, "delegate_to", p)
	if !ok {
		return ""
	}
	where := body.Attributes["delegate_to"].Expr.Range()
	if name == "" {
		d.report(fault(where, "delegate_to is empty", "Name a host of the inventory, or remove delegate_to."))
		return ""
	}
	if d.options.Inventory == nil {
		return name
	}
	if names := attributeNames(d.options.Inventory.HostsValue()); !slices.Contains(names, name) {
		d.report(fault(where, fmt.Sprintf("there is no host %q to delegate to", name), "It must be the name of one host of the inventory"+
			Suggestion(name, names, `the controller is one if it is declared: host "localhost" { connection = "local" }.`)))
		return ""
	}
	if t.becomesApart() && !slices.Contains(d.hosts, name) {
		d.report(fault(where, fmt.Sprintf("become depends on the host, and %s is not one of the play", name),
			"So the account to use there is not known: give the task its own become that does not depend on the host."))
	}
	return name
}
