package apt

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

// Plans that write files of apt, and those that fetch its index or a key from elsewhere, belong to their host alone. Those that ask a
// host of the inventory, or any proxy, and those that install, do not.
func TestConfinedPlans(t *testing.T) {
	stale := one(PackageIndex.Expect("", Index{Exists: true, Stale: true}))
	proxied := one(Configs.Expect("", []observe.TextFile{{Path: "/etc/apt/apt.conf.d/00cache", Content: "Acquire { http { Proxy \"http://pve2:3142\"; }; };\n"}}))
	key := Key{Path: "/usr/share/keyrings/a.gpg", URL: "https://keys.example.org/a.gpg", SHA256: strings.Repeat("0", 64)}
	const elsewhere = "deb http://deb.example.org/debian bookworm main\n"
	for _, test := range []struct {
		name    string
		module  *Module
		sources string
		want    bool
		more    []observe.Expectation
		env     map[string]string
	}{
		{"a repository", &Module{Repositories: []Repository{proxmoxRepository()}}, elsewhere, true, nil, nil},
		{"disabled", &Module{DisableURIs: []string{"http://pve2.example.org"}}, elsewhere + "deb http://pve2.example.org/x stable main\n", true, nil, nil},
		{"index", &Module{Update: true}, elsewhere, true, nil, nil},
		{"index and a disabled source", &Module{Update: true}, elsewhere + "# deb http://pve2/x stable main\n", true, nil, nil},
		{"index of a host", &Module{Update: true}, elsewhere + "deb http://pve2.example.org/x stable main\n", false, nil, nil},
		{"index of an address", &Module{Update: true}, elsewhere + "deb http://192.0.2.99/x stable main\n", true, nil, nil},
		{"index of a host's address", &Module{Update: true}, elsewhere + "deb http://192.0.2.2/x stable main\n", false, nil, nil},
		{"index of a host's other address", &Module{Update: true}, elsewhere + "deb http://[2001:db8::2]/x stable main\n", false, nil, nil},
		{"index of the host's own address", &Module{Update: true}, elsewhere + "deb http://127.0.0.1/x stable main\n", false, nil, nil},
		{"index of a file", &Module{Update: true}, "deb file:/srv/x stable main\n", false, nil, nil},
		{"installation", &Module{Packages: []string{"chrony"}, State: "present"}, elsewhere, false, nil, nil},
		{"index of another name of a host", &Module{Update: true}, elsewhere, false, one(observe.Files.Expect(hostsFile, text("192.0.2.2 pve2 Deb.example.org # the mirror\n"))), nil},
		{"index of another name of a host's other address", &Module{Update: true}, elsewhere, false, one(observe.Files.Expect(hostsFile, text("2001:db8::2 deb.example.org.\n"))), nil},
		{"index of a server in the hosts file", &Module{Update: true}, elsewhere, true, one(observe.Files.Expect(hostsFile, text("192.0.2.2 pve2\n192.0.2.99 deb.example.org\n"))), nil},
		{"index of a server with two addresses", &Module{Update: true}, elsewhere, false, one(observe.Files.Expect(hostsFile, text("192.0.2.99 deb.example.org\n192.0.2.2 deb.example.org\n"))), nil},
		{"index of a server without an address", &Module{Update: true}, elsewhere, false, one(observe.Files.Expect(hostsFile, text("mirror deb.example.org\n"))), nil},
		{"index by a proxy", &Module{Update: true}, elsewhere, false, proxied, nil},
		{"index by a proxy of the task", &Module{Update: true}, elsewhere, false, nil, map[string]string{"http_proxy": "http://pve2:3142"}},
		{"index by a proxy that cannot be read", &Module{Update: true}, elsewhere, false, one(Configs.Unknown("", "an earlier task changes it")), nil},
		{"a repository of a host", &Module{Repositories: []Repository{proxmoxRepository()}}, elsewhere, true, proxied, nil},
		{"a key", &Module{Keys: []Key{key}}, elsewhere, true, nil, nil},
		{"a key by a proxy", &Module{Keys: []Key{key}}, elsewhere, false, proxied, nil},
		{"a key of a host", &Module{Keys: []Key{{Path: key.Path, URL: "https://pve2./a.gpg", SHA256: key.SHA256}}}, elsewhere, false, nil, nil},
		{"a key of a host's short name", &Module{Keys: []Key{{Path: key.Path, URL: "https://mirror/a.gpg", SHA256: key.SHA256}}}, elsewhere, false, nil, nil},
	} {
		module := modulestest.Decoded(test.module)
		more := [][]observe.Expectation{offered("chrony", "4.3"), transaction("install chrony", PackageChange{Name: "chrony", To: "4.3"}),
			one(SourceFiles.Expect("", []observe.TextFile{{Path: "/etc/apt/sources.list", Content: test.sources}}), observe.Files.Expect("/etc/apt/sources.list", text(test.sources)))}
		if module.Update {
			more = append(more, stale)
		}
		for _, k := range module.Keys {
			more = append(more, one(observe.Files.Expect(k.Path, observe.File{}), observe.Files.Expect(k.Path+".download", observe.File{}), observe.Checksums.Expect(k.Path, observe.Checksum{})))
		}
		folder := observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}
		more = append(more, one(observe.Files.Expect("/", folder), observe.Files.Expect("/usr", folder), observe.Files.Expect("/usr/share", folder)))
		h := recorded(bookworm, append(more, absent(), test.more)...)
		h.SetInventory(inventory("pve1", "pve2", "cache"))
		plan, err := module.Plan(observe.WithEnvironment(t.Context(), test.env), h)
		if err != nil || len(plan.Steps) == 0 {
			t.Fatalf("%s: %v, %v", test.name, summaries(plan), err)
		}
		if plan.Confined != test.want {
			t.Errorf("%s: confined is %v, want %v", test.name, plan.Confined, test.want)
		}
	}
}

// inventory returns an inventory of three hosts, and what was read of the networks of some of them.
func inventory(read ...string) *observe.Inventory {
	all := observe.NewInventory(map[string]string{"pve1": "192.0.2.1", "pve2": "192.0.2.2", "cache": "mirror.example.org"})
	for i, name := range read {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)})
		all.Heard(name, observe.Network{Interfaces: []observe.Interface{{Name: "ens18", Addresses: []netip.Prefix{
			netip.PrefixFrom(addr, 24), netip.MustParsePrefix(fmt.Sprintf("2001:db8::%d/64", 1+i)),
		}}}})
	}
	return all
}

// As long as the network of a host was not read, any address may be its own.
func TestConfinedPlansOfUnreadHosts(t *testing.T) {
	for name, want := range map[string]bool{"http://192.0.2.99/a": false, "http://deb.example.org/a": true} {
		h := recorded(bookworm, absent())
		h.SetInventory(inventory("pve1", "pve2"))
		if got := outside(h, name); got != want {
			t.Errorf("%s: it is outside: %v, want %v", name, got, want)
		}
	}
}

// A stale index, and none, hold as long as a source or a key is newer, or as nothing was fetched.
func TestIndexHolds(t *testing.T) {
	stale, asked := PackageIndex.Holds(map[string]Index{"": {Exists: true, Stale: true}})
	none, ok := PackageIndex.Holds(map[string]Index{"": {}})
	if !asked || !ok {
		t.Fatal("it cannot be asked for")
	}
	if _, ok := PackageIndex.Holds(map[string]Index{"": {Exists: true, Age: time.Hour}}); ok {
		t.Error("the age of an index can be asked for")
	}
	const (
		release, list, key = "/var/lib/apt/lists/deb.example.org_dists_bookworm_Release", "/etc/apt/sources.list", "/usr/share/keyrings/a.gpg"
	)
	for name, hours := range map[string]map[string]int{ // when files and directories were written
		"a newer source":                        {release: 1, listsDir: 1, list: 2},
		"an older source":                       {release: 3, listsDir: 3, list: 2},
		"an older source than the directory":    {release: 1, listsDir: 3, list: 2},
		"a newer key than the stamp":            {release: 1, listsDir: 1, stampFile: 4, list: 2, key: 5},
		"older than the stamp":                  {release: 9, listsDir: 1, stampFile: 4, list: 2},
		"no index":                              {listsDir: 1, list: 2},
		"an empty index with a stamp":           {listsDir: 1, stampFile: 2, list: 3},
		"an emptied index with a stamp":         {listsDir: 3, stampFile: 2, list: 4},
		"a file that is in no pattern is newer": {release: 2, listsDir: 2, list: 1, "/etc/apt/apt.conf": 5},
	} {
		root := t.TempDir()
		written := func(name string, hours int) {
			t.Helper()
			when := time.Unix(1_700_000_000, 0).Add(time.Duration(hours) * time.Hour)
			if err := os.Chtimes(root+name, when, when); err != nil {
				t.Fatal(err)
			}
		}
		files := map[string]string{"/etc/apt/sources.list.d/x.sources": "", "/usr/share/keyrings/old.gpg": ""}
		for name := range hours {
			if name != listsDir {
				files[name] = ""
			}
		}
		modulestest.Place(t, root, files)
		if err := os.MkdirAll(root+listsDir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name := range files {
			written(name, hours[name])
		}
		written("/etc/apt/sources.list.d", 0)
		written(listsDir, hours[listsDir])
		paths := []string{"/var/lib/apt", "/etc/apt", "/usr/share/keyrings"}
		index, err := modulestest.FetchBelow(t, PackageIndex, root, paths, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			queries []remote.Query
			want    bool
		}{{stale, index.Exists && index.Stale}, {none, !index.Exists}} {
			script := test.queries[0].Script
			for _, path := range paths {
				script = strings.ReplaceAll(script, path, root+path)
			}
			err = exec.Command("sh", append([]string{"-c", script, "sh"}, test.queries[0].Args...)...).Run()
			if (err == nil) != test.want {
				t.Errorf("%s: %q holds: %v, want %v (%+v)", name, test.queries[0].Args, err == nil, test.want, index)
			}
		}
	}
}
