package plan

import (
	"strings"
	"testing"

	"hlplay/engine/run"
	"hlplay/modules"
)

// A refusal names the value of --allow that would permit the step, in addition to what is allowed already.
func TestAllowedNamesFlag(t *testing.T) {
	for name, test := range map[string]struct {
		allow string // empty means the default
		risks []modules.Risk
		want  string // part of the hint; empty if it is approved
	}{
		"a restart by default":        {"", []modules.Risk{modules.Harmless, modules.Restarts, modules.MovesData}, ""},
		"destruction by default":      {"", []modules.Risk{modules.Restarts, modules.Destroys}, "--allow=all "},
		"destruction beside another":  {"quorum, restart", []modules.Risk{modules.Destroys}, "--allow=restart,quorum,destroy "},
		"two classes":                 {"command", []modules.Risk{modules.Restarts, modules.Harmless, modules.CutsSSH}, "--allow=command,restart,ssh "},
		"what is harmless":            {"command", []modules.Risk{modules.Harmless}, ""},
		"destruction that is allowed": {"destroy", []modules.Risk{modules.Destroys}, ""},
		"everything":                  {"all", modules.Risks(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			allowed := Default()
			if test.allow != "" {
				var err error
				if allowed, err = ParseAllowed(test.allow); err != nil {
					t.Fatal(err)
				}
			}
			var p run.Proposal
			for _, r := range test.risks {
				p.Steps = append(p.Steps, run.ProposedStep{Summary: "do " + r.String(), Risk: r})
			}
			err := allowed.Approve(p)
			if test.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			refused, ok := err.(*NotAllowedError)
			if !ok {
				t.Fatalf("error %v, want a refusal", err)
			}
			if !strings.Contains(refused.Hint(), test.want) {
				t.Errorf("hint %q, want %q in it", refused.Hint(), test.want)
			}
		})
	}
}
