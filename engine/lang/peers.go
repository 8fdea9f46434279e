package lang

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/suggest"
)

// Peers lists what expressions read of any host of the inventory: the facts in hosts["x"].facts and the results in
// hosts["x"].result.
type Peers struct {
	// Hosts lists the hosts that are named; those with a computed name are known only once it is evaluated (see Asked).
	Hosts []string
	// Facts, AllFacts, Results and AllResults are as in References.
	Facts      []string
	AllFacts   bool
	Results    []string
	AllResults bool
}

// Any reports whether anything is read.
func (p Peers) Any() bool { return p.ReadsFacts() || p.ReadsResults() }

// ReadsFacts reports whether facts are read.
func (p Peers) ReadsFacts() bool { return p.AllFacts || len(p.Facts) > 0 }

// ReadsResults reports whether results are read.
func (p Peers) ReadsResults() bool { return p.AllResults || len(p.Results) > 0 }

// Asked collects the hosts with computed names whose facts or results were asked for while expressions were evaluated.
// The zero value is empty. It is safe for concurrent use.
type Asked struct {
	mu    sync.Mutex
	hosts map[string]bool
}

var askedType = cty.Capsule("asked", reflect.TypeFor[Asked]())

// askedName is the name under which a scope holds an Asked. No source can refer to it.
const askedName = "(asked)"

// In returns the scope such that evaluating with it collects hosts.
func (a *Asked) In(s Scope) Scope { return s.with(askedName, cty.CapsuleVal(askedType, a)) }

// Hosts returns the hosts collected so far, sorted.
func (a *Asked) Hosts() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return sortedKeys(a.hosts)
}

func (a *Asked) add(host string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hosts == nil {
		a.hosts = make(map[string]bool)
	}
	a.hosts[host] = true
}

// peerRead is one mention of hosts[…].facts or hosts[…].result.
type peerRead struct {
	host  string // empty if it is computed
	root  string // "facts" or "result"
	name  string // of the fact or result; empty for all of them
	at    hcl.Range
	index *hclsyntax.IndexExpr // of a computed host
}

// peerReads returns the mentions in a node, which is an expression or a body.
func peerReads(node hclsyntax.Node) []peerRead {
	var all []peerRead
	add := func(host string, rest hcl.Traversal, index *hclsyntax.IndexExpr, at hcl.Range) {
		attr, ok := rest[0].(hcl.TraverseAttr)
		if !ok || attr.Name != "facts" && attr.Name != "result" {
			return
		}
		name, _ := second(rest)
		all = append(all, peerRead{host, attr.Name, name, at, index})
	}
	hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.ScopeTraversalExpr:
			if host, ok := second(n.Traversal); ok && n.Traversal.RootName() == "hosts" && len(n.Traversal) > 2 {
				add(host, n.Traversal[2:], nil, n.SrcRange)
			}
		case *hclsyntax.RelativeTraversalExpr:
			if index, ok := n.Source.(*hclsyntax.IndexExpr); ok && isHosts(index.Collection) {
				add("", n.Traversal, index, n.SrcRange)
			}
		}
		return nil
	})
	return all
}

func isHosts(expr hclsyntax.Expression) bool {
	s, ok := expr.(*hclsyntax.ScopeTraversalExpr)
	return ok && len(s.Traversal) == 1 && s.Traversal.RootName() == "hosts"
}

// watchPeers instruments a parsed node so that evaluating hosts[…] with a computed name tells an Asked about it.
func watchPeers(node hclsyntax.Node) {
	watch := func(index *hclsyntax.IndexExpr, asks bool) {
		if _, done := index.Key.(peerKey); !done {
			index.Key = peerKey{&hclsyntax.ParenthesesExpr{Expression: index.Key, SrcRange: index.Key.Range()}, asks}
		}
	}
	for _, r := range peerReads(node) {
		if r.index != nil {
			watch(r.index, true)
		}
	}
	hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		if index, ok := n.(*hclsyntax.IndexExpr); ok && isHosts(index.Collection) {
			watch(index, false)
		}
		return nil
	})
}

// peerKey is the computed name of a host. It wraps the expression in parentheses for the reason given at metered.
type peerKey struct {
	hclsyntax.Expression
	asks bool // whether facts or results are read
}

// Value implements hclsyntax.Expression.
func (e peerKey) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := e.Expression.Value(ctx)
	if diags.HasErrors() || v.Type() != cty.String || v.IsMarked() || !v.IsKnown() || v.IsNull() {
		return v, diags
	}
	name := v.AsString()
	if hosts, ok := variable(ctx, "hosts"); ok && hosts.Type().IsObjectType() && !hosts.Type().HasAttribute(name) {
		return cty.DynamicVal, append(diags, fault(e.Range(), fmt.Sprintf("there is no host %q", name), nearHost(name, attributeNames(hosts))))
	}
	if asked, ok := variable(ctx, askedName); ok && e.asks {
		asked.EncapsulatedValue().(*Asked).add(name)
	}
	return v, diags
}

// nearHost is didYouMean for the hosts of an inventory, which can be numerous.
func nearHost(name string, hosts []string) string {
	if suggest.Nearest(name, hosts) != "" {
		return strings.TrimSpace(didYouMean(name, hosts))
	}
	return "The inventory has no such host: `hlplay inventory` prints those that it has."
}

// variable returns a variable of a context or of those around it.
func variable(ctx *hcl.EvalContext, name string) (cty.Value, bool) {
	for ; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables[name]; ok {
			return v, true
		}
	}
	return cty.NilVal, false
}

// WithPeers returns `hosts` with what is read of each host added to its object: facts and result. Each of the two is
// omitted if nothing of that kind is read.
func WithPeers(hosts cty.Value, read Peers, facts, result func(host string) cty.Value) cty.Value {
	if !read.Any() || !hosts.IsKnown() || !hosts.Type().IsObjectType() {
		return hosts
	}
	all := hosts.AsValueMap()
	for name, host := range all {
		object, marks := host.Unmark()
		attributes := object.AsValueMap()
		if read.ReadsFacts() {
			attributes["facts"] = facts(name)
		}
		if read.ReadsResults() {
			attributes["result"] = result(name)
		}
		all[name] = cty.ObjectVal(attributes).WithMarks(marks)
	}
	if len(all) == 0 {
		return hosts
	}
	return cty.ObjectVal(all)
}

// ownPeers converts `hosts` to what expressions in a namespace see: only the namespace's own results.
func (sp *namespace) ownPeers(hosts cty.Value) cty.Value {
	if !hosts.IsKnown() || !hosts.Type().IsObjectType() {
		return hosts
	}
	all := hosts.AsValueMap()
	for name, host := range all {
		if !host.Type().IsObjectType() || !host.Type().HasAttribute("result") {
			return hosts
		}
		attributes := host.AsValueMap()
		attributes["result"] = sp.ownResult(attributes["result"])
		all[name] = cty.ObjectVal(attributes)
	}
	if len(all) == 0 {
		return hosts
	}
	return cty.ObjectVal(all)
}

// peers adds what an expression reads of hosts through `hosts`, whether it names the host or computes its name.
func (r *references) peers(expr placed) {
	node, ok := expr.Expression.(hclsyntax.Node)
	if !ok {
		return
	}
	for _, read := range peerReads(node) {
		if read.host != "" {
			r.of.hosts[read.host] = true
		}
		switch {
		case read.root == "facts" && read.name != "":
			r.of.facts[read.name] = true
		case read.root == "facts":
			r.of.allFacts = true
		case read.name != "":
			r.of.results[expr.space.result(read.name)] = true
		default:
			r.of.allResults = true
		}
	}
}

// peerReferences reports what an expression reads of any host that is not available.
func (l *loader) peerReferences(expr hcl.Expression, p place) bool {
	node, ok := expr.(hclsyntax.Node)
	if !ok {
		return true
	}
	if p.space == nil {
		p.space = l.space
	}
	sound := true
	for _, r := range peerReads(node) {
		var d *hcl.Diagnostic
		switch {
		case p.onlyOwn != "":
			d = fault(r.at, fmt.Sprintf("hosts[…].%s is not available in %s", r.root, p.what), p.onlyOwn)
		case !slices.Contains(p.roots, r.root):
			d = fault(r.at, fmt.Sprintf("hosts[…].%s is not available in %s", r.root, p.what), p.why)
		case r.name == "":
		case r.root == "result":
			d = p.result(r.name, r.at)
		case l.options.Facts != nil:
			if names := sortedKeys(l.options.Facts); !slices.Contains(names, r.name) {
				d = fault(r.at, fmt.Sprintf("there is no fact %q", r.name), strings.TrimSpace(didYouMean(r.name, names)))
			}
		}
		if d != nil {
			l.report(d)
			sound = false
		}
	}
	return sound
}

// readsPeers returns what the tasks of a play read of any host.
func (p *Play) readsPeers() (read Peers) {
	walk(p, func(t *Task) {
		of := t.References().Peers
		read.AllFacts = read.AllFacts || of.ReadsFacts()
		read.AllResults = read.AllResults || of.ReadsResults()
	})
	return read
}
