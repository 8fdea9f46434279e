package pve

import (
	"context"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// notLoopback is what to do if the scripts of Proxmox VE's packages fail: all of them need pmxcfs.
const notLoopback = "pve-cluster does not start unless the host's name resolves to an address that is not loopback: check `hostname --ip-address` and /etc/hosts, then `systemctl reset-failed pve-cluster`"

// Archive is the domain of Proxmox's package archives.
const Archive = "proxmox.com"

// fullUpgrade is the reason why Proxmox VE is upgraded with full-upgrade (G1.5).
const fullUpgrade = "Proxmox VE needs a full upgrade: a safe upgrade removes nothing and holds packages back, so the installed ones may become incompatible"

// Packages returns the packages of Proxmox VE 8 and 9, according to their control files and pve-manager's postinst.
// The tests of package registry compare their units with a recording. more is what other packages read in /etc/pve.
func Packages(more ...Content) []modules.Package {
	return []modules.Package{
		{
			Name:          "proxmox-ve",
			Archive:       Archive,
			FullUpgrade:   fullUpgrade,
			Depends:       []string{"pve-manager", "proxmox-default-kernel", "qemu-server", "pve-container", "pve-ha-manager"},
			Recommends:    []string{"ifupdown2"},
			DependsFrom13: []string{"proxmox-archive-keyring"},
			Protection: &modules.Protection{
				By: "Proxmox's own apt hook", Mark: "(pve-apt-hook)",
				Advice: "if the node should no longer be one, remove it by hand",
				Cause:  "look for a repository of the wrong Debian release, or a package that conflicts with Proxmox VE",
			},
		},
		{
			Name:        "pve-manager",
			Archive:     Archive,
			FullUpgrade: fullUpgrade,
			Depends: []string{
				"pve-cluster", "pve-ha-manager", "pve-firewall", "pve-container", "qemu-server", "libpve-storage-perl",
				"ceph-common", "ceph-fuse", "corosync", "proxmox-backup-client",
			},
			Recommends:   []string{"ifupdown2", "proxmox-offline-mirror-helper"},
			Running:      []string{"pvedaemon.service", "pveproxy.service", "pvestatd.service", "pvescheduler.service", "spiceproxy.service", "pve-daily-update.timer"},
			Programs:     []string{"pveversion", "pvesh", "pveceph", "pvenode", "pvesubscription", "vzdump"},
			Files:        []string{"/etc/vzdump.conf"},
			Unconfigured: notLoopback,
			Reads: func(h *observe.Host) {
				enterpriseSources(h, "pve")
				wantInstalled(h)
			},
			Installed: func(ctx context.Context, h *observe.Host) ([]observe.Expectation, error) {
				enterpriseSources(h, "pve")
				expect, err := InstalledExpectations(ctx, h, more...)
				if err != nil {
					return nil, err
				}
				source, err := EnterpriseSource(ctx, h, "pve")
				return append(expect, source...), err
			},
		},
		{Name: "pve-cluster", Running: []string{"pve-cluster.service"}, Programs: []string{"pvecm"}, Unconfigured: notLoopback},
		{
			Name:         "pve-ha-manager",
			Running:      []string{"pve-ha-crm.service", "pve-ha-lrm.service"},
			Static:       []string{"watchdog-mux.service"},
			Programs:     []string{"ha-manager"},
			Unconfigured: notLoopback,
		},
		{Name: "pve-firewall", Programs: []string{"pve-firewall"}, Unconfigured: notLoopback},
		{Name: "qemu-server", Programs: []string{"qm", "qmrestore"}},
		{Name: "pve-container", Programs: []string{"pct"}, Unconfigured: notLoopback},
		{Name: "libpve-storage-perl", Programs: []string{"pvesm"}},
		{
			Name:        "corosync",
			Waiting:     []string{"corosync.service"},
			Directories: []string{"/etc/corosync"},
			Programs:    []string{"corosync-cfgtool", "corosync-cmapctl", "corosync-quorumtool"},
		},
		{Name: "corosync-qdevice", Programs: []string{"corosync-qdevice-net-certutil", "corosync-qdevice-tool"}},
		{Name: "corosync-qnetd", Running: []string{"corosync-qnetd.service"}, Programs: []string{"corosync-qnetd-certutil", "corosync-qnetd-tool"}},
		{Name: "proxmox-default-kernel", KernelFlavour: kernelFlavour},
		{Name: "proxmox-archive-keyring", Files: []string{"/usr/share/keyrings/proxmox-archive-keyring.gpg"}},
		{Name: "proxmox-backup-client", Programs: []string{"proxmox-backup-client"}},
		{Name: "proxmox-offline-mirror-helper"},
	}
}

// enterpriseSources announces and returns the names that the source file of a product has up to Debian 12, and from 13 on.
func enterpriseSources(h *observe.Host, product string) (list, deb822 string) {
	name := "/etc/apt/sources.list.d/" + product + "-enterprise"
	observe.Files.Want(h, name+".list", name+".sources")
	return name + ".list", name + ".sources"
}

// EnterpriseSource returns the source file that the packages of a product, pve or pbs, bring. It is a configuration
// file: if it was deleted or edited before, it stays that way, but it appears on a host that never had the package.
func EnterpriseSource(ctx context.Context, h *observe.Host, product string) ([]observe.Expectation, error) {
	name, newer := enterpriseSources(h, product)
	node, err := Nodes.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	content := "deb https://enterprise.proxmox.com/debian/" + product + " " + node.Codename + " " + product + "-enterprise\n"
	if node.Codename != "bookworm" {
		name = newer
		content = "Types: deb\nURIs: https://enterprise.proxmox.com/debian/" + product + "\nSuites: " + node.Codename +
			"\nComponents: " + product + "-enterprise\nSigned-By: /usr/share/keyrings/proxmox-archive-keyring.gpg\n"
	}
	before, err := observe.Files.Observe(ctx, h, name)
	if err != nil || before.Exists() {
		return nil, err
	}
	return observe.Placed(h, name, observe.File{
		Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root",
		Size: int64(len(content)), Content: []byte(content),
	}), nil
}
