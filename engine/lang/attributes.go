package lang

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// withNames makes diagnostics about missing attributes list the attributes that exist.
func withNames(diags hcl.Diagnostics, expr hcl.Expression, ctx *hcl.EvalContext) hcl.Diagnostics {
	for i, d := range diags {
		if d.Summary != "Unsupported attribute" || d.Subject == nil {
			continue
		}
		if better := unsupported(*d.Subject, expr, ctx); better != nil {
			better.Expression, better.EvalContext = d.Expression, d.EvalContext
			diags[i] = better
		}
	}
	return diags
}

// unsupported returns the diagnostic for the attribute that an expression refers to at a range, or nil if there is
// none.
func unsupported(at hcl.Range, expr hcl.Expression, ctx *hcl.EvalContext) *hcl.Diagnostic {
	for _, traversal := range expr.Variables() {
		for i, step := range traversal {
			attr, ok := step.(hcl.TraverseAttr)
			if !ok || i == 0 || attr.SrcRange != at {
				continue
			}
			of, diags := traversal[:i].TraverseAbs(ctx)
			if diags.HasErrors() || !of.Type().IsObjectType() {
				return nil
			}
			return noAttribute(traversal[:i], attr.Name, of, at)
		}
	}
	return nil
}

// noAttribute reports that an object lacks an attribute, and lists those that it has.
func noAttribute(path hcl.Traversal, name string, object cty.Value, at hcl.Range) *hcl.Diagnostic {
	names := attributeNames(object)
	detail := strings.TrimSpace(didYouMean(name, names))
	subject := traversalText(path)
	switch {
	case path.RootName() == "host" && subject == "host.vars", path.RootName() == "hosts" && strings.HasSuffix(subject, ".vars"):
		of := "this host"
		if path.RootName() == "hosts" {
			of = strings.TrimSuffix(subject, ".vars")
		}
		return fault(at, fmt.Sprintf("%s has no variable %q in the inventory", of, name),
			fmt.Sprintf("%s If only some hosts have it, write try(%s.%s, DEFAULT).", detail, subject, name))
	case path.RootName() == "hosts" && len(path) == 3 && strings.HasSuffix(subject, ".result"):
		return fault(at, fmt.Sprintf("%s has no result %q", strings.TrimSuffix(subject, ".result"), name),
			fmt.Sprintf("The task that registers it has not run on that host. If that can happen, write try(%s.%s, DEFAULT).", subject, name))
	case subject == "vars" && len(names) == 0:
		detail = "No vars are set here. Those of a play cannot refer to one another, and a role does not see them."
	case len(names) == 0:
		detail = "It has no attributes."
	}
	return fault(at, fmt.Sprintf("%s has no attribute %q", subject, name), detail)
}
