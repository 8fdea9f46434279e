package lang

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// sameEverywhere remembers values that are the same on all hosts of a play while its tasks are checked host by host: a
// list of all hosts is made once rather than once per host. Its methods accept a nil receiver, which remembers nothing.
type sameEverywhere struct {
	is     map[hcl.Expression]bool
	values map[hcl.Expression]cty.Value
	bodies map[*Task]hcl.Diagnostics
}

func newSameEverywhere() *sameEverywhere {
	return &sameEverywhere{
		is: make(map[hcl.Expression]bool), values: make(map[hcl.Expression]cty.Value), bodies: make(map[*Task]hcl.Diagnostics),
	}
}

// rootsOfAll are the names whose values are the same on all hosts of a play, except in a role that is given values of a
// host.
var rootsOfAll = []string{"hosts", "groups", "play", "var", "local"}

// of returns the memory for a task, or nil if the values of its names may differ between hosts.
func (s *sameEverywhere) of(t *Task) *sameEverywhere {
	if t.space.varies() {
		return nil
	}
	return s
}

// holds reports whether an expression has the same value on all hosts.
func (s *sameEverywhere) holds(expr hcl.Expression) bool {
	if s == nil {
		return false
	}
	is, known := s.is[expr]
	if !known {
		is = !slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool { return !slices.Contains(rootsOfAll, t.RootName()) })
		s.is[expr] = is
	}
	return is
}

// value returns the value of an argument that was evaluated on another host.
func (s *sameEverywhere) value(expr hcl.Expression) (v cty.Value, ok bool) {
	if s == nil {
		return cty.NilVal, false
	}
	v, ok = s.values[expr]
	return v, ok
}

// remember keeps the value of an argument for the other hosts.
func (s *sameEverywhere) remember(expr hcl.Expression, v cty.Value) {
	if s.holds(expr) {
		s.values[expr] = v
	}
}

// judge is like the function judge, for a task whose block may be the same on all hosts.
func (s *sameEverywhere) judge(t *Task, body *hclsyntax.Body, ctx *hcl.EvalContext) hcl.Diagnostics {
	s = s.of(t)
	if s == nil || slices.ContainsFunc(bodyExpressions(body), func(expr hcl.Expression) bool { return !s.holds(expr) }) {
		return t.space.imported(judge(t, body, ctx, s))
	}
	diags, known := s.bodies[t]
	if !known {
		diags = t.space.imported(judge(t, body, ctx, s))
		s.bodies[t] = diags
	}
	return slices.Clone(diags)
}
