package registry

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/apt"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// bareHost returns a host with Debian 13 as the installer leaves it.
func bareHost() modules.Host {
	const release = "VERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n"
	directory := observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}
	expect := []observe.Expectation{
		observe.Files.Expect("/etc/os-release", observe.File{Type: observe.Regular, Content: []byte(release)}),
		observe.Files.Expect("/etc/apt/sources.list.d", directory),
		observe.Files.Expect("/usr/share/keyrings", directory),
		apt.PackageIndex.Expect("", apt.Index{Exists: true, Age: time.Minute}),
		apt.SourceFiles.Expect("", []observe.TextFile{{Path: "/etc/apt/sources.list", Content: "deb http://deb.example.org/debian trixie main\n"}}),
		observe.Kernels.Expect("", observe.Kernel{Release: "6.12.48+deb13-amd64"}),
		observe.InstalledKernels.Expect("", []string{"6.12.48+deb13-amd64"}),
		apt.Debconf.Expect("postfix", nil),
		pve.Nodes.Expect("", pve.Node{Name: "pve1", Codename: "trixie"}),
		observe.Files.Expect("/var/lib/pve-cluster/config.db", observe.File{}),
	}
	for _, file := range []string{"pve-enterprise.list", "pve-enterprise.sources", "proxmox.list", "proxmox.sources"} {
		expect = append(expect, observe.Files.Expect("/etc/apt/sources.list.d/"+file, observe.File{}))
	}
	for name, p := range known() {
		for _, other := range append([]string{name}, p.Removes...) {
			expect = append(expect, observe.Packages.Expect(other, observe.Package{}))
		}
		for _, file := range p.Files {
			expect = append(expect, observe.Files.Expect(file, observe.File{}))
		}
	}
	for name, version := range map[string]string{"proxmox-ve": "", "proxmox-default-kernel": "", "postfix": "3.10", "open-iscsi": "2.1", "chrony": "4.6"} {
		expect = append(expect, apt.Candidates.Expect(name, apt.Candidate{Version: version}))
	}
	for _, name := range []string{"systemd-timesyncd", "ifupdown"} {
		expect = append(expect, observe.Packages.Expect(name, observe.Package{Status: observe.InstalledStatus, Version: "1"}))
	}
	return observe.NewRecorded("pve1", expect...)
}

// plans checks the steps of a task, and that nothing is left to do once they are predicted.
func plans(t *testing.T, m modules.Module, h modules.Host, want ...string) {
	t.Helper()
	var got []string
	for _, s := range modulestest.Converges(t, m, h).Steps {
		got = append(got, s.Summary)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the steps differ (-want +got):\n%s", diff)
	}
}

// On a bare host in check mode, the repository is only predicted, so apt knows none of the packages.
func TestProxmoxOnABareHost(t *testing.T) {
	const key = "/usr/share/keyrings/proxmox-archive-keyring.gpg"
	h := bareHost()
	plans(t, &apt.Module{
		Keys: []apt.Key{{Path: key, Content: "AAAA", UnlessPackage: "proxmox-archive-keyring"}},
		Repositories: []apt.Repository{{
			Name: "proxmox", URIs: []string{"http://download.proxmox.com/debian/pve"}, Suites: []string{"trixie"},
			Components: []string{"pve-no-subscription"}, SignedBy: key,
		}},
	}, h, "install key "+key, "add repository proxmox (http://download.proxmox.com/debian/pve) in /etc/apt/sources.list.d/proxmox.sources")
	plans(t, &apt.Module{Packages: []string{"proxmox-default-kernel"}}, h, "fetch the package index: a source or a key is newer than the index")
	if kernels, err := observe.InstalledKernels.Observe(t.Context(), h, ""); err != nil || !slices.Contains(kernels, observe.ComingRelease("-pve")) {
		t.Errorf("a Proxmox kernel is expected in /boot, found %v (%v)", kernels, err)
	}
	// Recorded values count as known exactly. On a real host, fetching the index makes this one unknown.
	h.Predict([]observe.Expectation{apt.Candidates.Unknown("proxmox-ve", "an earlier task fetches the package index")})
	m := &apt.Module{
		Debconf:  map[string]string{"postfix/main_mailer_type": "select No configuration"},
		Packages: []string{"proxmox-ve", "postfix", "open-iscsi", "chrony"},
	}
	plans(t, m, h, "answer postfix/main_mailer_type in advance", "install proxmox-ve, postfix, open-iscsi, chrony")
	for name, want := range map[string]bool{"pve-manager": true, "corosync": true, "ifupdown2": true, "proxmox-archive-keyring": true, "ifupdown": false, "systemd-timesyncd": false} {
		if p, err := observe.Packages.Observe(t.Context(), h, name); err != nil || p.Installed() != want {
			t.Errorf("%s is installed: %v (%v), expected %v", name, p.Installed(), err, want)
		}
	}
	for unit, want := range map[string]bool{"pveproxy.service": true, "chrony.service": true, "corosync.service": false, "postfix.service": false} {
		if u, err := observe.Units.Observe(t.Context(), h, unit); err != nil || u.Active() != want || !u.Enabled() {
			t.Errorf("%s is %+v (%v), expected it to be enabled, and active: %v", unit, u, err, want)
		}
	}
	if node, err := pve.Nodes.Observe(t.Context(), h, ""); err != nil || !node.Installed {
		t.Errorf("the node is %+v (%v), expected Proxmox VE to be installed", node, err)
	}
	off := false
	plans(t, &apt.Module{Repositories: []apt.Repository{{Name: "pve-enterprise", Enabled: &off}}}, h, "disable repository pve-enterprise in /etc/apt/sources.list.d/pve-enterprise.sources")
}
