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

// refreshScript runs an apt-get update that only succeeds if every index was fetched, and then touches the file from
// which the age is determined (stampFile).
const refreshScript = `apt-get "$@" && mkdir -p ` + stampDir + ` && touch ` + stampFile

const stampDir = "/var/lib/apt/periodic"

// updateCommand returns the argument vector that fetches the package index with apt-get update and records the time.
func updateCommand(lockOption string) []string {
	return []string{"sh", "-c", refreshScript, "sh", "-q", "-o", "APT::Update::Error-Mode=any", "-o", lockOption, "update"}
}

// planRefresh plans to fetch the package index if this task needs a newer one.
func (m *Module) planRefresh(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	why, err := m.refreshReason(ctx, h)
	if err != nil || why == "" {
		return nil, err
	}
	// apt's errors mention only URIs; explain also names the files that contain them.
	SourceFiles.Want(h, "")
	wantAlone(h)
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

// refreshReason returns why the index is to be fetched, or "" if it is not.
func (m *Module) refreshReason(ctx context.Context, h modules.Host) (string, error) {
	byAge := m.Update || m.Upgrade != "" || m.State == "latest" && len(m.Packages) > 0
	if !byAge {
		if m.removes() {
			return "", nil
		}
		packages, err := observe.Packages.ObserveAll(ctx, h, m.names())
		missing := unmet(m.requests(), packages)
		if err != nil || len(missing) == 0 {
			return "", err
		}
		// Something is to be installed: the index must exist and contain the package.
		for _, r := range missing {
			Candidates.Want(h, r.name)
		}
		index, err := PackageIndex.Observe(ctx, h, "")
		if err != nil {
			return "", err
		}
		if why := outdated(index, 0); why != "" {
			return why, nil
		}
		for _, r := range missing {
			c, err := Candidates.Observe(ctx, h, r.name)
			if observe.IsUnknown(err) {
				continue
			}
			if err != nil {
				return "", err
			}
			// Fetching a fresh index again does not make it contain the package.
			if !r.offered(c) && index.Age >= time.Minute {
				return "it does not offer " + r.String(), nil
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

// outdated says why an index is too old; an age of zero accepts any.
func outdated(index Index, age time.Duration) string {
	switch {
	case !index.Exists:
		return "there is none"
	case index.Stale:
		return "a source or a key is newer than the index"
	case age > 0 && index.Age > age:
		return fmt.Sprintf("it is %s old", index.Age.Round(time.Minute))
	}
	return ""
}

// refreshed returns the expectations of fetching the index. Whatever apt offers now, it still offers afterwards. It cannot
// be known whether it then also offers packages that it does not know now, or upgrades where there are none yet.
func (m *Module) refreshed(ctx context.Context, h modules.Host) ([]observe.Expectation, error) {
	const because = "an earlier task fetches the package index"
	expect := []observe.Expectation{PackageIndex.Expect("", Index{Exists: true})}
	index, err := PackageIndex.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	if m.Upgrade != "" {
		Transactions.Want(h, m.upgradeCommand())
	}
	anew := index.Stale || !index.Exists
	if m.Upgrade != "" && !anew {
		command := m.upgradeCommand()
		t, err := Transactions.Observe(ctx, h, command)
		if err != nil && !observe.IsUnknown(err) {
			return nil, err
		}
		// What can be upgraded now can still be upgraded afterwards.
		if err != nil || len(t.Changes) == 0 {
			expect = append(expect, Transactions.Unknown(command, because))
		}
	}
	if anew { // the sources may be those of another release
		nothing := func(value any) bool {
			t, ok := value.(Transaction)
			return ok && len(t.Changes) == 0
		}
		for _, command := range []string{fullUpgrade, safeUpgrade} {
			if value, known := h.Known(Transactions.Key(command)); known && nothing(value) {
				expect = append(expect, Transactions.Unknown(command, because))
			}
			expect = append(expect, observe.Expectation{
				Match: func(k observe.Key) bool { return k == Transactions.Key(command) }, If: nothing, Unknown: because,
			})
		}
	}
	if !m.removes() {
		Candidates.Want(h, m.names()...)
		for _, r := range m.requests() {
			name := r.name
			c, err := Candidates.Observe(ctx, h, name)
			switch {
			case observe.IsUnknown(err):
			case err != nil:
				return nil, err
			case r.offered(c) && (m.State != "latest" || r.version == "" && c.Version != c.Installed):
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

// join lists names for a summary; if there are many, only the first few.
func join(names []string) string {
	const shown = 8
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown-1], ", "), len(names)-shown+1)
}
