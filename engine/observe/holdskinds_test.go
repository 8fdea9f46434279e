package observe

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hlplay/engine/remote"
)

// Accounts, groups, packages and modules of this machine hold, and nothing that differs from them does.
func TestKindsHold(t *testing.T) {
	h := localHost(t)
	users, err := Users.ObserveAll(t.Context(), h, []string{"root", "daemon", "www-data", "no-such-user"})
	if err != nil {
		t.Fatal(err)
	}
	groups, err := Groups.ObserveAll(t.Context(), h, []string{"root", "daemon", "no-such-group"})
	if err != nil {
		t.Fatal(err)
	}
	modules, err := KernelModules.ObserveAll(t.Context(), h, []string{"loop", "dm-mod", "no-such-module"})
	if err != nil {
		t.Fatal(err)
	}
	for name, holds := range map[string]func() ([]remote.Query, bool){
		"users":   func() ([]remote.Query, bool) { return Users.Holds(users) },
		"groups":  func() ([]remote.Query, bool) { return Groups.Holds(groups) },
		"modules": func() ([]remote.Query, bool) { return KernelModules.Holds(modules) },
	} {
		if queries, ok := holds(); !holdsHere(t, queries, ok) {
			t.Errorf("%s do not hold: %v %v %v", name, users, groups, modules)
		}
	}
	for what, change := range map[string]func(u *User){
		"UID":     func(u *User) { u.UID = 77 },
		"GID":     func(u *User) { u.GID = 77 },
		"comment": func(u *User) { u.Comment += "x" },
		"home":    func(u *User) { u.Home = "/nowhere" },
		"shell":   func(u *User) { u.Shell = "" },
		"group":   func(u *User) { u.Group = "other" },
		"groups":  func(u *User) { u.Groups = append(u.Groups, "other") },
		"none":    func(u *User) { *u = User{} },
	} {
		u := users["daemon"]
		change(&u)
		queries, ok := Users.Holds(map[string]User{"daemon": u})
		if holdsHere(t, queries, ok) {
			t.Errorf("an account holds, although it is expected to have another %s", what)
		}
	}
	u := users["daemon"]
	u.UID, u.GID = -1, -1
	if queries, ok := Users.Holds(map[string]User{"daemon": u}); !holdsHere(t, queries, ok) {
		t.Error("the IDs of a new account are compared")
	}
	if queries, ok := Users.Holds(map[string]User{"no-such-user": {Name: "no-such-user", UID: -1, GID: -1}}); holdsHere(t, queries, ok) {
		t.Error("an account holds that does not exist")
	}
	for what, g := range map[string]Group{"an ID": {Name: "daemon", GID: 77}, "a member": {Name: "daemon", GID: groups["daemon"].GID, Members: []string{"ada"}}, "none": {}} {
		if queries, ok := Groups.Holds(map[string]Group{"daemon": g}); holdsHere(t, queries, ok) {
			t.Errorf("a group holds that has another value: %s", what)
		}
	}
	if queries, ok := Groups.Holds(map[string]Group{"daemon": {Name: "daemon", GID: -1, Members: groups["daemon"].Members}}); !holdsHere(t, queries, ok) {
		t.Error("the ID of a new group is compared")
	}
	for name, m := range modules {
		for _, other := range []KernelModule{{Loaded: !m.Loaded, Builtin: m.Builtin, Available: m.Available}, {m.Loaded, !m.Builtin, m.Available}, {m.Loaded, m.Builtin, !m.Available}} {
			if queries, ok := KernelModules.Holds(map[string]KernelModule{name: other}); holdsHere(t, queries, ok) {
				t.Errorf("%s holds as %+v, but is %+v", name, other, m)
			}
		}
	}
}

// A user's groups are compared as a set.
func TestUsersHoldTheirGroups(t *testing.T) {
	ada := User{Name: "ada", UID: 7, GID: 8, Comment: "Ada", Home: "/home/ada", Shell: "/bin/sh", Group: "ada", Groups: []string{"disk", "sudo"}}
	queries, ok := Users.Holds(map[string]User{"ada": ada})
	if !ok {
		t.Fatal("they cannot be asked for")
	}
	for prints, want := range map[string]bool{
		"ada:x:8:\nsudo:x:27:bob,ada\ndisk:x:6:ada\n":              true,
		"ada:x:8:\nsudo:x:27:bob\ndisk:x:6:ada\n":                  false,
		"ada:x:8:\nsudo:x:27:ada\ndisk:x:6:ada\nadm:x:4:ada\n":     false,
		"staff:x:8:\nada:x:8:\nsudo:x:27:ada\ndisk:x:6:ada\n":      false,
		"ada:x:8:\nsudo:x:27:adam\ndisk:x:6:ada\n":                 false,
		"ada:x:8:\nsudo:x:27:ada\ndisk:x:6:ada\nother:x:9:bob,x\n": true,
	} {
		if got := holdsWith(t, "getent", prints, queries); got != want {
			t.Errorf("with the groups\n%sit holds: %v, want %v", prints, got, want)
		}
	}
}

func TestPackagesHold(t *testing.T) {
	const cron, unknown = "cron\tamd64\tinstall ok installed\t3.0pl1-162\n", "other\tall\tunknown ok not-installed\t\n"
	values := map[string]Package{"cron": {InstalledStatus, "3.0pl1-162"}, "none": {}, "other": {}}
	queries, ok := Packages.Holds(values)
	if !ok {
		t.Fatal("they cannot be asked for")
	}
	for prints, want := range map[string]bool{
		cron: true, cron + unknown: true, "": false,
		strings.Replace(cron, "162", "163", 1): false, strings.Replace(cron, "install ok", "hold ok", 1): false,
		cron + "none\tall\tinstall ok installed\t1\n": false, cron + strings.Replace(cron, "amd64", "i386", 1): false,
		cron + "cron-daemon-common\tall\tinstall ok installed\t1\n": true,
	} {
		if got := holdsWith(t, "dpkg-query", prints, queries); got != want {
			t.Errorf("when dpkg-query prints\n%sthey hold: %v, want %v", prints, got, want)
		}
	}
	queries, _ = Packages.Holds(map[string]Package{"cron": {Status: InstalledStatus}})
	if !holdsWith(t, "dpkg-query", cron, queries) || holdsWith(t, "dpkg-query", "", queries) || holdsWith(t, "dpkg-query", strings.Replace(cron, "install ok", "hold ok", 1), queries) {
		t.Error("a version that is not known beforehand is compared, or nothing else is")
	}
	queries, ok = Packages.Holds(map[string]Package{"gone": {"deinstall ok config-files", "1.0"}, "cron": {InstalledStatus, "3.0pl1-162"}})
	if !ok {
		t.Fatal("what remains of a removed package cannot be asked for")
	}
	for prints, want := range map[string]bool{
		cron: true, "": false, cron + "gone\tall\tunknown ok not-installed\t\n": true, cron + "gone\tall\tdeinstall ok config-files\t1.0\n": true,
		cron + "gone\tall\tdeinstall ok config-files\t1.1\n": false, cron + "gone\tall\tinstall ok installed\t1.0\n": false, cron + "gone\tall\tdeinstall ok half-installed\t1.0\n": false,
	} {
		if got := holdsWith(t, "dpkg-query", prints, queries); got != want {
			t.Errorf("after a removal, when dpkg-query prints\n%sthey hold: %v, want %v", prints, got, want)
		}
	}
}

// The installed packages that match a pattern hold as they are observed.
func TestPackageGlobsHold(t *testing.T) {
	const two = "linux-image-6.1.0-28-amd64\tinstall ok installed\nlinux-image-6.12\tinstall ok triggers-pending\n"
	queries, ok := PackageGlobs.Holds(map[string][]string{"linux-image-[0-9]*": {"linux-image-6.1.0-28-amd64", "linux-image-6.12"}})
	if !ok {
		t.Fatal("they cannot be asked for")
	}
	for prints, want := range map[string]bool{
		two: true, "": false, two + two: true, strings.Replace(two, "install ok installed", "deinstall ok config-files", 1): false,
		two + "linux-image-6.13\tdeinstall ok config-files\n": true, two + "linux-image-6.13\tinstall ok installed\n": false, two + "linux-image-amd64\tinstall ok installed\n": true,
	} {
		if got := holdsWith(t, "dpkg-query", prints, queries); got != want {
			t.Errorf("when dpkg-query prints\n%sthey hold: %v, want %v", prints, got, want)
		}
	}
	none, ok := PackageGlobs.Holds(map[string][]string{"linux-image-*": {}})
	if !ok || !holdsWith(t, "dpkg-query", "", none) || holdsWith(t, "dpkg-query", two, none) {
		t.Error("none is not compared")
	}
	for _, glob := range []string{"a[!b]", "a[^b]", `a\*`, "$(b)", "a b", "[b-a-c]"} {
		if _, ok := PackageGlobs.Holds(map[string][]string{glob: {}}); ok {
			t.Errorf("%s can be asked for", glob)
		}
	}
}

// The kernels of this machine hold, and no others do.
func TestInstalledKernelsHold(t *testing.T) {
	is, err := InstalledKernels.Observe(t.Context(), localHost(t), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		releases []string
		want     bool
	}{{is, true}, {append(slices.Clone(is), "6.1.0-28-other"), false}, {append(slices.Clone(is), ComingRelease("-amd64")), false}} {
		queries, ok := InstalledKernels.Holds(map[string][]string{"": test.releases})
		if got := ok && holdsHere(t, queries, ok); got != test.want {
			t.Errorf("%q hold: %v, want %v; there are %q", test.releases, got, test.want, is)
		}
	}
	if len(is) > 0 {
		if queries, ok := InstalledKernels.Holds(map[string][]string{"": is[1:]}); holdsHere(t, queries, ok) {
			t.Error("one of the kernels is not compared")
		}
	}
}

// What a name resolves to holds as a set of addresses.
func TestResolvesHold(t *testing.T) {
	const prints = "192.0.2.11      STREAM pve1\n192.0.2.11      DGRAM  \n2001:db8::11    STREAM \n"
	queries, ok := Resolves.Holds(map[string][]netip.Addr{"pve1": {netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("2001:db8::11")}})
	if !ok {
		t.Fatal("it cannot be asked for")
	}
	for printed, want := range map[string]bool{
		prints: true, "": false, "192.0.2.11      STREAM pve1\n": false, prints + "127.0.1.1       STREAM pve1\n": false, strings.ReplaceAll(prints, ".11 ", ".12 "): false,
	} {
		if got := holdsWith(t, "getent", printed, queries); got != want {
			t.Errorf("when getent prints\n%sit holds: %v, want %v", printed, got, want)
		}
	}
	if queries, _ = Resolves.Holds(map[string][]netip.Addr{"pve1": nil}); holdsWith(t, "getent", prints, queries) {
		t.Error("a name that resolves holds as one that does not")
	}
	if _, ok := Resolves.Holds(map[string][]netip.Addr{"-x": nil}); ok {
		t.Error("a name that is none can be asked for")
	}
}

// If getent tells nothing, what is expected to be absent does not hold. It exits with 2 if it did not find a name.
func TestAccountsAreNotAbsentUnasked(t *testing.T) {
	users, ok := Users.Holds(map[string]User{"ada": {}})
	groups, ok2 := Groups.Holds(map[string]Group{"ada": {}})
	if !ok || !ok2 {
		t.Fatal("they cannot be asked for")
	}
	for code, want := range map[int]bool{0: true, 1: false, 2: true, 127: false} {
		getent := fmt.Sprintf("[ $# = 1 ] || exit %d", code)
		for _, q := range append(users[:1:1], groups...) {
			if got := holdsAmid(t, map[string]string{"getent": getent}, q); got != want {
				t.Errorf("getent exits with %d: it holds %t", code, got)
			}
		}
	}
}

// A grep that fails does not tell that a module is in none of the lists.
func TestModulesAreNotMissingUnasked(t *testing.T) {
	release := t.TempDir()
	for _, name := range []string{"modules.builtin", "modules.dep"} {
		if err := os.WriteFile(filepath.Join(release, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	queries, ok := KernelModules.Holds(map[string]KernelModule{"no-such-module": {}})
	if !ok {
		t.Fatal("it cannot be asked for")
	}
	q := queries[0]
	q.Script = strings.Replace(q.Script, "/lib/modules/", release+"/", 1)
	for _, c := range []struct {
		what     string
		programs map[string]string
		want     bool
	}{
		{"nothing fails", map[string]string{"uname": "echo ."}, true},
		{"grep fails", map[string]string{"uname": "echo .", "grep": "exit 2"}, false},
		{"grep fails for the second list", map[string]string{"uname": "echo .", "grep": `case $4 in *.builtin) exit 1 ;; esac; exit 2`}, false},
		{"uname fails", map[string]string{"uname": "echo .; exit 1"}, false},
	} {
		if got := holdsAmid(t, c.programs, q); got != c.want {
			t.Errorf("%s: it holds %t, expected %t", c.what, got, c.want)
		}
	}
}

// If stat is killed, the directories that it has not come to are not known to be plain.
func TestFilesDoNotHoldUnread(t *testing.T) {
	queries, ok := Files.Holds(map[string]File{"/no-such-file": {Type: Absent}})
	if !ok {
		t.Fatal("it cannot be asked for")
	}
	const killed = "echo \"stat: cannot statx '/no-such-file': No such file or directory\" >&2; kill -KILL $$"
	if holdsAmid(t, map[string]string{"stat": killed}, queries[0]) {
		t.Error("a file holds whose directory was not read")
	}
}
