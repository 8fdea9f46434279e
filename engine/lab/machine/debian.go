package machine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// release describes what is specific to a Debian release.
type release struct {
	codename, version, point, kernel, newerKernel string
}

// The kernels are those of Debian 12.11 and 13.1 and of their security repositories.
var releases = map[string]release{
	"bookworm": {"bookworm", "12", "12.11", "6.1.0-37-amd64", "6.1.0-39-amd64"},
	"trixie":   {"trixie", "13", "13.1", "6.12.43+deb13-amd64", "6.12.48+deb13-amd64"},
}

// base lists the packages of a fresh installation, with the versions on the installation medium.
var base = []struct {
	name, bookworm, trixie string
	essential              bool
}{
	{"adduser", "3.134", "3.152", false},
	{"apt", "2.6.1", "3.0.3", true},
	{"base-files", "12.4+deb12u11", "13.8+deb13u1", true},
	{"base-passwd", "3.6.1", "3.6.7", true},
	{"bash", "5.2.15-2+b8", "5.2.37-2+b5", true},
	{"bsdutils", "1:2.38.1-5+deb12u3", "1:2.41-5", true},
	{"ca-certificates", "20230311", "20250419", false},
	{"coreutils", "9.1-1", "9.7-3", true},
	{"cron", "3.0pl1-162", "3.0pl1-197", false},
	{"curl", "7.88.1-10+deb12u12", "8.14.1-2", false},
	{"dash", "0.5.12-2", "0.5.12-12", true},
	{"dbus", "1.14.10-1~deb12u1", "1.16.2-2", false},
	{"debconf", "1.5.82", "1.5.91", false},
	{"debian-archive-keyring", "2023.3+deb12u2", "2025.1", false},
	{"diffutils", "1:3.8-4", "1:3.10-4", true},
	{"dpkg", "1.21.22", "1.22.21", true},
	{"e2fsprogs", "1.47.0-2", "1.47.2-3+b3", false},
	{"findutils", "4.9.0-4", "4.10.0-3", true},
	{"gpgv", "2.2.40-1.1", "2.4.7-21", false},
	{"grep", "3.8-5", "3.11-4", true},
	{"grub-common", "2.06-13+deb12u1", "2.12-9", false},
	{"grub-pc", "2.06-13+deb12u1", "2.12-9", false},
	{"gzip", "1.12-1", "1.13-1", true},
	{"hostname", "3.23+nmu1", "3.25", true},
	{"ifupdown", "0.8.41", "0.8.44", false},
	{"init-system-helpers", "1.65.2+deb12u1", "1.69~deb13u1", true},
	{"initramfs-tools", "0.142+deb12u3", "0.148.3", false},
	{"iproute2", "6.1.0-3", "6.15.0-1", false},
	{"iputils-ping", "3:20221126-1+deb12u1", "3:20240905-3", false},
	{"kmod", "30+20221128-1", "34.2-2", false},
	{"libc6", "2.36-9+deb12u10", "2.41-12", false},
	{"libssl3", "3.0.16-1~deb12u1", "3.5.1-1", false},
	{"login", "1:4.13+dfsg1-1+deb12u1", "1:4.16.0-2+really2.41-5", true},
	{"mount", "2.38.1-5+deb12u3", "2.41-5", false},
	{"nftables", "1.0.6-2+deb12u2", "1.1.3-1", false},
	{"openssh-client", "1:9.2p1-2+deb12u6", "1:10.0p1-7", false},
	{"openssh-server", "1:9.2p1-2+deb12u6", "1:10.0p1-7", false},
	{"openssh-sftp-server", "1:9.2p1-2+deb12u6", "1:10.0p1-7", false},
	{"openssl", "3.0.16-1~deb12u1", "3.5.1-1", false},
	{"passwd", "1:4.13+dfsg1-1+deb12u1", "1:4.17.4-2", false},
	{"perl-base", "5.36.0-7+deb12u2", "5.40.1-6", true},
	{"procps", "2:4.0.2-3", "2:4.0.4-9", false},
	{"sed", "4.9-1", "4.9-2", true},
	{"sudo", "1.9.13p3-1+deb12u2", "1.9.16p2-3", false},
	{"systemd", "252.38-1~deb12u1", "257.7-1", false},
	{"systemd-sysv", "252.38-1~deb12u1", "257.7-1", false},
	{"systemd-timesyncd", "252.38-1~deb12u1", "257.7-1", false},
	{"tar", "1.34+dfsg-1.2+deb12u1", "1.35+dfsg-3.1", true},
	{"tzdata", "2025b-0+deb12u1", "2025b-4", false},
	{"udev", "252.38-1~deb12u1", "257.7-1", false},
	{"util-linux", "2.38.1-5+deb12u3", "2.41-5", true},
	{"vim-tiny", "2:9.0.1378-2", "2:9.1.1230-2", false},
	{"wget", "1.21.3-1+deb12u1", "1.25.0-2", false},
	{"zlib1g", "1:1.2.13.dfsg-1", "1:1.3.dfsg+really1.3.1-1+b1", false},
}

// basePackages returns the packages of a fresh installation of a release.
func basePackages(codename string) []Package {
	r := releases[codename]
	var all []Package
	for _, b := range base {
		version := b.trixie
		if codename == "bookworm" {
			version = b.bookworm
		}
		p := Package{Name: b.name, Version: version, Component: "main", Debian: codename, Essential: b.essential}
		switch b.name {
		case "openssh-server":
			p.Depends = []string{"openssh-client", "openssh-sftp-server"}
			p.Units = []Unit{{Name: "ssh", Enabled: true, Active: true, Start: func(m *Machine) error { m.readSSHD(); return nil }, Reload: (*Machine).readSSHD}}
		case "systemd-timesyncd":
			p.Conffiles = map[string]string{"/etc/systemd/timesyncd.conf": timesyncdConf}
			p.Units = []Unit{{Name: "systemd-timesyncd", Enabled: true, Active: true}}
			p.Provides = []string{"time-daemon"}
		case "cron":
			p.Units = []Unit{{Name: "cron", Enabled: true, Active: true}}
		case "ifupdown":
			p.Units = []Unit{{Name: "networking", Enabled: true, Active: true, Exits: true}}
		case "nftables":
			p = nftables(version)
			p.Component, p.Debian = "main", codename
		case "dbus":
			p.Units = []Unit{{Name: "dbus", Static: true, Active: true}}
		case "grub-pc":
			p.Depends = []string{"grub-common"}
		case "base-files":
			p = baseFiles(codename, version)
		}
		all = append(all, p)
	}
	all = append(all,
		kernelImage(codename, r.kernel),
		Package{Name: "linux-image-amd64", Version: kernelVersion(r.kernel), Debian: codename, Component: "main", Depends: []string{"linux-image-" + r.kernel}},
		Package{Name: "os-prober", Version: "1.83", Debian: codename, Component: "main",
			Files: map[string]string{"/etc/grub.d/30_os-prober": "#!/bin/sh\n", "/usr/bin/os-prober": "#!/bin/sh\n"}})
	return all
}

// baseFiles returns the package that identifies the Debian release of a host. Its version ends with the number of the
// point release.
func baseFiles(codename, version string) Package {
	r := releases[codename]
	_, point, _ := strings.Cut(version, "+deb"+r.version+"u")
	return Package{Name: "base-files", Version: version, Component: "main", Debian: codename, Essential: true,
		Files: map[string]string{"/usr/lib/os-release": fmt.Sprintf("PRETTY_NAME=\"Debian GNU/Linux %[1]s (%[2]s)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"%[1]s\"\nVERSION=\"%[1]s (%[2]s)\"\nVERSION_CODENAME=%[2]s\nID=debian\nHOME_URL=\"https://www.debian.org/\"\nSUPPORT_URL=\"https://www.debian.org/support\"\nBUG_REPORT_URL=\"https://bugs.debian.org/\"\n", r.version, r.codename)},
		Conffiles: map[string]string{
			"/etc/debian_version": r.version + "." + point + "\n",
			"/etc/issue":          fmt.Sprintf("Debian GNU/Linux %s \\n \\l\n\n", r.version),
		}}
}

func kernelVersion(release string) string {
	for i := range release {
		if release[i] == '+' || release[i:] == "-amd64" {
			return release[:i] + "-1"
		}
	}
	return release + "-1"
}

func kernelImage(codename, release string) Package {
	return Package{Name: "linux-image-" + release, Version: kernelVersion(release), Debian: codename, Component: "main",
		Files: KernelFiles(release)}
}

// KernelFiles returns the files of a kernel package: an image, an initramfs and the modules that the simulated kernels
// have.
func KernelFiles(release string) map[string]string {
	var dep strings.Builder
	known := modulesOf(release)
	for _, name := range slices.Sorted(maps.Keys(known)) {
		fmt.Fprintf(&dep, "kernel/%s.ko:", name)
		for _, needed := range known[name] {
			fmt.Fprintf(&dep, " kernel/%s.ko", needed)
		}
		dep.WriteByte('\n')
	}
	return map[string]string{
		"/boot/vmlinuz-" + release:                         "kernel " + release + "\n",
		"/boot/initrd.img-" + release:                      "initrd " + release + "\n",
		"/boot/config-" + release:                          "CONFIG_MODULES=y\n",
		"/usr/lib/modules/" + release + "/modules.builtin": "kernel/crypto/sha256_generic.ko\n",
		"/usr/lib/modules/" + release + "/modules.dep":     dep.String(),
	}
}

const timesyncdConf = "[Time]\n#NTP=\n#FallbackNTP=0.debian.pool.ntp.org\n"

const chronyConf = `confdir /etc/chrony/conf.d
pool 2.debian.pool.ntp.org iburst
sourcedir /run/chrony-dhcp
sourcedir /etc/chrony/sources.d
keyfile /etc/chrony/chrony.keys
driftfile /var/lib/chrony/chrony.drift
ntsdumpdir /var/lib/chrony
logdir /var/log/chrony
maxupdateskew 100.0
rtcsync
makestep 1 3
leapsectz right/UTC
`

// debianExtras returns the packages that are not part of a fresh installation.
func debianExtras() []Package {
	var all []Package
	for codename, r := range releases {
		version := func(bookworm, trixie string) string {
			if codename == "bookworm" {
				return bookworm
			}
			return trixie
		}
		add := func(p Package) {
			p.Debian = codename
			all = append(all, p)
		}
		add(Package{Name: "chrony", Version: version("4.3-2+deb12u1", "4.6.1-3"), Conflicts: []string{"systemd-timesyncd"}, Provides: []string{"time-daemon"},
			Conffiles: map[string]string{"/etc/chrony/chrony.conf": chronyConf}, Programs: map[string]Program{"chronyc": unsupported},
			Files: map[string]string{"/etc/chrony/conf.d/README": "", "/etc/chrony/sources.d/README": ""},
			Units: []Unit{{Name: "chrony", Enabled: true, Active: true}}})
		add(Package{Name: "postfix", Version: version("3.7.11-0+deb12u1", "3.10.4-1~deb13u1"), Conflicts: []string{"exim4-daemon-light"}, Installed: configurePostfix, Files: map[string]string{"/usr/sbin/sendmail": "#!/bin/false\n"},
			Units: []Unit{{Name: "postfix", Enabled: true, Active: true, Exits: codename == "bookworm"}}})
		add(Package{Name: "open-iscsi", Version: version("2.1.8-1", "2.1.11-1"), Files: map[string]string{"/etc/iscsi/iscsid.conf": "node.startup = manual\n"}, Units: []Unit{{Name: "open-iscsi", Enabled: true}, {Name: "iscsid"}}})
		add(Package{Name: "ifupdown2", Version: version("3.2.0-1+deb12", "3.3.0-1"), Conflicts: []string{"ifupdown"}, Units: []Unit{{Name: "networking", Enabled: true, Active: true, Exits: true}},
			Files: map[string]string{"/usr/sbin/ifreload": "#!/usr/bin/python3\n", "/usr/sbin/ifquery": "#!/usr/bin/python3\n"}})
		add(Package{Name: "acl", Version: version("2.3.1-3", "2.3.2-2+b1"), Programs: map[string]Program{"getfacl": getfacl, "setfacl": setfacl}})
		add(Package{Name: "attr", Version: version("1:2.5.1-4", "1:2.5.2-3"), Programs: map[string]Program{"getfattr": getfattr, "setfattr": setfattr}})
		add(Package{Name: "ethtool", Version: version("1:6.1-1", "1:6.14.2-1"), Programs: map[string]Program{"/usr/sbin/ethtool": unsupported}})
		add(Package{Name: "xfsprogs", Version: version("6.1.0-1", "6.13.0-2"), Programs: map[string]Program{"/usr/sbin/mkfs.xfs": mkfs("xfs")}})
		add(Package{Name: "btrfs-progs", Version: version("6.2-1+deb12u1", "6.14-1"), Programs: map[string]Program{"/usr/sbin/mkfs.btrfs": mkfs("btrfs"), "btrfs": btrfs}})
		add(Package{Name: "git", Version: version("1:2.39.5-0+deb12u2", "1:2.47.3-0+deb13u1"), Programs: map[string]Program{"git": unsupported}})
		add(wireguardTools(version("1.0.20210914-1+b1", "1.0.20210914-3")))
		add(caddyPackage(version("2.6.2-5", "2.6.2-12")))
		add(nebulaPackage(version("1.6.1+dfsg-3+b4", "1.9.3+dfsg-6+b2")))
		add(iperfPackage(version("3.12-1+deb12u2", "3.18-2+deb13u1")))
		for _, p := range dockerPackages(codename) {
			add(p)
		}
		add(mdadmPackage(codename, version("4.2-5", "4.4-11+deb13u1")))
		add(lvmPackage(version("2.03.16-2", "2.03.31-2")))
		for _, name := range []string{"intel-microcode", "amd64-microcode"} {
			add(Package{Name: name, Version: "1.0-1+deb" + r.version, Component: "non-free-firmware"})
		}
		for _, name := range extras {
			add(Package{Name: name, Version: "1.0-1+deb" + r.version})
		}
	}
	return all
}

// extras are packages of which only the name and the state matter; the versions are made up.
var extras = []string{"gnupg", "htop", "jq", "gdisk", "parted", "smartmontools", "nvme-cli", "tmux", "vim", "rsync", "python3", "lm-sensors",
	"linux-cpupower", "numactl", "unattended-upgrades", "software-properties-common", "apt-transport-https", "net-tools", "bridge-utils", "vlan", "fio", "nfs-common"}

// debianUpgrades returns newer versions of some packages of a fresh installation.
func debianUpgrades() []Package {
	var all []Package
	for codename, r := range releases {
		openssl, files := "3.5.1-1+deb13u1", "13.8+deb13u2"
		if codename == "bookworm" {
			openssl, files = "3.0.17-1~deb12u3", "12.4+deb12u12"
		}
		all = append(all,
			baseFiles(codename, files),
			Package{Name: "openssl", Version: openssl, Debian: codename},
			Package{Name: "libssl3", Version: openssl, Debian: codename},
			Package{Name: "tzdata", Version: "2025b-5+deb" + r.version + "u1", Debian: codename},
			kernelImage(codename, r.newerKernel),
			Package{Name: "linux-image-amd64", Version: kernelVersion(r.newerKernel), Debian: codename, Depends: []string{"linux-image-" + r.newerKernel}})
	}
	return all
}

func debianSources(codename string) (path, content string) {
	if codename == "bookworm" {
		return "/etc/apt/sources.list", fmt.Sprintf(`deb http://deb.example.org/debian %[1]s main non-free-firmware
deb http://security.example.org/debian-security %[1]s-security main non-free-firmware
deb http://deb.example.org/debian %[1]s-updates main non-free-firmware
`, codename)
	}
	return "/etc/apt/sources.list.d/debian.sources", fmt.Sprintf(`Types: deb
URIs: http://deb.example.org/debian
Suites: %[1]s %[1]s-updates
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.example.org/debian-security
Suites: %[1]s-security
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`, codename)
}
