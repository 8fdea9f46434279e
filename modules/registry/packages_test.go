package registry

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"hlplay/modules"
)

// known returns the packages that modules describe, by name.
func known() map[string]modules.Package {
	all := map[string]modules.Package{}
	for _, spec := range All() {
		for _, p := range spec.Packages {
			all[p.Name] = p
		}
	}
	return all
}

// contents returns the paths in the recorded packages, by package.
func contents(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/contents.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if name, file, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			all[name] = append(all[name], file)
		}
	}
	return all
}

// unitFiles returns the states of the units on a node of Proxmox VE 9.2, as systemctl list-unit-files printed them.
func unitFiles(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/units.txt")
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 {
			states[f[0]] = f[1]
		}
	}
	return states
}

// A prediction about a package must agree with what the package was seen to bring.
func TestPackagesAgainstRecordings(t *testing.T) {
	packages, states := contents(t), unitFiles(t)
	for name, e := range known() {
		files, recorded := packages[name]
		for _, implied := range e.Depends {
			files = append(files, packages[implied]...)
		}
		has := func(base string, dirs ...string) bool {
			return slices.ContainsFunc(dirs, func(dir string) bool { return slices.Contains(files, path.Join(dir, base)) })
		}
		for unit, want := range wantedStates(e) {
			switch state, listed := states[unit]; {
			case listed && state != want:
				t.Errorf("%s: %s is predicted to be %s, and was seen %s", name, unit, want, state)
			case name == "proxmox-backup-server": // no recording has it; its source (debian/postinst) starts both services
			case !listed && !has(unit, "/lib/systemd/system", "/usr/lib/systemd/system"):
				t.Errorf("%s: nothing recorded has the unit %s", name, unit)
			}
		}
		if !recorded {
			continue
		}
		for _, program := range e.Programs {
			if !has(program, "/usr/bin", "/usr/sbin", "/bin", "/sbin") {
				t.Errorf("%s has no command %s", name, program)
			}
		}
		for _, dir := range e.Directories {
			if !slices.Contains(files, dir+"/") {
				t.Errorf("%s has no directory %s", name, dir)
			}
		}
	}
}

func wantedStates(e modules.Package) map[string]string {
	states := map[string]string{}
	for _, unit := range slices.Concat(e.Running, e.Waiting) {
		states[unit] = "enabled"
	}
	for _, unit := range e.Static {
		states[unit] = "static"
	}
	return states
}

// A package that comes along with another must itself be described. Otherwise check mode would assume everything that
// Debian policy lets it bring under its name, and all of that would be unknown.
func TestPackagesAreClosed(t *testing.T) {
	known := known()
	for name, p := range known {
		for _, other := range slices.Concat(p.Depends, p.Recommends, p.DependsFrom13) {
			if _, ok := known[other]; !ok {
				t.Errorf("%s brings %s, of which nothing is known", name, other)
			}
		}
	}
}

// Packages that are said to come with one of Ceph's packages must do so in each recorded release of Debian.
func TestDependenciesAgainstRecordings(t *testing.T) {
	text, err := os.ReadFile("testdata/depends.txt")
	if err != nil {
		t.Fatal(err)
	}
	releases := map[string]map[string][]string{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] == "#" {
			continue
		}
		if releases[f[0]] == nil {
			releases[f[0]] = map[string][]string{}
		}
		releases[f[0]][f[1]] = f[2:]
	}
	if len(releases) != 2 {
		t.Fatalf("%d releases", len(releases))
	}
	known := known()
	for release, depends := range releases {
		var comes func(name, wanted string) bool
		comes = func(name, wanted string) bool {
			return slices.ContainsFunc(depends[name], func(d string) bool { return d == wanted || comes(d, wanted) })
		}
		for name := range depends {
			for _, said := range known[name].Depends {
				if !comes(name, said) {
					t.Errorf("in Debian %s %s does not come with %s", release, said, name)
				}
			}
		}
	}
}
