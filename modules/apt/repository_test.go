package apt

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

func proxmoxRepository() Repository {
	return Repository{
		Name: "proxmox", Types: []string{"deb"}, URIs: []string{"http://download.proxmox.com/debian/pve"}, Suites: []string{"trixie"},
		Components: []string{"pve-no-subscription"}, SignedBy: "/usr/share/keyrings/proxmox-archive-keyring.gpg", Architectures: []string{"amd64"},
	}
}

const (
	asDeb822 = "Types: deb\nURIs: http://download.proxmox.com/debian/pve\nSuites: trixie\nComponents: pve-no-subscription\nArchitectures: amd64\nSigned-By: /usr/share/keyrings/proxmox-archive-keyring.gpg\n"
	asList   = "deb [arch=amd64 signed-by=/usr/share/keyrings/proxmox-archive-keyring.gpg] http://download.proxmox.com/debian/pve trixie pve-no-subscription\n"
)

func TestRender(t *testing.T) {
	off := false
	for _, c := range []struct{ release, format, want string }{
		{bookworm, "auto", asList}, {trixie, "auto", asDeb822}, {bookworm, "deb822", asDeb822}, {trixie, "list", asList},
	} {
		r := proxmoxRepository()
		r.Format = c.format
		plan, err := modulestest.Decoded(&Module{Repositories: []Repository{r}}).Plan(t.Context(), recorded(c.release))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, string(plan.Steps[0].Action.(modules.WriteFile).Content)); diff != "" {
			t.Errorf("format %s: the file differs (-want +got):\n%s", c.format, diff)
		}
		r.Enabled = &off
		disabled := map[string]string{asList: "# " + asList, asDeb822: "Enabled: no\n" + asDeb822}[c.want]
		plans(t, &Module{Repositories: []Repository{r}}, recorded(c.release, one(observe.Files.Expect(r.path("deb822"), observe.File{}), observe.Files.Expect(r.path("list"), observe.File{}))),
			"add disabled repository proxmox (http://download.proxmox.com/debian/pve) in "+r.path(map[string]string{asList: "list", asDeb822: "deb822"}[c.want]))
		if got := r.render(map[string]string{asList: "list", asDeb822: "deb822"}[c.want]); got != disabled {
			t.Errorf("disabled, the file is %q, expected %q", got, disabled)
		}
	}
}

func TestRepository(t *testing.T) {
	off := false
	sources := func(path, content string) []observe.Expectation {
		return one(observe.Files.Expect(path, text(content)), SourceFiles.Expect("", []observe.TextFile{{Path: path, Content: content}}))
	}
	const (
		deb822     = sourcesDir + "proxmox.sources"
		list       = sourcesDir + "proxmox.list"
		enterprise = sourcesDir + "pve-enterprise"
		line       = "deb https://enterprise.proxmox.com/debian/pve bookworm pve-enterprise\n"
		stanza     = "# Proxmox\nTypes: deb\nURIs: https://enterprise.proxmox.com/debian/pve\nSuites: trixie\nComponents: pve-enterprise\n"
	)
	absent := proxmoxRepository()
	absent.State = "absent"
	for _, c := range []struct {
		name       string
		repository Repository
		known      []observe.Expectation
		want       []string
	}{
		{"as desired", proxmoxRepository(), sources(deb822, asDeb822), nil},
		{"as desired in other words", proxmoxRepository(), sources(deb822, "# by the GUI\nsigned-by: /usr/share/keyrings/proxmox-archive-keyring.gpg\nEnabled: true\nURIs:\n http://download.proxmox.com/debian/pve/\nTypes: deb\nSuites: trixie\nComponents: pve-no-subscription\nArchitectures: amd64\n"), nil},
		{"in the other form", proxmoxRepository(), sources(list, asList), nil},
		{"another component", proxmoxRepository(), sources(deb822, strings.ReplaceAll(asDeb822, "pve-no-subscription", "pve-test")),
			[]string{"change repository proxmox (http://download.proxmox.com/debian/pve) in " + deb822}},
		{"defined in another file", proxmoxRepository(), one(SourceFiles.Expect("", []observe.TextFile{{Path: "/etc/apt/sources.list", Content: asList}})), nil},
		{"absent", absent, sources(deb822, asDeb822), []string{"remove repository proxmox (" + deb822 + ")"}},
		{"disable a line", Repository{Name: "pve-enterprise", Enabled: &off}, sources(enterprise+".list", line), []string{"disable repository pve-enterprise in " + enterprise + ".list"}},
		{"disable a stanza", Repository{Name: "pve-enterprise", Enabled: &off}, sources(enterprise+".sources", stanza), []string{"disable repository pve-enterprise in " + enterprise + ".sources"}},
		{"disabled by the GUI", Repository{Name: "pve-enterprise", Enabled: &off}, sources(enterprise+".sources", stanza+"Enabled: false\n"), nil},
		{"disabled by deletion", Repository{Name: "pve-enterprise", Enabled: &off}, nil, nil},
		{"enable", Repository{Name: "pve-enterprise"}, sources(enterprise+".list", "#"+line), []string{"enable repository pve-enterprise in " + enterprise + ".list"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			plans(t, &Module{Repositories: []Repository{c.repository}}, recorded(trixie, c.known), c.want...)
		})
	}
}

func TestConflictingKey(t *testing.T) {
	h := recorded(trixie, one(SourceFiles.Expect("", []observe.TextFile{{Path: "/etc/apt/sources.list", Content: "deb http://download.proxmox.com/debian/pve trixie pve-test\n"}})))
	_, err := modulestest.Decoded(&Module{Repositories: []Repository{proxmoxRepository()}}).Plan(t.Context(), h)
	if err == nil || !strings.Contains(err.Error(), "/etc/apt/sources.list also defines http://download.proxmox.com/debian/pve trixie,") {
		t.Errorf("expected an error that names the other file, got %v", err)
	}
}

func TestSwitched(t *testing.T) {
	for _, c := range []struct{ name, before, disabled string }{
		{"a.list", "# comment\ndeb http://x y z # why\n\ndeb-src [arch=amd64] http://x y z\n", "# comment\n# deb http://x y z # why\n\n# deb-src [arch=amd64] http://x y z\n"},
		{"a.sources", "# one\nTypes: deb\nURIs: http://x\nSuites: y\n\nEnabled: no\nTypes: deb\nURIs: http://z\nSuites: y", "# one\nEnabled: no\nTypes: deb\nURIs: http://x\nSuites: y\n\nEnabled: no\nTypes: deb\nURIs: http://z\nSuites: y\n"},
		{"b.sources", "Types: deb\nEnabled: yes\nURIs: http://x\nSuites: y\n", "Types: deb\nEnabled: no\nURIs: http://x\nSuites: y\n"},
	} {
		if diff := cmp.Diff(c.disabled, switched(c.name, c.before, false)); diff != "" {
			t.Errorf("%s: disabled differs (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestKey(t *testing.T) {
	binary := []byte{0x99, 0x01, 0x00, 0xff}
	path := "/usr/share/keyrings/test.gpg"
	file := filepath.Join(t.TempDir(), "test.gpg")
	if err := os.WriteFile(file, binary, 0o600); err != nil {
		t.Fatal(err)
	}
	folder := observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}
	missing := one(observe.Files.Expect(path, observe.File{}), observe.Files.Expect(path+".download", observe.File{}), observe.Checksums.Expect(path, observe.Checksum{}))
	for at := filepath.Dir(path); ; at = filepath.Dir(at) {
		missing = append(missing, observe.Files.Expect(at, folder))
		if at == "/" {
			break
		}
	}
	for _, c := range []struct {
		name  string
		key   Key
		known []observe.Expectation
		want  []string
	}{
		{"from the controller", Key{Path: path, Source: file, SHA256: sum256(binary)}, missing, []string{"install key " + path}},
		{"in base64", Key{Path: path, Content: base64.StdEncoding.EncodeToString(binary), SHA512: sum512(binary)}, missing, []string{"install key " + path}},
		{"as desired", Key{Path: path, Source: file}, one(observe.Files.Expect(path, text(string(binary)))), nil},
		{"by the host", Key{Path: path, URL: "https://example.org/k.gpg", SHA512: strings.ToUpper(sum512(binary))}, missing,
			[]string{"download key from https://example.org/k.gpg", "let apt's sandbox user read the key", "install key " + path}},
		{"by the host, as desired", Key{Path: path, URL: "https://example.org/k.gpg", SHA256: sum256(binary)},
			one(observe.Checksums.Expect(path, observe.Checksum{SHA256: sum256(binary), SHA512: sum512(binary)}), observe.Files.Expect(path+".download", observe.File{})), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			plans(t, &Module{Keys: []Key{c.key}}, recorded(trixie, c.known), c.want...)
		})
	}
	_, err := modulestest.Decoded(&Module{Keys: []Key{{Path: path, Source: file, SHA256: sum256([]byte("other"))}}}).Plan(t.Context(), recorded(trixie, missing))
	if err == nil || !strings.Contains(err.Error(), "it is not the key that you meant; nothing was written") {
		t.Errorf("a key with the wrong sum was planned to be written: %v", err)
	}
	folder.Owner = "ops"
	loose := recorded(trixie, append(missing, observe.Files.Expect(filepath.Dir(path), folder)))
	_, err = modulestest.Decoded(&Module{Keys: []Key{{Path: path, URL: "https://example.org/k.gpg", SHA256: sum256(binary)}}}).Plan(t.Context(), loose)
	if err == nil || !strings.Contains(err.Error(), "ops can replace "+path) {
		t.Errorf("a key was planned to be downloaded where another user could put a link: %v", err)
	}
}

func TestExplain(t *testing.T) {
	sources := []observe.TextFile{{Path: sourcesDir + "pve-enterprise.sources", Content: "Types: deb\nURIs: https://enterprise.proxmox.com/debian/pve\nSuites: trixie\nComponents: pve-enterprise\n"}}
	for _, c := range []struct{ stderr, want string }{
		{"E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1234 (unattended-upgr)\nE: Unable to acquire the dpkg frontend lock", "process 1234 (unattended-upgr) held /var/lib/dpkg/lock-frontend"},
		{"E: Unable to lock directory /var/lib/apt/lists/\n", "another process held /var/lib/apt/lists/"},
		{"E: You don't have enough free space in /var/cache/apt/archives/.\n", "a file system is full"},
		{"dpkg: error processing archive x.deb (--unpack):\n cannot copy: No space left on device\n", "a file system is full"},
		{"E: Failed to fetch https://enterprise.proxmox.com/debian/pve/dists/trixie/InRelease  401  Unauthorized [IP: 1.2.3.4 443]\nE: The repository is not signed.", `disable /etc/apt/sources.list.d/pve-enterprise.sources: repository { name = "pve-enterprise", enabled = false }`},
		{"E: Conflicting values set for option Signed-By regarding source https://enterprise.proxmox.com/debian/pve/ trixie: /a.gpg != \n", "remove or disable one of /etc/apt/sources.list.d/pve-enterprise.sources"},
		{"W: GPG error: x: the public key is not available: NO_PUBKEY A7BCD1420BFE778E\nE: The repository 'x' is not signed.\n", "signed with key A7BCD1420BFE778E"},
		{"W: (appliance-hook) You are attempting to remove the meta-package 'appliance'!\n", "leave the hook in place"},
		{"E: dpkg was interrupted, you must manually run 'dpkg --configure -a'", "dpkg --configure -a"},
		{"E: Failed to fetch http://x  Temporary failure resolving 'deb.example.org'", "cannot resolve deb.example.org"},
		{"dpkg: error processing package appliance-ui (--configure):\n x\nE: Sub-process /usr/bin/dpkg returned an error code (1)", "not configured: mend /etc/appliance"},
		{"E: Held packages were changed and -y was used without --allow-change-held-packages.", "apt-mark unhold"},
		{"E: Unable to locate package x\n", "apt refused: E: Unable to locate package x"},
	} {
		err := explain(300, sources, nil, []byte(c.stderr))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q is explained as %v, expected %q in it", c.stderr, err, c.want)
		}
	}
	// As printed by Debian 12's apt-get 2.6.1 -q -o DPkg::Lock::Timeout=3 while unattended-upgrades is running.
	waiting := strings.Repeat("Waiting for cache lock: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 93 (unattended-upgr)...\n", 3)
	refusal := []byte("E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n")
	for _, c := range []struct{ stdout, want string }{
		{waiting, "process 93 (unattended-upgr) held /var/lib/dpkg/lock-frontend for more than 3s"},
		{"", "another process held /var/lib/dpkg/lock-frontend for more than 3s"},
	} {
		if err := explain(3*time.Second, nil, []byte(c.stdout), refusal); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("a wait that says %q is explained as %v, expected %q in it", c.stdout, err, c.want)
		}
	}
	// apt got the lock in the end, and failed for another reason.
	if err := explain(300, nil, []byte(waiting), []byte("E: Unable to locate package x\n")); err == nil || !strings.Contains(err.Error(), "apt refused: E: Unable to locate package x") {
		t.Errorf("a failure after a wait is explained as %v", err)
	}
	if err := explain(300, nil, []byte("out"), []byte("something else")); err != nil {
		t.Errorf("words that are not apt's are explained as %v", err)
	}
}

func TestValidate(t *testing.T) {
	for want, m := range map[string]Module{
		"packages":              {},
		"debconf":               {Debconf: map[string]string{"postfix/x": "No configuration"}},
		"key.source":            {Keys: []Key{{Path: "/a.gpg"}}},
		"key.path":              {Keys: []Key{{Path: "/a.txt", Source: "x"}}},
		"key.sha256":            {Keys: []Key{{Path: "/a.gpg", URL: "https://x"}}},
		"key.sha512":            {Keys: []Key{{Path: "/a.gpg", Source: "x", SHA512: "ab"}}},
		"repository.name":       {Repositories: []Repository{{Name: "a.list"}}},
		"repository.suites":     {Repositories: []Repository{{Name: "a", URIs: []string{"http://x"}}}},
		"repository.components": {Repositories: []Repository{{Name: "a", URIs: []string{"http://x"}, Suites: []string{"y"}}}},
	} {
		err, ok := modulestest.Decoded(&m).Validate().(*modules.ArgumentError)
		if !ok || err.Argument != want {
			t.Errorf("expected a fault in %s, got %v", want, modulestest.Decoded(&m).Validate())
		}
	}
	for _, name := range []string{"linux-image-6.1*", "x=1", "-y", "UPPER"} {
		if modulestest.Decoded(&Module{Packages: []string{name}}).Validate() == nil {
			t.Errorf("%q was taken for the name of a package to install", name)
		}
	}
}

// FuzzSources checks that any file can be read, that disabling leaves nothing enabled and is idempotent, and that
// enabling afterwards enables at least what was enabled before.
func FuzzSources(f *testing.F) {
	f.Add(asDeb822, true)
	f.Add(asList, false)
	f.Add("Enabled: no\n\n#x\nTypes: deb\n URIs: x\n", true)
	f.Fuzz(func(t *testing.T, content string, deb822 bool) {
		name := "a.list"
		if deb822 {
			name = "a.sources"
		}
		off := switched(name, content, false)
		if again := switched(name, off, false); again != off {
			t.Errorf("disabling twice turns %q into %q", off, again)
		}
		if left := enabledSources(observe.TextFile{Path: name, Content: off}); len(left) > 0 {
			t.Errorf("disabled, %q still has %v", off, left)
		}
		on := switched(name, off, true)
		if again := switched(name, on, true); again != on {
			t.Errorf("enabling twice turns %q into %q", on, again)
		}
		is := enabledSources(observe.TextFile{Path: name, Content: on})
		for _, s := range enabledSources(observe.TextFile{Path: name, Content: content}) {
			found := false
			for _, o := range is {
				found = found || o == s
			}
			if !found {
				t.Errorf("%q: %v is lost by disabling and enabling: %q", content, s, on)
			}
		}
	})
}

// Proxmox's web interface adds the no-subscription repository of version 8 to sources.list, without a key.
func TestRepositoryDefinedElsewhere(t *testing.T) {
	r := Repository{Name: "pve-install-repo", URIs: []string{"http://download.proxmox.com/debian/pve"}, Suites: []string{"bookworm"},
		Components: []string{"pve-no-subscription"}, SignedBy: "/etc/apt/trusted.gpg.d/proxmox-release-bookworm.gpg"}
	gui := observe.TextFile{Path: "/etc/apt/sources.list", Content: "deb http://mirror.example.org/debian bookworm main contrib\n\ndeb http://download.proxmox.com/debian/pve bookworm pve-no-subscription\n"}
	none := one(observe.Files.Expect(sourcesDir+"pve-install-repo.list", observe.File{}), observe.Files.Expect(sourcesDir+"pve-install-repo.sources", observe.File{}))
	plan, err := modulestest.Decoded(&Module{Repositories: []Repository{r}}).Plan(t.Context(), recorded(bookworm, sourceFiles(gui), none))
	if err != nil || len(plan.Steps) > 0 || len(plan.Notes) != 1 {
		t.Errorf("plan %v, notes %q (%v), want nothing to do and a note", plan.Steps, plan.Notes, err)
	}
	both := one(observe.Files.Expect(sourcesDir+"pve-install-repo.list", text("deb [signed-by=/k] http://download.proxmox.com/debian/pve bookworm pve-no-subscription\n")), observe.Files.Expect(sourcesDir+"pve-install-repo.sources", observe.File{}))
	_, err = modulestest.Decoded(&Module{Repositories: []Repository{r}}).Plan(t.Context(), recorded(bookworm, sourceFiles(gui), both))
	if err == nil || !strings.Contains(err.Error(), "which apt rejects") {
		t.Errorf("error %v, want the conflict of two files", err)
	}
}
