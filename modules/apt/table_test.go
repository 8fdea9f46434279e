package apt

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"hlplay/engine/observe"
)

// contents are the paths of the recorded packages, by package.
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

// unitFiles are the states of the units of a node of Proxmox VE 9.2, as systemctl list-unit-files printed them.
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

// What the table predicts of a package must be what the package was seen to bring.
func TestTableAgainstRecordings(t *testing.T) {
	packages, states := contents(t), unitFiles(t)
	for name, e := range known {
		files, recorded := packages[name]
		for _, implied := range e.implies {
			files = append(files, packages[implied]...)
		}
		has := func(base string, dirs ...string) bool {
			return slices.ContainsFunc(dirs, func(dir string) bool { return slices.Contains(files, path.Join(dir, base)) })
		}
		for unit, want := range wantedStates(e) {
			switch state, listed := states[unit]; {
			case listed && state != want:
				t.Errorf("%s: %s is predicted to be %s, and was seen %s", name, unit, want, state)
			case !listed && !has(unit, "/lib/systemd/system", "/usr/lib/systemd/system"):
				t.Errorf("%s: nothing recorded has the unit %s", name, unit)
			}
		}
		if !recorded {
			continue
		}
		for _, program := range e.programs {
			if !has(program, "/usr/bin", "/usr/sbin", "/bin", "/sbin") {
				t.Errorf("%s has no command %s", name, program)
			}
		}
		for _, dir := range e.dirs {
			if !slices.Contains(files, dir+"/") {
				t.Errorf("%s has no directory %s", name, dir)
			}
		}
	}
}

func wantedStates(e effect) map[string]string {
	states := map[string]string{}
	for _, unit := range slices.Concat(e.running, e.waiting) {
		states[unit] = "enabled"
	}
	for _, unit := range e.static {
		states[unit] = "static"
	}
	return states
}

// A package may bring units of any name; those that are there already are as they are.
func TestUnitsThatAPackageMayBringAreUnknown(t *testing.T) {
	for _, name := range []string{"docker.io", "chrony"} { // one that is not listed, and one that is
		h := recorded(bookworm, offered(name, "1"), transaction("install "+name, observe.PackageChange{Name: name, To: "1"}),
			one(observe.Files.Expect("/etc/chrony/chrony.conf", observe.File{})))
		h.Predict(one(observe.Units.Expect("ssh.service", observe.Unit{LoadState: "loaded", ActiveState: "active"})))
		plans(t, &Module{Packages: []string{name}}, h, "install "+name)
		doubt := anyUnit("x")
		if !doubt.Match(observe.Units.Key("docker.service")) || !doubt.If(observe.Unit{LoadState: "not-found"}) || doubt.If(observe.Unit{LoadState: "loaded"}) {
			t.Error("a unit that is not there is no doubt, or one that is there")
		}
		if u, err := observe.Units.Observe(t.Context(), h, "ssh.service"); err != nil || !u.Active() {
			t.Errorf("a unit that is there is %+v (%v) after %s", u, err, name)
		}
	}
}
