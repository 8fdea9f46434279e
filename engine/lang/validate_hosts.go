package lang

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// mostRounds limits the rounds of for_each that are checked, counted over all hosts.
const mostRounds = 10_000

// forHosts checks the tasks of a play with the values of each host in the inventory. tasks are those that have no error
// with the values of an unknown host. An error counts if the task certainly runs on the host, or if all hosts have the
// error; otherwise a condition on facts may exclude it.
func (v *validator) forHosts(p *Play, tasks []*Task, scope Scope) {
	hosts := v.limited(v.matched(p.Hosts))
	var dependent []*Task
	for _, t := range tasks {
		if (t.dependsOnHost() || t.Delegated()) && (t.handler || Selected(t, v.options.Tags, v.options.SkipTags)) {
			dependent = append(dependent, t)
		}
	}
	if len(hosts) == 0 || len(dependent) == 0 {
		return
	}
	all := v.options.Inventory.HostsValue()
	j := &hostJudge{validator: v, found: make(map[string]*hostFault), same: newSameEverywhere()}
	names := make([]cty.Value, len(hosts))
	for i, name := range hosts {
		names[i] = cty.StringVal(name)
	}
	scope = scope.with("hosts", v.withPeers(p, scope, all)).with("groups", v.options.Inventory.GroupsValue())
	scope["play"] = cty.ObjectVal(map[string]cty.Value{
		"name": cty.StringVal(p.Name), "hosts": cty.ListVal(names), "selected": cty.UnknownVal(cty.List(cty.String)),
	})
	for _, name := range hosts {
		j.name = name
		of := scope.with("host", all.GetAttr(name))
		j.certain = true
		of["vars"] = j.vars(p.space, p.Vars, p.dir, of, cty.EmptyObjectVal)
		for _, t := range dependent {
			j.task(t, of)
		}
	}
	for _, key := range j.order {
		f := j.found[key]
		if !f.certain && len(f.hosts) < len(hosts) {
			continue
		}
		if len(f.hosts) < len(hosts) {
			on := *f.Diagnostic
			on.Detail = strings.TrimSpace(fmt.Sprintf("%s This happens on %s.", on.Detail, few(f.hosts)))
			f.Diagnostic = &on
		}
		v.report(f.Diagnostic)
	}
}

// few lists names; if there are many, only the first ones.
func few(names []string) string {
	const most = 5
	if len(names) > most+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// dependsOnHost reports whether an expression of the task may have a different value on another host even though it
// reads no facts and no results, or reads something that only the inventory knows.
func (t *Task) dependsOnHost() bool {
	exprs := append(t.expressions(), present([]hcl.Expression{t.Until})...)
	varies := t.space.varies()
	for _, c := range t.conditions() {
		exprs = append(exprs, c.Expression)
		varies = varies || c.space.varies()
	}
	for _, e := range t.environments() {
		exprs = append(exprs, e.Expression)
		varies = varies || e.space.varies()
	}
	if varies {
		return true
	}
	if t.play.Vars != nil && anyReads(exprs, "vars") {
		exprs = append(exprs, t.play.Vars)
	}
	for _, root := range []string{"host", "hosts", "groups", "play"} {
		if anyReads(exprs, root) {
			return true
		}
	}
	return false
}

// hostJudge collects the errors of tasks, host by host.
type hostJudge struct {
	*validator
	name    string // of the host
	certain bool   // whether the task is done on it
	found   map[string]*hostFault
	order   []string
	rounds  int
	same    *sameEverywhere
}

// hostFault is an error and the hosts that have it.
type hostFault struct {
	*hcl.Diagnostic
	hosts   []string
	certain bool
}

// note records errors of a task on the host.
func (j *hostJudge) note(diags ...*hcl.Diagnostic) {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		key := d.Summary // the detail may mention something specific to this host
		if d.Subject != nil {
			key += "\x00" + d.Subject.String()
		}
		f := j.found[key]
		if f == nil {
			f = &hostFault{Diagnostic: d}
			j.found[key] = f
			j.order = append(j.order, key)
		}
		f.certain = f.certain || j.certain
		if n := len(f.hosts); n == 0 || f.hosts[n-1] != j.name {
			f.hosts = append(f.hosts, j.name)
		}
	}
}

// task checks a task on the host.
func (j *hostJudge) task(t *Task, scope Scope) {
	j.certain = true
	for g := t.group; g != nil; g = g.parent {
		in, diags := g.scope(t.play, scope, g.When)
		j.note(diags...)
		if diags.HasErrors() || !j.holds(g.space, g.When, "when", g.dir, in) {
			return
		}
	}
	raw := scope
	scope, diags := t.around(scope, false, true)
	j.note(diags...)
	if diags.HasErrors() {
		return
	}
	j.settings(t, scope, raw)
	if t.ForEach == nil {
		j.round(t, scope, raw)
		return
	}
	value, diags := evaluate(t.ForEach, t.space.context(t.Dir, scope))
	if diags.HasErrors() {
		j.note(diags...)
		return
	}
	all, known, d := items(value, t.ForEach)
	if d != nil {
		j.note(d)
		return
	}
	if !known {
		j.certain = false
		j.round(t, scope.with("each", unknownItem), raw.with("each", unknownItem))
		return
	}
	sure := j.certain
	for _, item := range all {
		if j.rounds++; j.rounds > mostRounds {
			return
		}
		j.certain = sure
		j.round(t, scope.with("each", item.Object()), raw.with("each", item.Object()))
	}
}

// settings checks how the task is to be carried out on the host, unless it is known to be skipped.
func (j *hostJudge) settings(t *Task, scope, raw Scope) {
	if len(t.computed) == 0 {
		return
	}
	sure := j.certain
	if t.When == nil || t.WhenPerItem() || j.holds(t.space, t.When, "when", t.Dir, scope.with("vars", j.vars(t.space, t.Vars, t.Dir, scope, scope["vars"]))) {
		j.certain = j.certain && !t.WhenPerItem()
		_, _, diags := t.settle(raw)
		j.note(diags...)
	}
	j.certain = sure
}

// round checks a task, or one round of it, with everything that is known. raw is what the engine supplies.
func (j *hostJudge) round(t *Task, scope, raw Scope) {
	scope = scope.with("vars", j.vars(t.space, t.Vars, t.Dir, scope, scope["vars"]))
	if !j.holds(t.space, t.When, "when", t.Dir, scope) {
		return
	}
	if t.Until != nil {
		j.holds(t.space, t.Until, "until", t.Dir, scope)
	}
	_, _, _, diags := t.environment(raw)
	j.note(t.space.imported(diags)...)
	if body, ok := t.Body.(*hclsyntax.Body); ok && t.schema != nil {
		ctx := t.space.context(t.Dir, scope)
		j.note(j.new(j.same.judge(t, body, ctx))...)
		if to := j.delegate(t, scope); to != "" {
			j.note(t.space.imported(undelegable(t, body, ctx, to))...)
		}
	}
}

// delegate returns the name of the host on which a round of a task is carried out for the host, or "" if that is the same
// host or not known.
func (j *hostJudge) delegate(t *Task, scope Scope) string {
	key := ""
	if t.delegate.items != nil {
		each := scope["each"]
		if each == cty.NilVal || !each.GetAttr("key").IsKnown() {
			return ""
		}
		key = each.GetAttr("key").AsString()
	}
	return t.Delegate(j.name, key)
}

// holds reports whether a condition may be true on the host. If it is unknown, it is not certain that the task runs.
func (j *hostJudge) holds(sp *namespace, expr hcl.Expression, what, dir string, scope Scope) bool {
	if expr == nil {
		return true
	}
	value, diags := evaluate(expr, sp.context(dir, scope))
	if diags.HasErrors() {
		j.note(diags...)
		return false
	}
	truth, d := truth(value, expr, what)
	if d != nil {
		j.note(d)
		return false
	}
	if !truth.IsKnown() {
		j.certain = false
		return true
	}
	return truth.True()
}

// vars returns the value of a `vars` argument on the host merged over the outer ones, unknown if it is wrong.
func (j *hostJudge) vars(sp *namespace, expr hcl.Expression, dir string, scope Scope, outer cty.Value) cty.Value {
	if expr == nil {
		return outer
	}
	all, diags := evaluateVars(expr, sp.context(dir, scope.with("vars", outer)), outer)
	j.note(diags...)
	return all
}
