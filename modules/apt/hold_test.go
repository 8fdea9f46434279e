package apt

import (
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

// held expects a package that is on hold.
func held(name, version string) []observe.Expectation {
	return []observe.Expectation{observe.Packages.Expect(name, observe.Package{Status: "hold ok installed", Version: version})}
}

func TestHold(t *testing.T) {
	yes, no := true, false
	for name, test := range map[string]struct {
		hold *bool
		now  []observe.Expectation
		want string // the command, preceded by the steps before it
	}{
		"put on hold":       {&yes, installed("bash", "5.2"), "apt-mark hold bash"},
		"held already":      {&yes, held("bash", "5.2"), ""},
		"released":          {&no, held("bash", "5.2"), "apt-mark unhold bash"},
		"not held":          {&no, installed("bash", "5.2"), ""},
		"left as it is":     {nil, held("bash", "5.2"), ""},
		"of no consequence": {nil, installed("bash", "5.2"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			plan := modulestest.Converges(t, &Module{Packages: []string{"bash"}, Hold: test.hold}, recorded(bookworm, test.now))
			got := ""
			for _, step := range plan.Steps {
				got += strings.Join(step.Action.(modules.Run).Argv, " ")
			}
			if got != test.want {
				t.Errorf("it runs %q, want %q", got, test.want)
			}
		})
	}
}

func TestHoldRefused(t *testing.T) {
	yes := true
	for want, m := range map[string]*Module{
		"no packages are given":                          {Update: true, Hold: &yes},
		"a package whose state is absent cannot be held": {Packages: []string{"bash"}, State: "absent", Hold: &yes},
		"a held package is not upgraded":                 {Packages: []string{"bash"}, State: "latest", Hold: &yes},
	} {
		if err := modulestest.Decoded(m).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
