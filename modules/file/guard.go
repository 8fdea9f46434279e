package file

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/required"
)

// Guard combines a change of the file and the command that puts it into effect into one transaction, which the host
// undoes by itself unless a new login succeeds.
type Guard struct {
	Apply  []string      `hcl:"apply" doc:"The command that applies the new content: [\"systemctl\", \"reload\", \"ssh\"]. It is run again if the change is undone."`
	Within time.Duration `hcl:"within,optional" default:"90s" doc:"The host undoes the change after this time unless hlplay has logged in again."`
	Prove  []string      `hcl:"prove,optional" doc:"A command that must succeed on the host over the new connection; it is retried until the time is almost up."`
}

const (
	leastWithin = 20 * time.Second
	mostWithin  = 30 * time.Minute
)

// Resident implements modules.Resident.
func (f *File) Resident() string {
	if f.Guard == nil {
		return ""
	}
	return "a change that the host undoes unless it is confirmed needs a play for the host"
}

func (f *File) validateGuard() error {
	g := f.Guard
	fault := func(argument, problem, want string) error {
		return &modules.ArgumentError{Argument: "guard" + argument, Problem: problem, Want: want}
	}
	switch {
	case g == nil:
		return nil
	case len(g.Apply) == 0 || g.Apply[0] == "":
		return fault(".apply", "it is empty", `give the command that applies the file, such as ["systemctl", "reload", "ssh"]`)
	case g.Within < leastWithin || g.Within > mostWithin:
		return fault(".within", fmt.Sprintf("%s is not between %s and %s", g.Within, leastWithin, mostWithin), "one or two minutes leave time for a new connection")
	case f.state() == directory || f.state() == link:
		return fault("", "it works for files only, and this is a "+f.state(), "")
	case f.Path == "/etc/pve" || strings.HasPrefix(f.Path, "/etc/pve/"):
		return fault("", f.Path+" belongs to the whole cluster", "a single host cannot undo a change that all hosts share")
	}
	return nil
}

// guarded adds the guard, and appends the step that puts the change into effect. The host saves the file and restores it
// by name, and must find the same file both times.
func (f *File) guarded(ctx context.Context, h modules.Host, plan modules.Plan) (modules.Plan, error) {
	g := f.Guard
	if g == nil || len(plan.Steps) == 0 {
		return plan, nil
	}
	if err := required.Settled(ctx, h, f.Path, "and therefore the file that the guard would save and restore", "leave out the guard, or move the file to a directory that only root can write to"); err != nil {
		plan.Steps = nil
		return plan, err
	}
	// What is saved is the file that the link points to, and that would not be restored as a link.
	if now, err := observe.Files.Observe(ctx, h, f.Path); err != nil || f.Replace && now.Type == observe.Symlink {
		if err == nil {
			err = fmt.Errorf("%s is a symbolic link on %s, which a host cannot undo to replace: replace it in a task without guard, or leave out replace to write to %s", f.Path, h.Name(), now.Target)
		}
		plan.Steps = nil
		return plan, err
	}
	plan.Steps = append(plan.Steps, modules.Step{
		Summary: "apply " + strings.Join(g.Apply, " "), Action: modules.Run{Argv: g.Apply}, Unknown: true,
	})
	plan.Guard = &modules.Guard{Within: g.Within, Files: []string{f.Path}, Undo: [][]string{g.Apply}}
	if len(g.Prove) > 0 {
		plan.Guard.Proofs = []modules.Proof{{Summary: "prove " + strings.Join(g.Prove, " "), Argv: g.Prove}}
	}
	return plan, nil
}
