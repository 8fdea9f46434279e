package apt

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules/internal/modulestest"
)

// tool expects the package of these tests, in the versions that a source has, as recorded with apt 2.6.
func tool(installed string, status ...string) []observe.Expectation {
	c := Candidate{Version: "1:0.9-1", Installed: installed, Listed: true, Versions: []string{"1:0.9-1", "1.22-2", "1.22-1", "1.20-1"}}
	p := observe.Package{}
	if installed != "" {
		p = observe.Package{Status: strings.Join(append(status, observe.InstalledStatus)[:1], ""), Version: installed}
	}
	return one(observe.Packages.Expect("tool", p), Candidates.Expect("tool", c))
}

func toolChange(from, to string, options ...string) []observe.Expectation {
	return transaction(strings.Join(append(options, "install", "tool="+to), " "), PackageChange{Name: "tool", From: from, To: to})
}

func TestVersions(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		module Module
		now    []observe.Expectation
		apt    []observe.Expectation
		steps  []string
	}{
		"not installed":             {Module{Packages: []string{"tool=1.22*"}}, tool(""), toolChange("", "1.22-2"), []string{"install tool=1.22-2"}},
		"exactly":                   {Module{Packages: []string{"tool=1.20-1"}}, tool(""), toolChange("", "1.20-1"), []string{"install tool=1.20-1"}},
		"with an epoch":             {Module{Packages: []string{"tool=1*"}}, tool(""), toolChange("", "1:0.9-1"), []string{"install tool=1:0.9-1"}},
		"there already":             {Module{Packages: []string{"tool=1.22*"}}, tool("1.22-1"), nil, nil},
		"an older one is there":     {Module{Packages: []string{"tool=1.22-1"}}, tool("1.20-1"), toolChange("1.20-1", "1.22-1"), []string{"upgrade tool=1.22-1"}},
		"the latest of those":       {Module{Packages: []string{"tool=1.22*"}, State: "latest"}, tool("1.22-1"), toolChange("1.22-1", "1.22-2"), []string{"upgrade tool=1.22-2"}},
		"the latest is there":       {Module{Packages: []string{"tool=1.22*"}, State: "latest"}, tool("1.22-2"), nil, nil},
		"an older one is asked for": {Module{Packages: []string{"tool=1.22*"}, AllowDowngrade: true}, tool("1:0.9-1"), toolChange("1:0.9-1", "1.22-2", "--allow-downgrades"), []string{"downgrade tool=1.22-2"}},
		"an older one by a pin": {Module{Packages: []string{"tool"}, State: "latest", AllowDowngrade: true},
			one(observe.Packages.Expect("tool", observe.Package{Status: observe.InstalledStatus, Version: "3"}), Candidates.Expect("tool", Candidate{Version: "2", Installed: "3", Versions: []string{"3", "2"}})),
			transaction("--allow-downgrades install tool", PackageChange{Name: "tool", From: "3", To: "2"}), []string{"downgrade tool"}},
		"held by the version": {Module{Packages: []string{"tool=1.22*"}, Hold: &yes}, tool("1.22-1"), nil, []string{"put tool on hold"}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := plans(t, &c.module, recorded(bookworm, c.now, c.apt), c.steps...)
			for _, step := range plan.Steps {
				if step.Diff == nil && (strings.Contains(step.Summary, "=") || strings.HasPrefix(step.Summary, "downgrade")) {
					t.Errorf("%q shows no versions", step.Summary)
				}
			}
		})
	}
}

// If another version of a held package is requested, the package is released, changed, and held again.
func TestVersionOfHeldPackage(t *testing.T) {
	yes := true
	m := modulestest.Decoded(&Module{Packages: []string{"tool=1.22*"}, Hold: &yes})
	h := recorded(bookworm, tool("1.20-1", heldStatus), one(Transactions.Expect("install tool=1.22-2", Transaction{Problem: "E: Held packages were changed and -y was used without --allow-change-held-packages."})))
	var steps []string
	for range 3 {
		plan, err := m.Plan(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, summaries(plan)...)
		for _, step := range plan.Steps {
			h.Predict(step.Expect)
		}
		h.Predict(toolChange("1.20-1", "1.22-2")) // apt's answer once the package is released
	}
	if diff := cmp.Diff([]string{"release tool from hold", "upgrade tool=1.22-2", "put tool on hold"}, steps); diff != "" {
		t.Errorf("the steps differ (-want +got):\n%s", diff)
	}
	want := observe.Package{Status: heldStatus, Version: "1.22-2"}
	if p, err := observe.Packages.Observe(t.Context(), h, "tool"); err != nil || p != want {
		t.Errorf("afterwards it is %+v (%v), want %+v", p, err, want)
	}
}

func TestVersionsThatCannotBe(t *testing.T) {
	yes := true
	unmet := one(Transactions.Expect("install tool=1.22-2", Transaction{Problem: "tool : Depends: tool-data (= 1.22-2) but 1.20-1 is to be installed\nE: Unable to correct problems, you have held broken packages."}))
	for name, c := range map[string]struct {
		module Module
		now    []observe.Expectation
		want   string
	}{
		"none offered":     {Module{Packages: []string{"tool=9*"}}, tool("1.20-1"), "no source offers package tool in version 9*: it offers 1:0.9-1, 1.22-2, 1.22-1, 1.20-1"},
		"without an epoch": {Module{Packages: []string{"tool=0.9*"}}, tool(""), "include the epoch: tool=1:0.9*; it offers 1:0.9-1"},
		"a downgrade":      {Module{Packages: []string{"tool=1.22*"}}, tool("1:0.9-1"), "pve1: tool 1:0.9-1 is installed, and 1.22-2 is older: nothing was done; set allow_downgrade = true"},
		"held and unmet":   {Module{Packages: []string{"tool=1.22*"}, Hold: &yes}, append(tool("1.20-1", heldStatus), unmet...), "tool-data (= 1.22-2)"},
		"virtual": {Module{Packages: []string{"virt=1"}}, one(observe.Packages.Expect("virt", observe.Package{}), Candidates.Expect("virt", Candidate{}), Providers.Expect("virt", []string{"prov1", "prov2"})),
			"virt is a virtual package, provided by prov1, prov2; name one of these"},
		"by a pin": {Module{Packages: []string{"pinned"}, State: "latest"}, append(one(observe.Packages.Expect("pinned", observe.Package{Status: observe.InstalledStatus, Version: "3"}), Candidates.Expect("pinned", Candidate{Version: "2", Installed: "3", Versions: []string{"3", "2"}})),
			Transactions.Expect("install pinned", Transaction{Problem: "E: Packages were downgraded and -y was used without --allow-downgrades."})), "would downgrade a package because of a pin on this host"},
	} {
		t.Run(name, func(t *testing.T) {
			h := recorded(bookworm, c.now, one(PackageIndex.Expect("", Index{Exists: true})))
			if _, err := modulestest.Decoded(&c.module).Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, expected one with %q", err, c.want)
			}
		})
	}
}

func TestVersionsAreChecked(t *testing.T) {
	no := false
	for want, m := range map[string]*Module{
		"tool=1 has a version, but its state is absent; expected the name alone: tool": {Packages: []string{"tool=1"}, State: "absent"},
		`"" is not a version`:       {Packages: []string{"tool="}},
		`"1.*2" is not a version`:   {Packages: []string{"tool=1.*2"}},
		`"stable" is not a version`: {Packages: []string{"tool=stable"}},
		"both tool=1 and tool are given; expected one version of each package": {Packages: []string{"tool=1", "tool"}},
		"a version is given, and the upgrade may replace it":                   {Packages: []string{"tool=1"}, Upgrade: "full", Hold: &no},
		"the task installs no packages":                                        {Update: true, AllowDowngrade: true},
		`"to ol" is not the name of a package`:                                 {Packages: []string{"to ol=1"}},
	} {
		if err := modulestest.Decoded(m).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// On a bare host, apt knows no versions before the index is fetched.
func TestVersionOnBareHost(t *testing.T) {
	h := recorded(bookworm, tool(""))
	h.Predict(one(Candidates.Unknown("tool", "an earlier task fetches the package index")))
	plan := plans(t, &Module{Packages: []string{"tool=1.22*"}}, h, "install tool=1.22*")
	if !observe.IsUnknown(plan.Doubt) {
		t.Errorf("the doubt is %v", plan.Doubt)
	}
}

func TestVersionPinned(t *testing.T) {
	h := recorded(bookworm, tool(""), one(observe.Files.Expect("/etc/apt/preferences.d/tool", observe.File{})))
	e := observe.Placed(h, "/etc/apt/preferences.d/tool", text("Package: tool\nPin: version 1.22*\nPin-Priority: 990\n"))
	for _, key := range []observe.Key{Candidates.Key("tool"), Transactions.Key("install tool")} {
		if !slices.ContainsFunc(e, func(e observe.Expectation) bool { return e.Match != nil && e.Match(key) && e.Unknown != "" }) {
			t.Errorf("%s, which a pin may change, is known", key)
		}
	}
}

// realApt makes apt use a directory of the test, with its own source and status file.
func realApt(t *testing.T, repository, status, preferences string) {
	t.Helper()
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("this computer has no apt")
	}
	dir := t.TempDir()
	// Each line has a name, a version and, for the status file, further fields.
	stanzas := func(lines, more string) string {
		var b strings.Builder
		for line := range strings.Lines(lines) {
			f := strings.SplitN(strings.TrimSpace(line)+" ", " ", 3)
			fmt.Fprintf(&b, "Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n%s\n\n", f[0], f[1], more+strings.TrimSpace(f[2]))
		}
		return b.String()
	}
	files := map[string]string{
		"/repository/Packages":     stanzas(repository, "Filename: ./x.deb\nSize: 1\nSHA256: "+strings.Repeat("0", 64)),
		"/status":                  stanzas(status, ""),
		"/etc/sources.list":        "deb [trusted=yes] file:" + dir + "/repository ./\n",
		"/etc/preferences.d/p":     preferences,
		"/etc/sources.list.d/":     "",
		"/etc/apt.conf.d/":         "",
		"/etc/trusted.gpg.d/":      "",
		"/state/lists/partial/":    "",
		"/cache/archives/partial/": "",
		"/conf":                    fmt.Sprintf("Dir %[1]q; Dir::Etc \"%[1]s/etc\"; Dir::State \"%[1]s/state\"; Dir::State::status \"%[1]s/status\"; Dir::Cache \"%[1]s/cache\"; Dir::Log \"%[1]s\"; APT::Sandbox::User \"\";\n", dir),
	}
	modulestest.Place(t, dir, files)
	t.Setenv("APT_CONFIG", filepath.Join(dir, "conf"))
	t.Setenv("LC_ALL", "C")
	if out, err := exec.Command("apt-get", "-q", "update").CombinedOutput(); err != nil {
		t.Fatalf("apt-get update: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "state/lists/lock")); err != nil {
		t.Fatalf("apt does not keep to the directory of the test: %v", err)
	}
}

// TestVersionsAgainstRealApt compares the version that a request selects with the one that the real apt would install.
// Nothing is installed.
func TestVersionsAgainstRealApt(t *testing.T) {
	realApt(t, "tool 1.20-1\ntool 1.22-1\ntool 1.22-2\ntool 1:0.9-1\nheld 2\nhigh 1\nhigh 2\npinned 1\npinned 2\npinned 3\n",
		"high 2 Status: install ok installed\nheld 1 Status: hold ok installed\npinned 2 Status: install ok installed\n",
		"Package: pinned\nPin: version 2*\nPin-Priority: 990\n")
	names := []string{"tool", "held", "high", "pinned"}
	candidates := modulestest.Fetch(t, Candidates, names...)
	if diff := cmp.Diff(map[string]Candidate{
		"tool":   {Version: "1:0.9-1", Listed: true, Versions: []string{"1:0.9-1", "1.22-2", "1.22-1", "1.20-1"}},
		"held":   {Version: "2", Installed: "1", Listed: true, Versions: []string{"2", "1"}},
		"high":   {Version: "2", Installed: "2", Listed: true, Versions: []string{"2", "1"}},
		"pinned": {Version: "2", Installed: "2", Listed: true, Versions: []string{"3", "2", "1"}},
	}, candidates); diff != "" {
		t.Errorf("the candidates differ (-want +got):\n%s", diff)
	}
	for _, text := range []string{"tool=1.22*", "tool=1.2*", "tool=1*", "tool=1:0*", "tool=0.9*", "tool=0.9-1", "tool=1.22", "tool=1.22-1", "tool=1.22-1*", "tool=9*", "pinned=3*", "pinned=3", "high=1", "held=2"} {
		r := parseRequest(text)
		c := candidates[r.name]
		got := r.newest(c)
		for _, options := range []string{"", "--allow-downgrades "} {
			transaction := modulestest.Fetch(t, Transactions, options+"install "+text)[options+"install "+text]
			want := ""
			for _, change := range transaction.Changes {
				want = change.To
			}
			switch {
			case got == "":
				if wanted := fmt.Sprintf("E: Version '%s' for '%s' was not found", r.version, r.name); transaction.Problem != wanted {
					t.Errorf("%s: no version matches, and apt says %q", text, transaction.Problem)
				}
			case r.name == "held":
				if !strings.Contains(transaction.Problem, heldChanged) {
					t.Errorf("%s is held, and apt says %+v", text, transaction)
				}
			case r.name == "high" && options == "":
				if !strings.Contains(transaction.Problem, downgraded) {
					t.Errorf("%s is older, and apt says %+v", text, transaction)
				}
			case got != want:
				t.Errorf("%s%s is %q, and apt would install %q (%s)", options, text, got, want, transaction.Problem)
			}
		}
	}
}
