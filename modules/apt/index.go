package apt

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// refreshScript is one apt-get update that counts only if every index was fetched, and then says so
// in the stamp by which the age is told (stampFile).
const refreshScript = `apt-get "$@" && mkdir -p ` + stampDir + ` && touch ` + stampFile

const stampDir = "/var/lib/apt/periodic"

// updateCommand is the argument vector that fetches the package index with apt-get update, and notes when it did.
func updateCommand(lockOption string) []string {
	return []string{"sh", "-c", refreshScript, "sh", "-q", "-o", "APT::Update::Error-Mode=any", "-o", lockOption, "update"}
}

// planRefresh plans fetching the package index, where this task needs it newer than it is.
func (m *Module) planRefresh(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	why, err := m.refreshReason(ctx, h)
	if err != nil || why == "" {
		return nil, err
	}
	// An error of apt names a URI only; the files that define it are for the message.
	SourceFiles.Want(h, "")
	expect, err := m.refreshed(ctx, h)
	if err != nil {
		return nil, err
	}
	sources, err := SourceFiles.Observe(ctx, h, "")
	if err != nil && !observe.IsUnknown(err) {
		return nil, err
	}
	return []modules.Step{{Summary: "fetch the package index: " + why, Action: m.update(sources), Expect: expect, Refresh: true}}, nil
}

// refreshReason is why the index is to be fetched; empty if it is not.
func (m *Module) refreshReason(ctx context.Context, h modules.Host) (string, error) {
	byAge := m.Update || m.Upgrade != "" || m.State == "latest" && len(m.Packages) > 0
	if !byAge {
		missing, err := m.missing(ctx, h)
		if err != nil || len(missing) == 0 {
			return "", err
		}
		// Something is to be installed: the index must be there, and know the package.
		Candidates.Want(h, missing...)
		index, err := PackageIndex.Observe(ctx, h, "")
		if err != nil {
			return "", err
		}
		if why := outdated(index, 0); why != "" {
			return why, nil
		}
		for _, name := range missing {
			c, err := Candidates.Observe(ctx, h, name)
			if observe.IsUnknown(err) {
				continue
			}
			if err != nil {
				return "", err
			}
			// A fresh index that does not know the package will not learn of it by being fetched again.
			if c.Version == "" && index.Age >= time.Minute {
				return "it offers no " + name, nil
			}
		}
		return "", nil
	}
	index, err := PackageIndex.Observe(ctx, h, "")
	if err != nil {
		return "", err
	}
	return outdated(index, m.CacheAge), nil
}

// outdated says in what way an index is too old; an age of zero means that any will do.
func outdated(index Index, age time.Duration) string {
	switch {
	case !index.Exists:
		return "there is none"
	case index.Stale:
		return "a source or a key is newer"
	case age > 0 && index.Age > age:
		return fmt.Sprintf("it is %s old", index.Age.Round(time.Minute))
	}
	return ""
}

// refreshed are the expectations of a fetched index. What apt offers may then be more than now: a
// package that it does not know, or an upgrade where there is none yet, cannot be known before. What
// it offers already it will still offer.
func (m *Module) refreshed(ctx context.Context, h modules.Host) ([]observe.Expectation, error) {
	const because = "the package index will be fetched first"
	expect := []observe.Expectation{PackageIndex.Expect("", Index{Exists: true})}
	if m.Upgrade != "" {
		command := m.upgradeCommand()
		t, err := Transactions.Observe(ctx, h, command)
		if err != nil && !observe.IsUnknown(err) {
			return nil, err
		}
		// What can be upgraded already will still be there to be upgraded.
		if err != nil || len(t.Changes) == 0 {
			expect = append(expect, Transactions.Unknown(command, because))
		}
	}
	if !m.removes() {
		Candidates.Want(h, m.Packages...)
		for _, name := range m.Packages {
			if isGlob(name) {
				continue
			}
			c, err := Candidates.Observe(ctx, h, name)
			switch {
			case observe.IsUnknown(err):
			case err != nil:
				return nil, err
			case c.Version != "" && (m.State != "latest" || c.Version != c.Installed):
				expect = append(expect, Candidates.Expect(name, c))
			default:
				expect = append(expect, Candidates.Unknown(name, because))
			}
		}
	}
	return append(expect, observe.Expectation{
		Match: func(k observe.Key) bool {
			return k.Kind == Candidates.Name || k.Kind == Transactions.Name && !slices.Contains([]string{fullUpgrade, safeUpgrade}, k.Name)
		},
		Unknown: because,
	}), nil
}

// missing are the packages that are wanted and not installed; none if they are to be removed.
func (m *Module) missing(ctx context.Context, h modules.Host) ([]string, error) {
	if m.removes() {
		return nil, nil
	}
	packages, err := observe.Packages.ObserveAll(ctx, h, m.Packages)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, name := range m.Packages {
		if !packages[name].Installed() && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	return missing, nil
}

// join lists names for a summary, the first few by name.
func join(names []string) string {
	const shown = 8
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown-1], ", "), len(names)-shown+1)
}
