package machine

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// kernelSettings are the settings of the simulated kernel with their defaults.
var kernelSettings = map[string]string{
	"fs.aio-max-nr": "65536", "fs.file-max": "9223372036854775807", "fs.inotify.max_queued_events": "16384", "fs.inotify.max_user_instances": "128",
	"fs.inotify.max_user_watches": "65536", "fs.nr_open": "1048576", "fs.protected_hardlinks": "1", "fs.protected_symlinks": "1", "fs.suid_dumpable": "0",
	"kernel.dmesg_restrict": "1", "kernel.kptr_restrict": "0", "kernel.numa_balancing": "0", "kernel.panic": "0", "kernel.panic_on_oops": "0", "kernel.pid_max": "4194304", "kernel.sched_autogroup_enabled": "1",
	"kernel.hung_task_timeout_secs": "120", "kernel.keys.maxkeys": "200", "kernel.keys.maxbytes": "20000", "kernel.nmi_watchdog": "1", "kernel.printk": "4\t4\t1\t7", "kernel.randomize_va_space": "2", "kernel.sysrq": "438", "kernel.threads-max": "127000", "kernel.unprivileged_userns_clone": "1", "kernel.watchdog_thresh": "10", "kernel.sem": "32000\t1024000000\t500\t32000",
	"net.core.bpf_jit_enable": "1", "net.core.default_qdisc": "pfifo_fast", "net.core.netdev_budget": "300", "net.core.netdev_budget_usecs": "8000", "net.core.netdev_max_backlog": "1000",
	"net.core.optmem_max": "131072", "net.core.rmem_default": "212992", "net.core.rmem_max": "212992", "net.core.somaxconn": "4096", "net.core.wmem_default": "212992", "net.core.wmem_max": "212992", "net.core.busy_poll": "0", "net.core.busy_read": "0",
	"net.ipv4.conf.all.accept_redirects": "0", "net.ipv4.conf.all.arp_announce": "0", "net.ipv4.conf.all.arp_ignore": "0", "net.ipv4.conf.all.forwarding": "0", "net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.all.send_redirects": "1",
	"net.ipv4.conf.all.accept_source_route": "0", "net.ipv4.conf.default.accept_redirects": "1", "net.ipv4.conf.default.rp_filter": "0", "net.ipv4.conf.default.send_redirects": "1", "net.ipv4.conf.all.log_martians": "0", "net.ipv4.conf.default.accept_source_route": "1",
	"net.ipv4.ip_forward": "0", "net.ipv4.ip_local_port_range": "32768\t60999", "net.ipv4.ip_local_reserved_ports": "", "net.ipv4.ip_nonlocal_bind": "0", "net.ipv4.neigh.default.gc_thresh1": "128", "net.ipv4.neigh.default.gc_thresh2": "512", "net.ipv4.neigh.default.gc_thresh3": "1024",
	"net.ipv4.tcp_available_congestion_control": "reno cubic", "net.ipv4.tcp_congestion_control": "cubic", "net.ipv4.tcp_fastopen": "1", "net.ipv4.tcp_fin_timeout": "60", "net.ipv4.tcp_keepalive_intvl": "75", "net.ipv4.tcp_keepalive_probes": "9", "net.ipv4.tcp_keepalive_time": "7200",
	"net.ipv4.tcp_low_latency": "0", "net.ipv4.tcp_max_syn_backlog": "1024", "net.ipv4.tcp_max_tw_buckets": "65536", "net.ipv4.tcp_mem": "379185\t505583\t758370", "net.ipv4.tcp_moderate_rcvbuf": "1", "net.ipv4.tcp_mtu_probing": "0", "net.ipv4.tcp_no_metrics_save": "0", "net.ipv4.tcp_retries2": "15",
	"net.ipv4.tcp_rmem": "4096\t131072\t6291456", "net.ipv4.tcp_sack": "1", "net.ipv4.tcp_slow_start_after_idle": "1", "net.ipv4.tcp_syn_retries": "6", "net.ipv4.tcp_syncookies": "1", "net.ipv4.tcp_timestamps": "1", "net.ipv4.tcp_tw_reuse": "2", "net.ipv4.tcp_window_scaling": "1", "net.ipv4.tcp_wmem": "4096\t16384\t4194304",
	"net.ipv4.udp_mem": "758373\t1011167\t1516746", "net.ipv4.udp_rmem_min": "4096", "net.ipv4.udp_wmem_min": "4096", "net.ipv4.icmp_echo_ignore_broadcasts": "1", "net.ipv4.icmp_ignore_bogus_error_responses": "1",
	"net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.all.forwarding": "0", "net.ipv6.conf.all.accept_redirects": "1", "net.ipv6.conf.default.disable_ipv6": "0", "net.ipv6.conf.all.accept_ra": "1", "net.ipv6.conf.default.forwarding": "0", "net.ipv6.conf.default.accept_redirects": "1",
	"vm.dirty_background_bytes": "0", "vm.dirty_background_ratio": "10", "vm.dirty_bytes": "0", "vm.dirty_expire_centisecs": "3000", "vm.dirty_ratio": "20", "vm.dirty_writeback_centisecs": "500", "vm.max_map_count": "1048576", "vm.min_free_kbytes": "67584",
	"fs.pipe-max-size": "1048576", "fs.protected_fifos": "1", "fs.protected_regular": "2", "kernel.core_pattern": "core", "kernel.core_uses_pid": "0", "kernel.hung_task_panic": "0", "kernel.msgmax": "8192", "kernel.msgmnb": "16384", "kernel.perf_event_paranoid": "3",
	"kernel.shmall": "18446744073692774399", "kernel.shmmax": "18446744073692774399", "kernel.shmmni": "4096", "kernel.softlockup_panic": "0", "kernel.unprivileged_bpf_disabled": "2", "kernel.yama.ptrace_scope": "0",
	"net.core.bpf_jit_harden": "0", "net.core.dev_weight": "64", "net.core.rps_sock_flow_entries": "0", "net.ipv4.conf.all.arp_filter": "0", "net.ipv4.conf.all.proxy_arp": "0", "net.ipv4.conf.all.secure_redirects": "1", "net.ipv4.conf.default.arp_announce": "0",
	"net.ipv4.conf.default.arp_ignore": "0", "net.ipv4.conf.default.log_martians": "0", "net.ipv4.conf.default.secure_redirects": "1", "net.ipv4.icmp_echo_ignore_all": "0", "net.ipv4.ipfrag_high_thresh": "4194304", "net.ipv4.tcp_adv_win_scale": "1",
	"net.ipv4.tcp_base_mss": "1024", "net.ipv4.tcp_dsack": "1", "net.ipv4.tcp_ecn": "2", "net.ipv4.tcp_limit_output_bytes": "4194304", "net.ipv4.tcp_max_orphans": "131072", "net.ipv4.tcp_notsent_lowat": "4294967295", "net.ipv4.tcp_orphan_retries": "0",
	"net.ipv4.tcp_retries1": "3", "net.ipv4.tcp_rfc1337": "0", "net.ipv4.tcp_synack_retries": "5", "net.ipv6.conf.all.accept_source_route": "0", "net.ipv6.conf.all.autoconf": "1", "net.ipv6.conf.all.use_tempaddr": "0", "net.ipv6.conf.default.accept_ra": "1",
	"net.ipv6.conf.default.use_tempaddr": "0", "net.ipv6.neigh.default.gc_thresh3": "1024", "vm.admin_reserve_kbytes": "8192", "vm.laptop_mode": "0", "vm.mmap_min_addr": "65536", "vm.page-cluster": "3", "vm.watermark_boost_factor": "15000",
	"vm.nr_hugepages": "0", "vm.overcommit_memory": "0", "vm.overcommit_ratio": "50", "vm.panic_on_oom": "0", "vm.swappiness": "60", "vm.vfs_cache_pressure": "100", "vm.zone_reclaim_mode": "0", "vm.stat_interval": "1", "vm.watermark_scale_factor": "10", "vm.compaction_proactiveness": "20",
}

// settingsOfModule maps modules to the settings that appear when they are loaded.
var settingsOfModule = map[string]map[string]string{
	"nf_conntrack": {"net.netfilter.nf_conntrack_max": "262144", "net.netfilter.nf_conntrack_tcp_timeout_established": "432000", "net.netfilter.nf_conntrack_buckets": "262144", "net.netfilter.nf_conntrack_tcp_timeout_time_wait": "120"},
	"br_netfilter": {"net.bridge.bridge-nf-call-iptables": "1", "net.bridge.bridge-nf-call-ip6tables": "1", "net.bridge.bridge-nf-call-arptables": "1"},
	"tcp_bbr":      nil,
}

// settingPath returns the file of a kernel setting. If the first separator in a name is a slash, dots and slashes are
// swapped (sysctl(8)).
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

// sysctlFiles returns the files that sysctl --system reads, in order.
func (m *Machine) sysctlFiles() []string {
	files := m.configFiles("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
	if m.Debian() == "bookworm" { // read by procps up to 4.0.3, and never by systemd-sysctl
		files = append(files, "/etc/sysctl.conf")
	}
	return files
}

// setting is an assignment in a sysctl file.
type setting struct {
	name, value string
	ignore      bool // with a leading "-", errors are ignored
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

// applySysctlFiles does what happens at boot: it resets the kernel's defaults, then systemd-sysctl applies the files.
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
			_ = writeSetting(root, s) // an unknown setting is only logged
		}
	}
}

func readSetting(v view, name string) (string, error) {
	content, err := afero.ReadFile(v, settingPath(name))
	return strings.TrimSuffix(string(content), "\n"), err
}

func writeSetting(v view, s setting) error {
	file := settingPath(s.name)
	info, err := v.Stat(file)
	if err != nil {
		return err
	}
	before := ""
	if info.Mode().Perm()&0o400 != 0 {
		if before, err = readSetting(v, s.name); err != nil {
			return err
		}
	}
	if err := afero.WriteFile(v, file, []byte(kernelForm(before, s.value)+"\n"), 0o644); err != nil {
		return err
	}
	if file == settingPath("net.ipv4.ip_forward") && kernelForm("", before) != kernelForm("", s.value) {
		return setForwarding(v, kernelForm("", s.value))
	}
	return nil
}

// setForwarding changes the per-interface settings that the kernel derives from ip_forward: those that RFC 1812
// requires of routers and RFC 1122 of hosts.
func setForwarding(v view, value string) error {
	redirects := "0"
	if value == "0" {
		redirects = "1"
	}
	for name, value := range map[string]string{"net.ipv4.conf.all.forwarding": value, "net.ipv4.conf.all.accept_redirects": redirects} {
		if err := afero.WriteFile(v, settingPath(name), []byte(value+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// kernelForm returns what the kernel shows after a value has been written over another one: numbers in decimal,
// separated by tabs, with missing ones unchanged; port lists sorted and merged; other text as it is.
func kernelForm(before, value string) string {
	fields := strings.Fields(value)
	for i, f := range fields {
		n, err := strconv.ParseInt(f, 0, 64)
		if err != nil {
			return portList(strings.TrimSpace(value))
		}
		fields[i] = strconv.FormatInt(n, 10)
	}
	if had := strings.Fields(before); len(fields) < len(had) {
		fields = append(fields, had[len(fields):]...)
	}
	return strings.Join(fields, "\t")
}

// portList returns a list of ports and ranges as the kernel shows it, and anything else unchanged.
func portList(value string) string {
	ports := map[int]bool{}
	for part := range strings.SplitSeq(value, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err != nil || err2 != nil || first > last || last > 65535 {
			return value
		}
		for p := first; p <= last; p++ {
			ports[p] = true
		}
	}
	var parts []string
	for _, first := range slices.Sorted(maps.Keys(ports)) {
		last := first
		for ports[last+1] {
			last++
		}
		switch {
		case ports[first-1]:
		case last == first:
			parts = append(parts, strconv.Itoa(first))
		default:
			parts = append(parts, strconv.Itoa(first)+"-"+strconv.Itoa(last))
		}
	}
	return strings.Join(parts, ",")
}

// Sysctl returns the value of a kernel setting as the kernel prints it.
func (m *Machine) Sysctl(name string) (string, error) { return readSetting(view{m: m}, name) }

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
		err := writeSetting(v, s)
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
		slices.Sort(names)
		for _, name := range names {
			if value, err := readSetting(v, name); err == nil {
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
		current, err := readSetting(v, name)
		if err != nil {
			fault(name, err)
			continue
		}
		show(name, current)
	}
	return code
}

// configFiles returns the files of drop-in directories in the order in which they are read: by name, where a file in
// an earlier directory hides files of the same name in later ones (sysctl.d(5)).
func (m *Machine) configFiles(dirs ...string) []string { return m.dropIns(".conf", dirs...) }

// dropIns returns the files with a suffix in drop-in directories, sorted by name. A file in an earlier directory hides
// files of the same name in later ones.
func (m *Machine) dropIns(suffix string, dirs ...string) []string {
	byName := map[string]string{}
	for i := len(dirs) - 1; i >= 0; i-- {
		entries, err := afero.ReadDir(m.FS(), dirs[i])
		if err != nil {
			continue
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), suffix) {
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
