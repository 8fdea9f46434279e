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
	"strings"

	"github.com/spf13/afero"
)

// apply executes a transaction.
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
		i := &installation{pkg: pkg, status: statusHalfConfigured, automatic: !t.asked[pkg.Name], sums: old.sums, hold: old.hold, was: old.was}
		if pkg.Name == "base-files" {
			p.m.setDebian(pkg.Debian)
		}
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
			continue // packages have no files for instances
		}
		if err := writeFile(root, name, unitFile(u), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// configure installs the conffiles, runs the maintainer script and starts the units.
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
		case err != nil && known: // dpkg does not restore what the administrator deleted
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
			if was.UnitFileState == "masked" {
				continue
			}
			u.Enabled = was.UnitFileState == "enabled" || u.Enabled && was.UnitFileState != "disabled"
			u.Active = was.ActiveState == "active" || u.Active && (u.Enabled || u.Static)
			_ = p.m.units.Stop(u.Name) // the maintainer script restarts it
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
			_ = root.Remove("/usr/lib/systemd/system/" + UnitName(u.Name)) // it may not exist any more
		}
		for file := range i.pkg.Files {
			_ = root.Remove(file) // it may not exist any more
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
			_ = root.Remove(file) // it may not exist any more
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

// conffilePolicy says what dpkg does with a conffile that the administrator has changed and that differs in the new
// version.
type conffilePolicy int

const (
	conffileAsk conffilePolicy = iota
	conffileKeep
	conffileReplace
)

type applyOptions struct {
	conffiles conffilePolicy
	by        string // the program to record changes under; empty if they are not recorded
}

var errConffilePrompt = errors.New("end of file on stdin at conffile prompt")

// transaction is what apt is going to do.
type transaction struct {
	install []Package // new, upgraded or reinstalled packages, dependencies first
	remove  []string
	purge   bool
	asked   map[string]bool // the packages that were requested by name
}

func (t transaction) empty() bool { return len(t.install) == 0 && len(t.remove) == 0 }
