package apt

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

func TestInstalled(t *testing.T) {
	plans(t, &Module{Packages: []string{"chrony"}}, recorded(bookworm, installed("chrony", "4.3")))
}

func TestInstall(t *testing.T) {
	h := recorded(bookworm, offered("chrony", "4.3"),
		transaction("install chrony", PackageChange{Name: "systemd-timesyncd", From: "252"}, PackageChange{Name: "chrony", To: "4.3"}),
		installed("systemd-timesyncd", "252"), one(observe.Files.Expect("/etc/chrony/chrony.conf", observe.File{})))
	plan := plans(t, &Module{Packages: []string{"chrony"}}, h, "install chrony (removes systemd-timesyncd)")
	run := plan.Steps[0].Action.(modules.Run)
	want := []string{"apt-get", "-y", "-q", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "-o", "DPkg::Lock::Timeout=300", "install", "chrony"}
	if diff := cmp.Diff(want, run.Argv); diff != "" {
		t.Errorf("the command differs (-want +got):\n%s", diff)
	}
	if run.Env["DEBIAN_FRONTEND"] != "noninteractive" || run.Patience != 5*time.Minute {
		t.Errorf("expected a run that asks nothing and waits five minutes for a lock, got %+v", run)
	}
	if u, err := observe.Units.Observe(t.Context(), h, "chrony.service"); err != nil || !u.Active() || !u.Enabled() {
		t.Errorf("after the installation chrony.service is %+v (%v), expected it to run", u, err)
	}
	if _, err := observe.RebootDemands.Observe(t.Context(), h, ""); !observe.IsUnknown(err) {
		t.Errorf("whether a package asks for a reboot is %v, expected to be unknown before it is installed", err)
	}
	if _, err := observe.Files.Observe(t.Context(), h, "/etc/chrony/chrony.conf"); !observe.IsUnknown(err) {
		t.Errorf("what chrony.conf will hold is not known before, but observing it gave %v", err)
	}
	if p, err := observe.Packages.Observe(t.Context(), h, "systemd-timesyncd"); err != nil || p.Installed() {
		t.Errorf("systemd-timesyncd is %+v (%v), expected it to be removed", p, err)
	}
}

// A key that belongs to a package is left to that package.
func TestRerunChangesNothing(t *testing.T) {
	const key = "/usr/share/keyrings/appliance-keyring.gpg"
	h := recorded(trixie, installed("appliance-keyring", "4.0"), installed("appliance", "9.1.0"), installed("postfix", "3.10"),
		one(Debconf.Expect("postfix", map[string]string{"postfix/main_mailer_type": "No configuration"}), observe.Files.Expect(key, text("other"))))
	plans(t, &Module{
		Keys:     []Key{{Path: key, Content: "AAAA", UnlessPackage: "appliance-keyring"}},
		Debconf:  map[string]string{"postfix/main_mailer_type": "select No configuration"},
		Packages: []string{"appliance", "postfix"},
	}, h)
}

// What becomes of a host with a product's packages is read together with what apt would do, before a plan has come to it.
func TestForecastOfAProduct(t *testing.T) {
	yes := true
	for name, test := range map[string]struct {
		is   observe.Package
		want bool
	}{
		"missing":   {observe.Package{}, true},
		"installed": {observe.Package{Status: observe.InstalledStatus, Version: "1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := observe.NewRecorded("n1", observe.Packages.Expect("appliance", test.is))
			reads := h.Announced((&Module{Packages: []string{"appliance"}, State: "present", InstallRecommends: &yes}).MayRead)
			if got := slices.ContainsFunc(reads, func(r observe.Read) bool { return r.Key() == observe.Files.Key("/etc/appliance") }); got != test.want {
				t.Errorf("/etc/appliance is announced: %v, want %v", got, test.want)
			}
		})
	}
}

func TestInstallWithoutRecommends(t *testing.T) {
	no := false
	h := recorded(bookworm, offered("gdisk", "1.0"), transaction("--no-install-recommends install gdisk", PackageChange{Name: "gdisk", To: "1.0"}))
	plans(t, &Module{Packages: []string{"gdisk"}, InstallRecommends: &no}, h, "install gdisk")
}

func TestUnlistedPackageMakesItsNamesUnknown(t *testing.T) {
	h := recorded(bookworm, offered("nginx", "1.22"), transaction("install nginx", PackageChange{Name: "nginx", To: "1.22"}))
	plans(t, &Module{Packages: []string{"nginx"}}, h, "install nginx")
	for key, want := range map[observe.Key]bool{
		observe.Files.Key("/etc/nginx/nginx.conf"):  true,
		observe.Files.Key("/etc/default/nginx"):     true,
		observe.Units.Key("nginx.service"):          true,
		observe.Commands.Key(`{"argv":["nginx"]}`):  true,
		observe.Users.Key("nginx"):                  true,
		observe.Files.Key("/etc/hosts"):             false,
		observe.Units.Key("ssh.service"):            false,
		observe.Commands.Key(`{"argv":["nginxd"]}`): false,
	} {
		e := byPolicy("nginx", "because")
		if e.Match(key) != want {
			t.Errorf("%s is unknown: %v, expected %v", key, !want, want)
		}
	}
}

func TestLatest(t *testing.T) {
	m := &Module{Packages: []string{"bash"}, State: "latest"}
	plans(t, m, recorded(bookworm, installed("bash", "5.2")))
	older := one(observe.Packages.Expect("bash", observe.Package{Status: observe.InstalledStatus, Version: "5.1"}), Candidates.Expect("bash", Candidate{Version: "5.2", Installed: "5.1"}))
	plans(t, m, recorded(bookworm, older, transaction("install bash", PackageChange{Name: "bash", From: "5.1", To: "5.2"})), "upgrade bash")
}

func TestUnknownPackage(t *testing.T) {
	_, err := modulestest.Decoded(&Module{Packages: []string{"proxmox-ev"}}).Plan(t.Context(), recorded(bookworm, offered("proxmox-ev", "")))
	if err != nil {
		t.Fatalf("an index that is a minute old is fetched again before a package is called unknown, but: %v", err)
	}
	h := recorded(bookworm, offered("proxmox-ev", ""), one(PackageIndex.Expect("", Index{Exists: true}), Providers.Expect("proxmox-ev", nil)))
	_, err = modulestest.Decoded(&Module{Packages: []string{"proxmox-ev"}}).Plan(t.Context(), h)
	if err == nil || !strings.Contains(err.Error(), "no source offers package proxmox-ev") {
		t.Errorf("expected an error about proxmox-ev, got %v", err)
	}
}

func TestRefusedByApt(t *testing.T) {
	h := recorded(bookworm, offered("ceph", "19.2"), one(Transactions.Expect("install ceph", Transaction{Problem: "ceph-mon : Depends: ceph-base (= 19.2)\nE: Unable to correct problems"})))
	_, err := modulestest.Decoded(&Module{Packages: []string{"ceph"}}).Plan(t.Context(), h)
	if err == nil || !strings.Contains(err.Error(), "Depends: ceph-base (= 19.2); E: Unable") {
		t.Errorf("expected apt's own words, got %v", err)
	}
}

func TestRefusesToRemoveAProtectedPackage(t *testing.T) {
	h := recorded(bookworm, offered("ifupdown", "0.8"), transaction("install ifupdown", PackageChange{Name: "appliance", From: "8.4.0"}))
	_, err := modulestest.Decoded(&Module{Packages: []string{"ifupdown"}}).Plan(t.Context(), h)
	if err == nil || !strings.Contains(err.Error(), "would remove appliance: nothing was done; look for a repository of the wrong release") {
		t.Errorf("expected a refusal, got %v", err)
	}
	err = modulestest.Decoded(&Module{Packages: []string{"appliance"}, State: "purged"}).Validate()
	if err == nil || !strings.Contains(err.Error(), "appliance is protected by its own apt hook; remove it by hand") {
		t.Errorf("who asks for it is told %v", err)
	}
}

// On a bare host in check mode, the index has yet to be fetched, so apt knows none of the packages.
func TestProductOnABareHost(t *testing.T) {
	h := recorded(trixie, absent(), offered("appliance", ""), installed("ifupdown", "0.8"),
		one(observe.Files.Expect("/etc/appliance", observe.File{}), observe.Dirs.Expect("/etc", observe.Listing{Exists: true}), observe.Files.Expect("/usr/share/keyrings/appliance.gpg", observe.File{})))
	h.Predict(one(Candidates.Unknown("appliance", "an earlier task fetches the package index")))
	plans(t, &Module{Packages: []string{"appliance"}}, h, "install appliance")
	for name, want := range map[string]bool{"appliance-ui": true, "appliance-keyring": true, "ifupdown2": true, "ifupdown": false} {
		if p, err := observe.Packages.Observe(t.Context(), h, name); err != nil || p.Installed() != want {
			t.Errorf("%s is installed: %v (%v), expected %v", name, p.Installed(), err, want)
		}
	}
	if u, err := observe.Units.Observe(t.Context(), h, "appliance.service"); err != nil || !u.Active() || !u.Enabled() {
		t.Errorf("its unit is %+v (%v)", u, err)
	}
	if kernels, err := observe.InstalledKernels.Observe(t.Context(), h, ""); err != nil || !slices.Contains(kernels, observe.ComingRelease("-appliance")) {
		t.Errorf("a kernel of its flavour is expected in /boot, found %v (%v)", kernels, err)
	}
	if f, err := observe.Files.Observe(t.Context(), h, "/etc/appliance"); err != nil || string(f.Content) != "version 1\n" {
		t.Errorf("what its product says of the installed package is not expected: %+v (%v)", f, err)
	}
}

func TestInterruptedInstallation(t *testing.T) {
	broken := one(observe.Packages.Expect("chrony", observe.Package{Status: "install ok half-configured", Version: "4.3"}), Candidates.Expect("chrony", Candidate{Version: "4.3", Installed: "4.3"}))
	h := recorded(bookworm, absent(), broken, transaction("install chrony"), one(observe.Files.Expect("/etc/chrony/chrony.conf", observe.File{})))
	plan, err := modulestest.Decoded(&Module{Packages: []string{"chrony"}}).Plan(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"finish the interrupted installation of chrony", "install chrony"}
	if diff := cmp.Diff(want, summaries(plan)); diff != "" {
		t.Errorf("the steps differ (-want +got):\n%s", diff)
	}
}

const image = "linux-image-6.1.0-28-amd64"

func debianKernel(running string, more ...[]observe.Expectation) modules.Host {
	return recorded(bookworm, append([][]observe.Expectation{
		installed("linux-image-amd64", "6.1.119"), installed(image, "6.1.119"),
		one(observe.Packages.Expect("os-prober", observe.Package{}),
			observe.PackageGlobs.Expect("linux-image-6.1*", []string{image}),
			observe.Kernels.Expect("", observe.Kernel{Release: running}),
			observe.InstalledKernels.Expect("", []string{"6.1.0-28-amd64", "6.8.12-9-pve"})),
		transaction("remove linux-image-amd64 "+image, PackageChange{Name: "linux-image-amd64", From: "6.1.119"}, PackageChange{Name: image, From: "6.1.119"}),
	}, more...)...)
}

func TestRemoveKernel(t *testing.T) {
	m := &Module{Packages: []string{"linux-image-amd64", "linux-image-6.1*", "os-prober"}, State: "absent"}
	h := debianKernel("6.8.12-9-pve")
	plans(t, m, h, "remove linux-image-amd64, "+image)
	if kernels, err := observe.InstalledKernels.Observe(t.Context(), h, ""); err != nil || !slices.Equal(kernels, []string{"6.8.12-9-pve"}) {
		t.Errorf("afterwards the kernels are %v (%v)", kernels, err)
	}
}

func TestRefusesToRemoveRunningKernel(t *testing.T) {
	_, err := modulestest.Decoded(&Module{Packages: []string{"linux-image-amd64", "linux-image-6.1*"}, State: "absent"}).Plan(t.Context(), debianKernel("6.1.0-28-amd64"))
	if err == nil || !strings.Contains(err.Error(), image+" is the running kernel") {
		t.Errorf("expected a refusal that names %s, got %v", image, err)
	}
}

func TestPurge(t *testing.T) {
	gone := one(observe.Packages.Expect("os-prober", observe.Package{Status: "deinstall ok config-files", Version: "1.81"}), observe.Files.Expect("/etc/grub.d/30_os-prober", text("#!/bin/sh\n")))
	plans(t, &Module{Packages: []string{"os-prober"}, State: "absent"}, recorded(bookworm, gone))
	plans(t, &Module{Packages: []string{"os-prober"}, State: "purged"}, recorded(bookworm, gone, transaction("purge os-prober")), "purge os-prober")
}

func TestPatternMatchesWhatIsComing(t *testing.T) {
	const newer = "linux-image-6.1.0-30-amd64"
	h := debianKernel("6.8.12-9-pve", transaction(fullUpgrade, PackageChange{Name: newer, To: "6.1.124"}), offered(newer, "6.1.124"))
	plans(t, &Module{Upgrade: "full"}, h, "install "+newer)
	plans(t, &Module{Packages: []string{"linux-image-6.1*"}, State: "absent"}, h, "remove "+image+", "+newer)
}

func TestUpgrade(t *testing.T) {
	plans(t, &Module{Upgrade: "full"}, recorded(bookworm, transaction(fullUpgrade)))
	h := recorded(bookworm, installed("bash", "5.1"), transaction(fullUpgrade, PackageChange{Name: "bash", From: "5.1", To: "5.2"}))
	plan := plans(t, &Module{Upgrade: "full"}, h, "upgrade bash")
	if diff := cmp.Diff(&modules.Diff{Subject: "packages", Before: "bash 5.1\n", After: "bash 5.2\n"}, plan.Steps[0].Diff); diff != "" {
		t.Errorf("the diff differs (-want +got):\n%s", diff)
	}
}

func TestUpgradeThatCannotBeKnown(t *testing.T) {
	h := recorded(bookworm, transaction(fullUpgrade), one(PackageIndex.Expect("", Index{Exists: true, Stale: true})))
	plan, err := modulestest.Decoded(&Module{Upgrade: "full"}).Plan(t.Context(), h)
	if err != nil || len(plan.Steps) != 1 || !plan.Steps[0].Refresh || !plan.Partial {
		t.Fatalf("expected a partial plan that fetches the index, got %v (%v)", summaries(plan), err)
	}
	h.Predict(plan.Steps[0].Expect)
	if _, err := modulestest.Decoded(&Module{Upgrade: "full"}).Plan(t.Context(), h); !observe.IsUnknown(err) {
		t.Errorf("expected the upgrade to be unknowable before the index is fetched, got %v", err)
	}
}

// If a task fetches the index of other sources, the upgrade of a later task cannot be predicted, unless something is due
// already.
func TestUpgradeFromOtherSources(t *testing.T) {
	for _, due := range []bool{false, true} {
		var changes []PackageChange
		if due {
			changes = []PackageChange{{Name: "bash", From: "5.1", To: "5.2"}}
		}
		h := recorded(bookworm, installed("bash", "5.1"), transaction(fullUpgrade, changes...), one(PackageIndex.Expect("", Index{Exists: true, Stale: true})))
		plans(t, &Module{Update: true}, h, "fetch the package index: a source or a key is newer than the index")
		plan, err := modulestest.Decoded(&Module{Upgrade: "full"}).Plan(t.Context(), h)
		if observe.IsUnknown(err) == due || due && len(plan.Steps) != 1 {
			t.Errorf("due %v: steps %q (%v)", due, summaries(plan), err)
		}
	}
}

func TestUpgradeThatIsDueWhateverTheIndexSays(t *testing.T) {
	h := recorded(bookworm, installed("bash", "5.1"), transaction(fullUpgrade, PackageChange{Name: "bash", From: "5.1", To: "5.2"}),
		one(PackageIndex.Expect("", Index{Exists: true, Age: 26 * time.Hour})))
	plans(t, &Module{Upgrade: "full"}, h, "fetch the package index: it is 26h0m0s old")
	if p, err := observe.Packages.Observe(t.Context(), h, "bash"); err != nil || p.Version != "5.2" {
		t.Errorf("bash is %+v (%v) after the upgrade", p, err)
	}
}

func TestUpdate(t *testing.T) {
	plans(t, &Module{Update: true}, recorded(bookworm))
	plan := plans(t, &Module{Update: true}, recorded(bookworm, one(PackageIndex.Expect("", Index{}))), "fetch the package index: there is none")
	if !plan.Steps[0].Refresh || plan.Partial {
		t.Error("fetching the index is no change, and nothing follows it here")
	}
}

func TestAutoremove(t *testing.T) {
	plans(t, &Module{Autoremove: true}, recorded(bookworm, transaction(autoremove)))
	plans(t, &Module{Autoremove: true}, recorded(bookworm, installed("libfoo1", "1"), transaction(autoremove, PackageChange{Name: "libfoo1", From: "1"})),
		"remove packages that are no longer needed: libfoo1")
}

func TestAutoremoveOnTheWay(t *testing.T) {
	h := recorded(bookworm, installed("mutt", "2"), installed("libmutt", "2"), transaction("--auto-remove remove mutt", PackageChange{Name: "mutt", From: "2"}, PackageChange{Name: "libmutt", From: "2"}))
	plans(t, &Module{Packages: []string{"mutt"}, State: "absent", Autoremove: true}, h, "remove mutt (removes libmutt)")
}

func TestDebconf(t *testing.T) {
	m := &Module{Debconf: map[string]string{"postfix/main_mailer_type": "select No configuration", "grub-pc grub2/linux_cmdline": "string quiet"}}
	h := recorded(bookworm, one(Debconf.Expect("postfix", map[string]string{"postfix/mailname": "x"}), Debconf.Expect("grub-pc", map[string]string{"grub2/linux_cmdline": "quiet"})))
	plan := plans(t, m, h, "answer postfix/main_mailer_type in advance")
	if got := string(plan.Steps[0].Action.(modules.Run).Stdin); got != "postfix postfix/main_mailer_type select No configuration\n" {
		t.Errorf("debconf-set-selections reads %q", got)
	}
}

func TestKernelRelease(t *testing.T) {
	for name, want := range map[string]string{
		image:                                 "6.1.0-28-amd64",
		"linux-image-6.1.0-28-amd64-unsigned": "6.1.0-28-amd64",
		"proxmox-kernel-6.8.12-9-pve-signed":  "6.8.12-9-pve",
		"pve-kernel-5.15.158-2-pve":           "5.15.158-2-pve",
		"linux-image-amd64":                   "",
		"proxmox-kernel-6.8":                  "",
		"proxmox-default-kernel":              "",
	} {
		if got := kernelRelease(name); got != want {
			t.Errorf("%s is kernel %q, expected %q", name, got, want)
		}
	}
}

func TestPackagesThatAreThereAndNotOffered(t *testing.T) {
	for name, c := range map[string]struct {
		candidate Candidate
		providers []string
		want      string
	}{
		"virtual": {Candidate{}, []string{"exim4", "postfix"}, "provided by exim4, postfix; name one of these"},
		"single":  {Candidate{}, []string{"exim4"}, "provided by exim4; name one of these"},
		"pinned":  {Candidate{Listed: true}, nil, "has a negative pin priority"},
	} {
		h := recorded(bookworm, one(observe.Packages.Expect(name, observe.Package{}), Candidates.Expect(name, c.candidate),
			Providers.Expect(name, c.providers), PackageIndex.Expect("", Index{Exists: true})))
		if _, err := modulestest.Decoded(&Module{Packages: []string{name}}).Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, expected one with %q", name, err, c.want)
		}
	}
}

func TestUpgradeHalfConfigured(t *testing.T) {
	for _, upgrade := range []string{"full", "safe"} {
		m := &Module{Upgrade: upgrade}
		h := recorded(bookworm, one(Transactions.Expect(m.upgradeCommand(), Transaction{Unfinished: []string{"pve-manager", "half"}})))
		plan := plans(t, m, h, "finish the interrupted installation of half, pve-manager")
		if got := plan.Steps[0].Action.(modules.Run).Argv; got[0] != "dpkg" {
			t.Errorf("it is done by %q", got)
		}
	}
}

// dpkg itself never waits. The messages are those of dpkg 1.21 and 1.22.
func TestDpkgWaitsForTheLock(t *testing.T) {
	const refusal = "dpkg: error: dpkg frontend lock was locked by another process with pid 4711\nNote: removing the lock file is always wrong\n"
	run := modulestest.Decoded(&Module{}).configure()
	if !slices.ContainsFunc(run.Retry, func(text string) bool { return strings.Contains(refusal, text) }) || run.Patience != 5*time.Minute {
		t.Errorf("dpkg is run again for %v after one of %q, expected it to wait for the lock", run.Patience, run.Retry)
	}
	if err := run.Explain(2, nil, []byte(refusal)); err == nil || !strings.Contains(err.Error(), "process 4711 held the dpkg frontend lock") {
		t.Errorf("the explanation is %v", err)
	}
}

func TestTwoKeysForOneRepositoryAreNamedByTheirFiles(t *testing.T) {
	broken := &QueryError{Command: "apt-cache policy", Exit: 100, Problem: "E: Conflicting values set for option Signed-By regarding source http://d/ x: /a.gpg != /b.gpg\nE: The list of sources could not be read."}
	h := recorded(bookworm)
	h.Predict(one(SourceFiles.Expect("", []observe.TextFile{
		{Path: "/etc/apt/sources.list.d/c1.list", Content: "deb [signed-by=/a.gpg] http://d/ x main\n"},
		{Path: "/etc/apt/sources.list.d/c2.list", Content: "deb [signed-by=/b.gpg] http://d/ x main\n"},
	})))
	if err := explained(t.Context(), h, broken); !strings.Contains(err.Error(), "c1.list, /etc/apt/sources.list.d/c2.list") {
		t.Errorf("the error is %v, expected one that names both files", err)
	}
}

func TestPackagesOfAnotherRelease(t *testing.T) {
	for suite, doubtful := range map[string]bool{"trixie": false, "bookworm": true, "bookworm-updates": true, "trixie-backports": false, "stable": false, "bookworm/updates": true} {
		r := Repository{Name: "x", URIs: []string{"http://d.example.org/debian"}, Suites: []string{suite}, Components: []string{"main"}}
		r = modulestest.Decoded(&Module{Repositories: []Repository{r}}).Repositories[0]
		doubt, err := r.foreign(t.Context(), recorded(trixie))
		if err != nil || (doubt != nil) != doubtful {
			t.Errorf("suite %s on trixie: the doubt is %v (%v), expected one: %v", suite, doubt, err, doubtful)
		}
	}
}

// Which packages are installed need not be read if apt has just said so, unless one of them is not fully installed.
func TestPackagesOfWhichAptTellsAreNotRead(t *testing.T) {
	for unsure, wants := range map[bool]string{false: "", true: "not recorded"} {
		changes := []PackageChange{{Name: "new", To: "1", Unsure: unsure}, {Name: "old", From: "1", To: "2", Unsure: unsure}, {Name: "gone", From: "3", Unsure: unsure}}
		h := recorded(bookworm, one(Transactions.Expect(fullUpgrade, Transaction{Changes: changes}), PackageIndex.Expect("", Index{Exists: true})))
		plan, err := modulestest.Decoded(&Module{Upgrade: "full"}).Plan(t.Context(), h)
		switch {
		case wants != "":
			if err == nil || !strings.Contains(err.Error(), wants) {
				t.Errorf("the error is %v, expected one with %q", err, wants)
			}
			continue
		case err != nil:
			t.Fatal(err)
		}
		h.Predict(plan.Steps[0].Expect)
		for name, want := range map[string]string{"new": "1", "old": "2", "gone": "3"} {
			p, err := observe.Packages.Observe(t.Context(), h, name)
			if err != nil || p.Version != want || p.Installed() != (name != "gone") {
				t.Errorf("%s is expected to be %+v (%v) afterwards", name, p, err)
			}
		}
	}
}
