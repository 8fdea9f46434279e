package modules

import "testing"

func TestRiskOf(t *testing.T) {
	for name, test := range map[string]struct {
		plan Plan
		step Step
		want Risk
	}{
		"a file":                  {Plan{}, Step{Action: WriteFile{}}, Harmless},
		"a restart":               {Plan{}, Step{Action: Run{}, Risk: Restarts}, Restarts},
		"an author's command":     {Plan{}, Step{Action: Run{}, Unknown: true}, Unforeseen},
		"a removal":               {Plan{}, Step{Action: Remove{}}, Destroys},
		"a removal without loss":  {Plan{}, Step{Action: Remove{Lossless: true}}, Harmless},
		"a reboot":                {Plan{}, Step{Action: Reboot{}}, CostsQuorum},
		"a guarded file":          {Plan{Guard: &Guard{}}, Step{Action: WriteFile{}}, CutsSSH},
		"a guarded removal":       {Plan{Guard: &Guard{}}, Step{Action: Remove{}}, Destroys},
		"the greatest one counts": {Plan{Guard: &Guard{}}, Step{Action: Reboot{}, Risk: Restarts}, CostsQuorum},
	} {
		if got := test.plan.RiskOf(test.step); got != test.want {
			t.Errorf("%s: class %s, want %s", name, got, test.want)
		}
	}
}

func TestParseRisk(t *testing.T) {
	for _, r := range Risks() {
		if got, err := ParseRisk(r.String()); err != nil || got != r {
			t.Errorf("%s is read as %s, %v", r, got, err)
		}
	}
	if _, err := ParseRisk("any"); err == nil {
		t.Error("a class that does not exist was accepted")
	}
}
