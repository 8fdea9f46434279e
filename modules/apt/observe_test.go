package apt

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

func TestCandidates(t *testing.T) {
	got := modulestest.Parsed(t, Candidates, []string{"bash", "chrony", "nosuch", "os-prober"}, out(`bash:
  Installed: 5.2.15-2+b8
  Candidate: 5.2.15-2+b13
  Version table:
     5.2.15-2+b13 500
        500 http://deb.example.org/debian bookworm/main amd64 Packages
 *** 5.2.15-2+b8 100
        100 /var/lib/dpkg/status
chrony:
  Installed: (none)
  Candidate: 4.3-2+deb12u3
  Version table:
     4.3-2+deb12u3 500
os-prober:
  Installed: (none)
  Candidate: (none)
  Version table:
`))
	want := map[string]Candidate{
		"bash":      {Version: "5.2.15-2+b13", Installed: "5.2.15-2+b8", Listed: true, Versions: []string{"5.2.15-2+b13", "5.2.15-2+b8"}},
		"chrony":    {Version: "4.3-2+deb12u3", Versions: []string{"4.3-2+deb12u3"}},
		"nosuch":    {},
		"os-prober": {},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("candidates differ (-want +got):\n%s", diff)
	}
}

const chronyTransaction = `Reading package lists...
The following packages will be REMOVED:
  systemd-timesyncd
The following NEW packages will be installed:
  chrony
0 upgraded, 1 newly installed, 1 to remove and 125 not upgraded.
Remv systemd-timesyncd [252.39-1~deb12u2]
Inst chrony (4.3-2+deb12u3 Debian:12.15/oldstable [amd64])
Conf chrony (4.3-2+deb12u3 Debian:12.15/oldstable [amd64])
`

func TestTransactions(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer remote.Answer
		want   Transaction
	}{
		{"nothing", out("Reading package lists...\n0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n"), Transaction{}},
		{"a conflict", out(chronyTransaction), Transaction{Changes: []PackageChange{
			{Name: "systemd-timesyncd", From: "252.39-1~deb12u2"},
			{Name: "chrony", To: "4.3-2+deb12u3"},
		}}},
		{"an upgrade", out("Inst libc6 [2.36-9] (2.36-9+deb12u14 Debian:12.15/oldstable [amd64]) [libc-bin:amd64 ]\nConf libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [amd64])\nPurg mutt [2.2]\n"),
			Transaction{Changes: []PackageChange{{Name: "libc6", From: "2.36-9", To: "2.36-9+deb12u14"}, {Name: "mutt", From: "2.2"}}}},
		// Recorded with apt 2.6.
		{"a package that is left unconfigured", out("0 upgraded, 0 newly installed, 0 to remove and 1 not upgraded.\n1 not fully installed or removed.\nConf half (1 localhost [all])\n"),
			Transaction{Unfinished: []string{"half"}}},
		{"beside an upgrade", out("0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.\n1 not fully installed or removed.\nInst half [1] (2 localhost [all])\nConf half (2 localhost [all])\n"),
			Transaction{Changes: []PackageChange{{Name: "half", From: "1", To: "2", Unsure: true}}}},
		{"beside a new one", out("Inst prov1 (1 localhost [all])\nConf prov1 (1 localhost [all])\nConf half (1 localhost [all])\n"),
			Transaction{Changes: []PackageChange{{Name: "prov1", To: "1"}}, Unfinished: []string{"half"}}},
		{"a held package", remote.Answer{Exit: 100, Stdout: []byte("The following held packages will be changed:\n  aa\n"),
			Stderr: []byte("E: Held packages were changed and -y was used without --allow-change-held-packages.\n")},
			Transaction{Problem: "E: Held packages were changed and -y was used without --allow-change-held-packages."}},
		{"an unknown package", remote.Answer{Exit: 100, Stderr: []byte("E: Unable to locate package proxmox-ve\n")},
			Transaction{Problem: "E: Unable to locate package proxmox-ve"}},
		{"unmet dependencies", remote.Answer{Exit: 100,
			Stdout: []byte("The following packages have unmet dependencies:\n ceph-mon : Depends: ceph-base (= 19.2.1-pve3) but 18.2.7+ds-1 is to be installed\n"),
			Stderr: []byte("E: Unable to correct problems, you have held broken packages.\n")},
			Transaction{Problem: "ceph-mon : Depends: ceph-base (= 19.2.1-pve3) but 18.2.7+ds-1 is to be installed\nE: Unable to correct problems, you have held broken packages."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := modulestest.Parsed(t, Transactions, []string{"full-upgrade"}, c.answer)["full-upgrade"]
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the transaction differs (-want +got):\n%s", diff)
			}
		})
	}
}

// Recorded with apt 2.6: pinned below zero, virtual, mentioned only by another package.
func TestWhyThereIsNoCandidate(t *testing.T) {
	got := modulestest.Parsed(t, Candidates, []string{"ghost", "pinned", "virt"}, out(`virt:
  Installed: (none)
  Candidate: (none)
  Version table:
pinned:
  Installed: (none)
  Candidate: (none)
  Version table:
     1 -1
        500 file:/opt/repo ./ Packages
ghost:
  Installed: (none)
  Candidate: (none)
  Version table:
`))
	if diff := cmp.Diff(map[string]Candidate{"ghost": {}, "pinned": {Listed: true, Versions: []string{"1"}}, "virt": {}}, got); diff != "" {
		t.Errorf("candidates differ (-want +got):\n%s", diff)
	}
	providers := modulestest.Parsed(t, Providers, []string{"ghost", "virt"}, out("Package: virt\nVersions: \n\nReverse Depends: \nDependencies: \nProvides: \nReverse Provides: \nprov2 1 (= )\nprov1 1 (= )\nprov1 2 (= )\nPackage: ghost\nVersions: \n\nReverse Depends: \n  dep,ghost\nDependencies: \nProvides: \nReverse Provides: \n"))
	if diff := cmp.Diff(map[string][]string{"ghost": nil, "virt": {"prov1", "prov2"}}, providers); diff != "" {
		t.Errorf("providers differ (-want +got):\n%s", diff)
	}
}

func TestSourcesBroken(t *testing.T) {
	var err error
	Candidates.Parse([]string{"aa"}, []remote.Answer{{Exit: 100, Stderr: []byte("E: Malformed entry 1 in list file /etc/apt/sources.list.d/broken.list (Suite)\nE: The list of sources could not be read.\n")}},
		func(_ string, _ Candidate, failed error) { err = failed })
	if err == nil || !strings.Contains(err.Error(), "Malformed entry 1 in list file /etc/apt/sources.list.d/broken.list") {
		t.Errorf("the error is %v, expected one that names the file", err)
	}
}

func TestTransactionThatDoesNotEnd(t *testing.T) {
	if _, err := parseTransaction(remote.Answer{Exit: 124}); err == nil {
		t.Error("a simulation that timeout(1) ended was taken for an answer")
	}
}

func TestPackageIndex(t *testing.T) {
	const lists = "1970-01-01 00:16:40.500000000 +0000 /var/lib/apt/lists\n1970-01-01 00:15:00.000000000 +0000 /var/lib/apt/lists/deb.example.org_debian_dists_trixie_InRelease\n"
	const stamp = "1970-01-01 00:16:40.500000000 +0000 " + stampFile + "\n"
	for _, c := range []struct {
		name                  string
		clock, lists, sources string
		want                  Index
	}{
		{"never fetched", "2000\n", "1970-01-01 00:16:40.500000000 +0000 /var/lib/apt/lists\n", "1970-01-01 00:00:10.000000000 +0000 /etc/apt/sources.list\n", Index{}},
		{"a source without a Release file", "1001\n", "1970-01-01 00:16:40.500000000 +0000 /var/lib/apt/lists\n1970-01-01 00:16:40.500000000 +0000 /var/lib/apt/lists/_opt_repo_._Packages\n", "", Index{Exists: true, Age: 500 * time.Millisecond}},
		{"no source is enabled", "1001\n", "1970-01-01 00:16:40.000000000 +0000 /var/lib/apt/lists\n" + stamp, "", Index{Exists: true, Age: 500 * time.Millisecond}},
		{"emptied after it was fetched", "1001\n", "1970-01-01 00:16:40.900000000 +0000 /var/lib/apt/lists\n" + stamp, "", Index{}},
		{"deleted, but for the stamp", "2000\n", stamp, "", Index{}},
		{"fetched by others", "4600\n", lists, "1970-01-01 00:00:10.000000000 +0000 /etc/apt/sources.list\n", Index{Exists: true, Age: 3599500 * time.Millisecond}},
		{"fetched by hlplay", "1001\n", lists + stamp, "1970-01-01 00:16:40.400000000 +0000 /etc/apt/sources.list.d/a.list\n", Index{Exists: true, Age: 500 * time.Millisecond}},
		{"a newer source", "1001\n", lists + stamp, "1970-01-01 00:16:40.600000000 +0000 /etc/apt/sources.list.d/a.list\n", Index{Exists: true, Age: 500 * time.Millisecond, Stale: true}},
		{"a clock that went back", "3\n", lists, "", Index{Exists: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := modulestest.Parsed(t, PackageIndex, []string{""}, out(c.clock), out(c.lists), out(c.sources))[""]
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the index differs (-want +got):\n%s", diff)
			}
		})
	}
}

// A step that makes the index stale only claims that for an index that exists.
func TestIndexNeverFetched(t *testing.T) {
	expected := Index{Exists: true, Stale: true}
	if got := PackageIndex.Complete(expected, Index{}); got != (Index{}) {
		t.Errorf("of an index that is not there %+v is expected", got)
	}
	if got := PackageIndex.Complete(expected, Index{Exists: true, Age: 5}); got != (Index{Exists: true, Stale: true, Age: 5}) {
		t.Errorf("of an index that is there %+v is expected", got)
	}
}

func TestDebconfSelections(t *testing.T) {
	got := modulestest.Parsed(t, Debconf, []string{"postfix"}, out("* postfix/main_mailer_type: No configuration\n  postfix/mailname: pve1.example.org\n  postfix/relayhost:\n"))["postfix"]
	want := map[string]string{"postfix/main_mailer_type": "No configuration", "postfix/mailname": "pve1.example.org", "postfix/relayhost": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the answers differ (-want +got):\n%s", diff)
	}
}

// A source or a key makes no index where there is none.
func TestPlacedSourcesWithoutIndex(t *testing.T) {
	for _, name := range []string{"/etc/apt/sources.list.d/pve.list", "/usr/share/keyrings/pve.gpg"} {
		h := observe.NewRecorded("pve1", SourceFiles.Expect("", nil), PackageIndex.Expect("", Index{}), observe.Files.Expect(name, observe.File{}))
		h.Predict(observe.Placed(h, name, observe.File{Type: observe.Regular, Content: []byte("deb a b c\n")}))
		if index, err := PackageIndex.Observe(t.Context(), h, ""); err != nil || index != (Index{}) {
			t.Errorf("%s: the index is %+v (%v), expected that there is still none", name, index, err)
		}
	}
}

func TestPlacedSources(t *testing.T) {
	const name = "/etc/apt/sources.list.d/pve.list"
	h := observe.NewRecorded("pve1", SourceFiles.Expect("", []observe.TextFile{{Path: "/etc/apt/sources.list", Content: "deb x y z\n"}}), PackageIndex.Expect("", Index{Exists: true}), observe.Files.Expect(name, observe.File{}))
	h.Predict(observe.Placed(h, name, observe.File{Type: observe.Regular, Content: []byte("deb a b c\n")}))
	files, err := SourceFiles.Observe(t.Context(), h, "")
	if diff := cmp.Diff([]observe.TextFile{{Path: "/etc/apt/sources.list", Content: "deb x y z\n"}, {Path: name, Content: "deb a b c\n"}}, files); err != nil || diff != "" {
		t.Errorf("the predicted sources differ (%v; -want +got):\n%s", err, diff)
	}
	if index, err := PackageIndex.Observe(t.Context(), h, ""); err != nil || !index.Stale {
		t.Errorf("the index is %+v (%v), expected it to be stale", index, err)
	}
}

func FuzzApt(f *testing.F) {
	f.Add([]byte(chronyTransaction), 0)
	f.Add([]byte("E: x\nThe following packages have unmet dependencies:\n a : b\n"), 100)
	f.Add([]byte("bash:\n  Installed: 1\n  Candidate: (none)\n"), 0)
	f.Add([]byte("1970-01-01 00:16:40.500000000 +0000 /var/lib/apt/lists\n"), 0)
	f.Add([]byte("/etc/apt/sources.list\n\n==> /etc/apt/sources.list <==\ndeb \n"), 0)
	f.Fuzz(func(t *testing.T, stdout []byte, exit int) {
		modulestest.FuzzAnswer(t, Candidates, []string{"bash"}, stdout, exit)
		modulestest.FuzzAnswer(t, Transactions, []string{"full-upgrade", "install chrony"}, stdout, exit)
		modulestest.FuzzAnswer(t, PackageIndex, []string{""}, stdout, exit)
		modulestest.FuzzAnswer(t, Debconf, []string{"postfix"}, stdout, exit)
		modulestest.FuzzAnswer(t, SourceFiles, []string{""}, stdout, exit)
		problemOf(stdout, stdout)
	})
}

// Unknown values are described in words, not by their keys.
func TestUnknownIsSaidInWords(t *testing.T) {
	h := observe.NewRecorded("pve1", Transactions.Unknown("full-upgrade", "an earlier task fetches the package index"))
	_, err := Transactions.Observe(t.Context(), h, "full-upgrade")
	const want = "what `apt-get full-upgrade` will do on pve1 cannot be known before the run: an earlier task fetches the package index"
	if err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}

// This test runs the real commands, which only read, if its machine runs Debian.
func TestAptScripts(t *testing.T) {
	if c := modulestest.Fetch(t, Candidates, "dpkg", "no-such-package"); c["dpkg"].Installed == "" || c["no-such-package"].Version != "" {
		t.Errorf("expected apt to know the installed version of dpkg, and nothing of no-such-package, found %+v", c)
	}
	if tr := modulestest.Fetch(t, Transactions, "install dpkg", "install no-such-package"); tr["install no-such-package"].Problem != "E: Unable to locate package no-such-package" {
		t.Errorf("expected apt's own words about no-such-package, found %+v", tr)
	}
	modulestest.Fetch(t, PackageIndex, "")
	modulestest.Fetch(t, Debconf, "debconf", "no-such-package")
	for _, f := range modulestest.Fetch(t, SourceFiles, "")[""] {
		if f.Path == "" {
			t.Error("a source file has no path")
		}
	}
}

func out(text string) remote.Answer { return remote.Answer{Stdout: []byte(text)} }
