package proxmox

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"hlplay/engine/lab/machine"
)

// edition holds the versions of packages in a Debian release. They are those of the recordings where these show them.
type edition struct {
	proxmoxVE, manager, cluster, ha, storage, qemu, container, corosync, common, access string
	kernel                                                                              string // release
	ceph                                                                                map[string]string
}

var editions = map[string]edition{
	"bookworm": {"8.4.0", "8.4.21", "8.1.0", "4.0.7", "8.3.6", "8.3.12", "5.2.6", "3.1.9-pve1", "8.3.1", "8.2.2", "6.8.12-9-pve",
		map[string]string{"quincy": "17.2.8", "reef": "18.2.7", "squid": "19.2.3"}},
	"trixie": {"9.2.0", "9.2.11", "9.1.6", "5.2.0", "9.1.7", "9.2.6", "6.1.10", "3.1.9-pve2", "9.2.1", "9.1.1", "6.17.13-2-pve",
		map[string]string{"squid": "19.2.3", "tentacle": "20.2.0"}},
}

// oldManager is a version of pve-manager without pve8to9, which is still in Proxmox's repository.
const oldManager = "8.4.1"

const pveComponent = "pve-no-subscription"

// Packages returns the packages of Proxmox's repositories for a Debian release: Proxmox VE in pve-no-subscription and
// pve-test, Ceph in ceph-RELEASE/no-subscription.
func Packages(w *World, debian string) []machine.Package {
	e := editions[debian]
	var all []machine.Package
	for _, component := range []string{pveComponent, map[string]string{"bookworm": "pvetest", "trixie": "pve-test"}[debian]} {
		for _, p := range append(w.pvePackages(debian, e), kernelPackages(debian, e)...) {
			p.Component = component
			all = append(all, p)
		}
	}
	for _, name := range sortedKeys(e.ceph) {
		for _, component := range []string{"no-subscription", "test"} {
			for _, p := range w.cephPackages(debian, name, e.ceph[name]) {
				p.Component = "ceph-" + name + "/" + component
				all = append(all, p)
			}
		}
	}
	all = append(all, backupPackages(debian)...)
	all = append(all, w.qdevicePackages(debian)...)
	for i := range all {
		all[i].Debian = debian
	}
	return all
}

// enterpriseSource returns the file in which a package of a product, pve or pbs, configures the product's enterprise
// repository.
func enterpriseSource(debian, product string) map[string]string {
	if debian == "bookworm" {
		return map[string]string{"/etc/apt/sources.list.d/" + product + "-enterprise.list": "deb https://enterprise.proxmox.com/debian/" + product + " bookworm " + product + "-enterprise\n"}
	}
	return map[string]string{"/etc/apt/sources.list.d/" + product + "-enterprise.sources": "Types: deb\nURIs: https://enterprise.proxmox.com/debian/" + product +
		"\nSuites: trixie\nComponents: " + product + "-enterprise\nSigned-By: /usr/share/keyrings/proxmox-archive-keyring.gpg\n"}
}

// programs returns machine programs by path.
func (w *World) programs(paths ...string) map[string]machine.Program {
	found := map[string]machine.Program{}
	for _, file := range paths {
		name := path.Base(file)
		found[file] = w.machineProgram(name, Programs()[name])
	}
	return found
}

// units returns enabled and active services.
func (w *World) units(names ...string) []machine.Unit {
	var all []machine.Unit
	for _, name := range names {
		all = append(all, w.machineUnit(machine.UnitName(name), true, true))
	}
	return all
}

func (w *World) pvePackages(debian string, e edition) []machine.Package {
	corosync := w.machineUnit("corosync.service", true, false)
	watchdog := w.machineUnit("watchdog-mux.service", false, true)
	watchdog.Static = true // pulled in by pve-ha-crm and pve-ha-lrm
	packages := []machine.Package{
		{Name: "proxmox-ve", Version: e.proxmoxVE, Depends: []string{"pve-manager", "pve-cluster", "corosync", "qemu-server", "pve-container", "pve-ha-manager", "libpve-storage-perl", "proxmox-default-kernel", "ifupdown2", "pve-firewall"},
			Removed: protect},
		{Name: "pve-cluster", Version: e.cluster, Depends: []string{"libpve-common-perl", "libpve-cluster-perl", "corosync", "rsync", "openssl"},
			Programs: w.programs("/usr/bin/pvecm"), Units: w.units("pve-cluster"), Files: map[string]string{"/usr/bin/pmxcfs": "\x7fELF"}, Installed: w.installCluster},
		{Name: "libpve-cluster-perl", Version: e.cluster}, {Name: "libpve-common-perl", Version: e.common}, {Name: "libpve-access-control", Version: e.access},
		{Name: "corosync", Version: e.corosync, Depends: []string{"libknet1"}, Programs: w.programs("/usr/sbin/corosync-quorumtool", "/usr/sbin/corosync-cfgtool", "/usr/sbin/corosync-cmapctl"), Units: []machine.Unit{corosync}, Files: map[string]string{"/etc/corosync/.keep": ""}},
		{Name: "libknet1", Version: "1.30-pve2"},
		{Name: "pve-manager", Version: e.manager, Depends: []string{"pve-cluster", "libpve-access-control", "pve-ha-manager", "qemu-server", "pve-container", "libpve-storage-perl", "ceph-common", "ceph-fuse", "ifupdown2", "proxmox-archive-keyring"},
			Programs: w.programs("/usr/bin/pveversion", "/usr/bin/pvesh", "/usr/bin/pveceph", "/usr/bin/vzdump", "/usr/bin/pve8to9"), Conffiles: enterpriseSource(debian, "pve"),
			Units: append(w.units("pvedaemon", "pveproxy", "spiceproxy", "pvestatd", "pvescheduler", "pvenetcommit", "pve-guests", "pve-daily-update.timer"), machine.Unit{Name: "pve-daily-update.service", Static: true}), Installed: installManager,
			Files: map[string]string{"/etc/modprobe.d/pve-blacklist.conf": "# This file contains a list of modules which are not supported by Proxmox VE\n\n# nvidiafb see bugreport https://bugzilla.proxmox.com/show_bug.cgi?id=701\nblacklist nvidiafb\n", "/etc/vzdump.conf": "# vzdump default settings\n\n#tmpdir: DIR\n#dumpdir: DIR\n#storage: STORAGE_ID\n#mode: snapshot|suspend|stop\n", "/etc/initramfs-tools/conf.d/pve-initramfs.conf": "RESUME=none\n"}},
		{Name: "pve-ha-manager", Version: e.ha, Depends: []string{"pve-cluster"}, Programs: w.programs("/usr/sbin/ha-manager"), Units: append(w.units("pve-ha-crm", "pve-ha-lrm"), watchdog),
			Files: map[string]string{"/etc/default/pve-ha-manager": "# select watchdog module (default is softdog)\n#WATCHDOG_MODULE=ipmi_watchdog\n"}},
		{Name: "qemu-server", Version: e.qemu, Depends: []string{"pve-qemu-kvm", "libpve-storage-perl"}, Programs: w.programs("/usr/sbin/qm")},
		{Name: "pve-qemu-kvm", Version: "10.1.2-3", Files: map[string]string{qemuImg: "\x7fELF"}},
		{Name: "pve-container", Version: e.container, Depends: []string{"lxc-pve", "libpve-storage-perl"}, Programs: w.programs("/usr/sbin/pct")},
		{Name: "lxc-pve", Version: "6.0.5-1"},
		{Name: "libpve-storage-perl", Version: e.storage, Programs: w.programs("/usr/sbin/pvesm")},
		{Name: "pve-firewall", Version: "6.0.4", Programs: w.programs("/usr/sbin/pve-firewall"), Units: w.units("pve-firewall")},
		{Name: "ifupdown2", Version: "3.3.0-1+pmx11", Conflicts: []string{"ifupdown"}, Units: []machine.Unit{{Name: "networking.service", Enabled: true, Active: true, Exits: true}}, Files: map[string]string{"/usr/sbin/ifreload": "#!/usr/bin/python3\n", "/usr/sbin/ifquery": "#!/usr/bin/python3\n"}},
	}
	switch debian {
	case "bookworm":
		old := packages[slices.IndexFunc(packages, func(p machine.Package) bool { return p.Name == "pve-manager" })]
		old.Version, old.Programs = oldManager, w.programs("/usr/bin/pveversion", "/usr/bin/pvesh", "/usr/bin/pveceph", "/usr/bin/vzdump")
		packages = append(packages, old)
		packages = append(packages, w.clientPackages("17.2.8-pve2")...)
	default:
		// Without a Ceph repository, the client packages come from Debian.
		packages = append(packages, w.clientPackages("18.2.7+ds-1")...)
	}
	// On trixie the package owns the keyring, which already exists if the repository is configured.
	return append(packages, machine.Package{Name: "proxmox-archive-keyring", Version: "4.0"})
}

// qdevicePackages returns Debian's packages for a QDevice.
func (w *World) qdevicePackages(debian string) []machine.Package {
	version := map[string]string{"bookworm": "3.0.3-1", "trixie": "3.0.3-2"}[debian]
	tools := func(names ...string) map[string]string {
		files := map[string]string{}
		for _, name := range names {
			files[name] = "\x7fELF"
		}
		return files
	}
	return []machine.Package{
		{Name: "corosync-qdevice", Version: version, Component: "main", Depends: []string{"corosync"}, Units: []machine.Unit{w.machineUnit(qdeviceUnit, false, false)},
			Files: tools("/usr/sbin/corosync-qdevice", "/usr/sbin/corosync-qdevice-net-certutil", "/usr/sbin/corosync-qdevice-tool")},
		// Its maintainer script creates the certificate authority.
		{Name: "corosync-qnetd", Version: version, Component: "main", Units: w.units("corosync-qnetd"),
			Files: tools("/usr/bin/corosync-qnetd", "/usr/bin/corosync-qnetd-certutil", "/usr/bin/corosync-qnetd-tool", qnetdStore+"/qnetd-cacert.crt")},
	}
}

// protect implements the apt hook that protects proxmox-ve.
func protect(m *machine.Machine, out io.Writer) error {
	if _, err := m.FS().Stat("/please-remove-proxmox-ve"); err == nil {
		return nil
	}
	fmt.Fprint(out, "W: (pve-apt-hook) !! WARNING !!\nW: (pve-apt-hook) You are attempting to remove the meta-package 'proxmox-ve'!\nW: (pve-apt-hook)\nW: (pve-apt-hook) If you really want to permanently remove 'proxmox-ve' from your system, run the following command\nW: (pve-apt-hook)\ttouch '/please-remove-proxmox-ve'\n")
	return fmt.Errorf("the meta-package proxmox-ve is protected")
}

// installCluster implements the postinst of pve-cluster. It starts pmxcfs, which requires the node's name to resolve to
// an address of the LAN.
func (w *World) installCluster(m *machine.Machine, out io.Writer) error {
	if err := m.FS().MkdirAll("/etc/pve", 0o750); err != nil {
		return err
	}
	unit := w.machineUnit("pve-cluster.service", true, false)
	m.Units().Add(unit)
	if err := m.Units().Start(unit.Name); err != nil {
		fmt.Fprintln(out, err)
		return fmt.Errorf("pve-cluster.service did not start")
	}
	return nil
}

// installManager makes the changes of pve-manager's postinst to files that it does not own.
func installManager(m *machine.Machine, _ io.Writer) error {
	const file = "/etc/lvm/lvm.conf"
	content, err := readAll(m, file)
	if err != nil || strings.Contains(content, "added by pve-manager") {
		return nil // LVM is not installed, or the change was made before
	}
	content += "devices {\n     # added by pve-manager to avoid scanning ZFS zvols and Ceph rbds\n     global_filter=[\"r|/dev/zd.*|\",\"r|/dev/rbd.*|\",\"r|/dev/nbd.*|\"]\n}\n"
	n := &machineNode{m: m, fs: m.FS()}
	return n.WriteFile(file, []byte(content), 0o644)
}

func readAll(m *machine.Machine, file string) (string, error) {
	n := &machineNode{m: m, fs: m.FS()}
	content, err := n.ReadFile(file)
	return string(content), err
}

func kernelPackages(debian string, e edition) []machine.Package {
	series := strings.Join(strings.SplitN(e.kernel, ".", 3)[:2], ".")
	version := strings.TrimSuffix(e.kernel, "-pve")
	image := "proxmox-kernel-" + e.kernel + "-signed"
	return []machine.Package{
		{Name: "proxmox-default-kernel", Version: map[string]string{"bookworm": "1.1.0", "trixie": "2.0.2"}[debian], Depends: []string{"proxmox-kernel-" + series}},
		{Name: "proxmox-kernel-" + series, Version: version, Depends: []string{image}},
		{Name: image, Version: version, Depends: []string{"pve-firmware"}, Files: map[string]string{
			"/boot/vmlinuz-" + e.kernel:                         "kernel " + e.kernel + "\n",
			"/boot/initrd.img-" + e.kernel:                      "initrd " + e.kernel + "\n",
			"/boot/config-" + e.kernel:                          "CONFIG_MODULES=y\n",
			"/usr/lib/modules/" + e.kernel + "/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
			"/usr/lib/modules/" + e.kernel + "/modules.dep":     kernelModules,
			"/usr/lib/modules/" + e.kernel + "/modules.order":   "",
		}},
		{Name: "pve-firmware", Version: "3.17-2"},
		{Name: "pve-headers", Version: version},
	}
}

// kernelModules are the modules in Proxmox's kernel that playbooks load or blacklist. vfio_virqfd is not among them: it
// was merged into vfio in kernel 6.2.
const kernelModules = `kernel/drivers/vfio/vfio.ko: kernel/drivers/iommu/iommufd/iommufd.ko
kernel/drivers/iommu/iommufd/iommufd.ko:
kernel/drivers/vfio/vfio_iommu_type1.ko: kernel/drivers/vfio/vfio.ko
kernel/drivers/vfio/pci/vfio-pci-core.ko: kernel/drivers/vfio/vfio.ko
kernel/drivers/vfio/pci/vfio-pci.ko: kernel/drivers/vfio/pci/vfio-pci-core.ko kernel/drivers/vfio/vfio.ko
kernel/arch/x86/kvm/kvm.ko:
kernel/arch/x86/kvm/kvm-intel.ko: kernel/arch/x86/kvm/kvm.ko
kernel/arch/x86/kvm/kvm-amd.ko: kernel/arch/x86/kvm/kvm.ko
kernel/drivers/watchdog/softdog.ko:
kernel/drivers/net/bonding/bonding.ko:
kernel/net/8021q/8021q.ko:
kernel/net/bridge/bridge.ko:
kernel/net/netfilter/nf_conntrack.ko:
kernel/net/bridge/br_netfilter.ko: kernel/net/bridge/bridge.ko
kernel/fs/overlayfs/overlay.ko:
kernel/fs/ceph/ceph.ko: kernel/net/ceph/libceph.ko
kernel/net/ceph/libceph.ko:
kernel/drivers/block/rbd.ko: kernel/net/ceph/libceph.ko
kernel/drivers/block/nbd.ko:
kernel/drivers/gpu/drm/amd/amdgpu/amdgpu.ko:
kernel/drivers/gpu/drm/radeon/radeon.ko:
kernel/drivers/gpu/drm/nouveau/nouveau.ko:
kernel/drivers/gpu/drm/i915/i915.ko:
`

// cephTarget starts the daemons that are enabled, and stops all of them.
var cephTarget = machine.Unit{Name: "ceph.target", Enabled: true, Active: true,
	Start: func(m *machine.Machine) error {
		var failed error
		for _, u := range m.Units().List() {
			if isDaemon(u.Name) && m.Units().Enabled(u.Name) {
				failed = errors.Join(failed, m.Units().Start(u.Name))
			}
		}
		return failed
	},
	Stop: func(m *machine.Machine) {
		for _, u := range m.Units().List() {
			if isDaemon(u.Name) {
				_ = m.Units().Stop(u.Name) // listed units exist
			}
		}
	},
}

// isDaemon reports whether a unit is one of Ceph's daemons.
func isDaemon(unit string) bool {
	return strings.HasPrefix(unit, "ceph-") && strings.Contains(unit, "@")
}

// clientPackages returns Ceph's client packages, which Proxmox VE depends on.
func (w *World) clientPackages(version string) []machine.Package {
	return []machine.Package{
		{Name: "ceph-common", Version: version, Programs: w.programs("/usr/bin/ceph"), Units: []machine.Unit{cephTarget}, Files: map[string]string{"/etc/ceph/rbdmap": "# RbdDevice\t\tParameters\n", "/usr/bin/rados": "\x7fELF", "/usr/bin/rbd": "\x7fELF"}},
		{Name: "ceph-fuse", Version: version, Files: map[string]string{"/usr/bin/ceph-fuse": "\x7fELF"}},
	}
}

// cephPackages returns the server packages of a release of Ceph.
func (w *World) cephPackages(debian, name, upstream string) []machine.Package {
	version := upstream + map[string]string{"bookworm": "-pve1", "trixie": "-pve1"}[debian]
	target := func(kind string) machine.Unit {
		return machine.Unit{Name: "ceph-" + kind + ".target", Enabled: true, Active: true}
	}
	template := func(kind string) map[string]string {
		return map[string]string{"/usr/lib/systemd/system/ceph-" + kind + "@.service": "[Unit]\nDescription=Ceph " + kind + " daemon\nPartOf=ceph-" + kind + ".target\n\n[Service]\nExecStart=/usr/bin/ceph-" + kind + " -f --cluster ${CLUSTER} --id %i\n\n[Install]\nWantedBy=ceph-" + kind + ".target\n",
			"/usr/bin/ceph-" + kind: "\x7fELF"}
	}
	base := []machine.Package{
		{Name: "ceph", Version: version, Depends: []string{"ceph-mon", "ceph-mgr", "ceph-osd"}},
		{Name: "ceph-base", Version: version, Depends: []string{"ceph-common"}, Programs: w.programs("/usr/bin/crushtool"), Files: map[string]string{"/usr/bin/monmaptool": "\x7fELF", "/var/lib/ceph/crash/posted/.keep": ""}, Units: []machine.Unit{{Name: "ceph-crash.service", Enabled: true, Active: true}}},
		{Name: "ceph-volume", Version: version, Depends: []string{"ceph-osd"}, Programs: w.programs("/usr/sbin/ceph-volume")},
		{Name: "gdisk", Version: "1.0.10-2"}, {Name: "nvme-cli", Version: "2.13-2"},
	}
	for _, kind := range []string{"mon", "mgr", "osd", "mds"} {
		base = append(base, machine.Package{Name: "ceph-" + kind, Version: version, Depends: []string{"ceph-base"}, Units: []machine.Unit{target(kind)}, Files: template(kind)})
	}
	return append(base, w.clientPackages(version)...)
}
