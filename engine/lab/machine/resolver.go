package machine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A missingError reports that a package is not available.
type missingError struct {
	name     string
	neededBy string // empty if the package was requested directly
	wanted   string
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
		if versionAllowed(version, v.Version) {
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
		var providers []string
		for _, provider := range r.p.m.archive.providers(name) {
			if versions := r.versions(provider); len(versions) > 0 {
				providers = append(providers, provider)
			}
		}
		switch {
		case len(providers) == 1 && version == "", len(providers) > 0 && neededBy != "":
			return r.want(providers[0], "", neededBy, text)
		case len(providers) > 0:
			return r.virtual(name, version, providers)
		}
		return &missingError{name: name, neededBy: neededBy, wanted: cmp.Or(text, version)}
	}
	r.seen[name] = true
	if have {
		older := CompareVersions(candidate.Version, installed.pkg.Version) <= 0
		if version == "" && older || candidate.Version == installed.pkg.Version {
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

// virtual returns apt's error for a virtual package that several packages provide, or for a version of one.
func (r *resolver) virtual(name, version string, providers []string) error {
	text := fmt.Sprintf("Package %s is a virtual package provided by:\n", name)
	for _, provider := range providers {
		text += fmt.Sprintf("  %s %s\n", provider, r.versions(provider)[0].Version)
	}
	if version != "" {
		return saying("%s\nE: Version '%s' for '%s' was not found", text, version, name)
	}
	return saying("%s\nE: Package '%s' has no installation candidate", text, name)
}

// versionAllowed reports whether a version matches what follows the = in a request: a version, or a prefix followed by
// a star. An empty request matches any version.
func versionAllowed(wanted, version string) bool {
	if beginning, ok := strings.CutSuffix(wanted, "*"); ok {
		return strings.HasPrefix(version, beginning)
	}
	return wanted == "" || wanted == version
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

// drop plans the removal of a package and of the packages that depend on it.
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
