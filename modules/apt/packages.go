package apt

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/required"
)

// planPackages plans to install or remove the packages.
func (m *Module) planPackages(ctx context.Context, h modules.Host) (plan modules.Plan, err error) {
	if len(m.Packages) == 0 {
		return plan, nil
	}
	if m.removes() {
		return m.planRemove(ctx, h)
	}
	plan.Steps, plan.Doubt, err = m.planInstall(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	held, err := m.planHold(ctx, h, plan.Steps)
	plan.Steps = append(plan.Steps, held...)
	return plan, err
}

func (m *Module) planInstall(ctx context.Context, h modules.Host) (steps []modules.Step, doubt, err error) {
	packages, err := observe.Packages.ObserveAll(ctx, h, m.names())
	if err != nil {
		return nil, nil, err
	}
	repair := repairStep(m, packages)
	m.wantSimulation(h, packages)
	targets, offered, doubt, err := m.targets(ctx, h, packages)
	if err != nil {
		return nil, nil, err
	}
	if len(targets) == 0 {
		return repair, nil, nil
	}
	command := m.command("install", argumentsOf(targets))
	changes, err := simulate(ctx, h, command, offered, m.names())
	if err != nil {
		return nil, nil, err
	}
	expect, err := m.installed(ctx, h, targets, changes)
	if err != nil {
		return nil, nil, err
	}
	verb, risk := verb(targets)
	sources, err := knownSources(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	return append(repair, modules.Step{
		Summary: verb + join(argumentsOf(targets)) + beside(changes, namesOf(targets)),
		Action:  m.aptGet(sources, strings.Fields(command)...),
		Diff:    versionDiff(targets, offered, changes),
		Expect:  expect,
		Risk:    risk,
	}), doubt, nil
}

// MayRead implements modules.Forecaster.
func (m *Module) MayRead(h modules.Host) {
	if len(m.Packages) == 0 || m.removes() {
		return
	}
	PackageIndex.Want(h, "")
	SourceFiles.Want(h, "")
	packages := map[string]observe.Package{}
	for _, name := range m.names() {
		if p, known := h.Known(observe.Packages.Key(name)); known {
			packages[name], _ = p.(observe.Package)
		}
	}
	m.wantSimulation(h, packages)
	for name := range closure(namesMissing(m.names(), packages), *m.InstallRecommends, true) {
		if reads := known[name].Reads; reads != nil {
			reads(h)
		}
	}
}

// namesMissing returns those of some packages that are not known to be installed.
func namesMissing(names []string, packages map[string]observe.Package) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return packages[name].Installed() })
}

// wantSimulation makes what apt would do travel with what it offers, unless that decides about versions.
func (m *Module) wantSimulation(h modules.Host, packages map[string]observe.Package) {
	var targets []target
	for _, r := range unmet(m.requests(), packages) {
		targets = append(targets, target{request: r})
	}
	if len(targets) == 0 || m.State != "present" || slices.ContainsFunc(targets, func(t target) bool { return t.version != "" }) {
		return
	}
	Candidates.Want(h, namesOf(targets)...)
	Transactions.Want(h, m.command("install", argumentsOf(targets)))
}

// repairStep completes what an earlier run of dpkg, by hlplay or anybody else, left half done.
func repairStep(m *Module, packages map[string]observe.Package) []modules.Step {
	var broken []string
	for name, p := range packages {
		if p.Broken() {
			broken = append(broken, name)
		}
	}
	if len(broken) == 0 {
		return nil
	}
	run := m.configure()
	// What dpkg cannot configure yet because a dependency is missing is completed by apt-get install.
	run.OK = []int{0, 1}
	return []modules.Step{{Summary: finishing(broken), Action: run}}
}

// configure returns the command that makes dpkg configure what is unpacked.
func (m *Module) configure() modules.Run {
	return m.run(nil, []string{"dpkg", "--force-confdef", "--force-confold", "--configure", "-a"})
}

func finishing(broken []string) string {
	slices.Sort(broken)
	return "finish the interrupted installation of " + join(broken)
}

// notOffered returns an error that explains why apt would not install any version of a package.
func notOffered(ctx context.Context, h modules.Host, r request, c Candidate) error {
	name := r.name
	if r.version != "" && len(c.Versions) > 0 {
		return otherVersions(r, c)
	}
	if c.Remark != "" {
		return fmt.Errorf("no source offers package %s: %s", name, c.Remark)
	}
	if c.Listed {
		return fmt.Errorf("every available version of package %s has a negative pin priority, so apt does not install it: see `apt-cache policy %[1]s`, and the pins in /etc/apt/preferences and /etc/apt/preferences.d", name)
	}
	providers, err := Providers.Observe(ctx, h, name)
	switch {
	case err != nil:
		return err
	case len(providers) > 0:
		return fmt.Errorf("%s is a virtual package, provided by %s; name one of these", name, join(providers))
	}
	return fmt.Errorf("no source offers package %s: check its name, and that its repository is enabled for this release (`apt-cache policy %[1]s`)", name)
}

// command returns an apt-get command line in the form of Transactions, without the flags that make it act.
func (m *Module) command(verb string, names []string) string {
	var args []string
	if !*m.InstallRecommends {
		args = append(args, "--no-install-recommends")
	}
	if m.Autoremove {
		args = append(args, "--auto-remove")
	}
	if m.AllowDowngrade {
		args = append(args, "--allow-downgrades")
	}
	return strings.Join(append(append(args, verb), names...), " ")
}

// simulate returns what apt says that the command would do, or nil if that cannot be known yet. It is an error if apt
// would refuse, or would remove a protected package.
func simulate(ctx context.Context, h modules.Host, command string, offered bool, named []string) ([]PackageChange, error) {
	if !offered {
		return nil, nil
	}
	t, err := Transactions.Observe(ctx, h, command)
	switch {
	case observe.IsUnknown(err):
		return nil, nil
	case err != nil:
		return nil, err
	case strings.Contains(t.Problem, heldChanged):
		return nil, fmt.Errorf("%s: `apt-get %s` would change a held package: see `apt-mark showhold`, and release it with hold = false if the hold is not intended", h.Name(), command)
	case strings.Contains(t.Problem, downgraded):
		return nil, fmt.Errorf("%s: `apt-get %s` would downgrade a package because of a pin on this host: see /etc/apt/preferences and /etc/apt/preferences.d, or list the package in packages with allow_downgrade = true", h.Name(), command)
	case t.Problem != "":
		return nil, fmt.Errorf("%s: `apt-get %s` would fail: %s", h.Name(), command, oneLine(t.Problem))
	}
	for _, c := range t.Changes {
		if p := known[c.Name].Protection; p != nil && c.Removed() && !slices.Contains(named, c.Name) {
			return nil, fmt.Errorf("%s: `apt-get %s` would remove %s: nothing was done; %s", h.Name(), command, c.Name, p.Cause)
		}
	}
	return t.Changes, nil
}

// beside says, for a summary, what a command removes that nobody named.
func beside(changes []PackageChange, named []string) string {
	var removed []string
	for _, c := range changes {
		if c.Removed() && !slices.Contains(named, c.Name) {
			removed = append(removed, c.Name)
		}
	}
	if len(removed) == 0 {
		return ""
	}
	return " (removes " + join(removed) + ")"
}

// planRemove plans to remove packages, including those that match patterns.
func (m *Module) planRemove(ctx context.Context, h modules.Host) (plan modules.Plan, err error) {
	var globs []string
	for _, name := range m.Packages {
		if isGlob(name) {
			globs = append(globs, name)
		}
	}
	matches, err := observe.PackageGlobs.ObserveAll(ctx, h, globs)
	if err != nil {
		return plan, err
	}
	var names []string
	for _, name := range m.Packages {
		if !isGlob(name) {
			names = append(names, name)
			continue
		}
		names = append(names, matches[name]...)
		for _, new := range required.Coming(h) {
			if ok, _ := path.Match(name, new); ok {
				names = append(names, new)
			}
		}
	}
	verb := "remove"
	if m.State == "purged" {
		verb = "purge"
	}
	m.wantRemoval(h, verb, names, matches)
	if slices.ContainsFunc(names, func(name string) bool { return kernelRelease(name) != "" }) {
		observe.Kernels.Want(h, "")
		observe.InstalledKernels.Want(h, "")
	}
	packages, err := observe.Packages.ObserveAll(ctx, h, names)
	if err != nil {
		return plan, err
	}
	var targets []string
	for _, name := range names {
		p := packages[name]
		there := p.Installed() || p.Broken() || m.State == "purged" && p.ConfigFiles()
		if there && !slices.Contains(targets, name) {
			targets = append(targets, name)
		}
	}
	if len(targets) == 0 {
		return plan, m.mayAppear(h)
	}
	command := m.command(verb, targets)
	changes, err := simulate(ctx, h, command, true, m.Packages)
	if err != nil {
		return plan, err
	}
	if err := keepsRunningKernel(ctx, h, targets, changes); err != nil {
		return plan, err
	}
	expect, err := m.removed(ctx, h, targets, changes)
	if err != nil {
		return plan, err
	}
	run := m.aptGet(nil, strings.Fields(command)...)
	run.Limit = 30*time.Minute + m.LockTimeout
	risk := modules.Restarts
	if verb == "purge" {
		risk = modules.Destroys
	}
	plan.Confined = inert(targets, changes)
	plan.Steps = []modules.Step{{
		Summary: verb + " " + join(targets) + beside(changes, targets),
		Action:  run,
		Expect:  expect,
		Risk:    risk,
	}}
	return plan, nil
}

// wantRemoval makes what apt would do travel with the state of the packages that match a pattern, which are probably installed.
func (m *Module) wantRemoval(h modules.Host, verb string, names []string, matches map[string][]string) {
	var targets []string
	for _, name := range names {
		known, ok := h.Known(observe.Packages.Key(name))
		p, _ := known.(observe.Package)
		matching := slices.ContainsFunc(m.Packages, func(glob string) bool { return slices.Contains(matches[glob], name) })
		switch {
		case !ok && !matching:
			return
		case !ok || p.Installed():
			targets = append(targets, name)
		}
	}
	if len(targets) > 0 {
		Transactions.Want(h, m.command(verb, targets))
	}
}

// mayAppear returns an *observe.UnknownError if, in check mode, a package that is to be absent may come with a package
// that an earlier task installs.
func (m *Module) mayAppear(h modules.Host) error {
	for _, name := range m.Packages {
		kind := observe.Packages.MayAppear
		if isGlob(name) {
			kind = observe.PackageGlobs.MayAppear
		}
		if err := kind(h, name); err != nil {
			return err
		}
	}
	return nil
}

// keepsRunningKernel returns an error if the package of the running kernel would be removed: a host without another
// kernel would not boot again, and one with another kernel would lose the modules of the running one.
func keepsRunningKernel(ctx context.Context, h modules.Host, targets []string, changes []PackageChange) error {
	removed := slices.Clone(targets)
	for _, c := range changes {
		if c.Removed() {
			removed = append(removed, c.Name)
		}
	}
	if !slices.ContainsFunc(removed, func(name string) bool { return kernelRelease(name) != "" }) {
		return nil
	}
	running, err := observe.Kernels.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	for _, name := range removed {
		if release := kernelRelease(name); release != "" && release == running.Release {
			return fmt.Errorf("%s: %s is the running kernel: nothing was removed; boot another kernel in an earlier task, with reboot { when_kernel = \"…\" }", h.Name(), name)
		}
	}
	return nil
}

// kernelPackage matches the name of the package of a particular kernel, such as linux-image-6.1.0-28-amd64. The first
// part of its release is a number, and a flavour follows.
var kernelPackage = pattern.New(`^[a-z]+-(?:image|kernel)-(\d[^:-]*-[^:]+?)(?:-signed|-unsigned)?(?:-dbg)?(?::[a-z0-9-]+)?$`)

// kernelRelease returns the release of the kernel in an image package. It is empty for other packages, including those
// that depend on the newest kernel or on the newest one of a series.
func kernelRelease(name string) string {
	if m := kernelPackage.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

// knownSources returns the source files for use in messages; none if they are about to change.
func knownSources(ctx context.Context, h modules.Host) ([]observe.TextFile, error) {
	sources, err := SourceFiles.Observe(ctx, h, "")
	if observe.IsUnknown(err) {
		return nil, nil
	}
	return sources, err
}
