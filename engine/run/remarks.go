package run

import (
	"slices"

	"hlplay/engine/lang"
	"hlplay/modules"
)

// remarks returns what the user should read about a plan: its notes, and the advice that is not in the task's allow.
func remarks(t *task, p modules.Plan) []string {
	all := p.Notes
	for _, a := range p.Advice {
		if _, allowed := t.Allow[a.Name]; !allowed {
			all = append(slices.Clip(all), a.Problem+". "+lang.Advised(a))
		}
	}
	return all
}
