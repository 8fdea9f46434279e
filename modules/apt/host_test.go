package apt

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

// appliance is a product that another module would describe.
var appliance = []modules.Package{
	{Name: "appliance", Archive: "appliance.example", FullUpgrade: "its parts fit together in one version only", Depends: []string{"appliance-kernel", "appliance-ui"}, DependsFrom13: []string{"appliance-keyring"},
		Protection: &modules.Protection{By: "its own apt hook", Mark: "(appliance-hook)", Advice: "remove it by hand", Cause: "look for a repository of the wrong release"}},
	{Name: "appliance-ui", Recommends: []string{"ifupdown2"}, Running: []string{"appliance.service"}, Unconfigured: "mend /etc/appliance",
		Installed: func(_ context.Context, h modules.Host) ([]observe.Expectation, error) {
			return observe.Placed(h, "/etc/appliance", text("version 1\n")), nil
		},
		Reads: func(h modules.Host) { observe.Files.Want(h, "/etc/appliance") }},
	{Name: "appliance-kernel", KernelFlavour: "-appliance"},
	{Name: "appliance-keyring", Files: []string{"/usr/share/keyrings/appliance.gpg"}},
}

func init() {
	AddPackages(slices.Concat(debian, appliance)...)
	observe.AddMeanings(placed)
}

func text(content string) observe.File {
	return observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content)}
}

const (
	bookworm = "VERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n"
	trixie   = "VERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n"
)

// installed expects a package to be installed. offered expects one that is not, and that a source offers.
func installed(name, version string) []observe.Expectation {
	return []observe.Expectation{
		observe.Packages.Expect(name, observe.Package{Status: observe.InstalledStatus, Version: version}),
		Candidates.Expect(name, Candidate{Version: version, Installed: version}),
	}
}

func offered(name, version string) []observe.Expectation {
	return []observe.Expectation{
		observe.Packages.Expect(name, observe.Package{}),
		Candidates.Expect(name, Candidate{Version: version}),
	}
}

// recorded returns a Debian host with a fresh index and a Debian kernel, and with the given observations.
func recorded(release string, more ...[]observe.Expectation) modules.Host {
	codename := "bookworm"
	if release == trixie {
		codename = "trixie"
	}
	known := []observe.Expectation{
		observe.Files.Expect("/etc/os-release", text(release)),
		observe.Files.Expect("/etc/apt/sources.list.d", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		observe.Files.Expect("/usr/share/keyrings", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		PackageIndex.Expect("", Index{Exists: true, Age: time.Minute}),
		SourceFiles.Expect("", []observe.TextFile{{Path: "/etc/apt/sources.list", Content: "deb http://deb.example.org/debian " + codename + " main\n"}}),
		Configs.Expect("", nil),
		observe.Files.Expect(hostsFile, text("127.0.0.1 localhost\n")),
		observe.Kernels.Expect("", observe.Kernel{Release: "6.1.0-28-amd64"}),
		observe.InstalledKernels.Expect("", []string{"6.1.0-28-amd64"}),
	}
	for _, name := range []string{"pve-enterprise", "proxmox"} {
		known = append(known, observe.Files.Expect(sourcesDir+name+".list", observe.File{}), observe.Files.Expect(sourcesDir+name+".sources", observe.File{}))
	}
	for _, name := range []string{"unattended-upgrades", "update-notifier-common"} {
		known = append(known, observe.Packages.Expect(name, observe.Package{}))
	}
	for _, e := range more {
		known = append(known, e...)
	}
	return observe.NewRecorded("pve1", known...)
}

func transaction(command string, changes ...PackageChange) []observe.Expectation {
	return []observe.Expectation{Transactions.Expect(command, Transaction{Changes: changes})}
}

func one(e ...observe.Expectation) []observe.Expectation { return e }

// absent expects that none of the packages in the table of effects is installed.
func absent() []observe.Expectation {
	var all []observe.Expectation
	for name, e := range known {
		for _, n := range append([]string{name}, e.Removes...) {
			all = append(all, observe.Packages.Expect(n, observe.Package{}))
		}
	}
	return all
}

func summaries(plan modules.Plan) []string {
	var all []string
	for _, s := range plan.Steps {
		all = append(all, s.Summary)
	}
	return all
}

// plans checks the steps of the first plan, and that nothing is left to do once they are predicted.
func plans(t *testing.T, m *Module, h modules.Host, want ...string) modules.Plan {
	t.Helper()
	plan := modulestest.Converges(t, m, h)
	if diff := cmp.Diff(want, summaries(plan)); diff != "" {
		t.Errorf("the steps differ (-want +got):\n%s", diff)
	}
	return plan
}
