package apt

import (
	"cmp"
	"context"
	"maps"
	"net"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/required"
)

// installed returns the expectations of an installation: exactly what apt's simulation says, if it could be run, and
// what is known about the packages.
func (m *Module) installed(ctx context.Context, h modules.Host, targets []target, changes []PackageChange) ([]observe.Expectation, error) {
	names := namesOf(targets)
	p := prediction{host: h, because: "it may be installed with " + join(names), versions: map[string]string{}}
	p.answers, _ = m.answers() // Validate has checked them
	for _, t := range targets {
		p.versions[t.name] = ""
		if c, err := Candidates.Observe(ctx, h, t.name); err == nil {
			c.Installed = cmp.Or(t.version, c.Version)
			p.versions[t.name] = c.Installed
			if c.Version != "" {
				p.expect(Candidates.Expect(t.name, c))
			}
		}
	}
	p.take(changes)
	if changes == nil {
		release, _, err := observe.Text(ctx, h, "/etc/os-release")
		if err != nil {
			return nil, err
		}
		for name := range closure(names, *m.InstallRecommends, debianVersion(release) >= 13) {
			if _, told := p.versions[name]; !told {
				p.versions[name] = ""
			}
			p.removed = append(p.removed, known[name].Removes...)
		}
		if slices.ContainsFunc(names, func(name string) bool { _, listed := known[name]; return !listed }) {
			p.expect(anyPackage(p.because))
		}
	}
	if m.Autoremove {
		p.expect(Transactions.Expect(autoremove, Transaction{}))
	}
	return p.done(ctx)
}

// removed returns the expectations of a removal.
func (m *Module) removed(ctx context.Context, h modules.Host, targets []string, changes []PackageChange) ([]observe.Expectation, error) {
	p := prediction{host: h, because: "it may be removed with " + join(targets), versions: map[string]string{}, purge: m.State == "purged"}
	p.removed = slices.Clone(targets)
	p.take(changes)
	for _, name := range m.Packages {
		if isGlob(name) {
			p.expect(observe.PackageGlobs.Expect(name, []string{}))
		}
	}
	if m.Autoremove {
		p.expect(Transactions.Expect(autoremove, Transaction{}))
	}
	return p.done(ctx)
}

// changed returns the expectations of an upgrade, which is known package by package.
func (m *Module) changed(ctx context.Context, h modules.Host, changes []PackageChange) ([]observe.Expectation, error) {
	p := prediction{host: h, because: "it may be installed with the upgrade", versions: map[string]string{}}
	p.take(changes)
	for _, c := range changes {
		// The package of os-release(5): its version begins with that of the Debian release.
		if from, _, _ := strings.Cut(c.From, "."); c.Name == "base-files" && !c.Removed() && from != "" && !strings.HasPrefix(c.To, from+".") {
			for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
				p.expect(observe.Files.Unknown(name, "the upgrade brings another Debian release"))
			}
		}
	}
	return p.done(ctx)
}

// prediction collects the effects of package changes on observations.
type prediction struct {
	host    modules.Host
	because string
	// versions holds the packages that will be installed; an empty version is unknown.
	versions map[string]string
	removed  []string
	purge    bool
	// before holds the packages of which apt has told whether they are installed.
	before map[string]observe.Package
	// answers holds the debconf answers that the same task sets before the installation.
	answers []answer
	all     []observe.Expectation
}

func (p *prediction) expect(e ...observe.Expectation) { p.all = append(p.all, e...) }

func (p *prediction) take(changes []PackageChange) {
	for _, c := range changes {
		if c.Removed() {
			p.removed = append(p.removed, c.Name)
		} else {
			p.versions[c.Name] = c.To
		}
		if c.Unsure || c.Removed() && c.From == "" {
			continue
		}
		if p.before == nil {
			p.before = map[string]observe.Package{}
		}
		is := observe.Package{}
		if c.From != "" {
			is = observe.Package{Status: observe.InstalledStatus, Version: c.From}
		}
		p.before[c.Name] = is
	}
}

// installedBefore returns the packages that change as they are now. Those that apt has told about are not read.
func (p *prediction) installedBefore(ctx context.Context, names []string) (map[string]observe.Package, error) {
	var unknown []string
	for _, name := range names {
		if _, told := p.before[name]; !told {
			unknown = append(unknown, name)
		}
	}
	before, err := observe.Packages.ObserveAll(ctx, p.host, unknown)
	if err != nil {
		return nil, err
	}
	maps.Copy(before, p.before)
	return before, nil
}

// done observes the current state and returns the expectations.
func (p *prediction) done(ctx context.Context) ([]observe.Expectation, error) {
	slices.Sort(p.removed)
	p.removed = slices.Compact(p.removed)
	names := slices.Sorted(maps.Keys(p.versions))
	if slices.ContainsFunc(p.removed, func(name string) bool { return kernelRelease(name) != "" }) {
		observe.InstalledKernels.Want(p.host, "")
	}
	before, err := p.installedBefore(ctx, append(slices.Clone(names), p.removed...))
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		p.expect(observe.RebootDemands.Unknown("", "a package may ask for a reboot when it is installed"))
	}
	var added, gone []string
	for _, name := range names {
		p.expect(observe.Packages.Expect(name, observe.Package{Status: observe.InstalledStatus, Version: p.versions[name]}))
		if !before[name].Installed() {
			added = append(added, name)
		}
	}
	for _, name := range p.removed {
		was := before[name]
		_, replaced := p.versions[name]
		if replaced || was.Status == "" {
			continue
		}
		after := observe.Package{Status: "deinstall ok config-files", Version: was.Version}
		if p.purge {
			after = observe.Package{}
		}
		p.expect(observe.Packages.Expect(name, after))
		gone = append(gone, name)
	}
	for _, name := range added {
		p.arrival(name)
	}
	for _, name := range gone {
		p.departure(name)
	}
	if len(added) > 0 {
		p.expect(anyUnit(p.because), anyPath(p.because))
		p.expect(required.ExpectComing(p.host, added))
	}
	if err := p.kernels(ctx, names, gone); err != nil {
		return nil, err
	}
	if err := p.arrived(ctx, added); err != nil {
		return nil, err
	}
	p.expect(observe.Expectation{
		Match: func(k observe.Key) bool {
			return k.Kind == Transactions.Name && k.Name != fullUpgrade && k.Name != safeUpgrade
		},
		Unknown: "an earlier task changes packages",
	})
	return p.all, nil
}

// arrived adds what is observed once new packages are there, as far as the state of the host decides about it.
func (p *prediction) arrived(ctx context.Context, added []string) error {
	expect, errs := make([][]observe.Expectation, len(added)), make([]error, len(added))
	var all []func(context.Context)
	for i, name := range added {
		if installed := known[name].Installed; installed != nil {
			all = append(all, func(ctx context.Context) { expect[i], errs[i] = installed(ctx, p.host) })
		}
	}
	observe.Together(ctx, all...)
	p.expect(slices.Concat(expect...)...)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// arrival adds what a new package brings. For an unknown package, Debian policy says under which names it may bring
// something.
func (p *prediction) arrival(name string) {
	e, listed := known[name]
	if !listed {
		p.expect(byPolicy(name, p.because))
		return
	}
	for _, unit := range e.Running {
		p.expect(observe.Units.Expect(unit, activeUnit(unit)))
	}
	for _, unit := range e.Static {
		u := activeUnit(unit)
		u.UnitFileState = "static"
		p.expect(observe.Units.Expect(unit, u))
	}
	for _, unit := range e.Waiting {
		p.expect(observe.Units.Expect(unit, observe.Unit{ID: unit, LoadState: "loaded", ActiveState: "inactive", SubState: "dead", UnitFileState: "enabled"}))
	}
	if name == "postfix" {
		p.expect(observe.Units.Expect("postfix.service", p.postfix()))
	}
	for _, dir := range e.Directories {
		p.expect(
			observe.Files.Expect(dir, observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
			observe.Dirs.Unknown(dir, p.because),
		)
	}
	for _, file := range e.Files {
		// dpkg keeps what an earlier task wrote (confold): an exact expectation is left as it is.
		if _, ok := p.host.Known(observe.Files.Key(file)); ok && p.exists(file) {
			continue
		}
		p.expect(observe.Files.Unknown(file, p.because), observe.Sums.Unknown(file, p.because), observe.Checksums.Unknown(file, p.because))
	}
	if programs := e.Programs; len(programs) > 0 {
		p.expect(commandsNaming(programs, p.because))
	}
}

func (p *prediction) exists(file string) bool {
	known, ok := p.host.Known(observe.Files.Key(file))
	f, isFile := known.(observe.File)
	return ok && isFile && f.Exists()
}

// activeUnit returns an enabled unit that is running. It does not claim whether a service keeps running or has
// completed.
func activeUnit(name string) observe.Unit {
	return observe.Unit{ID: name, LoadState: "loaded", ActiveState: "active", UnitFileState: "enabled"}
}

// postfix returns the unit of postfix. With the answer "No configuration" there is no main.cf, and the unit does not
// start (ConditionPathExists).
func (p *prediction) postfix() observe.Unit {
	u := activeUnit("postfix.service")
	known, _ := p.host.Known(Debconf.Key("postfix"))
	selections, _ := known.(map[string]string)
	kind := selections["postfix/main_mailer_type"]
	for _, a := range p.answers {
		if a.question == "postfix/main_mailer_type" {
			kind = a.value
		}
	}
	if kind == "No configuration" {
		u.ActiveState, u.SubState = "inactive", "dead"
	}
	return u
}

// departure adds what disappears with a package. Configuration files are kept unless it is purged.
func (p *prediction) departure(name string) {
	e, listed := known[name]
	for _, unit := range slices.Concat(e.Running, e.Static, e.Waiting) {
		p.expect(observe.Units.Expect(unit, observe.NoUnit(unit)))
	}
	if listed && p.purge {
		for _, file := range e.Files {
			p.expect(observe.Placed(p.host, file, observe.File{})...)
		}
	}
	if programs := e.Programs; len(programs) > 0 {
		p.expect(commandsNaming(programs, p.because))
	}
	if !listed {
		p.expect(byPolicy(name, p.because))
	}
}

// byPolicy returns what an unlisted package may change, by the names that Debian policy makes it use (policy 9.1, 9.3,
// 10.7): files with the package's name as a path component, units and users of that name, and commands that mention
// it.
func byPolicy(name, because string) observe.Expectation {
	name, _, _ = strings.Cut(name, ":")
	mention := mentions([]string{name})
	return observe.Expectation{
		Match: func(k observe.Key) bool {
			switch {
			case strings.HasPrefix(k.Name, "/") && !observe.OnSharedFileSystem(k.Name):
				for component := range strings.SplitSeq(k.Name, "/") {
					if component == name || strings.HasPrefix(component, name+".") {
						return true
					}
				}
				return false
			case k.Kind == observe.Units.Name:
				base := strings.TrimSuffix(k.Name, path.Ext(k.Name))
				return base == name || strings.HasPrefix(base, name+"@")
			case k.Kind == observe.Users.Name, k.Kind == observe.Groups.Name:
				return k.Name == name
			case k.Kind == observe.Commands.Name:
				return mention.MatchString(k.Name)
			}
			return false
		},
		Unknown: because,
	}
}

// anyUnit says that a package may bring units that do not exist yet. Their names may differ from the package's:
// docker.io brings docker.service.
func anyUnit(because string) observe.Expectation {
	return observe.Expectation{
		Match: func(k observe.Key) bool { return k.Kind == observe.Units.Name },
		If: func(value any) bool {
			u, ok := value.(observe.Unit)
			return ok && !u.Exists()
		},
		Unknown: because,
	}
}

// packaged lists the directories in which packages have files (policy 9.1), and notPackaged the directories below them
// in which they have none.
var (
	packaged    = []string{"/etc/", "/usr/", "/var/", "/lib", "/bin/", "/sbin/", "/boot/", "/opt/"}
	notPackaged = []string{"/usr/local/", "/var/tmp/"}
)

// anyPackage says that packages may come as dependencies of one that apt has yet to learn of.
func anyPackage(because string) observe.Expectation {
	return observe.Expectation{
		Match: func(k observe.Key) bool {
			return k.Kind == observe.Packages.Name || k.Kind == observe.PackageGlobs.Name
		},
		Appears: true,
		Unknown: because,
	}
}

// anyPath says that a package may bring files, directories, users and groups that do not exist yet, under any name, and
// services that listen.
func anyPath(because string) observe.Expectation {
	return observe.Expectation{
		Match: func(k observe.Key) bool {
			below := func(dir string) bool { return strings.HasPrefix(k.Name, dir) }
			switch k.Kind {
			case observe.Files.Name:
				return slices.ContainsFunc(packaged, below) && !slices.ContainsFunc(notPackaged, below) && !observe.OnSharedFileSystem(k.Name)
			case observe.Users.Name, observe.Groups.Name:
				return true
			case observe.Ports.Name:
				host, _, err := net.SplitHostPort(k.Name)
				address, _ := netip.ParseAddr(host)
				return err == nil && (host == "localhost" || address.IsLoopback())
			}
			return false
		},
		Appears: true,
		Unknown: because,
	}
}

// commandsNaming matches the readings of commands that mention one of the programs.
func commandsNaming(programs []string, because string) observe.Expectation {
	mention := mentions(programs)
	return observe.Expectation{
		Match:   func(k observe.Key) bool { return k.Kind == observe.Commands.Name && mention.MatchString(k.Name) },
		Unknown: because,
	}
}

// mentions returns a pattern for text in which one of the names is a word of a command line.
func mentions(names []string) *regexp.Regexp {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = regexp.QuoteMeta(name)
	}
	return regexp.MustCompile(`(^|[^A-Za-z0-9_.+-])(` + strings.Join(quoted, "|") + `)($|[^A-Za-z0-9_.+-])`)
}

// kernels predicts /boot. A package that depends on the newest kernel brings one whose release only the newest index
// knows.
func (p *prediction) kernels(ctx context.Context, names, gone []string) error {
	var added, removed, flavours []string
	for _, name := range names {
		if release := kernelRelease(name); release != "" {
			added = append(added, release)
		}
		if flavour := known[name].KernelFlavour; flavour != "" {
			flavours = append(flavours, flavour)
		}
	}
	for _, name := range gone {
		if release := kernelRelease(name); release != "" {
			removed = append(removed, release)
		}
	}
	if len(added)+len(removed)+len(flavours) == 0 {
		return nil
	}
	installed, err := observe.InstalledKernels.Observe(ctx, p.host, "")
	if err != nil && !observe.IsUnknown(err) {
		return err
	}
	if err == nil {
		after := slices.DeleteFunc(slices.Clone(installed), func(r string) bool { return slices.Contains(removed, r) })
		after = append(after, added...)
		for _, flavour := range flavours {
			if !slices.ContainsFunc(after, func(release string) bool { return strings.HasSuffix(release, flavour) }) {
				after = append(after, observe.ComingRelease(flavour))
			}
		}
		observe.SortReleases(after)
		p.expect(observe.InstalledKernels.Expect("", slices.Compact(after)))
	}
	for _, release := range removed {
		for _, file := range []string{"/boot/vmlinuz-", "/boot/initrd.img-", "/boot/config-", "/boot/System.map-"} {
			p.expect(observe.Files.Expect(file+release, observe.File{}))
		}
	}
	p.expect(observe.Expectation{
		Match: func(k observe.Key) bool {
			return k.Kind == observe.Dirs.Name && (strings.HasPrefix(k.Name, "/boot") || strings.HasPrefix(k.Name, "/lib/modules"))
		},
		Unknown: p.because,
	})
	return nil
}
