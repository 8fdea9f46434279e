package apt

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// The two upgrades, as transactions.
const (
	fullUpgrade = "full-upgrade"
	safeUpgrade = "--with-new-pkgs upgrade"
)

func (m *Module) upgradeCommand() string {
	if m.Upgrade == "safe" {
		return safeUpgrade
	}
	return fullUpgrade
}

// planUpgrade plans the upgrade that apt's own simulation considers due.
func (m *Module) planUpgrade(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	command := m.upgradeCommand()
	t, err := Transactions.Observe(ctx, h, command)
	if err != nil {
		return nil, err
	}
	if len(t.Changes) == 0 && t.Problem == "" {
		return m.planFinish(command, t), nil
	}
	changes, err := simulate(ctx, h, command, true, nil)
	if err != nil {
		return nil, err
	}
	if err := keepsRunningKernel(ctx, h, nil, changes); err != nil {
		return nil, err
	}
	sources, err := knownSources(ctx, h)
	if err != nil {
		return nil, err
	}
	expect, err := m.changed(ctx, h, changes)
	if err != nil {
		return nil, err
	}
	expect = append(expect,
		Transactions.Expect(command, Transaction{}),
	)
	if command == fullUpgrade {
		expect = append(expect, Transactions.Expect(safeUpgrade, Transaction{}))
	}
	args := strings.Fields(command)
	if m.Autoremove {
		args = append([]string{"--auto-remove"}, args...)
		expect = append(expect, Transactions.Expect(autoremove, Transaction{}))
	}
	return []modules.Step{{
		Summary: summarize(changes),
		Action:  m.aptGet(sources, args...),
		Risk:    modules.Restarts,
		Diff:    versions(changes),
		Expect:  expect,
	}}, nil
}

// planFinish plans the rest of an upgrade that only has packages to configure.
func (m *Module) planFinish(command string, t Transaction) []modules.Step {
	if len(t.Unfinished) == 0 {
		return nil
	}
	return []modules.Step{{
		Summary: finishing(t.Unfinished),
		Action:  m.configure(),
		Expect:  []observe.Expectation{Transactions.Expect(command, Transaction{})},
	}}
}

func summarize(changes []PackageChange) string {
	var upgraded, added, removed []string
	for _, c := range changes {
		switch {
		case c.Removed():
			removed = append(removed, c.Name)
		case c.From == "":
			added = append(added, c.Name)
		default:
			upgraded = append(upgraded, c.Name)
		}
	}
	var parts []string
	for _, p := range []struct {
		verb  string
		names []string
	}{{"upgrade", upgraded}, {"install", added}, {"remove", removed}} {
		if len(p.names) > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", p.verb, join(p.names)))
		}
	}
	return strings.Join(parts, "; ")
}

// versions shows each package with its version before and after the change.
func versions(changes []PackageChange) *modules.Diff {
	sorted := slices.Clone(changes)
	slices.SortFunc(sorted, func(a, b PackageChange) int { return strings.Compare(a.Name, b.Name) })
	var before, after strings.Builder
	for _, c := range sorted {
		if c.From != "" {
			before.WriteString(c.Name + " " + c.From + "\n")
		}
		if c.To != "" {
			after.WriteString(c.Name + " " + c.To + "\n")
		}
	}
	return &modules.Diff{Subject: "packages", Before: before.String(), After: after.String()}
}

// autoremove is the transaction that removes what is no longer needed.
const autoremove = "autoremove"

func (m *Module) planAutoremove(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	t, err := Transactions.Observe(ctx, h, autoremove)
	if err != nil || len(t.Changes) == 0 && t.Problem == "" {
		return nil, err
	}
	changes, err := simulate(ctx, h, autoremove, true, nil)
	if err != nil {
		return nil, err
	}
	if err := keepsRunningKernel(ctx, h, nil, changes); err != nil {
		return nil, err
	}
	expect, err := m.changed(ctx, h, changes)
	if err != nil {
		return nil, err
	}
	return []modules.Step{{
		Summary: "remove packages that are no longer needed: " + strings.TrimPrefix(summarize(changes), "remove "),
		Action:  m.aptGet(nil, autoremove),
		Risk:    modules.Restarts,
		Diff:    versions(changes),
		Expect:  append(expect, Transactions.Expect(autoremove, Transaction{})),
	}}, nil
}
