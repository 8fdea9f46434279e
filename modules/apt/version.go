package apt

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
)

// versionPattern matches a version (Debian policy 5.6.12), or the beginning of one followed by a star.
var versionPattern = pattern.New(`^[0-9][A-Za-z0-9.+~:-]*\*?$`)

// request is an element of Module.Packages, in the form of apt-get: NAME, NAME=VERSION, or NAME=BEGINNING*.
type request struct {
	name string
	// version is empty if any version will do.
	version string
}

func parseRequest(text string) request {
	name, version, _ := strings.Cut(text, "=")
	return request{name, version}
}

func (r request) String() string {
	if r.version == "" {
		return r.name
	}
	return r.name + "=" + r.version
}

// allows reports whether the version is one that the request asks for. Like apt, it compares the whole version with its
// epoch: 1.22* allows 1.22.1-9, and not 1:1.22.1-9.
func (r request) allows(version string) bool {
	if beginning, ok := strings.CutSuffix(r.version, "*"); ok {
		return strings.HasPrefix(version, beginning)
	}
	return r.version == "" || r.version == version
}

// met reports whether the package is as requested. An installed package whose version check mode cannot know counts as
// met.
func (r request) met(p observe.Package) bool {
	return p.Installed() && (p.Version == "" || r.allows(p.Version))
}

// newest returns the newest version of a candidate that is allowed, or "".
func (r request) newest(c Candidate) string {
	if i := slices.IndexFunc(c.Versions, r.allows); i >= 0 {
		return c.Versions[i]
	}
	return ""
}

// offered reports whether a source is known to have what is requested.
func (r request) offered(c Candidate) bool {
	if r.version == "" {
		return c.Version != ""
	}
	return r.newest(c) != ""
}

func (m *Module) requests() []request {
	all := make([]request, len(m.Packages))
	for i, text := range m.Packages {
		all[i] = parseRequest(text)
	}
	return all
}

// names returns the names of the packages, without versions.
func (m *Module) names() []string {
	all := make([]string, len(m.Packages))
	for i, text := range m.Packages {
		all[i] = parseRequest(text).name
	}
	return all
}

// validateVersions checks the versions in Packages, whose names are valid.
func (m *Module) validateVersions() error {
	fault := func(problem, want string) error {
		return &modules.ArgumentError{Argument: "packages", Problem: problem, Want: want}
	}
	requests, versioned := m.requests(), false
	for i, r := range requests {
		if j := slices.IndexFunc(requests[:i], func(other request) bool { return other.name == r.name && other.version != r.version }); j >= 0 {
			return fault(fmt.Sprintf("both %s and %s are given", requests[j], r), "expected one version of each package")
		}
		if !strings.Contains(m.Packages[i], "=") {
			continue
		}
		versioned = true
		switch {
		case m.removes():
			return fault(fmt.Sprintf("%s has a version, but its state is %s", r, m.State), "expected the name alone: "+r.name)
		case !versionPattern.MatchString(r.version):
			return fault(fmt.Sprintf("%q is not a version", r.version), "expected a version such as 1.22.1-9+deb12u1, or a prefix followed by a star: 1.22*")
		}
	}
	if versioned && m.Upgrade != "" && (m.Hold == nil || !*m.Hold) {
		return fault("a version is given, and the upgrade may replace it", "set hold = true as well, or upgrade in a separate task")
	}
	if m.AllowDowngrade && (m.removes() || len(m.Packages) == 0) {
		return &modules.ArgumentError{Argument: "allow_downgrade", Problem: "the task installs no packages", Want: "leave it out"}
	}
	return nil
}

// target is a package to install, or to change to another version.
type target struct {
	request // if it is known which version apt would take, the request names exactly that
	// from is the installed version; empty if the package is not installed.
	from string
	// older is set if the version is known to be older than the one that is installed.
	older bool
}

func argumentsOf(targets []target) []string {
	all := make([]string, len(targets))
	for i, t := range targets {
		all[i] = t.String()
	}
	return all
}

func namesOf(targets []target) []string {
	all := make([]string, len(targets))
	for i, t := range targets {
		all[i] = t.name
	}
	return all
}

// verb describes what is done to the targets, and returns the risk of that.
func verb(targets []target) (string, modules.Risk) {
	switch {
	case slices.ContainsFunc(targets, func(t target) bool { return t.from == "" }):
		return "install ", modules.Harmless
	case !slices.ContainsFunc(targets, func(t target) bool { return !t.older }):
		return "downgrade ", modules.Restarts
	}
	return "upgrade ", modules.Restarts
}

// versionDiff shows how versions change, if some are requested or older ones are installed. It returns nil otherwise, or
// if that is not known. Without a simulation, it shows only the targets.
func versionDiff(targets []target, offered bool, changes []PackageChange) *modules.Diff {
	if !offered || !slices.ContainsFunc(targets, func(t target) bool { return t.version != "" || t.older }) {
		return nil
	}
	if changes == nil {
		for _, t := range targets {
			if t.version != "" {
				changes = append(changes, PackageChange{Name: t.name, From: t.from, To: t.version})
			}
		}
	}
	return versions(changes)
}

// targets returns the requested packages that are to be installed or changed, and whether apt is known to offer all of
// them. It is an error if one is not offered, or if one is older than the installed version and downgrades are not
// allowed. If check mode cannot know, because the index has yet to be fetched, there is a doubt, except for packages whose
// effects are known, because these exist.
func (m *Module) targets(ctx context.Context, h modules.Host, packages map[string]observe.Package) (targets []target, offered bool, doubt, err error) {
	unmet := unmet(m.requests(), packages)
	var requests []request
	for _, r := range m.requests() {
		// A package that is about to be installed comes in the latest version.
		latest := m.State == "latest" && packages[r.name].Version != ""
		if (slices.Contains(unmet, r) || latest) && !slices.Contains(requests, r) {
			requests = append(requests, r)
			Candidates.Want(h, r.name)
		}
	}
	offered = true
	for _, r := range requests {
		p := packages[r.name]
		t := target{request: r}
		if p.Installed() {
			t.from = p.Version
		}
		c, err := Candidates.Observe(ctx, h, r.name)
		switch {
		case observe.IsUnknown(err):
			if !slices.Contains(unmet, r) {
				return nil, false, nil, err
			}
			if _, exists := known[r.name]; (!exists || r.version != "") && doubt == nil {
				doubt = err
			}
			offered = false
		case err != nil:
			return nil, false, nil, err
		case !r.offered(c):
			if !slices.Contains(unmet, r) {
				continue // it is installed, and no source has it any more
			}
			return nil, false, nil, notOffered(ctx, h, r, c)
		case r.version != "":
			t.version = r.newest(c)
			if t.version == t.from {
				continue
			}
		case c.Version == p.Version && p.Installed():
			continue
		}
		at := slices.Index(c.Versions, t.from)
		t.older = at >= 0 && slices.Index(c.Versions, cmp.Or(t.version, c.Version)) > at
		// If no request names the older version, a pin asks for it, and apt refuses with an error of its own.
		if t.older && t.version != "" && !m.AllowDowngrade {
			return nil, false, nil, fmt.Errorf("%s: %s %s is installed, and %s is older: nothing was done; set allow_downgrade = true to install it anyway", h.Name(), t.name, t.from, t.version)
		}
		targets = append(targets, t)
	}
	return targets, offered, doubt, nil
}

// unmet returns the requests that the installed packages do not meet.
func unmet(requests []request, packages map[string]observe.Package) []request {
	var all []request
	for _, r := range requests {
		if !r.met(packages[r.name]) && !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}

// otherVersions returns an error that says which versions a source offers instead of the one that is requested.
func otherVersions(r request, c Candidate) error {
	offers := "it offers " + join(c.Versions)
	for _, version := range c.Versions {
		epoch, rest, ok := strings.Cut(version, ":")
		if ok && r.allows(rest) {
			offers = fmt.Sprintf("include the epoch: %s=%s:%s; it offers %s", r.name, epoch, r.version, version)
			break
		}
	}
	return fmt.Errorf("no source offers package %s in version %s: %s (`apt-cache madison %[1]s`)", r.name, r.version, offers)
}
