package apt

import (
	"context"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
)

const (
	// heldStatus is the status of an installed package on hold.
	heldStatus = "hold ok installed"
	// heldChanged is what apt-get says if a transaction would change a held package.
	heldChanged = "Held packages were changed"
)

func (m *Module) validateHold() error {
	fault := func(problem, want string) error {
		return &modules.ArgumentError{Argument: "hold", Problem: problem, Want: want}
	}
	switch {
	case m.Hold == nil:
		return nil
	case len(m.Packages) == 0:
		return fault("no packages are named", "name them in packages")
	case m.removes():
		return fault("a package that is to be "+m.State+" is not on hold", "leave it out")
	case *m.Hold && m.State == "latest":
		return fault("a package on hold is not upgraded", `choose between hold = true and state = "latest"`)
	}
	return nil
}

// planRelease plans to release the packages from hold. This comes before anything else, because apt refuses to change
// held packages.
func (m *Module) planRelease(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	if m.Hold == nil || *m.Hold {
		return nil, nil
	}
	return m.mark(ctx, h, "unhold", "release ", " from hold", observe.InstalledStatus)
}

// planHold plans to put the packages on hold after they are installed.
func (m *Module) planHold(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	if m.Hold == nil || !*m.Hold {
		return nil, nil
	}
	return m.mark(ctx, h, "hold", "put ", " on hold", heldStatus)
}

// mark plans an apt-mark for the packages that do not have the status yet.
func (m *Module) mark(ctx context.Context, h modules.Host, verb, before, behind, status string) ([]modules.Step, error) {
	packages, err := observe.Packages.ObserveAll(ctx, h, m.Packages)
	if err != nil {
		return nil, err
	}
	var names []string
	expect := []observe.Expectation{{
		Match:   func(k observe.Key) bool { return k.Kind == Transactions.Name },
		Unknown: "what is on hold is about to change",
	}}
	for _, name := range m.Packages {
		p := packages[name]
		if p.Held() == *m.Hold || !*m.Hold && !p.Installed() {
			continue
		}
		names = append(names, name)
		after := observe.Package{Status: status}
		if p.Installed() {
			after.Version = p.Version
		}
		expect = append(expect, observe.Packages.Expect(name, after))
	}
	if len(names) == 0 {
		return nil, nil
	}
	return []modules.Step{{
		Summary: before + strings.Join(names, ", ") + behind,
		Action:  m.run(nil, append([]string{"apt-mark", verb}, names...)),
		Expect:  expect,
		Exact:   true,
	}}, nil
}
