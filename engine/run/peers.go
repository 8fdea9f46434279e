package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/lang"
	"hlplay/engine/observe"
)

// peers is what a task's expressions read of other hosts by name: hosts["x"].facts and hosts["x"].result. Hosts with a
// literal name are read at once. Hosts with a computed name are found by first evaluating the expressions with unknown
// facts.
type peers struct {
	hosts *hosts
	plain cty.Value // hosts as the inventory describes them
	read  lang.Peers
	asked lang.Asked

	mu    sync.Mutex
	facts map[string]cty.Value // by host, as far as they have been read
}

// peersOf returns what a task's expressions read of hosts by name, or nil if they read nothing of that kind.
func (x *expressions) peersOf(t *task, all *hosts) *peers {
	if !t.references.Peers.Any() {
		return nil
	}
	return &peers{hosts: all, plain: x.hosts, read: t.references.Peers, facts: map[string]cty.Value{}}
}

// in returns a scope with what is known of the hosts so far.
func (p *peers) in(scope lang.Scope) lang.Scope {
	if p == nil {
		return scope
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	scope = p.asked.In(scope)
	scope["hosts"] = lang.WithPeers(p.plain, p.read, func(host string) cty.Value {
		if v, ok := p.facts[host]; ok {
			return v
		}
		return cty.DynamicVal
	}, func(host string) cty.Value { return cty.ObjectVal(p.results(host)) })
	return scope
}

// results returns the results of a host that are read. A host that the run has not used has none.
func (p *peers) results(host string) map[string]cty.Value {
	if h := p.hosts.known(host); h != nil {
		return h.readNamed(p.read.Results, p.read.AllResults)
	}
	return map[string]cty.Value{}
}

// more reads, concurrently, the facts of hosts that were named or asked for since the last call, and reports whether
// there were any.
func (p *peers) more(ctx context.Context) (bool, error) {
	if p == nil || !p.read.ReadsFacts() {
		return false, nil
	}
	var missing []string
	for _, name := range slices.Concat(p.read.Hosts, p.asked.Hosts()) {
		if _, ok := p.facts[name]; !ok && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	errs := make([]error, len(missing))
	reads := make([]func(context.Context), len(missing))
	for i, name := range missing {
		reads[i] = func(ctx context.Context) { errs[i] = p.readFacts(ctx, name) }
	}
	observe.Together(ctx, reads...)
	return len(missing) > 0, errors.Join(errs...)
}

func (p *peers) readFacts(ctx context.Context, host string) error {
	on, err := p.hosts.observedPeer(host)
	if err != nil {
		return err
	}
	value, err := facts(ctx, on, lang.References{Facts: p.read.Facts, AllFacts: p.read.AllFacts})
	if err != nil {
		return fmt.Errorf("host %s: %w", host, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.facts[host] = value
	return nil
}

// foretold returns the tasks of the results read that check mode has only predicted.
func (p *peers) foretold() (found causeList) {
	if p == nil || !p.read.ReadsResults() {
		return nil
	}
	for _, name := range slices.Concat(p.read.Hosts, p.asked.Hosts()) {
		if h := p.hosts.known(name); h != nil {
			found = append(found, h.foretoldBy(p.results(name))...)
		}
	}
	return found
}
