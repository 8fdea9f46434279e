package machine

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// baseTrees are the initial files of each release, shared by all machines.
var baseTrees = struct {
	sync.Mutex
	byRelease map[string]*tree
}{byRelease: map[string]*tree{}}

// installTime is when the simulated installer ran.
var installTime = time.Date(2025, 11, 3, 10, 0, 0, 0, time.UTC)

func baseTree(codename string) *tree {
	baseTrees.Lock()
	defer baseTrees.Unlock()
	if t := baseTrees.byRelease[codename]; t != nil {
		return t
	}
	t := newTree(func() time.Time { return installTime })
	buildBase(t, releases[codename])
	baseTrees.byRelease[codename] = t
	return t
}

func buildBase(t *tree, r release) {
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/usr/lib", "/usr/local/bin", "/usr/local/sbin", "/usr/share/keyrings", "/etc/apt/sources.list.d",
		"/etc/apt/preferences.d", "/etc/apt/apt.conf.d", "/etc/apt/trusted.gpg.d", "/etc/apt/keyrings", "/etc/modprobe.d", "/etc/modules-load.d",
		"/etc/sysctl.d", "/usr/lib/sysctl.d", "/etc/default", "/etc/network/interfaces.d", "/etc/ssh/sshd_config.d", "/etc/sudoers.d",
		"/etc/systemd/system/multi-user.target.wants", "/etc/cron.d", "/etc/kernel", "/etc/grub.d", "/etc/ssl/certs", "/var/lib/dpkg/info", "/var/lib/apt/lists",
		"/var/lib/apt/periodic", "/var/cache/apt/archives", "/var/backups", "/var/log", "/var/tmp", "/home", "/mnt", "/media", "/opt", "/srv", "/boot/grub", "/dev/disk", "/dev/shm",
		"/dev/pts", "/run/lock", "/tmp", "/sys/class/net", "/sys/kernel", "/sys/module", "/sys/kernel/iommu_groups", "/proc/sys"} {
		t.mkdirAll(dir, 0o755)
	}
	t.mkdirAll("/root/.ssh", 0o700).mode = fs.ModeDir | 0o700
	t.own("/root").mode = fs.ModeDir | 0o700
	for _, dir := range []string{"/tmp", "/var/tmp", "/dev/shm"} {
		t.own(dir).mode = fs.ModeDir | fs.ModeSticky | 0o777
	}
	for link, target := range map[string]string{"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib", "/lib64": "usr/lib64", "/var/run": "/run", "/var/lock": "/run/lock",
		"/etc/mtab": "../proc/self/mounts", "/etc/os-release": "../usr/lib/os-release", "/dev/fd": "/proc/self/fd", "/etc/localtime": "/usr/share/zoneinfo/Etc/UTC",
		"/usr/bin/sh": "dash"} {
		t.link(link, target)
	}
	t.mkdirAll("/usr/lib64", 0o755)
	furnishRun(t)
	t.mkdirAll(alternativesLinks, 0o755)
	t.mkdirAll(alternativesFiles, 0o755)
	for file := range programs {
		t.file(file, 0o755, "\x7fELF simulated program\n")
	}
	buildEtc(t, r)
	buildProc(t)
	for name := range devices {
		n := t.file(name, fs.ModeDevice|fs.ModeCharDevice|0o666, "")
		n.dev = &device{1, 3}
	}
	for _, p := range basePackages(r.codename) {
		for name, content := range p.Files {
			t.file(name, 0o644, content)
		}
		for name, content := range p.Conffiles {
			t.file(name, 0o644, content)
		}
		for _, u := range p.Units {
			t.file("/usr/lib/systemd/system/"+UnitName(u.Name), 0o644, unitFile(u))
		}
	}
}

func furnishRun(t *tree) {
	t.mkdirAll("/run/lock", 0o777)
	t.mkdirAll("/run/systemd/system", 0o755)
	t.mkdirAll("/run/sshd", 0o755)
	t.mkdirAll("/run/user", 0o755)
}

func buildEtc(t *tree, r release) {
	for file, content := range map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nbin:x:2:2:bin:/bin:/usr/sbin/nologin\nsys:x:3:3:sys:/dev:/usr/sbin/nologin\n" +
			"sync:x:4:65534:sync:/bin:/bin/sync\nman:x:6:12:man:/var/cache/man:/usr/sbin/nologin\nmail:x:8:8:mail:/var/mail:/usr/sbin/nologin\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n" +
			"backup:x:34:34:backup:/var/backups:/usr/sbin/nologin\n_apt:x:42:65534::/nonexistent:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n" +
			"systemd-network:x:998:998:systemd Network Management:/:/usr/sbin/nologin\nsystemd-timesync:x:997:997:systemd Time Synchronization:/:/usr/sbin/nologin\n" +
			"messagebus:x:100:107::/nonexistent:/usr/sbin/nologin\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n",
		"/etc/group": "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nman:x:12:\nmail:x:8:\nkmem:x:15:\ncdrom:x:24:\nsudo:x:27:\naudio:x:29:\ndip:x:30:\n" +
			"www-data:x:33:\nbackup:x:34:\nshadow:x:42:\nvideo:x:44:\nplugdev:x:46:\nstaff:x:50:\nusers:x:100:\nnogroup:x:65534:\nsystemd-journal:x:999:\nsystemd-network:x:998:\nsystemd-timesync:x:997:\nnetdev:x:106:\nmessagebus:x:107:\n",
		"/etc/ssh/sshd_config":      "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin prohibit-password\nKbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding yes\nPrintMotd no\nAcceptEnv LANG LC_*\nSubsystem sftp /usr/lib/openssh/sftp-server\n",
		"/etc/default/grub":         "# If you change this file, run 'update-grub' afterwards to update\n# /boot/grub/grub.cfg.\n\nGRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"\"\n",
		"/etc/modules":              "# /etc/modules: kernel modules to load at boot time.\n",
		"/etc/sysctl.conf":          "",
		"/etc/resolv.conf":          "nameserver 192.0.2.53\n",
		"/etc/nsswitch.conf":        "passwd: files systemd\ngroup: files systemd\nhosts: files dns\n",
		"/etc/timezone":             "Etc/UTC\n",
		"/etc/login.defs":           "UID_MIN 1000\nGID_MIN 1000\n",
		"/etc/fstab":                "UUID=" + uuidOf(1002) + " / ext4 errors=remount-ro 0 1\n",
		"/etc/locale.gen":           "# de_DE.UTF-8 UTF-8\n# en_US.UTF-8 UTF-8\n",
		supportedLocales:            "de_DE.UTF-8 UTF-8\nen_GB.UTF-8 UTF-8\nen_US.UTF-8 UTF-8\nfr_FR.UTF-8 UTF-8\n",
		"/etc/ssl/openssl.cnf":      "# OpenSSL configuration\n",
		"/boot/grub/grub.cfg":       "# generated by update-grub\n",
		"/etc/security/limits.conf": "# /etc/security/limits.conf\n",
		"/usr/share/keyrings/debian-archive-keyring.gpg":               "simulated keyring of Debian\n",
		"/etc/apt/trusted.gpg.d/debian-archive-" + r.codename + ".asc": "simulated keyring of Debian\n",
		"/etc/modprobe.d/README":                                       "",
	} {
		t.file(file, 0o644, content)
	}
	known := zones
	if r.codename == "bookworm" {
		known += legacyZones
	}
	for zone := range strings.FieldsSeq(known) {
		t.file("/usr/share/zoneinfo/"+zone, 0o644, "TZif2\n")
	}
	t.file("/etc/shadow", 0o640, "root:*:20000:0:99999:7:::\n").gid = 42
	t.file("/etc/gshadow", 0o640, "root:*::\n").gid = 42
	t.file("/etc/sudoers", 0o440, "Defaults\tenv_reset\nroot\tALL=(ALL:ALL) ALL\n%sudo\tALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n")
	t.own("/etc/sudoers.d").mode = fs.ModeDir | 0o750
	sources, content := debianSources(r.codename)
	t.file(sources, 0o644, content)
	for _, list := range []string{"deb.example.org_debian_dists_" + r.codename, "deb.example.org_debian_dists_" + r.codename + "-updates",
		"security.debian.org_debian-security_dists_" + r.codename + "-security"} {
		t.file("/var/lib/apt/lists/"+list+"_InRelease", 0o644, "Components: main non-free-firmware\n")
	}
	if r.codename == "trixie" {
		t.file("/etc/apt/sources.list", 0o644, "# See /etc/apt/sources.list.d/debian.sources\n")
	}
}

// furnish adds what is specific to the machine to the files of its release: its own files, disks, packages and users.
func (m *Machine) furnish(c Config) {
	if _, ok := releases[m.debian]; !ok {
		m.debian = "trixie"
	}
	m.tree = baseTree(m.debian).share(m, m.clock.Now)
	t := m.tree
	own := ""
	if len(m.addresses) > 0 {
		own = m.addresses[0].String()
	}
	t.file("/etc/hostname", 0o644, m.name+"\n")
	t.file("/etc/mailname", 0o644, m.FQDN()+"\n")
	t.file("/etc/machine-id", 0o444, strings.ReplaceAll(newUUID(), "-", "")+"\n")
	t.file("/etc/hosts", 0o644, fmt.Sprintf("127.0.0.1\tlocalhost\n127.0.1.1\t%s\t%s\n\n# The following lines are desirable for IPv6 capable hosts\n::1     localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n", m.FQDN(), m.name))
	interfaces := "# This file describes the network interfaces available on your system\nsource /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n"
	if own != "" {
		interfaces += fmt.Sprintf("\nallow-hotplug ens18\niface ens18 inet static\n\taddress %s\n\tgateway %s\n", own, gateway(m.addresses[0]))
	}
	t.file("/etc/network/interfaces", 0o644, interfaces)
	for i := range m.addresses {
		m.cards = append(m.cards, interfaceName(i))
		m.furnishCard(i, interfaceName(i))
	}
	t.file("/sys/class/net/lo/mtu", 0o444, "65536\n")
	t.file("/sys/class/net/lo/address", 0o444, "00:00:00:00:00:00\n")
	t.file("/sys/class/net/lo/operstate", 0o444, "unknown\n")
	t.file("/sys/class/net/lo/type", 0o444, "772\n")
	m.furnishKeys(c)
	m.disks = append(m.disks, m.complete(Disk{Name: "sda", Size: 64 << 30, Partitions: []Disk{
		{Size: 1 << 20, PartType: BIOSBoot}, {Size: 63<<30 - 1<<20, Use: "ext4", Mountpoint: "/"}, {Size: 1 << 30, Use: "swap", Mountpoint: "[SWAP]"},
	}}))
	for _, d := range c.Disks {
		m.disks = append(m.disks, m.complete(d))
	}
	m.linkDisks()
	m.furnishBootLoader()
	m.furnishPCI()
	m.furnishUSB()
	for _, p := range basePackages(m.debian) {
		m.packages.place(p)
	}
	m.packages.components = map[component]bool{{m.debian, "main"}: true, {m.debian, "non-free-firmware"}: true}
	m.packages.generation = installerGeneration
	t.computed("/var/lib/dpkg/status", 0o644, func(m *Machine) []byte { return m.packages.statusFile() })
	for _, u := range []Unit{
		{Name: "basic.target", Static: true, Active: true}, {Name: "multi-user.target", Static: true, Active: true},
		{Name: "network-online.target", Static: true, Active: true}, {Name: "systemd-journald", Static: true, Active: true}, {Name: "systemd-udevd", Static: true, Active: true},
		{Name: "systemd-logind", Static: true, Active: true}, {Name: "systemd-modules-load", Static: true, Active: true}, {Name: "systemd-sysctl", Static: true, Active: true},
		{Name: "apt-daily.timer", Enabled: true, Active: true}, {Name: "apt-daily-upgrade.timer", Enabled: true, Active: true}, {Name: "fstrim.timer", Enabled: true, Active: true},
		{Name: "getty@tty1", Enabled: true, Active: true},
	} {
		m.units.Add(u)
	}
}

// furnishKeys creates the files of the host key and of the keys that may log in.
func (m *Machine) furnishKeys(c Config) {
	t := m.tree
	public := string(ssh.MarshalAuthorizedKey(m.hostKey.PublicKey()))
	t.file("/etc/ssh/ssh_host_ed25519_key.pub", 0o644, strings.TrimSpace(public)+" root@"+m.name+"\n")
	t.file("/etc/ssh/ssh_host_ed25519_key", 0o600, "simulated private host key\n")
	keys := ""
	for _, key := range c.AuthorizedKeys {
		keys += strings.TrimSpace(key) + "\n"
	}
	if keys != "" {
		t.file("/root/.ssh/authorized_keys", 0o600, keys)
	}
	for i, u := range c.Users {
		uid := 1000 + i
		home := "/home/" + u.Name
		t.file("/etc/passwd", 0o644, string(t.lookup("/etc/passwd").data)+fmt.Sprintf("%s:x:%d:%d:%s,,,:%s:/bin/bash\n", u.Name, uid, uid, u.Name, home))
		group := strings.Replace(string(t.lookup("/etc/group").data), "sudo:x:27:", "sudo:x:27:"+u.Name+",", 1)
		t.file("/etc/group", 0o644, strings.Replace(group, ",\n", "\n", 1)+fmt.Sprintf("%s:x:%d:\n", u.Name, uid))
		rule := u.Name + " ALL=(ALL:ALL) NOPASSWD: ALL\n"
		if u.Password == "" {
			t.file("/etc/sudoers.d/"+u.Name, 0o440, rule)
		}
		t.mkdirAll(home+"/.ssh", 0o755)
		for _, dir := range []string{home, home + "/.ssh"} {
			n := t.own(dir)
			n.mode, n.uid, n.gid = fs.ModeDir|0o700, uid, uid
		}
		n := t.file(home+"/.ssh/authorized_keys", 0o600, keys)
		n.uid, n.gid = uid, uid
	}
}

// configurePostfix does what postfix's maintainer script does with its debconf answers.
func configurePostfix(m *Machine, out io.Writer) error {
	kind := cmp.Or(m.debconfAnswer("postfix/main_mailer_type"), "Internet Site")
	if kind == "No configuration" {
		return nil
	}
	mailname := cmp.Or(m.debconfAnswer("postfix/mailname"), m.FQDN())
	if err := writeFile(view{m: m}, "/etc/mailname", mailname+"\n", 0o644); err != nil {
		return err
	}
	return writeFile(view{m: m}, "/etc/postfix/main.cf", fmt.Sprintf("myhostname = %s\nmydestination = $myhostname, %s, localhost\ninet_interfaces = loopback-only\n# %s\n", m.FQDN(), mailname, kind), 0o644)
}
