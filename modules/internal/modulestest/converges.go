// Package modulestest contains what the tests of modules share.
package modulestest

import (
	"context"
	"testing"

	"hlplay/engine/lang"
	"hlplay/modules"
)

// rounds bounds the number of partial plans.
const rounds = 10

// Decoded returns m with the defaults of its arguments, as the decoder would return it for a playbook that does not
// set them.
func Decoded[M modules.Module](m M) M {
	lang.Defaults(m)
	return m
}

// Converges plans m, with the defaults of its arguments, on h, predicts what the steps are expected to bring about,
// and plans again. The test fails unless nothing is left to do then: check mode relies on this, and the engine demands
// it after a real run. Converges returns the first plan. The predictions stay on h, and on the hosts that expectations
// name, so that a test can examine them.
//
// A plan with Repeats is planned again but may yield its steps again. A plan with Partial is followed until it is
// complete.
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

// Summaries returns the summaries of the plan's steps, one per line, indented.
func Summaries(p modules.Plan) string {
	var s string
	for _, step := range p.Steps {
		s += "  " + step.Summary + "\n"
	}
	return s
}
