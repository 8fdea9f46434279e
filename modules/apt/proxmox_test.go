package apt

import (
	"slices"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules/internal/pve"
)

// A bare host, in check mode: the repository is only predicted, so apt knows none of the packages.
func TestProxmoxOnABareHost(t *testing.T) {
	const key = "/usr/share/keyrings/proxmox-archive-keyring.gpg"
	h := recorded(trixie, absent(),
		offered("proxmox-ve", ""), offered("proxmox-default-kernel", ""), offered("postfix", "3.10"), offered("open-iscsi", "2.1"), offered("chrony", "4.6"),
		one(observe.Debconf.Expect("postfix", nil), observe.Files.Expect(key, observe.File{})),
		installed("systemd-timesyncd", "257"), installed("ifupdown", "0.8"))
	for _, known := range known {
		for _, file := range known.drops {
			h.Predict(one(observe.Files.Expect(file, observe.File{})))
		}
	}
	plans(t, &Module{
		Keys: []Key{{Path: key, Content: "AAAA", UnlessPackage: "proxmox-archive-keyring"}},
		Repositories: []Repository{{
			Name: "proxmox", URIs: []string{"http://download.proxmox.com/debian/pve"}, Suites: []string{"trixie"},
			Components: []string{"pve-no-subscription"}, SignedBy: key,
		}},
	}, h, "install key "+key, "add repository proxmox (http://download.proxmox.com/debian/pve) in /etc/apt/sources.list.d/proxmox.sources")
	plans(t, &Module{Packages: []string{"proxmox-default-kernel"}}, h, "fetch the package index: a source or a key is newer")
	if kernels, err := observe.InstalledKernels.Observe(t.Context(), h, ""); err != nil || !slices.Contains(kernels, observe.ComingRelease("-pve")) {
		t.Errorf("a Proxmox kernel is expected in /boot, found %v (%v)", kernels, err)
	}
	// What is recorded counts as exactly expected; on a real host the fetched index makes it unknown.
	h.Predict(one(observe.Candidates.Unknown("proxmox-ve", "the package index will be fetched first")))
	m := &Module{
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
	plans(t, &Module{Repositories: []Repository{{Name: "pve-enterprise", Enabled: &off}}}, h, "disable repository pve-enterprise in /etc/apt/sources.list.d/pve-enterprise.sources")
}

func TestRerunOnANode(t *testing.T) {
	const key = "/usr/share/keyrings/proxmox-archive-keyring.gpg"
	h := recorded(trixie, installed("proxmox-archive-keyring", "4.0"), installed("proxmox-ve", "9.1.0"), installed("postfix", "3.10"),
		one(observe.Debconf.Expect("postfix", map[string]string{"postfix/main_mailer_type": "No configuration"}), observe.Files.Expect(key, text("other"))))
	plans(t, &Module{
		Keys:     []Key{{Path: key, Content: "AAAA", UnlessPackage: "proxmox-archive-keyring"}},
		Debconf:  map[string]string{"postfix/main_mailer_type": "select No configuration"},
		Packages: []string{"proxmox-ve", "postfix"},
	}, h)
}

// The table must not name a package, as something that comes along, of which it knows nothing: then
// policy would make files of that name unknown.
func TestTableIsClosed(t *testing.T) {
	for name, e := range known {
		for _, other := range slices.Concat(e.implies, e.recommends, e.from9) {
			if _, ok := known[other]; !ok {
				t.Errorf("%s brings %s, which the table does not have", name, other)
			}
		}
	}
}
