package machine

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// knownModules maps the modules of the simulated kernels to their dependencies.
var knownModules = map[string][]string{
	"8021q": nil, "bonding": nil, "bridge": {"stp", "llc"}, "stp": {"llc"}, "llc": nil, "br_netfilter": {"bridge"}, "nf_conntrack": nil, "overlay": nil, "fuse": nil,
	"vfio": nil, "vfio_pci": {"vfio_pci_core"}, "vfio_pci_core": {"vfio", "vfio_virqfd"}, "vfio_iommu_type1": {"vfio"}, "vfio_virqfd": nil, "kvm": nil, "kvm_intel": {"kvm"}, "kvm_amd": {"kvm"},
	"tcp_bbr": nil, "sch_fq": nil, "rbd": {"libceph"}, "ceph": {"libceph"}, "libceph": nil, "nbd": nil, "softdog": nil, "iTCO_wdt": nil, "ipmi_watchdog": nil, "ipmi_devintf": nil, "ipmi_si": nil,
	"dm_mod": nil, "dm_crypt": {"dm_mod"}, "dm_multipath": {"dm_mod"}, "dm_thin_pool": {"dm_mod"}, "nvme": {"nvme_core"}, "nvme_core": nil, "zfs": nil, "nouveau": nil, "nvidia": nil, "radeon": nil, "amdgpu": nil, "i915": nil,
	"snd_hda_intel": nil, "wireguard": nil, "vhost_net": {"vhost"}, "vhost": nil, "tun": nil, "tap": nil, "ip_tables": nil, "iptable_filter": {"ip_tables"}, "ip6_tables": nil, "nf_tables": nil, "nfnetlink": nil, "cpufreq_performance": nil, "msr": nil, "intel_rapl_msr": nil, "coretemp": nil, "ext4": nil, "loop": nil, "dummy": nil, "veth": nil, "xfs": nil, "iscsi_tcp": nil, "usb_storage": nil, "pcspkr": nil, "floppy": nil,
}

// modulesOf returns the modules of a kernel release and their dependencies. vfio_virqfd became part of vfio in 6.2.
func modulesOf(release string) map[string][]string {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n < 2 || major < 6 || major == 6 && minor < 2 {
		return knownModules
	}
	known := maps.Clone(knownModules)
	delete(known, "vfio_virqfd")
	known["vfio_pci_core"] = []string{"vfio"}
	return known
}

func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// Modules returns the names of the loaded kernel modules, sorted.
func (m *Machine) Modules() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.modules))
}

// LoadModule loads a kernel module and its dependencies.
func (m *Machine) LoadModule(name string) error {
	name = moduleName(name)
	needs, ok := modulesOf(m.KernelRelease())[name]
	if !ok {
		return saying("Module %s not found in directory /lib/modules/%s", name, m.KernelRelease())
	}
	for _, n := range needs {
		if err := m.LoadModule(n); err != nil {
			return err
		}
	}
	m.mu.Lock()
	was := m.modules[name]
	m.modules[name] = true
	m.mu.Unlock()
	if was {
		return nil
	}
	t := m.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	t.file("/sys/module/"+name+"/initstate", 0o444, "live\n")
	t.file("/sys/module/"+name+"/refcnt", 0o444, "0\n")
	for option, value := range m.moduleOptions(name) {
		t.file("/sys/module/"+name+"/parameters/"+option, 0o644, value+"\n")
	}
	for setting, value := range settingsOfModule[name] {
		t.file(settingPath(setting), 0o644, value+"\n")
	}
	if name == "tcp_bbr" {
		t.file(settingPath("net.ipv4.tcp_available_congestion_control"), 0o444, "reno cubic bbr\n")
	}
	return nil
}

// moduleOptions returns the options that /etc/modprobe.d sets for a module. The caller holds the lock of the tree.
func (m *Machine) moduleOptions(name string) map[string]string {
	options := map[string]string{}
	dir := m.tree.lookup("/etc/modprobe.d")
	if dir == nil {
		return options
	}
	for _, file := range slices.Sorted(maps.Keys(dir.children)) {
		if path.Ext(file) != ".conf" {
			continue
		}
		for line := range strings.Lines(string(dir.children[file].data)) {
			f := strings.Fields(line)
			if len(f) < 3 || f[0] != "options" || moduleName(f[1]) != name {
				continue
			}
			for _, option := range f[2:] {
				key, value, _ := strings.Cut(option, "=")
				options[key] = value
			}
		}
	}
	return options
}

// blacklisted reports whether modprobe.d blacklists a module, and whether it installs /bin/false for it.
func (m *Machine) blacklisted(name string) (blacklist, install bool) {
	for _, file := range m.configFiles("/etc/modprobe.d", "/usr/lib/modprobe.d") {
		for _, line := range m.lines(file) {
			f := strings.Fields(line)
			if len(f) < 2 || moduleName(f[1]) != moduleName(name) {
				continue
			}
			blacklist = blacklist || f[0] == "blacklist"
			install = install || f[0] == "install" && len(f) > 2 && path.Base(f[2]) == "false"
		}
	}
	return blacklist, install
}

func (m *Machine) loadModulesAtBoot() {
	files := append(m.configFiles("/etc/modules-load.d", "/run/modules-load.d", "/usr/lib/modules-load.d"), "/etc/modules")
	for _, file := range files {
		for _, line := range m.lines(file) {
			name := strings.TrimSpace(line)
			if name == "" || strings.HasPrefix(name, "#") || strings.HasPrefix(name, ";") {
				continue
			}
			if black, refused := m.blacklisted(name); black || refused {
				continue
			}
			_ = m.LoadModule(strings.Fields(name)[0]) // an unknown module is only logged
		}
	}
}

func modprobe(_ context.Context, c *Call) int {
	o, ok := c.options("rnqvabDR", "remove", "dry-run", "quiet", "verbose", "all", "use-blacklist", "first-time", "show-depends", "resolve-alias")
	if !ok {
		return 2
	}
	names := o.rest
	if o.has("r", "remove") {
		return notSimulated(c, "--remove")
	}
	if !o.has("a", "all") && len(names) > 1 {
		names = names[:1] // the other words are the module's options
	}
	code := 0
	for _, name := range names {
		if o.has("R", "resolve-alias") {
			found := c.Machine.aliased(name)
			for _, module := range found {
				c.printf("%s\n", module)
			}
			if len(found) == 0 {
				if !o.has("q", "quiet") {
					c.Errorf("FATAL: Module %s not found in directory /lib/modules/%s", name, c.Machine.KernelRelease())
				}
				code = 1
			}
			continue
		}
		dry := o.has("n", "dry-run", "D", "show-depends")
		if _, known := modulesOf(c.Machine.KernelRelease())[moduleName(name)]; !known {
			if !o.has("q", "quiet") {
				c.Errorf("FATAL: Module %s not found in directory /lib/modules/%s", name, c.Machine.KernelRelease())
			}
			code = 1
			continue
		}
		if o.has("D", "show-depends") {
			c.printf("insmod /lib/modules/%s/kernel/%s.ko \n", c.Machine.KernelRelease(), moduleName(name))
		}
		if dry {
			continue
		}
		if c.User != "root" {
			return c.Errorf("ERROR: could not insert '%s': Operation not permitted", name)
		}
		black, refused := c.Machine.blacklisted(name)
		if black && o.has("b", "use-blacklist") {
			continue
		}
		if refused {
			c.Errorf("ERROR: ../libkmod/libkmod-module.c:1047 command_do() Error running install command '/bin/false' for module %s: retcode 1", moduleName(name))
			code = 1
			continue
		}
		if slices.Contains(c.Machine.Modules(), moduleName(name)) {
			if o.has("first-time") {
				code = c.Errorf("ERROR: could not insert '%s': Module already in kernel", name)
			}
			continue
		}
		if err := c.Machine.LoadModule(name); err != nil {
			code = c.Errorf("FATAL: %v", err)
			continue
		}
		c.Machine.Record("modprobe", "load "+moduleName(name))
	}
	return code
}

// aliased returns the modules that a name refers to: the alias of a PCI device, or the module's own name.
func (m *Machine) aliased(name string) []string {
	for _, d := range m.pci {
		if d.modalias() == name {
			var all []string
			for _, driver := range d.Drivers {
				all = append(all, moduleName(driver))
			}
			return all
		}
	}
	if _, known := modulesOf(m.KernelRelease())[moduleName(name)]; known {
		return []string{moduleName(name)}
	}
	return nil
}
