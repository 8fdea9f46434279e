package machine

import (
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/spf13/afero"
)

// Packages are a machine's Debian packages: dpkg's database and apt's lists.
type Packages struct {
	m  *Machine
	mu sync.Mutex
	db map[string]*installation
	// components and generation are what the last apt-get update saw.
	components map[string]bool
	generation int
	autos      int
}

// status is dpkg's word for how far a package is.
type status string

const (
	statusInstalled      status = "installed"
	statusHalfConfigured status = "half-configured"
	statusConfigFiles    status = "config-files"
)

type installation struct {
	pkg       Package
	status    status
	automatic bool
	hold      bool
	sums      map[string]string // md5 of conffiles as they were shipped
	was       bool              // it was configured before: its units keep what was decided about them
}

func newPackages(m *Machine) *Packages {
	return &Packages{m: m, db: map[string]*installation{}, components: map[string]bool{}}
}

// Installed is the version of a package that is installed and configured.
func (p *Packages) Installed(name string) (version string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.db[name]
	if i == nil || i.status != statusInstalled {
		return "", false
	}
	return i.pkg.Version, true
}

// List are the names of the installed packages.
func (p *Packages) List() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for name, i := range p.db {
		if i.status == statusInstalled {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// Install installs packages of the archive with what they depend on, wherever in the archive they
// are: it is the hand of whoever sets the lab up, while programs go through apt-get.
func (p *Packages) Install(names ...string) error {
	all := func(name string) []Package { return p.m.archive.Versions(name, p.m.debian) }
	plan, err := p.resolve(all, names, nil)
	if err != nil {
		return err
	}
	return p.apply(plan, io.Discard, applyOptions{})
}

// Put installs one package as it stands, without its dependencies.
func (p *Packages) Put(pkg Package) error {
	return p.apply(transaction{install: []Package{pkg}, asked: map[string]bool{pkg.Name: true}}, io.Discard, applyOptions{})
}

// Remove removes packages; their configuration files stay.
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

// all are copies of dpkg's entries, by name.
func (p *Packages) all() []installation {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []installation
	for _, name := range slices.Sorted(maps.Keys(p.db)) {
		list = append(list, *p.db[name])
	}
	return list
}

// visible are the versions of a package that the lists of the last update know.
func (p *Packages) visible(name string) []Package {
	p.mu.Lock()
	components, generation := p.components, p.generation
	p.mu.Unlock()
	return p.m.archive.visible(name, p.m.debian, components, generation)
}

// transaction is what apt means to do.
type transaction struct {
	install []Package // new, upgraded or reinstalled, dependencies first
	remove  []string
	purge   bool
	asked   map[string]bool // installed because somebody named them
}

func (t transaction) empty() bool { return len(t.install) == 0 && len(t.remove) == 0 }

// A missingError says that a package is not to be had.
type missingError struct {
	name      string
	known     bool   // something in the archive refers to it
	neededBy  string // empty if it was asked for itself
	wanted    string
	candidate string
}

func (e *missingError) Error() string {
	switch {
	case e.neededBy != "":
		return fmt.Sprintf("The following packages have unmet dependencies:\n %s : Depends: %s but it is not installable\n"+
			"E: Unable to correct problems, you have held broken packages.", e.neededBy, e.wanted)
	case e.wanted != "":
		return fmt.Sprintf("E: Version '%s' for '%s' was not found", e.wanted, e.name)
	}
	return fmt.Sprintf("E: Unable to locate package %s", e.name)
}

// resolve plans the installation of names ("name" or "name=version") from what versions offers,
// and the removal of others.
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

type resolver struct {
	p        *Packages
	versions func(string) []Package
	plan     transaction
	seen     map[string]bool
}

func (r *resolver) want(name, version, neededBy, text string) error {
	if r.seen[name] {
		return nil
	}
	var candidate *Package
	for _, v := range r.versions(name) {
		if version == "" || v.Version == version {
			candidate = &v
			break
		}
	}
	installed, have := r.p.get(name)
	have = have && installed.status == statusInstalled
	if candidate == nil {
		if have && version == "" {
			return nil
		}
		for _, provider := range r.p.m.archive.providers(name) {
			if len(r.versions(provider)) > 0 {
				return r.want(provider, "", neededBy, text)
			}
		}
		return &missingError{name: name, neededBy: neededBy, wanted: cmpOr(text, version)}
	}
	r.seen[name] = true
	if have {
		older := CompareVersions(candidate.Version, installed.pkg.Version) <= 0
		if version == "" && older || version == installed.pkg.Version {
			return nil
		}
	}
	for _, text := range candidate.Depends {
		if err := r.depend(*candidate, text); err != nil {
			return err
		}
	}
	for _, other := range candidate.Conflicts {
		if _, ok := r.p.Installed(other); ok && other != name {
			r.drop(other)
		}
	}
	r.plan.install = append(r.plan.install, *candidate)
	return nil
}

func (r *resolver) depend(of Package, text string) error {
	alternatives := parseDepends(text)
	for _, a := range alternatives {
		if version, ok := r.p.Installed(a.name); ok && a.allows(version) && !slices.Contains(r.plan.remove, a.name) {
			return nil
		}
		for _, i := range r.p.all() {
			if i.status == statusInstalled && slices.Contains(i.pkg.Provides, a.name) && !slices.Contains(r.plan.remove, i.pkg.Name) {
				return nil
			}
		}
	}
	for _, a := range alternatives {
		if versions := r.versions(a.name); len(versions) > 0 && a.allows(versions[0].Version) {
			return r.want(a.name, "", of.Name, text)
		}
	}
	return r.want(alternatives[0].name, "", of.Name, text)
}

// drop plans the removal of a package and of what depends on it.
func (r *resolver) drop(name string) {
	if slices.Contains(r.plan.remove, name) {
		return
	}
	r.plan.remove = append(r.plan.remove, name)
	for _, i := range r.p.all() {
		if i.status != statusInstalled {
			continue
		}
		for _, text := range i.pkg.Depends {
			broken := true
			for _, a := range parseDepends(text) {
				_, here := r.p.Installed(a.name)
				if here && !slices.Contains(r.plan.remove, a.name) {
					broken = false
				}
			}
			if names := parseDepends(text); broken && slices.ContainsFunc(names, func(a relation) bool { return a.name == name }) {
				r.drop(i.pkg.Name)
			}
		}
	}
}

// upgrades plans the upgrade of what has a newer candidate. Without full, what would need new
// packages or removals is kept back.
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

// orphans are automatically installed packages that nothing needs any more.
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

// conffilePolicy is what dpkg does about a configuration file that was changed by hand and that a
// new version ships changed too.
type conffilePolicy int

const (
	conffileAsk conffilePolicy = iota
	conffileKeep
	conffileReplace
)

type applyOptions struct {
	conffiles conffilePolicy
	by        string // for the record; empty records nothing
}

var errConffilePrompt = errors.New("end of file on stdin at conffile prompt")

// apply carries a transaction out.
func (p *Packages) apply(t transaction, out io.Writer, o applyOptions) error {
	for _, name := range t.remove {
		if err := p.remove(name, t.purge, out, o); err != nil {
			return err
		}
	}
	for _, pkg := range t.install {
		old, had := p.get(pkg.Name)
		if had && old.status != statusConfigFiles {
			fmt.Fprintf(out, "Unpacking %s (%s) over (%s) ...\n", pkg.Name, pkg.Version, old.pkg.Version)
		} else {
			fmt.Fprintf(out, "Unpacking %s (%s) ...\n", pkg.Name, pkg.Version)
		}
		if err := p.unpack(pkg); err != nil {
			return fmt.Errorf("dpkg: error processing archive %s (--unpack):\n cannot copy extracted data: %w", pkg.Name, err)
		}
		p.mu.Lock()
		i := &installation{pkg: pkg, status: statusHalfConfigured, automatic: !t.asked[pkg.Name], sums: old.sums, hold: old.hold}
		if had && old.status != statusConfigFiles {
			i.automatic = old.automatic && !t.asked[pkg.Name]
		}
		p.db[pkg.Name] = i
		p.mu.Unlock()
		if o.by != "" {
			p.m.Record(o.by, "install "+pkg.Name+" "+pkg.Version)
		}
	}
	for name := range t.asked {
		p.mu.Lock()
		if i := p.db[name]; i != nil {
			i.automatic = false
		}
		p.mu.Unlock()
	}
	var failures []error
	for _, pkg := range t.install {
		if err := p.configure(pkg.Name, out, o); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

func (p *Packages) unpack(pkg Package) error {
	root := view{m: p.m}
	for name, content := range pkg.Files {
		mode := fs.FileMode(0o644)
		if strings.Contains(name, "/bin/") || strings.Contains(name, "/sbin/") {
			mode = 0o755
		}
		if err := writeFile(root, name, content, mode); err != nil {
			return err
		}
	}
	for name, program := range pkg.Programs {
		p.m.Install(name, program)
	}
	for _, u := range pkg.Units {
		name := "/usr/lib/systemd/system/" + UnitName(u.Name)
		if strings.Contains(u.Name, "@") {
			continue // instances are not files of a package
		}
		if err := writeFile(root, name, unitFile(u), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func unitFile(u Unit) string {
	text := "[Unit]\nDescription=" + u.Name + "\n\n[Service]\nExecStart=/usr/bin/" + strings.TrimSuffix(u.Name, ".service") + "\n"
	if !u.Static {
		text += "\n[Install]\nWantedBy=multi-user.target\n"
	}
	return text
}

func writeFile(v view, name, content string, mode fs.FileMode) error {
	if err := v.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	if err := afero.WriteFile(v, name, []byte(content), mode); err != nil {
		return err
	}
	return v.Chmod(name, mode)
}

func sum(content []byte) string { return fmt.Sprintf("%x", md5.Sum(content)) }

// configure places the conffiles, runs the maintainer script and starts the units.
func (p *Packages) configure(name string, out io.Writer, o applyOptions) error {
	i, ok := p.get(name)
	if !ok || i.status != statusHalfConfigured {
		return nil
	}
	fmt.Fprintf(out, "Setting up %s (%s) ...\n", name, i.pkg.Version)
	root := view{m: p.m}
	sums := map[string]string{}
	for _, file := range slices.Sorted(maps.Keys(i.pkg.Conffiles)) {
		shipped := i.pkg.Conffiles[file]
		sums[file] = sum([]byte(shipped))
		present, err := afero.ReadFile(root, file)
		before, known := i.sums[file]
		changed := err == nil && sum(present) != before && sum(present) != sums[file]
		switch {
		case err != nil && known: // deleted by hand: dpkg respects that
			continue
		case changed && known && before == sums[file]: // only the administrator changed it
			continue
		case changed && o.conffiles == conffileKeep:
			continue
		case changed && o.conffiles == conffileAsk:
			fmt.Fprintf(out, "\nConfiguration file '%s'\n ==> Modified (by you or by a script) since installation.\n"+
				" ==> Package distributor has shipped an updated version.\n", file)
			return fmt.Errorf("dpkg: error processing package %s (--configure):\n %w", name, errConffilePrompt)
		}
		if err := writeFile(root, file, shipped, 0o644); err != nil {
			return err
		}
	}
	if i.pkg.Installed != nil {
		if err := i.pkg.Installed(p.m, out); err != nil {
			return fmt.Errorf("dpkg: error processing package %s (--configure):\n installed %s package post-installation script subprocess returned error exit status 1: %w", name, name, err)
		}
	}
	for _, u := range i.pkg.Units {
		if was, had := p.m.units.Get(u.Name); had && i.was {
			u.Enabled = was.UnitFileState == "enabled" || u.Enabled && was.UnitFileState != "disabled"
			u.Active = u.Active && was.UnitFileState != "masked"
			if was.UnitFileState == "masked" {
				continue
			}
			_ = p.m.units.Stop(u.Name) // restarted as its package's script does
		}
		p.m.units.Add(u)
	}
	p.mu.Lock()
	p.db[name].status, p.db[name].sums, p.db[name].was = statusInstalled, sums, true
	p.mu.Unlock()
	return nil
}

func (p *Packages) remove(name string, purge bool, out io.Writer, o applyOptions) error {
	i, ok := p.get(name)
	if !ok {
		return nil
	}
	root := view{m: p.m}
	if i.status != statusConfigFiles {
		if i.pkg.Removed != nil {
			if err := i.pkg.Removed(p.m, out); err != nil {
				return fmt.Errorf("dpkg: error processing package %s (--remove):\n installed %s package pre-removal script subprocess returned error exit status 1: %w", name, name, err)
			}
		}
		fmt.Fprintf(out, "Removing %s (%s) ...\n", name, i.pkg.Version)
		for _, u := range i.pkg.Units {
			p.m.units.Remove(u.Name)
			_ = root.Remove("/usr/lib/systemd/system/" + UnitName(u.Name)) // gone already is as good
		}
		for file := range i.pkg.Files {
			_ = root.Remove(file) // gone already is as good
		}
		for program := range i.pkg.Programs {
			p.m.Uninstall(program)
		}
		if o.by != "" {
			p.m.Record(o.by, "remove "+name)
		}
	}
	if purge {
		fmt.Fprintf(out, "Purging configuration files for %s (%s) ...\n", name, i.pkg.Version)
		for file := range i.pkg.Conffiles {
			_ = root.Remove(file) // gone already is as good
		}
		if o.by != "" {
			p.m.Record(o.by, "purge "+name)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if purge || len(i.pkg.Conffiles) == 0 {
		delete(p.db, name)
	} else {
		p.db[name].status = statusConfigFiles
	}
	return nil
}

func cmpOr(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
