package lang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/modules"
)

// allow decodes the reasons why a task may use forms that are otherwise warned about.
func (d *playDecoder) allow(body *hclsyntax.Body) map[string]string {
	v, ok := d.value(body, "allow", cty.DynamicPseudoType, d.static)
	if !ok {
		return nil
	}
	at := body.Attributes["allow"].Expr.Range()
	if !v.Type().IsObjectType() && !v.Type().IsMapType() || v.IsNull() || !v.IsWhollyKnown() {
		d.report(fault(at, "wrong type for allow", fmt.Sprintf("Expected an object that gives, for each warning to ignore, the reason: { %s = \"no guests run here\" }.", modules.AdviceNetworkingRestart)))
		return nil
	}
	reasons := map[string]string{}
	for name, reason := range v.AsValueMap() {
		switch {
		case !slices.Contains(modules.AdviceNames, name):
			d.report(fault(at, fmt.Sprintf("there is no warning %q", name), strings.TrimSpace(didYouMean(name, modules.AdviceNames))))
		case reason.Type() != cty.String || reason.IsNull() || strings.TrimSpace(reason.AsString()) == "":
			d.report(fault(at, fmt.Sprintf("no reason is given for %s", name), fmt.Sprintf("Say why it can be ignored here: %s = \"…\".", name)))
		default:
			reasons[name] = reason.AsString()
		}
	}
	return reasons
}

// advise returns warnings about forms that a module considers rarely right, unless the task allows them.
func advise(m modules.Module, t *Task, body *hclsyntax.Body) hcl.Diagnostics {
	adviser, ok := m.(modules.Adviser)
	if !ok {
		return nil
	}
	var diags hcl.Diagnostics
	for _, a := range adviser.Advise() {
		if _, allowed := t.Allow[a.Name]; allowed {
			continue
		}
		d := fault(argumentRange(body, a.Argument, t.ModuleRange), a.Problem, Advised(a))
		d.Severity = hcl.DiagWarning
		diags = append(diags, d)
	}
	return diags
}

// Advised returns what the advice recommends, and how a task silences it.
func Advised(a modules.Advice) string {
	return fmt.Sprintf("%s. If this form is intended, say why in the task: allow = { %s = \"…\" }.", a.Want, a.Name)
}

// new returns the diagnostics without warnings that were already reported for another item or host.
func (l *loader) new(diags hcl.Diagnostics) hcl.Diagnostics {
	return slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool {
		return d.Severity == hcl.DiagWarning && slices.ContainsFunc(l.diags, func(other *hcl.Diagnostic) bool {
			return other.Severity == hcl.DiagWarning && other.Subject != nil && *other.Subject == *d.Subject && other.Summary == d.Summary
		})
	})
}
