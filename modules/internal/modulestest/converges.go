// Package modulestest is what the tests of modules share.
package modulestest

import (
	"context"
	"testing"

	"hlplay/engine/lang"
	"hlplay/modules"
)

// rounds bounds how often a plan may call itself partial.
const rounds = 10

// Decoded returns m with the defaults of its arguments, as the decoder leaves it for a playbook that does not give them.
func Decoded[M modules.Module](m M) M {
	lang.Defaults(m)
	return m
}

// Converges plans m, with the defaults of its arguments, on h, predicts what the steps say they bring about, and plans again. The test
// fails unless that finds nothing left to do, which is what check mode relies on and what the
// engine demands after a real run. It returns the first plan. The predictions stay on h (and on
// the hosts that expectations name), so that a test can look at them.
//
// A plan that says Repeats is planned again but may find its steps anew; one that says Partial is
// followed until it is complete.
func Converges(t *testing.T, m modules.Module, h modules.Host) modules.Plan {
	t.Helper()
	return ConvergesIn(t, context.Background(), m, h)
}

// ConvergesIn is Converges with a context, such as one that carries the task's user.
func ConvergesIn(t *testing.T, ctx context.Context, m modules.Module, h modules.Host) modules.Plan {
	t.Helper()
	lang.Defaults(m)
	first, err := m.Plan(ctx, h)
	if err != nil {
		t.Fatalf("the first plan failed: %v", err)
	}
	plan := first
	for range rounds {
		for _, step := range plan.Steps {
			if step.Summary == "" {
				t.Errorf("a step with a %T has no summary", step.Action)
			}
			if step.Action == nil {
				t.Errorf("step %q has no action", step.Summary)
			}
			h.Predict(step.Expect)
		}
		again, err := m.Plan(ctx, h)
		if err != nil {
			t.Fatalf("planning again after the predicted steps failed: %v", err)
		}
		if plan.Repeats || len(again.Steps) == 0 {
			return first
		}
		if !plan.Partial {
			t.Fatalf("planning again after the predicted steps still finds %d to do:\n%s\nthe first plan was:\n%s",
				len(again.Steps), Summaries(again), Summaries(first))
		}
		plan = again
	}
	t.Fatalf("the plan still calls itself partial after %d rounds:\n%s", rounds, Summaries(plan))
	return first
}

// Summaries are the plan's step summaries, one a line, indented.
func Summaries(p modules.Plan) string {
	var s string
	for _, step := range p.Steps {
		s += "  " + step.Summary + "\n"
	}
	return s
}
