package observe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

func TestCandidates(t *testing.T) {
	got := parsed(t, Candidates, []string{"bash", "chrony", "nosuch", "os-prober"}, out(`bash:
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
		"bash":      {Version: "5.2.15-2+b13", Installed: "5.2.15-2+b8", Listed: true},
		"chrony":    {Version: "4.3-2+deb12u3"},
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
			Transaction{Changes: []PackageChange{{"libc6", "2.36-9", "2.36-9+deb12u14"}, {Name: "mutt", From: "2.2"}}}},
		// Recorded with apt 2.6.
		{"a package that is left unconfigured", out("0 upgraded, 0 newly installed, 0 to remove and 1 not upgraded.\n1 not fully installed or removed.\nConf half (1 localhost [all])\n"),
			Transaction{Unfinished: []string{"half"}}},
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
			got := parsed(t, Transactions, []string{"full-upgrade"}, c.answer)["full-upgrade"]
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the transaction differs (-want +got):\n%s", diff)
			}
		})
	}
}

// Recorded with apt 2.6: pinned below zero, virtual, named by another package only.
func TestWhyThereIsNoCandidate(t *testing.T) {
	got := parsed(t, Candidates, []string{"ghost", "pinned", "virt"}, out(`virt:
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
	if diff := cmp.Diff(map[string]Candidate{"ghost": {}, "pinned": {Listed: true}, "virt": {}}, got); diff != "" {
		t.Errorf("candidates differ (-want +got):\n%s", diff)
	}
	providers := parsed(t, Providers, []string{"ghost", "virt"}, out("Package: virt\nVersions: \n\nReverse Depends: \nDependencies: \nProvides: \nReverse Provides: \nprov2 1 (= )\nprov1 1 (= )\nprov1 2 (= )\nPackage: ghost\nVersions: \n\nReverse Depends: \n  dep,ghost\nDependencies: \nProvides: \nReverse Provides: \n"))
	if diff := cmp.Diff(map[string][]string{"ghost": nil, "virt": {"prov1", "prov2"}}, providers); diff != "" {
		t.Errorf("providers differ (-want +got):\n%s", diff)
	}
}

func TestABrokenListOfSourcesIsNamed(t *testing.T) {
	_, errs := told(t, Candidates, []string{"aa"}, []remote.Answer{{Exit: 100, Stderr: []byte("E: Malformed entry 1 in list file /etc/apt/sources.list.d/broken.list (Suite)\nE: The list of sources could not be read.\n")}})
	if err := errs["aa"]; err == nil || !strings.Contains(err.Error(), "Malformed entry 1 in list file /etc/apt/sources.list.d/broken.list") {
		t.Errorf("the error is %v, expected one that names the file", err)
	}
}

func TestTransactionThatDoesNotEnd(t *testing.T) {
	if _, err := parseTransaction(remote.Answer{Exit: 124}); err == nil {
		t.Error("a simulation that timeout(1) ended was taken for an answer")
	}
}

func TestUpgradable(t *testing.T) {
	got := parsed(t, Upgradable, []string{""}, out(chronyTransaction))[""]
	if diff := cmp.Diff([]string{"systemd-timesyncd", "chrony"}, got); diff != "" {
		t.Errorf("the names differ (-want +got):\n%s", diff)
	}
}

func TestAptIndex(t *testing.T) {
	const lists = "1970-01-01 00:16:40.500000000 +0000 /var/lib/apt/lists\n1970-01-01 00:15:00.000000000 +0000 /var/lib/apt/lists/deb.example.org_debian_dists_trixie_InRelease\n"
	const stamp = "1970-01-01 00:16:40.500000000 +0000 " + AptStamp + "\n"
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
			got := parsed(t, AptIndex, []string{""}, out(c.clock), out(c.lists), out(c.sources))[""]
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the index differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDebconf(t *testing.T) {
	got := parsed(t, Debconf, []string{"postfix"}, out("* postfix/main_mailer_type: No configuration\n  postfix/mailname: pve1.example.org\n  postfix/relayhost:\n"))["postfix"]
	want := map[string]string{"postfix/main_mailer_type": "No configuration", "postfix/mailname": "pve1.example.org", "postfix/relayhost": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the answers differ (-want +got):\n%s", diff)
	}
}

func TestTextFilesScript(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"a.list": "deb one\n", "b.list": "no final newline", "empty.list": "", "odd name.list": "left out"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := fetch(t, textFiles("test", dir+"/*.list", dir+"/none/*.list"), "")[""]
	want := []TextFile{{dir + "/a.list", "deb one\n"}, {dir + "/b.list", "no final newline"}, {dir + "/empty.list", ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the files differ (-want +got):\n%s", diff)
	}
}

func TestTextFilesThatAreNotClear(t *testing.T) {
	for _, printed := range []string{
		"/a\n",
		"/a\n\n",
		"/a\n\n==> /b <==\nx\n",
		"/a\n/b\n\n==> /a <==\nx\n",
		"/a\n/b\n\n==> /a <==\nx\n\n==> /b <==\ny\n\n==> /b <==\nz\n",
		"/a\n/b\n\n==> /a <==\n\n==> /b <==\n==> /b <==\n",
		"/a\n\n==> /a <==\n" + strings.Repeat("x", textLimit+1),
	} {
		if files, err := parseTextFiles(out(printed)); err == nil {
			t.Errorf("%.100q was taken for %d files", printed, len(files))
		}
	}
}

func TestWithTextFile(t *testing.T) {
	a, b, changed := TextFile{"/a", "1"}, TextFile{"/b", "2"}, "3"
	for _, c := range []struct {
		name    string
		content *string
		want    []TextFile
	}{
		{"/a", &changed, []TextFile{{"/a", "3"}, b}},
		{"/c", &changed, []TextFile{a, b, {"/c", "3"}}},
		{"/a", nil, []TextFile{b}},
		{"/c", nil, []TextFile{a, b}},
	} {
		if diff := cmp.Diff(c.want, WithTextFile([]TextFile{a, b}, c.name, c.content)); diff != "" {
			t.Errorf("writing %s: the files differ (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestChecksumScript(t *testing.T) {
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := fetch(t, Checksums, name, name+".absent")
	// FIPS 180-2, appendices B.1 and C.1.
	if got[name].SHA256 != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" || !strings.HasPrefix(got[name].SHA512, "ddaf35a193617abacc417349ae204131") {
		t.Errorf("the sums of %q are %+v", "abc", got[name])
	}
	if got[name+".absent"] != (Checksum{}) {
		t.Errorf("an absent file has the sums %+v", got[name+".absent"])
	}
}

func TestPlacedSources(t *testing.T) {
	const name = "/etc/apt/sources.list.d/pve.list"
	h := NewRecorded("pve1", AptSources.Expect("", []TextFile{{"/etc/apt/sources.list", "deb x y z\n"}}), AptIndex.Expect("", Index{Exists: true}), Files.Expect(name, File{}))
	h.Predict(Placed(h, name, File{Type: Regular, Content: []byte("deb a b c\n")}))
	files, err := AptSources.Observe(t.Context(), h, "")
	if diff := cmp.Diff([]TextFile{{"/etc/apt/sources.list", "deb x y z\n"}, {name, "deb a b c\n"}}, files); err != nil || diff != "" {
		t.Errorf("the predicted sources differ (%v; -want +got):\n%s", err, diff)
	}
	if index, err := AptIndex.Observe(t.Context(), h, ""); err != nil || !index.Stale {
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
		fuzzAnswer(t, Candidates, []string{"bash"}, stdout, exit)
		fuzzAnswer(t, Transactions, []string{"full-upgrade", "install chrony"}, stdout, exit)
		fuzzAnswer(t, Upgradable, []string{""}, stdout, exit)
		fuzzAnswer(t, AptIndex, []string{""}, stdout, exit)
		fuzzAnswer(t, Debconf, []string{"postfix"}, stdout, exit)
		fuzzAnswer(t, AptSources, []string{""}, stdout, exit)
		fuzzAnswer(t, Checksums, []string{"/a", "relative"}, stdout, exit)
		AptProblem(stdout, stdout)
	})
}

// FuzzTextFiles: what the script would print for any files is read back as it was, or refused if a header is in it.
func FuzzTextFiles(f *testing.F) {
	f.Add("deb a b c\n", "")
	f.Add("\n\nabc", "\n\n")
	f.Add("\n==> /etc/apt/b.list <==", "x")
	f.Fuzz(func(t *testing.T, a, b string) {
		want := []TextFile{{"/etc/apt/a.list", a}, {"/etc/apt/b.list", b}}
		printed := "/etc/apt/a.list\n/etc/apt/b.list\n\n==> /etc/apt/a.list <==\n" + a + "\n==> /etc/apt/b.list <==\n" + b
		got, err := parseTextFiles(out(printed))
		switch {
		case err == nil && !cmp.Equal(want, got):
			t.Errorf("%q was read as %v", printed, got)
		case err != nil && !strings.Contains(a+b, "==> /etc/apt/b.list <=="):
			t.Errorf("%q was refused: %v", printed, err)
		}
	})
}

// What check mode cannot know is said in words that a person understands, not by the key.
func TestUnknownIsSaidInWords(t *testing.T) {
	h := NewRecorded("pve1", Transactions.Unknown("full-upgrade", "the package index will be fetched first"))
	_, err := Transactions.Observe(t.Context(), h, "full-upgrade")
	const want = "what `apt-get full-upgrade` will do on pve1 cannot be known before the run: the package index will be fetched first"
	if err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}
