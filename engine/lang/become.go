package lang

import (
	"fmt"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Become is the account that commands run as.
type Become struct {
	Enabled bool
	User    string // empty means root
}

// becomesApart reports whether the account depends on the host.
func (t *Task) becomesApart() bool {
	apart := t.play.become.on != nil || t.become.on != nil
	for g := t.group; g != nil; g = g.parent {
		apart = apart || g.become.on != nil
	}
	return apart
}

// becoming holds the become arguments of a play, group or task.
type becoming struct {
	same *Become // on all hosts; nil if not set
	// on holds the value for each host, if it differs between hosts.
	on map[string]*Become
}

func (b becoming) of(host string) *Become {
	if b.on != nil {
		return b.on[host]
	}
	return b.same
}

// Become returns the account that the task's commands run as on a host. The task's own arguments take precedence over
// those of the innermost group that has any, and those over the play's; they are not merged. Nil means that the
// playbook sets none, and the inventory decides.
func (t *Task) Become(host string) *Become {
	if b := t.become.of(host); b != nil {
		return b
	}
	for g := t.group; g != nil; g = g.parent {
		if b := g.become.of(host); b != nil {
			return b
		}
	}
	return t.play.become.of(host)
}

// becoming decodes become and become_user of a play, group or task. The connection to a host is made as that user, so
// the values are needed before anything is read from the host.
func (l *loader) becoming(body *hclsyntax.Body, p place, hosts []string) becoming {
	p.roots = append(p.roots[:len(p.roots):len(p.roots)], "host")
	p.why = "It is evaluated before any connection is made, so only var, local, host, hosts, groups and play can be used."
	differs := false
	for _, name := range []string{"become", "become_user"} {
		if attr := body.Attributes[name]; attr != nil {
			differs = differs || reads(attr.Expr, "host")
		}
	}
	if !differs || l.options.Inventory == nil {
		p.ctx = withVariable(p.ctx, "host", unknownHost)
		return becoming{same: l.become(body, p)}
	}
	limited := make(map[string]bool)
	for _, name := range l.limited(hosts) {
		limited[name] = true
	}
	b := becoming{on: make(map[string]*Become, len(hosts))}
	all := l.options.Inventory.HostsValue()
	for _, name := range hosts {
		p.ctx = withVariable(p.ctx, "host", all.GetAttr(name))
		before := len(l.diags)
		b.on[name] = l.become(body, p)
		faults := l.diags[before:]
		if len(faults) == 0 {
			continue
		}
		if !limited[name] { // nothing is done on this host
			l.diags = l.diags[:before]
			continue
		}
		for _, d := range faults {
			d.Detail += fmt.Sprintf(" This happens on %s.", name)
		}
		break
	}
	return b
}

// become returns what a body specifies for a host, or nil if it specifies nothing. A become_user alone enables become.
func (l *loader) become(body *hclsyntax.Body, p place) *Become {
	enabled, hasEnabled := l.value(body, "become", cty.Bool, p)
	user, hasUser := l.text(body, "become_user", p)
	if !hasEnabled && !hasUser {
		return nil
	}
	b := &Become{Enabled: true, User: user}
	if hasEnabled && enabled.False() {
		b.Enabled = false
		if hasUser {
			l.report(fault(body.Attributes["become_user"].Expr.Range(), "become_user without become",
				"become_user has no effect while become is false. Remove one of the two."))
		}
	}
	return b
}
