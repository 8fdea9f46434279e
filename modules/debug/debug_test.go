package debug

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
)

func TestPlan(t *testing.T) {
	for name, test := range map[string]struct {
		module debug
		want   []string
	}{
		"a message": {debug{Message: "here\n"}, []string{"here"}},
		"a value":   {debug{Value: cty.TupleVal([]cty.Value{cty.NumberIntVal(1), cty.True})}, []string{"[1, true]"}},
		"both":      {debug{Message: "x", Value: cty.StringVal("y")}, []string{"x", `"y"`}},
		"null":      {debug{Message: "x", Value: cty.NullVal(cty.String)}, []string{"x"}},
	} {
		plan, err := test.module.Plan(t.Context(), observe.NewRecorded("host"))
		if diff := cmp.Diff(test.want, plan.Notes); diff != "" || err != nil || len(plan.Steps) > 0 {
			t.Errorf("%s: %v, %v, notes (-want +got):\n%s", name, plan.Steps, err, diff)
		}
	}
	if (&debug{}).Validate() == nil || (&debug{Value: cty.NullVal(cty.String)}).Validate() == nil || (&debug{Message: "x"}).Validate() != nil {
		t.Error("a message or a value is needed")
	}
}
