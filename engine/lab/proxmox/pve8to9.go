package proxmox

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/afero"

	"hlplay/engine/lab/machine"
	"hlplay/engine/pattern"
)

// checklist prints the findings of pve8to9 like PVE::CLI::pve8to9 in pve-manager 8.4.21. Like the real one, it uses
// colours even if the output is not a terminal.
type checklist struct {
	c      *Command
	counts map[string]int
	begun  bool
}

const (
	resetColour  = "\x1b[0m"
	boldRed      = "\x1b[1;31m"
	yellow       = "\x1b[33m"
	green        = "\x1b[32m"
	rootFreeWarn = 5 * 1000 * 1000 * 1000
)

var levelColour = map[string]string{"PASS": green, "NOTICE": "\x1b[1m", "WARN": yellow, "FAIL": boldRed}

func (l *checklist) log(level, format string, args ...any) {
	l.counts[level]++
	l.c.printf("%s%s: %s\n%s", levelColour[level], level, fmt.Sprintf(format, args...), resetColour)
}

// header begins a section.
func (l *checklist) header(title string) {
	if l.begun {
		l.c.printf("\n")
	}
	l.begun = true
	l.c.printf("= %s =\n\n", title)
}

// unit logs the state of a unit.
func (l *checklist) unit(name string) {
	state, level := "inactive", "FAIL"
	if l.c.Node.UnitActive(name) {
		state, level = "active", "PASS"
	}
	l.log(level, "systemd unit '%s' is in state '%s'", name, state)
}

// pve8to9 implements the checklist for the upgrade to Proxmox VE 9, on a node that still has version 8.
func pve8to9(c *Command) int {
	full := false
	for _, arg := range c.Argv[1:] {
		switch arg {
		case "--full", "-full":
			full = true
		default:
			return c.die(exitDie, "Unknown option: %s\n400 unable to parse option\npve8to9  [OPTIONS]", strings.TrimLeft(arg, "-"))
		}
	}
	n, local := c.Node.(*machineNode)
	switch {
	case c.User != "" && c.User != "root":
		return c.die(exitDie, "please run as root")
	case !local, c.Node.Debian() != "bookworm":
		return c.die(1, "pve8to9: not supported on simulated nodes that run Proxmox VE 9")
	case !c.connected():
		return exitREFUSED
	}
	l := &checklist{c: c, counts: map[string]int{}}
	l.packages(n)
	var unsimulated string
	code := c.read(func(v *view, db *Database) error {
		l.cluster(v, db)
		l.ceph(v, db)
		unsimulated = l.storages(v, db)
		l.guests(db)
		return nil
	})
	if code != 0 {
		return code
	}
	if unsimulated != "" {
		return c.die(1, "pve8to9: not supported on simulated nodes: %s", unsimulated)
	}
	l.others(n)
	if full {
		l.containers()
	} else {
		l.log("SKIP", "NOTE: Expensive checks, like CT cgroupv2 compat, not performed without '--full' parameter")
	}
	l.summary()
	return 0
}

var (
	packageRelease = pattern.New(`^(\d+)\.(\d+)[.-](\d+)`)
	suitableKernel = pattern.New(`^6\.(?:2|5|8|11|14)`)
)

func (l *checklist) packages(n *machineNode) {
	l.header("CHECKING VERSION INFORMATION FOR PVE PACKAGES")
	l.c.printf("Checking for package updates..\n")
	if updates := n.m.Packages().Upgradable(); len(updates) > 0 {
		l.log("WARN", "updates for the following packages are available:\n  %s", strings.Join(updates, ", "))
	} else {
		l.log("PASS", "all packages up-to-date")
	}
	l.c.printf("\nChecking proxmox-ve package version..\n")
	version := n.Version("proxmox-ve")
	if version == "" {
		l.log("FAIL", "proxmox-ve package not found!")
		return
	}
	if packageRelease.MatchString(version) && machine.CompareVersions(version, "8.4") >= 0 {
		l.log("PASS", "proxmox-ve package has version >= 8.4-0")
	} else {
		l.log("FAIL", "proxmox-ve package is too old, please upgrade to >= 8.4-0!")
	}
	l.c.printf("\nChecking running kernel version..\n")
	if suitableKernel.MatchString(n.Kernel()) {
		l.log("PASS", "running kernel '%s' is considered suitable for upgrade.", n.Kernel())
	} else {
		l.log("WARN", "unexpected running and installed kernel '%s'.", n.Kernel())
	}
}

func (l *checklist) cluster(v *view, db *Database) {
	l.header("CHECKING CLUSTER HEALTH/SETTINGS")
	conf, node := clusterOf(db), l.c.Node.Name()
	if conf == nil {
		l.log("SKIP", "standalone node.")
		return
	}
	l.unit("pve-cluster.service")
	l.unit("corosync.service")
	if v.quorate(node) {
		l.log("PASS", "Cluster Filesystem is quorate.")
	} else {
		l.log("FAIL", "Cluster Filesystem readonly, lost quorum?!")
	}
	l.c.printf("\nAnalzying quorum settings and state..\n")
	votes, offline := 0, 0
	for _, n := range conf.Nodes {
		votes += n.Votes
		if !db.online(conf, n.Name) {
			offline++
		}
	}
	if slices.ContainsFunc(conf.Nodes, func(n CorosyncNode) bool { return n.Votes != 1 }) {
		l.log("WARN", "non-default quorum_votes distribution detected!")
	}
	q := v.quorum(db, conf, node)
	if !l.c.Node.UnitActive("corosync.service") {
		q.Expected, q.Total = 0, 0
		l.log("FAIL", "unable to get expected number of votes, assuming 0.")
		l.log("FAIL", "unable to get expected number of votes, assuming 0.")
	}
	if offline > 0 {
		l.log("FAIL", "%d nodes are offline!", offline)
	}
	l.log("INFO", "configured votes - nodes: %d", votes)
	l.log("INFO", "configured votes - qdevice: %d", conf.deviceVotes())
	l.log("INFO", "current expected votes: %d", q.Expected)
	l.log("INFO", "current total votes: %d", q.Total)
	if q.Expected != votes+conf.deviceVotes() {
		l.log("WARN", "expected votes set to non-standard value '%d'.", q.Expected)
	}
	if q.Total < q.Expected {
		l.log("WARN", "total votes < expected votes: %d/%d!", q.Total, q.Expected)
	}
	if len(conf.Nodes)+conf.deviceVotes() < 3 {
		l.log("WARN", "cluster consists of less than three quorum-providing nodes!")
	}
	l.c.printf("\nChecking nodelist entries..\n")
	l.log("PASS", "nodelist settings OK") // the lab does not form a ring of other entries
	l.c.printf("\nChecking totem settings..\n")
	if conf.Totem["secauth"] == "on" {
		l.log("PASS", "totem settings OK")
	} else {
		l.log("FAIL", "Corosync authentication/encryption is not explicitly enabled (secauth / crypto_cipher / crypto_hash)!")
	}
	l.c.printf("\n")
	l.log("INFO", "run 'pvecm status' to get detailed cluster status..")
}

// supportedCeph is the release of Ceph that both Proxmox VE 8 and 9 support.
const supportedCeph = 19

func (l *checklist) ceph(v *view, db *Database) {
	l.header("CHECKING HYPER-CONVERGED CEPH STATUS")
	if l.c.Node.Version("ceph-mon") == "" || db.inited() != nil {
		l.log("SKIP", "no hyper-converged ceph setup detected!")
		return
	}
	l.log("INFO", "hyper-converged ceph setup detected!")
	l.log("INFO", "getting Ceph status/health information..")
	ceph := v.cephOf(l.c.Node.Name())
	quorum := ceph != nil && v.monQuorum(ceph)
	noout := quorum && slices.Contains(ceph.Flags, "noout")
	if !quorum {
		l.log("FAIL", "failed to get 'noout' flag status - rados_connect failed - Connection timed out\n")
		l.log("FAIL", "unable to determine Ceph status!")
	} else if checks := v.health(ceph); overall(checks) == "HEALTH_OK" {
		l.log("PASS", "Ceph health reported as 'HEALTH_OK'.")
	} else if overall(checks) == "HEALTH_WARN" && noout && len(checks) == 1 {
		l.log("PASS", "Ceph health reported as 'HEALTH_WARN' with a single failing check and 'noout' flag set.")
	} else {
		l.log("WARN", "Ceph health reported as '%s'.\n      Use the PVE dashboard or 'ceph -s' to determine the specific issues and try to resolve them.", overall(checks))
	}
	l.log("INFO", "checking local Ceph version..")
	release := count(strings.SplitN(l.c.Node.Version("ceph-common"), ".", 2)[0], 0)
	name := map[int]string{16: "Pacific", 17: "Quincy", 18: "Reef", 19: "Squid", 20: "Tentacle"}[release]
	switch {
	case release == supportedCeph:
		l.log("PASS", "found expected Ceph 19 Squid release.")
	case release > supportedCeph:
		l.log("WARN", "found newer Ceph release %d %s as the expected 19 Squid, installed third party repos?!", release, name)
	default:
		l.log("FAIL", "Hyper-converged Ceph %d %s is to old for upgrade!\n      Upgrade Ceph first to Squid following our how-to:\n      <https://pve.proxmox.com/wiki/Category:Ceph_Upgrade>", release, name)
	}
	l.log("INFO", "getting Ceph daemon versions..")
	if !quorum {
		l.log("FAIL", "unable to determine Ceph daemon versions!")
	} else {
		l.daemons(v, ceph)
	}
	if noout {
		l.log("PASS", "'noout' flag set to prevent rebalancing during cluster-wide upgrades.")
	} else {
		l.log("WARN", "'noout' flag not set - recommended to prevent rebalancing during upgrades.")
	}
	l.log("INFO", "checking Ceph config..")
	if conf := parseCephConf(db.Text("ceph.conf")); conf.get("global", "mon_host") == "" {
		l.log("WARN", "No 'mon_host' entry found in ceph config.\n  It's recommended to add mon_host with all monitor addresses (without ports) to the global section.")
	}
}

// daemons logs whether all daemons of each type have the same version, which is always true in the simulation.
func (l *checklist) daemons(v *view, ceph *Ceph) {
	all := v.versions(ceph)
	for _, kind := range [][2]string{{"mon", "monitor"}, {"mgr", "manager"}, {"mds", "MDS"}, {"osd", "OSD"}} {
		i := slices.IndexFunc(all, func(m member) bool { return m.key == kind[0] })
		running := false
		if i >= 0 {
			of, _ := all[i].value.(object)
			running = len(of) > 0
		}
		if running {
			l.log("PASS", "single running version detected for daemon type %s.", kind[1])
		} else {
			l.log("SKIP", "unable to determine versions of running Ceph %s instances.", kind[1])
		}
	}
	l.log("PASS", "single running overall version detected for all Ceph daemon types.")
}

// storages logs the checks of the storages. It returns what the lab cannot check, if anything.
func (l *checklist) storages(v *view, db *Database) (unsimulated string) {
	l.header("CHECKING CONFIGURED STORAGES")
	all, node := db.storages(), l.c.Node.Name()
	slices.SortFunc(all, func(x, y Section) int { return strings.Compare(x.ID, y.ID) })
	kinds := map[string]bool{}
	for _, s := range all {
		if !usableOn(s, node) {
			continue
		}
		kinds[s.Type] = true
		switch _, _, _, status, _ := v.storageState(db, node, s); status {
		case "active":
			l.log("PASS", "storage '%s' enabled and active.", s.ID)
		case "disabled":
			l.log("SKIP", "storage '%s' disabled.", s.ID)
		default:
			l.log("WARN", "storage '%s' enabled but not active!", s.ID)
		}
		switch {
		case s.Type == "lvm", s.Type == "lvmthin", s.Type == "rbd" && s.Keys["monhost"] != "":
			unsimulated = "storage " + s.ID + " of type " + s.Type
		}
	}
	l.log("INFO", "Checking storage content type configuration..")
	l.strays(db, all)
	l.content(db, all)
	l.log("PASS", "no storage re-uses a directory for multiple content types.")
	l.log("INFO", "Check for usage of native GlusterFS storage plugin...")
	l.log("PASS", "No GlusterFS storage found.")
	l.log("INFO", "Checking whether all external RBD storages have the 'keyring' option configured")
	if kinds["rbd"] {
		l.log("SKIP", "Only PVE-managed RBD storages are configured, so nothing to do")
	} else {
		l.log("SKIP", "No RBD storage configured.")
	}
	return unsimulated
}

// strays logs how many disks are on storages of the node that are not for guests.
func (l *checklist) strays(db *Database, storages []Section) {
	for _, s := range storages {
		content := splitList(s.Keys["content"])
		if s.Type != "dir" || s.Keys["shared"] == "1" || slices.Contains(content, "images") || slices.Contains(content, "rootdir") {
			continue
		}
		volumes := 0
		for _, g := range db.guests() {
			for _, value := range parseGuest(g.config) {
				if d, ok := parseDrive(value); ok && g.node == l.c.Node.Name() && d.storage == s.ID && !strings.Contains(d.volume, "iso/") {
					volumes++
				}
			}
		}
		if volumes > 0 {
			l.log("INFO", "storage '%s' - neither content type 'images' nor 'rootdir' configured, butfound %d guest volume(s)", s.ID, volumes)
		}
	}
}

// content logs the guests' disks on storages that are not for disks.
func (l *checklist) content(db *Database, storages []Section) {
	found := false
	for _, g := range sorted(db.guests()) {
		if g.kind != "qemu" {
			continue
		}
		keys := parseGuest(g.config)
		for _, key := range sortedKeys(keys) {
			d, ok := parseDrive(keys[key])
			i := section(storages, d.storage)
			if !ok || i < 0 || strings.Contains(d.volume, "iso/") || slices.Contains(splitList(storages[i].Keys["content"]), "images") {
				continue
			}
			found = true
			l.log("WARN", "VM %s - volume '%s' (in config) - storage does not have content type 'images' configured.", g.id, d.id())
		}
	}
	if found {
		l.log("WARN", "Proxmox VE enforces stricter content type checks since 7.0. The guests above might not work until the storage configuration is fixed.")
		return
	}
	l.log("PASS", "no storage content problems found")
}

func (l *checklist) guests(db *Database) {
	l.header("VIRTUAL GUEST CHECKS")
	l.log("INFO", "Checking for running guests..")
	running := 0
	for _, g := range db.guests() {
		if g.node == l.c.Node.Name() && db.guestState(g.id).Running {
			running++
		}
	}
	if running > 0 {
		l.log("WARN", "%d running guest(s) detected - consider migrating or stopping them.", running)
	} else {
		l.log("PASS", "no running guest detected.")
	}
	l.log("INFO", "Checking if LXCFS is running with FUSE3 library, if already upgraded..")
	l.log("SKIP", "not yet upgraded, no need to check the FUSE library version LXCFS uses")
	l.log("INFO", "Checking for VirtIO devices that would change their MTU...")
	l.log("PASS", "All guest config descriptions fit in the new limit of 8 KiB")
	l.log("INFO", "Checking container configs for deprecated lxc.cgroup entries")
	l.log("PASS", "No legacy 'lxc.cgroup' keys found.")
	l.log("INFO", "Checking VM configurations for outdated machine versions")
	l.log("PASS", "All VM machine versions are recent enough")
}

func (l *checklist) others(n *machineNode) {
	l.header("MISCELLANEOUS CHECKS")
	if config, err := n.ReadFile("/root/.ssh/config"); err != nil {
		l.log("SKIP", "No SSH config file found.")
	} else if cipher := regexp.MustCompile(`(?m)^Ciphers .*(blowfish|arcfour|3des).*$`).FindSubmatch(config); cipher != nil {
		l.log("FAIL", "Unsupported SSH Cipher configured for root in /root/.ssh/config: %s", cipher[1])
	}
	l.log("INFO", "Checking common daemon services..")
	for _, unit := range []string{"pveproxy", "pvedaemon", "pvescheduler", "pvestatd"} {
		l.unit(unit + ".service")
	}
	l.log("INFO", "Checking for supported & active NTP service..")
	switch {
	case n.UnitActive("systemd-timesyncd.service"):
		l.log("WARN", "systemd-timesyncd is not the best choice for time-keeping on servers, due to only applying updates on boot.\n  While not necessary for the upgrade it's recommended to use one of:\n    * chrony (Default in new Proxmox VE installations)\n    * ntpsec\n    * openntpd\n")
	case n.UnitActive("chrony.service"):
		l.log("PASS", "Detected active time synchronisation unit 'chrony.service'")
	default:
		l.log("WARN", "No (active) time synchronisation daemon (NTP) detected, but synchronized systems are important, especially for cluster and/or ceph!")
	}
	switch free := n.m.Free(); {
	case free < rootFreeWarn:
		l.log("WARN", "Less than 5 GB free space on root file system, upgrade may fail.")
	case free < 2*rootFreeWarn:
		l.log("NOTICE", "Less than 10 GB free space on root file system.")
	}
	l.log("INFO", "Checking if the local node's hostname '%s' is resolvable..", n.Name())
	if address, err := nodeAddress(n); err != nil {
		l.log("WARN", "Failed to resolve hostname '%s' to IP - %s", n.Name(), err)
	} else {
		l.log("INFO", "Checking if resolved IP is configured on local node..")
		l.log("PASS", "Resolved node IP '%s' configured and active on single interface.", address)
	}
	l.log("INFO", "Check node certificate's RSA key size")
	for _, c := range [][2]string{{"pve-root-ca.pem", "4096"}, {"pve-ssl.pem", "2048"}} {
		l.log("PASS", "Certificate '%s' passed Debian Busters (and newer) security level for TLS connections (%s >= 2048 RSA)", c[0], c[1])
	}
	l.retention(n)
	l.log("INFO", "checking CIFS credential location..")
	l.log("PASS", "no CIFS credentials at outdated location found.")
	l.log("INFO", "Checking permission system changes..")
	l.log("INFO", "Checking custom role IDs")
	l.log("PASS", "no custom roles defined")
	l.log("INFO", "Checking node and guest description/note length..")
	l.log("PASS", "All node config descriptions fit in the new limit of 64 KiB")
	l.suites(n)
	l.log("INFO", "Checking for existence of NVIDIA vGPU Manager..")
	l.log("PASS", "No NVIDIA vGPU Service found.")
	l.log("INFO", "Checking bootloader configuration...")
	l.boot(n)
	l.log("INFO", "Check for dkms modules...")
	l.log("SKIP", "could not get dkms status")
	l.log("INFO", "Check for legacy 'filter' or 'group' sections in /etc/pve/notifications.cfg...")
	l.log("INFO", "Check for legacy 'notification-policy' or 'notification-target' options in /etc/pve/jobs.cfg...")
	l.log("PASS", "No legacy 'notification-policy' or 'notification-target' options found!")
	l.log("INFO", "Check for LVM autoactivation settings on LVM and LVM-thin storages...")
	l.log("PASS", "No problematic volumes found.")
	l.log("INFO", "Checking lvm config for thin_check_options...")
	l.log("PASS", "Check for correct thin_check_options passed")
	l.log("INFO", "Check space requirements for RRD migration...")
	l.log("PASS", "Enough free disk space for increased RRD metric granularity requirements, which is roughly 10.15 MiB.")
	l.log("INFO", "Checking for IPAM DB files that have not yet been migrated.")
	l.log("PASS", "No legacy IPAM DB found.")
	l.log("PASS", "No legacy MAC DB found.")
	l.sysctl(n)
	l.log("INFO", "Checking if matching CPU microcode package is installed.")
	if n.Version("intel-microcode") != "" { // depends on the processor in /proc/cpuinfo
		l.log("PASS", "Found matching CPU microcode package 'intel-microcode' installed.")
	} else {
		l.log("WARN", "The matching CPU microcode package 'intel-microcode' could not be found! Consider installing it to receive the latest security and bug fixes for your CPU.\n\tEnsure you enable the 'non-free-firmware' component in the apt sources and run:\n\tapt install intel-microcode")
	}
}

// maxfiles matches the backup option that Proxmox VE 9 no longer supports.
var maxfiles = pattern.New(`(?m)^\s*maxfiles[:\s]`)

func (l *checklist) retention(n *machineNode) {
	const dropped = "parameter 'maxfiles' was deprecated with PVE 7.x and is getting dropped with PVE 9."
	l.log("INFO", "Checking backup retention settings..")
	passed := true
	if conf, err := n.ReadFile("/etc/vzdump.conf"); err == nil && maxfiles.MatchString(string(conf)) {
		passed = false
		l.log("FAIL", "/etc/vzdump.conf - %s", dropped)
	}
	if conf, err := n.ReadFile("/etc/pve/" + storageFile); err == nil {
		for _, s := range ParseSections(string(conf)) {
			if _, has := s.Keys["maxfiles"]; has {
				passed = false
				l.log("FAIL", "storage '%s' - %s", s.ID, dropped)
			}
		}
	}
	if passed {
		l.log("PASS", "no backup retention problems found.")
	}
}

// sourceLine matches an entry of sources.list(5) and captures its suite.
var sourceLine = pattern.New(`^deb\s+(?:\[[^\]]*\]\s+)?\w+://\S+\s+(\S+)`)

// suites checks sources.list and the files in the one-line format only, as pve8to9 does.
func (l *checklist) suites(n *machineNode) {
	l.log("INFO", "Checking if the suite for the Debian security repository is correct..")
	files, err := afero.Glob(n.fs, "/etc/apt/sources.list.d/*.list")
	if err != nil {
		files = nil // the pattern is valid
	}
	first, mixed := "", []string(nil)
	for _, file := range append([]string{"/etc/apt/sources.list"}, files...) {
		text, err := n.ReadFile(file)
		if err != nil {
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			line, _, _ = strings.Cut(line, "#")
			entry := sourceLine.FindStringSubmatch(line)
			if entry == nil {
				continue
			}
			suite, _, _ := strings.Cut(entry[1], "-")
			if first == "" || suite != first {
				mixed = append(mixed, fmt.Sprintf("found suite %s at in %s:%d", suite, file, i+1))
			}
			first = or(first, suite)
		}
	}
	if len(mixed) > 1 {
		l.log("FAIL", "Found mixed old and new package repository suites, fix before upgrading! Mismatches:\n    %s\n  Configure the same base-suite for all Proxmox and Debian provided repos and ask original vendor for any third-party repos.\n  E.g., for the upgrade to Proxmox VE 9 use the 'trixie' suite.", strings.Join(mixed, "\n    "))
		return
	}
	l.log("PASS", "found no suite mismatch")
}

func (l *checklist) boot(n *machineNode) {
	installed := n.Exists("/usr/share/doc/systemd-boot/changelog.Debian.gz")
	switch {
	case !n.Exists("/sys/firmware/efi") && installed:
		l.log("WARN", "systemd-boot package installed on legacy-boot system is not necessary, consider removing it")
	case !n.Exists("/sys/firmware/efi"):
		l.log("SKIP", "System booted in legacy-mode - no need for additional packages")
	case n.Exists("/etc/kernel/proxmox-boot-uuids"):
		l.log("SKIP", "not yet upgraded, systemd-boot still needed for bootctl")
	case installed:
		l.log("FAIL", "systemd-boot meta-package installed. This will cause problems on upgrades of other boot-related packages. Remove 'systemd-boot' See https://pve.proxmox.com/wiki/Upgrade_from_8_to_9#sd-boot-warning for more information.")
	default:
		l.log("WARN", "System booted in uefi mode but grub-efi-amd64 meta-package not installed, new grub versions will not be installed to /boot/efi! Install grub-efi-amd64.")
	}
}

func (l *checklist) sysctl(n *machineNode) {
	const file = "/etc/sysctl.conf"
	l.log("INFO", "Checking if the legacy sysctl file '%s' needs to be migrated to new '/etc/sysctl.d/' path.", file)
	text, err := n.ReadFile(file)
	if err != nil {
		l.log("PASS", "Legacy file '%s' is not present.", file)
		return
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line[0] != ';' {
			l.log("WARN", "Deprecated config '%s' contains settings - move them to a dedicated file in '/etc/sysctl.d/'.", file)
			return
		}
	}
	l.log("PASS", "Legacy file '%s' exists but does not contain any settings.", file)
}

// containers logs nothing about the containers on a node: all of them run a Debian that supports cgroup v2.
func (l *checklist) containers() {
	none := true
	l.c.World.at(func(v *view) {
		for _, g := range v.database(l.c.Node.Name()).guests() {
			none = none && (g.kind != "lxc" || g.node != l.c.Node.Name())
		}
	})
	if none {
		l.log("SKIP", "No containers on node detected.")
	}
}

func (l *checklist) summary() {
	l.header("SUMMARY")
	total := 0
	for _, level := range []string{"PASS", "SKIP", "NOTICE", "WARN", "FAIL"} {
		total += l.counts[level]
	}
	coloured := func(colour, text string, when bool) string {
		if !when {
			return text
		}
		return colour + text + resetColour
	}
	l.c.printf("TOTAL:    %d\n%sSKIPPED:  %d\n", total, coloured(green, fmt.Sprintf("PASSED:   %d\n", l.counts["PASS"]), true), l.counts["SKIP"])
	warned, failed := l.counts["WARN"] > 0, l.counts["FAIL"] > 0
	l.c.printf("%s", coloured(yellow, fmt.Sprintf("WARNINGS: %d\n", l.counts["WARN"]), warned))
	l.c.printf("%s", coloured(boldRed, fmt.Sprintf("FAILURES: %d\n", l.counts["FAIL"]), failed))
	if warned || failed {
		colour := yellow
		if failed {
			colour = boldRed
		}
		l.c.printf("%s", coloured(colour, "\nATTENTION: Please check the output for detailed information!\n", true))
		if failed {
			l.c.printf("%s", coloured(colour, "Try to solve the problems one at a time and then run this checklist tool again.\n", true))
		}
	}
}
