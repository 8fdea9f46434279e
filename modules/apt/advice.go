package apt

import (
	"context"
	"fmt"
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
	if m.Upgrade == "safe" && slices.ContainsFunc(m.Packages, proxmox) {
		all = append(all, keptBack)
	}
	return all
}

// proxmox reports whether a package is one of Proxmox VE's, whose updates replace packages by others.
func proxmox(name string) bool {
	return name == "proxmox-ve" || strings.HasPrefix(name, "pve-") || strings.HasPrefix(name, "proxmox-")
}

var keptBack = modules.Advice{
	Name: modules.AdviceUpgrade, Argument: "upgrade", Problem: "Proxmox VE is upgraded with full-upgrade alone: a safe upgrade removes nothing, and leaves packages back whose parts no longer fit each other",
	Want: `Write upgrade = "full"`,
}

// ofProxmox reports whether a repository is one of Proxmox's own.
func (r *Repository) ofProxmox() bool {
	return slices.ContainsFunc(r.URIs, func(uri string) bool { return strings.Contains(uri, ".proxmox.com/") })
}

// wantAdvice announces what advice reads.
func (m *Module) wantAdvice(h modules.Host) {
	if m.Upgrade == "safe" {
		observe.Packages.Want(h, "pve-manager")
	}
	if slices.ContainsFunc(m.Repositories, func(r Repository) bool { return r.ofProxmox() }) {
		observe.Files.Want(h, "/etc/os-release", "/usr/lib/os-release")
	}
}

// advice returns what only the host tells: that an upgrade is one of Proxmox VE, and that a suite of Proxmox is of another release.
func (m *Module) advice(ctx context.Context, h modules.Host) []modules.Advice {
	var all []modules.Advice
	if m.Upgrade == "safe" && !slices.ContainsFunc(m.Packages, proxmox) {
		if p, err := observe.Packages.Observe(ctx, h, "pve-manager"); err == nil && p.Installed() {
			all = append(all, keptBack)
		}
	}
	for i := range m.Repositories {
		r := &m.Repositories[i]
		if !r.ofProxmox() {
			continue
		}
		if doubt, err := r.foreign(ctx, h); err == nil && doubt != nil {
			all = append(all, modules.Advice{
				Name: modules.AdviceSuite, Argument: "repository.suites", Problem: fmt.Sprintf("repository %s is for another release of Debian than the host runs: %s", r.Name, strings.Join(r.Suites, ", ")),
				Want: `Write the host's own: suites = [facts.distribution.codename]`,
			})
		}
	}
	return all
}
