package machine

import (
	"io"
	"slices"
)

// Package is a package in the simulated archive.
type Package struct {
	Name, Version string
	Depends       []string
	// Component is the repository component that contains the package: "main", "pve-no-subscription",
	// "ceph-squid/no-subscription". The package can be installed only if a source names that component.
	Component string
	// Debian is the code name of the only release that has the package; empty means every release.
	Debian    string
	Conffiles map[string]string
	Files     map[string]string
	Units     []Unit
	Programs  map[string]Program
	// Conflicts are the packages that are removed when this one is installed.
	Conflicts []string
	// Provides are the virtual packages that the package provides.
	Provides []string
	// Essential packages are removed only if apt is explicitly told to.
	Essential bool
	// Installed does what the postinst script does. Its output becomes part of apt's. If it fails, the package stays
	// half-configured.
	Installed func(m *Machine, out io.Writer) error
	// Removed does what the prerm script does. If it fails, the package stays installed.
	Removed func(m *Machine, out io.Writer) error
}

func (p Package) paths() []string {
	var all []string
	for file := range p.Files {
		all = append(all, file)
	}
	for file := range p.Conffiles {
		all = append(all, file)
	}
	for name := range p.Programs {
		all = append(all, programPath(name))
	}
	for _, u := range p.Units {
		all = append(all, "/usr/lib/systemd/system/"+UnitName(u.Name))
	}
	slices.Sort(all)
	return all
}
