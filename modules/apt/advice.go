package apt

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/wrongform"
)

// Advise implements modules.Adviser.
func (m *Module) Advise() []modules.Advice {
	var all []modules.Advice
	for _, r := range m.Repositories {
		if r.State == "absent" || r.Enabled != nil && !*r.Enabled {
			all = append(all, wrongform.Source("repository.name", r.Name)...)
		}
	}
	for _, uri := range m.DisableURIs {
		all = append(all, wrongform.SourceURI("disable_uris", uri)...)
	}
	if m.Upgrade == "safe" {
		for _, name := range m.names() {
			if why := known[name].FullUpgrade; why != "" {
				return append(all, keptBack(why))
			}
		}
	}
	return all
}

func keptBack(why string) modules.Advice {
	return modules.Advice{Name: modules.AdviceUpgrade, Argument: "upgrade", Problem: why, Want: `Set upgrade = "full"`}
}

// fullUpgrades returns the known packages for which a safe upgrade is not enough, in alphabetical order.
func fullUpgrades() []string {
	var names []string
	for name, p := range known {
		if p.FullUpgrade != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ofProduct reports whether the repository is the archive of a known product, whose suites are named after Debian
// releases.
func (r *Repository) ofProduct() bool {
	return slices.ContainsFunc(r.URIs, func(uri string) bool {
		u, err := url.Parse(uri)
		if err != nil {
			return false
		}
		for _, p := range known {
			if p.Archive != "" && (u.Hostname() == p.Archive || strings.HasSuffix(u.Hostname(), "."+p.Archive)) {
				return true
			}
		}
		return false
	})
}

// wantAdvice announces the observations that advice reads.
func (m *Module) wantAdvice(h modules.Host) {
	if m.Upgrade == "safe" {
		observe.Packages.Want(h, fullUpgrades()...)
	}
	if slices.ContainsFunc(m.Repositories, func(r Repository) bool { return r.ofProduct() }) {
		observe.Files.Want(h, "/etc/os-release", "/usr/lib/os-release")
	}
}

// advice returns advice that depends on the host: a safe upgrade of a product that needs a full one, and a product's
// suite for a different Debian release.
func (m *Module) advice(ctx context.Context, h modules.Host) []modules.Advice {
	var all []modules.Advice
	if m.Upgrade == "safe" && !slices.ContainsFunc(m.names(), func(name string) bool { return known[name].FullUpgrade != "" }) {
		for _, name := range fullUpgrades() {
			if p, err := observe.Packages.Observe(ctx, h, name); err == nil && p.Installed() {
				all = append(all, keptBack(known[name].FullUpgrade))
				break
			}
		}
	}
	for i := range m.Repositories {
		r := &m.Repositories[i]
		if !r.ofProduct() || !*r.Enabled || r.State == "absent" {
			continue
		}
		if release, _, err := observe.Text(ctx, h, "/etc/os-release"); err == nil {
			all = append(all, wrongform.OtherSuites("repository.suites", "repository "+r.Name, observe.Codename(release), r.Suites)...)
		}
	}
	return all
}
