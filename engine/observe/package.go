package observe

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"hlplay/engine/remote"
)

// Package is what dpkg knows about a package. The zero value is a package that dpkg does not know or has forgotten.
type Package struct {
	// Status holds dpkg's want, error flag and state: "install ok installed", "deinstall ok config-files", "install
	// reinstreq half-installed" (dpkg-query(1), db:Status).
	Status string
	// Version is the installed version. For an installed package it is empty only where check mode predicts an
	// installation and cannot know the version.
	Version string
}

// InstalledStatus is the Status of a package that is unpacked, configured and not on hold.
const InstalledStatus = "install ok installed"

// state returns the last word of the status.
func (p Package) state() string { return p.Status[strings.LastIndexByte(p.Status, ' ')+1:] }

// Installed reports whether the package is unpacked and configured. This includes a package that is waiting for
// triggers.
func (p Package) Installed() bool {
	switch p.state() {
	case "installed", "triggers-awaited", "triggers-pending":
		return true
	}
	return false
}

// Broken reports whether an installation or removal was started and not finished: the package is unpacked but not
// configured, or worse, and `dpkg --configure -a` is due.
func (p Package) Broken() bool {
	switch p.state() {
	case "half-installed", "half-configured", "unpacked":
		return true
	}
	return strings.Contains(p.Status, " reinstreq ")
}

// Held reports whether an administrator has put the package on hold.
func (p Package) Held() bool { return strings.HasPrefix(p.Status, "hold ") }

// ConfigFiles reports whether the package was removed but not purged.
func (p Package) ConfigFiles() bool { return p.state() == "config-files" }

// Packages observes packages by name, with or without an architecture ("libc6:i386"). A single dpkg-query looks up all
// names.
//
// If a package is to be removed without purging, an expectation does not claim what remains of it: dpkg forgets a
// package that has neither configuration files nor a purge script.
var Packages = &Kind[Package]{
	Complete: func(expected, found Package) Package {
		switch {
		case expected.state() == "config-files" && found.Status == "":
			return found
		case expected.Version == "":
			expected.Version = found.Version
		}
		return expected
	},
	Holds: holdsPackages,
	Name:  "package", What: "the package %s",
	Ask: func(names []string) []remote.Query {
		return []remote.Query{dpkgQuery(names)}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Package, error)) {
		rows, err := parseDpkgQuery(answers[0])
		byName := map[string]Package{}
		for _, row := range rows {
			p := row.pkg
			if p.state() == "not-installed" {
				continue
			}
			for _, alias := range []string{row.name, row.name + ":" + row.architecture} {
				if old, ok := byName[alias]; !ok || !old.Installed() {
					byName[alias] = p
				}
			}
		}
		for _, name := range names {
			tell(name, byName[name], err)
		}
	},
}

// PackageGlobs observes the sorted names of the installed packages that match a shell pattern ("linux-image-6.1*").
// Packages that were removed but not purged are omitted.
var PackageGlobs = &Kind[[]string]{
	Name: "packages", What: "which packages match %s", Holds: holdsGlobs,
	Ask: func(patterns []string) []remote.Query {
		return []remote.Query{dpkgQuery(patterns)}
	},
	Parse: func(patterns []string, answers []remote.Answer, tell func(string, []string, error)) {
		rows, err := parseDpkgQuery(answers[0])
		for _, pattern := range patterns {
			matches := []string{}
			for _, row := range rows {
				if ok, _ := path.Match(pattern, row.name); ok && row.pkg.Installed() {
					matches = append(matches, row.name)
				}
			}
			slices.Sort(matches)
			tell(pattern, compact(matches), err)
		}
	},
}

// compact drops adjacent duplicates in place: a package may be installed for two architectures.
func compact(sorted []string) []string {
	kept := sorted[:0]
	for i, s := range sorted {
		if i == 0 || s != sorted[i-1] {
			kept = append(kept, s)
		}
	}
	return kept
}

// dpkgQuery returns the query for names or patterns. dpkg-query omits what it does not know and then exits with status
// 1.
func dpkgQuery(names []string) remote.Query {
	return remote.Query{
		Script: `dpkg-query -W -f '${Package}\t${Architecture}\t${Status}\t${Version}\n' -- "$@"`,
		Args:   names,
		Inline: true,
	}
}

type dpkgRow struct {
	name, architecture string
	pkg                Package
}

func parseDpkgQuery(a remote.Answer) ([]dpkgRow, error) {
	if a.Exit > 1 {
		return nil, fmt.Errorf("dpkg-query: %s: %s (is this a Debian host?)", remote.Ending(a.Exit), LastLine(a.Stderr))
	}
	var rows []dpkgRow
	for line := range strings.Lines(string(a.Stdout)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 4 || fields[0] == "" {
			return nil, fmt.Errorf("dpkg-query printed %q, expected four fields separated by tabs", line)
		}
		rows = append(rows, dpkgRow{fields[0], fields[1], Package{Status: fields[2], Version: fields[3]}})
	}
	return rows, nil
}
