package machine

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// kernelSettings are the settings that the simulated kernel has, with its defaults.
var kernelSettings = map[string]string{
	"fs.aio-max-nr": "65536", "fs.file-max": "9223372036854775807", "fs.inotify.max_queued_events": "16384", "fs.inotify.max_user_instances": "128",
	"fs.inotify.max_user_watches": "65536", "fs.nr_open": "1048576", "fs.protected_hardlinks": "1", "fs.protected_symlinks": "1", "fs.suid_dumpable": "0",
	"kernel.dmesg_restrict": "1", "kernel.kptr_restrict": "0", "kernel.numa_balancing": "0", "kernel.panic": "0", "kernel.panic_on_oops": "0", "kernel.pid_max": "4194304", "kernel.sched_autogroup_enabled": "1",
	"kernel.hung_task_timeout_secs": "120", "kernel.keys.maxkeys": "200", "kernel.keys.maxbytes": "20000", "kernel.nmi_watchdog": "1", "kernel.printk": "4\t4\t1\t7", "kernel.randomize_va_space": "2", "kernel.sysrq": "438", "kernel.threads-max": "127000", "kernel.unprivileged_userns_clone": "1", "kernel.watchdog_thresh": "10", "kernel.sem": "32000\t1024000000\t500\t32000",
	"net.core.bpf_jit_enable": "1", "net.core.default_qdisc": "pfifo_fast", "net.core.netdev_budget": "300", "net.core.netdev_budget_usecs": "8000", "net.core.netdev_max_backlog": "1000",
	"net.core.optmem_max": "131072", "net.core.rmem_default": "212992", "net.core.rmem_max": "212992", "net.core.somaxconn": "4096", "net.core.wmem_default": "212992", "net.core.wmem_max": "212992", "net.core.busy_poll": "0", "net.core.busy_read": "0",
	"net.ipv4.conf.all.accept_redirects": "0", "net.ipv4.conf.all.arp_announce": "0", "net.ipv4.conf.all.arp_ignore": "0", "net.ipv4.conf.all.forwarding": "0", "net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.all.send_redirects": "1",
	"net.ipv4.conf.all.accept_source_route": "0", "net.ipv4.conf.default.accept_redirects": "1", "net.ipv4.conf.default.rp_filter": "0", "net.ipv4.conf.default.send_redirects": "1", "net.ipv4.conf.all.log_martians": "0", "net.ipv4.conf.default.accept_source_route": "1",
	"net.ipv4.ip_forward": "0", "net.ipv4.ip_local_port_range": "32768\t60999", "net.ipv4.ip_nonlocal_bind": "0", "net.ipv4.neigh.default.gc_thresh1": "128", "net.ipv4.neigh.default.gc_thresh2": "512", "net.ipv4.neigh.default.gc_thresh3": "1024",
	"net.ipv4.tcp_available_congestion_control": "reno cubic", "net.ipv4.tcp_congestion_control": "cubic", "net.ipv4.tcp_fastopen": "1", "net.ipv4.tcp_fin_timeout": "60", "net.ipv4.tcp_keepalive_intvl": "75", "net.ipv4.tcp_keepalive_probes": "9", "net.ipv4.tcp_keepalive_time": "7200",
	"net.ipv4.tcp_low_latency": "0", "net.ipv4.tcp_max_syn_backlog": "1024", "net.ipv4.tcp_max_tw_buckets": "65536", "net.ipv4.tcp_mem": "379185\t505583\t758370", "net.ipv4.tcp_moderate_rcvbuf": "1", "net.ipv4.tcp_mtu_probing": "0", "net.ipv4.tcp_no_metrics_save": "0", "net.ipv4.tcp_retries2": "15",
	"net.ipv4.tcp_rmem": "4096\t131072\t6291456", "net.ipv4.tcp_sack": "1", "net.ipv4.tcp_slow_start_after_idle": "1", "net.ipv4.tcp_syn_retries": "6", "net.ipv4.tcp_syncookies": "1", "net.ipv4.tcp_timestamps": "1", "net.ipv4.tcp_tw_reuse": "2", "net.ipv4.tcp_window_scaling": "1", "net.ipv4.tcp_wmem": "4096\t16384\t4194304",
	"net.ipv4.udp_mem": "758373\t1011167\t1516746", "net.ipv4.udp_rmem_min": "4096", "net.ipv4.udp_wmem_min": "4096", "net.ipv4.icmp_echo_ignore_broadcasts": "1", "net.ipv4.icmp_ignore_bogus_error_responses": "1",
	"net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.all.forwarding": "0", "net.ipv6.conf.all.accept_redirects": "1", "net.ipv6.conf.default.disable_ipv6": "0", "net.ipv6.conf.all.accept_ra": "1", "net.ipv6.conf.default.forwarding": "0", "net.ipv6.conf.default.accept_redirects": "1",
	"vm.dirty_background_bytes": "0", "vm.dirty_background_ratio": "10", "vm.dirty_bytes": "0", "vm.dirty_expire_centisecs": "3000", "vm.dirty_ratio": "20", "vm.dirty_writeback_centisecs": "500", "vm.max_map_count": "1048576", "vm.min_free_kbytes": "67584",
	"vm.nr_hugepages": "0", "vm.overcommit_memory": "0", "vm.overcommit_ratio": "50", "vm.panic_on_oom": "0", "vm.swappiness": "60", "vm.vfs_cache_pressure": "100", "vm.zone_reclaim_mode": "0", "vm.stat_interval": "1", "vm.watermark_scale_factor": "10", "vm.compaction_proactiveness": "20",
}

// settingsOfModule appear when a module is loaded.
var settingsOfModule = map[string]map[string]string{
	"nf_conntrack": {"net.netfilter.nf_conntrack_max": "262144", "net.netfilter.nf_conntrack_tcp_timeout_established": "432000", "net.netfilter.nf_conntrack_buckets": "262144", "net.netfilter.nf_conntrack_tcp_timeout_time_wait": "120"},
	"br_netfilter": {"net.bridge.bridge-nf-call-iptables": "1", "net.bridge.bridge-nf-call-ip6tables": "1", "net.bridge.bridge-nf-call-arptables": "1"},
	"tcp_bbr":      nil,
}

// settingPath is the file of a kernel setting. In a name, dots and slashes change places when the
// first of them is a slash (sysctl(8)).
func settingPath(name string) string {
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '/' {
		return "/proc/sys/" + name
	}
	swapped := strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, name)
	return "/proc/sys/" + swapped
}

func buildProc(t *tree) {
	for name, value := range kernelSettings {
		t.file(settingPath(name), 0o644, value+"\n")
	}
	for file, read := range map[string]func(m *Machine) string{
		"/proc/sys/kernel/random/boot_id": (*Machine).BootID,
		"/proc/sys/kernel/osrelease":      (*Machine).KernelRelease,
		"/proc/sys/kernel/hostname":       (*Machine).Name,
		"/proc/sys/kernel/ostype":         func(*Machine) string { return "Linux" },
		"/proc/sys/kernel/random/uuid":    func(*Machine) string { return newUUID() },
		"/proc/uptime": func(m *Machine) string {
			up := m.Uptime().Seconds()
			return fmt.Sprintf("%.2f %.2f", up, up*float64(m.cpus))
		},
		"/proc/loadavg": func(*Machine) string { return "0.08 0.03 0.01 1/142 1042" },
		"/proc/version": func(m *Machine) string {
			return "Linux version " + m.KernelRelease() + " (build@lab) #1 SMP PREEMPT_DYNAMIC"
		},
		"/proc/cmdline": func(m *Machine) string {
			return "BOOT_IMAGE=/boot/vmlinuz-" + m.KernelRelease() + " root=UUID=" + m.rootUUID() + " ro quiet"
		},
		"/proc/meminfo": func(m *Machine) string {
			kb := m.memory / 1024
			return fmt.Sprintf("MemTotal:       %8d kB\nMemFree:        %8d kB\nMemAvailable:   %8d kB\nSwapTotal:       1048572 kB\nSwapFree:        1048572 kB", kb, kb*8/10, kb*9/10)
		},
		"/proc/cpuinfo":     (*Machine).cpuinfo,
		"/proc/filesystems": func(*Machine) string { return "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\n\text4\n\tvfat\nnodev\tfuse" },
	} {
		t.computed(file, 0o444, func(m *Machine) []byte { return []byte(read(m) + "\n") })
	}
	t.computed("/proc/modules", 0o444, func(m *Machine) []byte {
		var b strings.Builder
		for _, name := range m.Modules() {
			fmt.Fprintf(&b, "%s 16384 0 - Live 0x0000000000000000\n", name)
		}
		return []byte(b.String())
	})
	mounts := func(m *Machine) []byte { return []byte(m.mountTable()) }
	t.computed("/proc/mounts", 0o444, mounts)
	t.computed("/proc/self/mounts", 0o444, mounts)
	t.computed("/proc/self/cgroup", 0o444, func(*Machine) []byte { return []byte("0::/user.slice\n") })
	t.file("/sys/module/kvm_intel/parameters/nested", 0o444, "Y\n")
	t.file("/sys/kernel/mm/transparent_hugepage/enabled", 0o644, "always [madvise] never\n")
	t.file("/sys/hypervisor/type", 0o444, "")
	t.file("/sys/class/dmi/id/sys_vendor", 0o444, "QEMU\n")
	t.file("/sys/class/dmi/id/product_name", 0o444, "Standard PC (Q35 + ICH9, 2009)\n")
	t.mkdirAll("/sys/block", 0o755)
	t.mkdirAll("/sys/fs/cgroup", 0o755)
}

// kernelOwned reports whether a path is one where only the kernel makes and removes files.
func (m *Machine) kernelOwned(p string) bool {
	return strings.HasPrefix(p, "/proc/") || strings.HasPrefix(p, "/sys/")
}

func (m *Machine) cpuinfo() string {
	var b strings.Builder
	for i := range m.cpus {
		fmt.Fprintf(&b, "processor\t: %d\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 106\nmodel name\t: Intel(R) Xeon(R) Silver 4310 CPU @ 2.10GHz\ncpu MHz\t\t: 2100.000\nphysical id\t: 0\nsiblings\t: %d\ncore id\t\t: %d\ncpu cores\t: %d\nflags\t\t: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat clflush mmx fxsr sse sse2 ss syscall nx pdpe1gb rdtscp lm vmx ssse3 sse4_1 sse4_2 x2apic popcnt aes avx hypervisor avx2\n\n", i, m.cpus, i, m.cpus)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (m *Machine) rootUUID() string {
	for _, d := range m.Disks() {
		for _, p := range d.Partitions {
			if p.Mountpoint == "/" {
				return p.UUID
			}
		}
	}
	return ""
}

func (m *Machine) mountTable() string {
	var b strings.Builder
	b.WriteString("sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\nudev /dev devtmpfs rw,nosuid,relatime 0 0\n/dev/sda2 / ext4 rw,relatime,errors=remount-ro 0 0\ntmpfs /run tmpfs rw,nosuid,nodev,noexec,relatime 0 0\ntmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\n")
	m.mounts.mu.RLock()
	defer m.mounts.mu.RUnlock()
	for _, mounted := range m.mounts.list {
		fmt.Fprintf(&b, "/dev/fuse %s fuse rw,nosuid,nodev,relatime,user_id=0,group_id=0,default_permissions,allow_other 0 0\n", mounted.path)
	}
	return b.String()
}

// knownModules are the modules that the simulated kernels have, with those that they need.
var knownModules = map[string][]string{
	"8021q": nil, "bonding": nil, "bridge": {"stp", "llc"}, "stp": {"llc"}, "llc": nil, "br_netfilter": {"bridge"}, "nf_conntrack": nil, "overlay": nil, "fuse": nil,
	"vfio": nil, "vfio_pci": {"vfio_pci_core"}, "vfio_pci_core": {"vfio", "vfio_virqfd"}, "vfio_iommu_type1": {"vfio"}, "vfio_virqfd": nil, "kvm": nil, "kvm_intel": {"kvm"}, "kvm_amd": {"kvm"},
	"tcp_bbr": nil, "sch_fq": nil, "rbd": {"libceph"}, "ceph": {"libceph"}, "libceph": nil, "nbd": nil, "softdog": nil, "iTCO_wdt": nil, "ipmi_watchdog": nil, "ipmi_devintf": nil, "ipmi_si": nil,
	"dm_mod": nil, "dm_crypt": {"dm_mod"}, "dm_multipath": {"dm_mod"}, "dm_thin_pool": {"dm_mod"}, "nvme": {"nvme_core"}, "nvme_core": nil, "zfs": nil, "nouveau": nil, "nvidia": nil, "radeon": nil, "amdgpu": nil, "i915": nil,
	"snd_hda_intel": nil, "wireguard": nil, "vhost_net": {"vhost"}, "vhost": nil, "tun": nil, "tap": nil, "ip_tables": nil, "iptable_filter": {"ip_tables"}, "ip6_tables": nil, "nf_tables": nil, "nfnetlink": nil, "cpufreq_performance": nil, "msr": nil, "intel_rapl_msr": nil, "coretemp": nil, "ext4": nil, "loop": nil, "dummy": nil, "veth": nil, "xfs": nil, "iscsi_tcp": nil, "usb_storage": nil, "pcspkr": nil, "floppy": nil,
}

func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// Modules are the loaded kernel modules, by name.
func (m *Machine) Modules() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.modules))
}

// LoadModule loads a kernel module and those that it needs.
func (m *Machine) LoadModule(name string) error {
	name = moduleName(name)
	needs, ok := knownModules[name]
	if !ok {
		return fmt.Errorf("Module %s not found in directory /lib/modules/%s", name, m.KernelRelease())
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

// UnloadModule removes a module that no other loaded one needs.
func (m *Machine) UnloadModule(name string) error {
	name = moduleName(name)
	m.mu.Lock()
	if !m.modules[name] {
		m.mu.Unlock()
		return fmt.Errorf("Module %s is not currently loaded", name)
	}
	for other := range m.modules {
		if slices.Contains(knownModules[other], name) {
			m.mu.Unlock()
			return fmt.Errorf("Module %s is in use by: %s", name, other)
		}
	}
	delete(m.modules, name)
	m.mu.Unlock()
	t := m.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.drop("/sys/module/" + name) // a module without files there is as good
	return nil
}

// configFiles are the files of drop-in directories in the order in which they are read: by name,
// an earlier directory's file hiding those of the same name in later ones (sysctl.d(5)).
func (m *Machine) configFiles(dirs ...string) []string {
	byName := map[string]string{}
	for i := len(dirs) - 1; i >= 0; i-- {
		entries, err := afero.ReadDir(m.FS(), dirs[i])
		if err != nil {
			continue
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".conf") {
				byName[e.Name()] = dirs[i] + "/" + e.Name()
			}
		}
	}
	var files []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		files = append(files, byName[name])
	}
	return files
}

// moduleOptions are those that modprobe.d gives a module. The caller may hold the tree's lock, so
// the files are read before: see LoadModule's callers.
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

// blacklisted reports whether modprobe.d blacklists a module or installs /bin/false for it.
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
			_ = m.LoadModule(strings.Fields(name)[0]) // an unknown module is a line in the journal
		}
	}
}

// sysctlFiles are what sysctl --system reads, in its order.
func (m *Machine) sysctlFiles() []string {
	files := m.configFiles("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
	if m.debian == "bookworm" { // procps 4.0.4 no longer reads it, systemd-sysctl never did
		files = append(files, "/etc/sysctl.conf")
	}
	return files
}

// setting is one assignment of a sysctl file.
type setting struct {
	name, value string
	ignore      bool // a leading "-": errors do not count
}

func parseSettings(lines []string) []setting {
	var all []setting
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		key = strings.TrimSpace(key)
		name, ignore := strings.CutPrefix(key, "-")
		all = append(all, setting{name, strings.TrimSpace(value), ignore})
	}
	return all
}

// applySysctlFiles is what systemd-sysctl does at boot: the kernel's defaults, then the files.
func (m *Machine) applySysctlFiles() {
	t := m.tree
	t.mu.Lock()
	for name, value := range kernelSettings {
		if n := t.own(settingPath(name)); n != nil {
			n.data, n.borrowed = []byte(value+"\n"), false
		}
	}
	t.mu.Unlock()
	root := view{m: m}
	for _, file := range m.sysctlFiles() {
		for _, s := range parseSettings(m.lines(file)) {
			_ = root.writeSetting(s) // an unknown setting is a line in the journal
		}
	}
}

func (v view) readSetting(name string) (string, error) {
	content, err := afero.ReadFile(v, settingPath(name))
	return strings.TrimSuffix(string(content), "\n"), err
}

func (v view) writeSetting(s setting) error {
	file := settingPath(s.name)
	if _, err := v.Stat(file); err != nil {
		return err
	}
	return afero.WriteFile(v, file, []byte(strings.Join(strings.Fields(s.value), "\t")+"\n"), 0o644)
}

// Sysctl is the value of a kernel setting as the kernel prints it.
func (m *Machine) Sysctl(name string) (string, error) { return view{m: m}.readSetting(name) }

func sysctl(_ context.Context, c *Call) int {
	o, ok := c.options("nwp:aeqf:", "system", "write", "values", "load:", "ignore", "quiet", "all")
	if !ok {
		return 2
	}
	v := c.view()
	quiet := o.has("q", "quiet")
	code := 0
	show := func(name, value string) {
		switch {
		case quiet:
		case o.has("n", "values"):
			c.printf("%s\n", value)
		default:
			c.printf("%s = %s\n", name, value)
		}
	}
	fault := func(name string, err error) {
		if o.has("e", "ignore") {
			return
		}
		code = 1
		switch errText(err) {
		case "No such file or directory":
			if c.Machine.Debian() == "bookworm" {
				c.Errorf("cannot stat %s: No such file or directory", settingPath(name))
			} else {
				code = 255
				c.Errorf("cannot stat %s: No such file or directory", settingPath(name))
			}
		case "Permission denied":
			c.Errorf("permission denied on key %q", name)
		default:
			c.Errorf("setting key %q: %s", name, errText(err))
		}
	}
	set := func(s setting) {
		err := v.writeSetting(s)
		switch {
		case err == nil:
			show(s.name, s.value)
		case !s.ignore:
			fault(s.name, err)
		}
	}
	load := func(file string) {
		if _, err := v.Stat(file); err != nil {
			code = c.Errorf("cannot open %q: %s", file, errText(err))
			return
		}
		for _, s := range parseSettings(c.Machine.lines(file)) {
			set(s)
		}
	}
	switch {
	case o.has("system"):
		for _, file := range c.Machine.sysctlFiles() {
			if !quiet {
				c.printf("* Applying %s ...\n", file)
			}
			load(file)
		}
		return code
	case o.has("p", "load", "f"):
		files := append(o.values("p", "load", "f"), o.rest...)
		if len(files) == 0 || files[0] == "" {
			files = []string{"/etc/sysctl.conf"}
		}
		for _, file := range files {
			load(c.Path(file))
		}
		return code
	case o.has("a", "all"):
		var names []string
		for name := range kernelSettings {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			if value, err := v.readSetting(name); err == nil {
				show(name, value)
			}
		}
		return 0
	}
	for _, arg := range o.rest {
		name, value, assign := strings.Cut(arg, "=")
		if assign {
			set(setting{name: strings.TrimSpace(name), value: strings.TrimSpace(value)})
			continue
		}
		current, err := v.readSetting(name)
		if err != nil {
			fault(name, err)
			continue
		}
		show(name, current)
	}
	return code
}

func modprobe(_ context.Context, c *Call) int {
	o, ok := c.options("rnqvabD", "remove", "dry-run", "quiet", "verbose", "all", "use-blacklist", "first-time", "show-depends", "resolve-alias")
	if !ok {
		return 2
	}
	names := o.rest
	if !o.has("a", "all", "r", "remove") && len(names) > 1 {
		names = names[:1] // the rest are the module's options
	}
	code := 0
	for _, name := range names {
		dry := o.has("n", "dry-run", "D", "show-depends")
		if o.has("r", "remove") {
			if !dry && c.User != "root" {
				return c.Errorf("ERROR: could not remove '%s': Operation not permitted", name)
			}
			if err := c.Machine.UnloadModule(name); err != nil && !dry {
				if strings.Contains(err.Error(), "in use") {
					code = c.Errorf("FATAL: %v", err)
				}
				continue
			}
			c.Machine.Record("modprobe", "unload "+moduleName(name))
			continue
		}
		if _, known := knownModules[moduleName(name)]; !known {
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

func lsmod(_ context.Context, c *Call) int {
	c.printf("Module                  Size  Used by\n")
	for _, name := range c.Machine.Modules() {
		var users []string
		for _, other := range c.Machine.Modules() {
			if slices.Contains(knownModules[other], name) {
				users = append(users, other)
			}
		}
		c.printf("%s", strings.TrimRight(fmt.Sprintf("%-20s %8d  %d %s", name, 16384, len(users), strings.Join(users, ",")), " ")+"\n")
	}
	return 0
}

func uname(_ context.Context, c *Call) int {
	o, ok := c.options("asnrvmpio", "all", "kernel-name", "nodename", "kernel-release", "kernel-version", "machine", "operating-system")
	if !ok {
		return 2
	}
	version := "#1 SMP PREEMPT_DYNAMIC"
	all := o.has("a", "all")
	var parts []string
	for _, part := range []struct {
		short, long, value string
		inAll              bool
	}{
		{"s", "kernel-name", "Linux", true}, {"n", "nodename", c.Machine.Name(), true}, {"r", "kernel-release", c.Machine.KernelRelease(), true},
		{"v", "kernel-version", version, true}, {"m", "machine", "x86_64", true}, {"p", "processor", "unknown", false}, {"i", "hardware-platform", "unknown", false},
		{"o", "operating-system", "GNU/Linux", true},
	} {
		if o.has(part.short, part.long) || all && part.inAll || len(o.given) == 0 && part.short == "s" {
			parts = append(parts, part.value)
		}
	}
	c.printf("%s\n", strings.Join(parts, " "))
	return 0
}

func memoryProgram(_ context.Context, c *Call) int {
	o, ok := c.options("bkmgh", "bytes", "human", "mebi", "gibi")
	if !ok {
		return 2
	}
	unit := int64(1024)
	switch {
	case o.has("b", "bytes"):
		unit = 1
	case o.has("m", "mebi"):
		unit = 1 << 20
	case o.has("g", "gibi"):
		unit = 1 << 30
	}
	total := c.Machine.memory / unit
	c.printf("               total        used        free      shared  buff/cache   available\nMem:    %12s%12s%12s%12s%12s%12s\nSwap:   %12s%12s%12s\n",
		strconv.FormatInt(total, 10), strconv.FormatInt(total/10, 10), strconv.FormatInt(total*8/10, 10), "0", strconv.FormatInt(total/10, 10), strconv.FormatInt(total*9/10, 10),
		strconv.FormatInt(1<<30/unit, 10), "0", strconv.FormatInt(1<<30/unit, 10))
	return 0
}
