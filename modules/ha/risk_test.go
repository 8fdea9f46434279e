package ha

import (
	"testing"

	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

func TestMoves(t *testing.T) {
	have := pve.Resource{State: "started", MaxRestart: 1, Group: "a"}
	for name, test := range map[string]struct {
		change func(*pve.Resource)
		want   modules.Risk
	}{
		"nothing":       {func(*pve.Resource) {}, modules.Harmless},
		"a comment":     {func(r *pve.Resource) { r.Comment = "web" }, modules.Harmless},
		"more restarts": {func(r *pve.Resource) { r.MaxRestart = 3 }, modules.Harmless},
		"it is stopped": {func(r *pve.Resource) { r.State = "stopped" }, modules.Restarts},
		"another group": {func(r *pve.Resource) { r.Group = "b" }, modules.Restarts},
		"it goes back":  {func(r *pve.Resource) { r.Failback = true }, modules.Restarts},
	} {
		want := have
		test.change(&want)
		if got := moves(have, want); got != test.want {
			t.Errorf("%s: class %s, want %s", name, got, test.want)
		}
	}
}
