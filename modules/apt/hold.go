package apt

import (
	"context"
	"fmt"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
)

const (
	// heldStatus is the status of an installed package on hold.
	heldStatus = "hold ok installed"
	// heldChanged is apt-get's message if a transaction would change a held package.
	heldChanged = "Held packages were changed"
	// downgraded is its message if a transaction would install an older version without permission.
	downgraded = "Packages were downgraded"
)

func (m *Module) validateHold() error {
	fault := func(problem, want string) error {
		return &modules.ArgumentError{Argument: "hold", Problem: problem, Want: want}
	}
	switch {
	case m.Hold == nil:
		return nil
	case len(m.Packages) == 0:
		return fault("no packages are given", "list them in packages")
	case m.removes():
		return fault("a package whose state is "+m.State+" cannot be held", "leave it out")
	case *m.Hold && m.State == "latest":
		return fault("a held package is not upgraded", `choose between hold = true and state = "latest"`)
	}
	return nil
}

// planRelease plans to release the packages from hold. This comes before anything else, because apt refuses to change
// held packages.
func (m *Module) planRelease(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	if m.Hold == nil || *m.Hold {
		return nil, nil
	}
	packages, err := observe.Packages.ObserveAll(ctx, h, m.names())
	if err != nil {
		return nil, err
	}
	return m.mark(m.names(), packages, false), nil
}

// planExchange plans to release held packages of which a task with hold = true asks for another version. They are put on
// hold again once that version is installed. If apt cannot install it, nothing is released.
func (m *Module) planExchange(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	if m.Hold == nil || !*m.Hold {
		return nil, nil
	}
	packages, err := observe.Packages.ObserveAll(ctx, h, m.names())
	if err != nil {
		return nil, err
	}
	targets, offered, _, err := m.targets(ctx, h, packages)
	if err != nil {
		return nil, err
	}
	var held []string
	for _, t := range targets {
		if packages[t.name].Held() && packages[t.name].Installed() {
			held = append(held, t.name)
		}
	}
	if len(held) == 0 {
		return nil, nil
	}
	command := m.command("install", argumentsOf(targets))
	if offered {
		t, err := Transactions.Observe(ctx, h, command)
		if err != nil && !observe.IsUnknown(err) {
			return nil, err
		}
		if !strings.Contains(t.Problem, heldChanged) {
			if _, err := simulate(ctx, h, command, true, m.names()); err != nil {
				return nil, err
			}
		}
	}
	return m.mark(held, packages, false), nil
}

// planHold plans to put the packages on hold after the steps that install them.
func (m *Module) planHold(ctx context.Context, h modules.Host, install []modules.Step) ([]modules.Step, error) {
	if m.Hold == nil || !*m.Hold {
		return nil, nil
	}
	packages, err := observe.Packages.ObserveAll(ctx, h, m.names())
	if err != nil {
		return nil, err
	}
	for _, step := range install {
		for _, e := range step.Expect {
			if p, ok := e.Value.(observe.Package); ok && e.Key.Kind == observe.Packages.Name {
				packages[e.Key.Name] = p
			}
		}
	}
	return m.mark(m.names(), packages, true), nil
}

// mark plans an apt-mark that puts packages on hold or releases them. Packages that are in that state already are left
// out.
func (m *Module) mark(names []string, packages map[string]observe.Package, hold bool) []modules.Step {
	verb, summary, status := "unhold", "release %s from hold", observe.InstalledStatus
	if hold {
		verb, summary, status = "hold", "put %s on hold", heldStatus
	}
	expect := []observe.Expectation{{
		Match:   func(k observe.Key) bool { return k.Kind == Transactions.Name },
		Unknown: "an earlier task changes holds",
	}}
	var marked []string
	for _, name := range names {
		p := packages[name]
		if p.Held() == hold || !hold && !p.Installed() {
			continue
		}
		marked = append(marked, name)
		after := observe.Package{Status: status}
		if p.Installed() {
			after.Version = p.Version
		}
		expect = append(expect, observe.Packages.Expect(name, after))
	}
	if len(marked) == 0 {
		return nil
	}
	return []modules.Step{{
		Summary: fmt.Sprintf(summary, strings.Join(marked, ", ")),
		Action:  m.run(nil, append([]string{"apt-mark", verb}, marked...)),
		Expect:  expect,
		Exact:   true,
	}}
}
