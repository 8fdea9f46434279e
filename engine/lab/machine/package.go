package machine

import (
	"io"
	"slices"
)

// Package is a package of the simulated archive.
type Package struct {
	Name, Version string
	Depends       []string
	// Component is the repository component that offers it: "main", "pve-no-subscription",
	// "ceph-squid/no-subscription". Not installable unless a source entry names it.
	Component string
	// Debian is the code name of the only release that has it; empty for every release.
	Debian    string
	Conffiles map[string]string
	Files     map[string]string
	Units     []Unit
	Programs  map[string]Program
	// Conflicts are removed when this package is installed.
	Conflicts []string
	// Provides are virtual packages that it satisfies.
	Provides []string
	// Essential packages are only removed when apt is told to, as Debian's are.
	Essential bool
	// Installed runs as the maintainer script does; its output is apt's. An error leaves the package
	// half-configured.
	Installed func(m *Machine, out io.Writer) error
	// Removed runs when the package is removed, before its files go. An error, such as that of a
	// preremoval script that refuses, leaves the package installed.
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
