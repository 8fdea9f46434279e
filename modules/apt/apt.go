// Package apt implements the module for Debian packages and their sources.
package apt

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
)

// Module is the desired state of a host's packages. A task is done in the order of the fields: keys, repositories,
// release, index, answers, packages, upgrade.
type Module struct {
	Keys         []Key        `hcl:"key,block" doc:"A key that repositories are signed with."`
	Repositories []Repository `hcl:"repository,block" doc:"A repository: a file of /etc/apt/sources.list.d."`

	Release *Release `hcl:"release,block" doc:"Change sources from one Debian release to another, in any file and format. Nothing else about them is changed."`

	DisableURIs []string `hcl:"disable_uris,optional" doc:"Disable sources at and below these URIs in place, in any file: https://enterprise.proxmox.com for all repositories that need a subscription."`

	Update   bool          `hcl:"update,optional" default:"false" doc:"Fetch the package index if it is older than cache_age, or older than a source or a key."`
	CacheAge time.Duration `hcl:"cache_age,optional" default:"1h" doc:"Maximum age of the index for update, upgrade and state = \"latest\"."`

	Debconf map[string]string `hcl:"debconf,optional" doc:"Answers to packages' questions, in the format of debconf-set-selections: { \"postfix/main_mailer_type\" = \"select No configuration\" }. If the owner is not the part before the slash, prefix it: \"grub-pc grub2/linux_cmdline\"."`

	Packages []string `hcl:"packages,optional" doc:"Names of packages, optionally with a version: nginx=1.22.1-9, or nginx=1.22* for any version with this prefix. If state is absent or purged, shell patterns are allowed, such as linux-image-6.1*."`
	State    string   `hcl:"state,optional" default:"present" enum:"present,latest,absent,purged" doc:"present: installed, in any version. latest: in the newest version that is available and that packages allows. absent: removed. purged: removed with its configuration."`

	AllowDowngrade bool `hcl:"allow_downgrade,optional" default:"false" doc:"Allow installing an older version than the present one, if packages or a pin requires it. Otherwise the task fails."`

	Hold *bool `hcl:"hold,optional" doc:"true puts the packages on hold, so that no upgrade changes or removes them; a task that installs another version releases them for that time. false releases them. By default, holds are left alone."`

	InstallRecommends *bool `hcl:"install_recommends,optional" default:"true" doc:"Also install recommended packages. proxmox-ve needs them."`

	Upgrade    string `hcl:"upgrade,optional" enum:"full,safe" doc:"full: upgrade everything, and install or remove packages if necessary (apt-get full-upgrade). safe: remove nothing (apt-get upgrade --with-new-pkgs)."`
	Autoremove bool   `hcl:"autoremove,optional" default:"false" doc:"Remove packages that were installed as dependencies and are no longer needed."`

	LockTimeout time.Duration `hcl:"lock_timeout,optional" default:"5m" doc:"How long to wait while another process, such as unattended-upgrades, holds the package manager's lock."`
}

func (m *Module) removes() bool { return m.State == "absent" || m.State == "purged" }

var (
	// packagePattern matches a package name (Debian policy 5.6.1), optionally with an architecture.
	packagePattern = pattern.New(`^[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?$`)
	globPattern    = pattern.New(`^[a-z0-9][a-z0-9+.*?\[\]-]*$`)
)

func isGlob(name string) bool { return strings.ContainsAny(name, "*?[") }

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	if len(m.Keys)+len(m.Repositories)+len(m.Debconf)+len(m.Packages)+len(m.DisableURIs) == 0 && m.Release == nil && !m.Update && m.Upgrade == "" && !m.Autoremove {
		return &modules.ArgumentError{Argument: "packages", Problem: "there is nothing to do", Want: "expected at least one of packages, upgrade, update, autoremove, debconf, key, repository, release, disable_uris"}
	}
	if m.CacheAge == 0 {
		return &modules.ArgumentError{Argument: "cache_age", Problem: "is zero", Want: `expected a duration such as "1h"`}
	}
	for _, name := range m.names() {
		switch {
		case isGlob(name) && !m.removes():
			return &modules.ArgumentError{Argument: "packages", Problem: fmt.Sprintf("%q is a pattern", name), Want: "expected an exact name; patterns are allowed only with state absent or purged, where they match installed packages"}
		case isGlob(name) && !globPattern.MatchString(name), !isGlob(name) && !packagePattern.MatchString(name):
			return &modules.ArgumentError{Argument: "packages", Problem: fmt.Sprintf("%q is not the name of a package", name), Want: "expected a name such as open-iscsi, with or without a version: nginx=1.22*"}
		case m.removes() && known[name].Protection != nil:
			p := known[name].Protection
			return &modules.ArgumentError{Argument: "packages", Problem: name + " is protected by " + p.By, Want: p.Advice}
		}
	}
	if err := m.validateVersions(); err != nil {
		return err
	}
	if err := m.validateHold(); err != nil {
		return err
	}
	for i := range m.Keys {
		if err := m.Keys[i].validate(); err != nil {
			return err
		}
	}
	for i := range m.Repositories {
		if err := m.Repositories[i].validate(); err != nil {
			return err
		}
	}
	if m.Release != nil {
		if err := m.Release.validate(); err != nil {
			return err
		}
	}
	for _, uri := range m.DisableURIs {
		if !strings.Contains(uri, "://") || strings.ContainsAny(uri, " \t\n") {
			return &modules.ArgumentError{Argument: "disable_uris", Problem: fmt.Sprintf("%q is not a URI", uri), Want: "expected one such as https://enterprise.proxmox.com"}
		}
	}
	_, err := m.answers()
	return err
}

// Plan implements modules.Module. It plans in stages: if an earlier stage changes what a later one reads (a new
// repository, a fresh index), the plan is partial and is made again afterwards.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if err := m.Validate(); err != nil {
		return modules.Plan{}, err
	}
	m, err := m.native(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	m.Want(h)
	plan, err := m.plan(ctx, h)
	if err == nil {
		plan.Advice = m.advice(ctx, h)
	}
	return plan, explained(ctx, h, err)
}

func (m *Module) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	var plan modules.Plan
	for i := range m.Keys {
		steps, err := m.Keys[i].plan(ctx, h)
		if err != nil {
			return modules.Plan{}, fmt.Errorf("key %s: %w", m.Keys[i].Path, err)
		}
		plan.Steps = append(plan.Steps, steps...)
	}
	for i := range m.Repositories {
		steps, notes, err := m.Repositories[i].plan(ctx, h)
		if err != nil {
			return modules.Plan{}, fmt.Errorf("repository %s: %w", m.Repositories[i].Name, err)
		}
		plan.Steps = append(plan.Steps, steps...)
		plan.Notes = append(plan.Notes, notes...)
		if len(steps) > 0 && plan.Doubt == nil {
			if plan.Doubt, err = m.Repositories[i].foreign(ctx, h); err != nil {
				return modules.Plan{}, err
			}
		}
	}
	if m.Release != nil && len(plan.Steps) == 0 { // the steps before this one may remove a file
		steps, err := m.Release.plan(ctx, h)
		if err != nil {
			return modules.Plan{}, err
		}
		if plan.Steps = append(plan.Steps, steps...); len(steps) > 0 && plan.Doubt == nil {
			plan.Doubt = m.Release.doubt()
		}
	}
	disabled, err := m.planDisable(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	plan.Steps = append(plan.Steps, disabled...)
	further := m.Update || m.Upgrade != "" || m.Autoremove || len(m.Packages)+len(m.Debconf) > 0
	if len(plan.Steps) > 0 {
		plan.Partial = further || len(m.Repositories) > 1 || m.Release != nil
		plan.Confined = alone(ctx, h, m.downloads())
		return plan, nil
	}
	if plan.Steps, err = m.planRelease(ctx, h); err != nil || len(plan.Steps) > 0 {
		plan.Partial = true
		return plan, err
	}
	refresh, err := m.planRefresh(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	if len(refresh) > 0 {
		plan.Steps, plan.Partial = refresh, len(m.Packages)+len(m.Debconf) > 0 || m.Upgrade != "" || m.Autoremove
		sources, err := knownSources(ctx, h)
		plan.Confined = err == nil && len(sources) > 0 && alone(ctx, h, sourcesOf(sources))
		return plan, err
	}
	if plan.Steps, err = m.planExchange(ctx, h); err != nil || len(plan.Steps) > 0 {
		plan.Partial = true
		return plan, err
	}
	answers, err := m.planDebconf(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	packages, err := m.planPackages(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	plan.Steps, plan.Doubt = append(answers, packages.Steps...), packages.Doubt
	if m.Upgrade == "" && (!m.Autoremove || len(packages.Steps) > 0) {
		plan.Confined = packages.Confined && len(answers) == 0
		return plan, nil // the steps that install and remove already run autoremove
	}
	if len(plan.Steps) > 0 {
		plan.Partial = true
		return plan, nil
	}
	if m.Upgrade != "" {
		plan.Steps, err = m.planUpgrade(ctx, h)
		if err != nil || len(plan.Steps) > 0 {
			return plan, err
		}
	}
	if m.Autoremove {
		plan.Steps, err = m.planAutoremove(ctx, h)
	}
	return plan, err
}

// Want implements modules.Announcer: it announces what every plan of this task reads.
func (m *Module) Want(h modules.Host) {
	if len(m.Repositories)+len(m.DisableURIs) > 0 || m.Release != nil {
		SourceFiles.Want(h, "")
	}
	if m.Update || m.Upgrade != "" || m.State == "latest" {
		PackageIndex.Want(h, "")
	}
	if m.Update || m.Upgrade != "" || len(m.downloads()) > 0 {
		wantAlone(h)
	}
	for _, k := range m.Keys {
		if k.UnlessPackage != "" {
			observe.Packages.Want(h, k.UnlessPackage)
		}
	}
	for _, name := range m.names() {
		if isGlob(name) {
			observe.PackageGlobs.Want(h, name)
		} else {
			observe.Packages.Want(h, name)
		}
	}
	m.wantAdvice(h)
	if m.State == "latest" {
		Candidates.Want(h, m.names()...)
	}
	if answers, err := m.answers(); err == nil {
		for _, a := range answers {
			Debconf.Want(h, a.owner)
		}
	}
}
