package run

import (
	"context"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/observe"
)

// expressions provides the values that a task's expressions see on a host.
type expressions struct {
	hosts, groups cty.Value
	// limited are the names of the hosts that --limit selects.
	limited map[string]bool

	mu    sync.Mutex
	peers []*inventory.Host
	plays map[*lang.Play]cty.Value // built from peers
}

// setPeers sets the hosts that `play` contains from now on.
func (x *expressions) setPeers(peers []*inventory.Host) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.peers, x.plays = peers, map[*lang.Play]cty.Value{}
}

// scope returns everything that a task's expressions see on a host. Only the facts that they mention are observed.
func (x *expressions) scope(ctx context.Context, h *host, t *task, results map[string]cty.Value) (lang.Scope, error) {
	scope := x.unread(h, t)
	scope["result"] = cty.ObjectVal(results)
	var err error
	scope["facts"], err = facts(ctx, h.observed, t.references)
	return scope, err
}

// unread returns what a task's expressions see on a host before anything has been read from it.
func (x *expressions) unread(h *host, t *task) lang.Scope {
	return lang.Scope{"host": h.value, "hosts": x.hosts, "groups": x.groups, "play": x.play(t.play)}
}

// foreseen is like unread, with unknown facts and results.
func (x *expressions) foreseen(h *host, t *task) lang.Scope {
	scope := x.unread(h, t)
	scope["facts"], scope["result"] = cty.DynamicVal, cty.DynamicVal
	unknown := func(string) cty.Value { return cty.DynamicVal }
	scope["hosts"] = lang.WithPeers(x.hosts, t.references.Peers, unknown, unknown)
	return scope
}

// play returns the value of `play`.
func (x *expressions) play(play *lang.Play) cty.Value {
	x.mu.Lock()
	defer x.mu.Unlock()
	if v, ok := x.plays[play]; ok {
		return v
	}
	var all, selected []string
	for _, h := range x.peers {
		all = append(all, h.Name)
		if x.limited[h.Name] {
			selected = append(selected, h.Name)
		}
	}
	x.plays[play] = cty.ObjectVal(map[string]cty.Value{
		"name": cty.StringVal(play.Name), "hosts": nameList(all), "selected": nameList(selected),
	})
	return x.plays[play]
}

func nameList(all []string) cty.Value {
	if len(all) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	values := make([]cty.Value, len(all))
	for i, name := range all {
		values[i] = cty.StringVal(name)
	}
	return cty.ListVal(values)
}

// facts observes the facts that a task's expressions mention.
func facts(ctx context.Context, h *observe.Host, refs lang.References) (cty.Value, error) {
	names := refs.Facts
	if refs.AllFacts {
		names = nil
		for _, f := range observe.Facts() {
			names = append(names, f.Name)
		}
	}
	return readFacts(ctx, h, names)
}
