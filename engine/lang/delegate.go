package lang

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hlplay/modules"
)

// delegating says on which host a task is carried out.
type delegating struct {
	given bool
	same  string // the delegate on all hosts; empty if it differs
	// on holds the delegate for each host, if it differs between hosts; empty means the host itself.
	on map[string]string
	// items holds the delegate for each host and key of for_each, if it differs between items.
	items map[string]map[string]string
	// at is where the expression is.
	at hcl.Range
}

// Delegated reports whether the task may be carried out on a host other than its own.
func (t *Task) Delegated() bool { return t.delegate.given }

// Delegate returns the name of the inventory's host on which an item of the task is carried out for a host of the play.
// The key is empty without for_each. The name is empty if that is the host itself.
func (t *Task) Delegate(host, key string) string {
	on := t.delegate.same
	switch {
	case t.delegate.items != nil:
		on = t.delegate.items[host][key]
	case t.delegate.on != nil:
		on = t.delegate.on[host]
	}
	if on == host {
		return ""
	}
	return on
}

// undelegable returns an error if a task cannot be carried out on another host than its own, whatever is found there. The run
// reports modules that act on a cluster, which need not act on every host.
func undelegable(t *Task, body *hclsyntax.Body, ctx *hcl.EvalContext, to string) hcl.Diagnostics {
	d := &decoder{dir: t.Dir, ctx: ctx, secrets: make(secrets)}
	m, _ := d.module(t, body)
	r, ok := m.(modules.Resident)
	if d.diags.HasErrors() || !ok || r.Resident() == "" { // judge reports the errors
		return nil
	}
	at := t.delegate.at
	return hcl.Diagnostics{{
		Severity: hcl.DiagError, Summary: "delegate_to: " + r.Resident(), Detail: fmt.Sprintf("Move the task to a play for %s.", to), Subject: &at,
	}}
}

// On returns the names of the hosts on which the task is carried out for a host of the play, sorted. It is the host
// itself unless the task is delegated.
func (t *Task) On(host string) []string {
	keys := []string{""}
	if t.delegate.items != nil {
		keys = sortedKeys(t.delegate.items[host])
	}
	var all []string
	for _, key := range keys {
		if name := cmp.Or(t.Delegate(host, key), host); !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// Delegates returns the names of all hosts to which the task is delegated, sorted.
func (t *Task) Delegates() []string {
	all := map[string]bool{}
	if t.delegate.same != "" {
		all[t.delegate.same] = true
	}
	for _, name := range t.delegate.on {
		all[name] = true
	}
	for _, items := range t.delegate.items {
		for _, name := range items {
			all[name] = true
		}
	}
	delete(all, "")
	return sortedKeys(all)
}

// delegating decodes the delegate_to of a task. Delegates are connected to and locked like the task's own hosts, so
// they must be known before anything is read from a host.
func (d *playDecoder) delegating(t *Task, body *hclsyntax.Body) delegating {
	attr := body.Attributes["delegate_to"]
	if attr == nil {
		return delegating{}
	}
	all := delegating{given: true, at: attr.Expr.Range()}
	p := d.inventory
	p.roots = append(p.roots[:len(p.roots):len(p.roots)], "host")
	perItem := t.ForEach != nil && reads(attr.Expr, "each")
	p.why = beforeTheRun
	if !perItem && reads(attr.Expr, "each") {
		p.why = allRoots["each"]
	}
	if perItem {
		items := p
		items.what, items.why = "this for_each", itemsBeforeTheRun
		items.ctx = withVariable(p.ctx, "host", unknownHost)
		if !d.references(t.ForEach, items) {
			return delegating{}
		}
		p.roots = append(p.roots, "each")
		p.why = "It is decided before a host is connected to, so only var, local, host, hosts, groups, play and each can be used."
	}
	if d.options.Inventory == nil || !perItem && !reads(attr.Expr, "host") {
		p.ctx = withVariable(withVariable(p.ctx, "host", unknownHost), "each", unknownItem)
		all.same = d.delegate(t, body, p)
		return all
	}
	limited := d.limited(d.hosts)
	all.on = make(map[string]string, len(d.hosts))
	if perItem {
		all.on, all.items = nil, make(map[string]map[string]string, len(d.hosts))
	}
	hosts := d.options.Inventory.HostsValue()
	for _, name := range d.hosts {
		here := p
		here.ctx = withVariable(p.ctx, "host", hosts.GetAttr(name))
		before := len(d.diags)
		if perItem {
			all.items[name] = d.delegates(t, body, here)
		} else {
			all.on[name] = d.delegate(t, body, here)
		}
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

// Why delegate_to, and a for_each that it depends on, cannot read everything.
const (
	beforeTheRun      = "It is decided before a host is connected to, so only var, local, host, hosts, groups and play can be used."
	itemsBeforeTheRun = "The task's delegate_to reads each, and is decided before a host is connected to, so only var, local, host, hosts, groups and play can be used."
)

// delegates returns the names of the hosts that the items of a task are delegated to for the host of the place, by
// key.
func (d *playDecoder) delegates(t *Task, body *hclsyntax.Body, p place) map[string]string {
	value, diags := evaluate(t.ForEach, p.ctx)
	if diags.HasErrors() {
		d.report(diags...)
		return nil
	}
	list, known, wrong := items(value, t.ForEach)
	switch {
	case wrong != nil:
		d.report(wrong)
		return nil
	case !known:
		if !d.diags.HasErrors() { // otherwise it is unknown because of that
			d.report(fault(t.ForEach.Range(), "for_each is not known before the run", itemsBeforeTheRun))
		}
		return nil
	}
	all := make(map[string]string, len(list))
	for _, item := range list {
		here := p
		here.ctx = withVariable(p.ctx, "each", item.Object())
		before := len(d.diags)
		all[item.Key] = d.delegate(t, body, here)
		for _, fault := range d.diags[before:] {
			fault.Detail += fmt.Sprintf(" This concerns the item %q.", item.Key)
		}
		if len(d.diags) > before {
			break
		}
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
