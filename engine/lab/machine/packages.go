package machine

import (
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Packages are a machine's Debian packages: dpkg's database and apt's lists.
type Packages struct {
	m  *Machine
	mu sync.Mutex
	db map[string]*installation
	// components and generation are the archive's at the last apt-get update.
	components map[component]bool
	generation int
}

func newPackages(m *Machine) *Packages {
	return &Packages{m: m, db: map[string]*installation{}, components: map[component]bool{}}
}

// Installed returns the version of a package that is installed and configured.
func (p *Packages) Installed(name string) (version string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.db[name]
	if i == nil || i.status != statusInstalled {
		return "", false
	}
	return i.pkg.Version, true
}

// List returns the names of the installed packages.
func (p *Packages) List() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for name, i := range p.db {
		if i.status == statusInstalled {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Install installs packages and their dependencies from anywhere in the archive. It is for setting up the lab;
// programs use apt-get.
func (p *Packages) Install(names ...string) error {
	all := func(name string) []Package { return p.m.archive.Versions(name, p.m.Debian()) }
	plan, err := p.resolve(all, names, nil)
	if err != nil {
		return err
	}
	return p.apply(plan, io.Discard, applyOptions{})
}

// Put installs a package without its dependencies.
func (p *Packages) Put(pkg Package) error {
	return p.apply(transaction{install: []Package{pkg}, asked: map[string]bool{pkg.Name: true}}, io.Discard, applyOptions{})
}

// Remove removes packages and keeps their configuration files.
func (p *Packages) Remove(names ...string) error {
	return p.apply(transaction{remove: names}, io.Discard, applyOptions{})
}

func (p *Packages) get(name string) (installation, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.db[name]
	if !ok {
		return installation{}, false
	}
	return *i, true
}

// all returns copies of dpkg's entries, sorted by name.
func (p *Packages) all() []installation {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []installation
	for _, name := range slices.Sorted(maps.Keys(p.db)) {
		list = append(list, *p.db[name])
	}
	return list
}

// visible returns the versions of a package as of the machine's last update.
func (p *Packages) visible(name string) []Package {
	p.mu.Lock()
	components, generation := p.components, p.generation
	p.mu.Unlock()
	return p.m.archive.visible(name, components, generation)
}

// visibleOrInstalled returns the visible versions of a package and the installed one, newest first.
func (p *Packages) visibleOrInstalled(name string) []Package {
	versions := p.visible(name)
	i, have := p.get(name)
	if !have || i.status != statusInstalled || slices.ContainsFunc(versions, func(v Package) bool { return v.Version == i.pkg.Version }) {
		return versions
	}
	versions = append(versions, i.pkg)
	slices.SortStableFunc(versions, func(a, b Package) int { return CompareVersions(b.Version, a.Version) })
	return versions
}

// unfinished returns the packages that an earlier run left unconfigured and that are not part of the plan.
func (p *Packages) unfinished(plan transaction) []Package {
	var all []Package
	for _, i := range p.all() {
		touched := slices.Contains(plan.remove, i.pkg.Name) || slices.ContainsFunc(plan.install, func(pkg Package) bool { return pkg.Name == i.pkg.Name })
		if i.status == statusHalfConfigured && !touched {
			all = append(all, i.pkg)
		}
	}
	return all
}

func (p *Packages) mark(name string, automatic bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.db[name]; i != nil {
		i.automatic = automatic
	}
}

// providers returns the packages, as of the last update, that provide a virtual package.
func (p *Packages) providers(virtual string) []string {
	return slices.DeleteFunc(p.m.archive.providers(virtual), func(name string) bool { return len(p.visible(name)) == 0 })
}

func (p *Packages) statusFile() []byte {
	var b strings.Builder
	for _, i := range p.all() {
		b.WriteString(i.stanza() + "\n")
	}
	return []byte(b.String())
}

func (p *Packages) hold(name string, hold bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.db[name]; i != nil {
		i.hold = hold
	}
}

// place marks a package as installed. Its files are already in the base tree.
func (p *Packages) place(pkg Package) {
	sums := map[string]string{}
	for file, content := range pkg.Conffiles {
		sums[file] = sum([]byte(content))
	}
	automatic := strings.HasPrefix(pkg.Name, "linux-image-6")
	p.db[pkg.Name] = &installation{pkg: pkg, status: statusInstalled, sums: sums, automatic: automatic, was: true}
	for _, u := range pkg.Units {
		p.m.units.Add(u)
	}
	for name, program := range pkg.Programs {
		p.m.Install(name, program)
	}
}

// resolve plans the installation of names ("name" or "name=version") from the available versions, and the removal of
// others.
func (p *Packages) resolve(versions func(string) []Package, names, remove []string) (transaction, error) {
	r := resolver{p: p, versions: versions, plan: transaction{asked: map[string]bool{}}, seen: map[string]bool{}}
	for _, name := range remove {
		r.drop(name)
	}
	for _, name := range names {
		wanted := ""
		name, wanted, _ = strings.Cut(name, "=")
		name, _, _ = strings.Cut(name, ":")
		r.plan.asked[name] = true
		if err := r.want(name, wanted, "", ""); err != nil {
			return transaction{}, err
		}
	}
	return r.plan, nil
}

// upgrades plans the upgrade of all packages that have a newer version. Unless full is set, it keeps back upgrades that
// need new packages or removals.
func (p *Packages) upgrades(full bool) (plan transaction, kept []string, err error) {
	plan.asked = map[string]bool{}
	var names []string
	for _, i := range p.all() {
		if i.status != statusInstalled || i.hold {
			if i.hold {
				kept = append(kept, i.pkg.Name)
			}
			continue
		}
		versions := p.visible(i.pkg.Name)
		if len(versions) == 0 || CompareVersions(versions[0].Version, i.pkg.Version) <= 0 {
			continue
		}
		if !full {
			alone, err := p.resolve(p.visible, []string{i.pkg.Name}, nil)
			if err != nil || len(alone.remove) > 0 || slices.ContainsFunc(alone.install, func(n Package) bool { _, have := p.Installed(n.Name); return !have }) {
				kept = append(kept, i.pkg.Name)
				continue
			}
		}
		names = append(names, i.pkg.Name)
	}
	plan, err = p.resolve(p.visible, names, nil)
	plan.asked = map[string]bool{}
	return plan, kept, err
}

// Upgradable returns the names of the packages that a full upgrade would upgrade, as of the last update.
func (p *Packages) Upgradable() []string {
	plan, _, err := p.upgrades(true)
	if err != nil {
		return nil
	}
	var names []string
	for _, pkg := range plan.install {
		if _, have := p.Installed(pkg.Name); have {
			names = append(names, pkg.Name)
		}
	}
	slices.Sort(names)
	return names
}

// orphans returns the automatically installed packages that are no longer needed.
func (p *Packages) orphans() []string {
	all := p.all()
	needed := map[string]bool{}
	var mark func(name string)
	mark = func(name string) {
		if needed[name] {
			return
		}
		needed[name] = true
		i, ok := p.get(name)
		if !ok {
			return
		}
		for _, text := range i.pkg.Depends {
			for _, a := range parseDepends(text) {
				mark(a.name)
			}
		}
	}
	for _, i := range all {
		if i.status == statusInstalled && !i.automatic {
			mark(i.pkg.Name)
		}
	}
	var names []string
	for _, i := range all {
		if i.status == statusInstalled && i.automatic && !needed[i.pkg.Name] {
			names = append(names, i.pkg.Name)
		}
	}
	return names
}
