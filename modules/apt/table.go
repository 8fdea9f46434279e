package apt

import (
	"slices"

	"hlplay/modules"
)

// debian lists packages of Debian that nearly every cluster needs. Their units, commands and directories are checked
// against recordings (testdata).
var debian = []modules.Package{
	{
		Name:     "ifupdown2",
		Removes:  []string{"ifupdown"},
		Running:  []string{"networking.service"},
		Programs: []string{"ifreload", "ifquery"},
	},
	{
		Name:        "postfix",
		Removes:     []string{"exim4", "exim4-base", "exim4-config", "exim4-daemon-light", "exim4-daemon-heavy"},
		Files:       []string{"/etc/postfix/main.cf", "/etc/postfix/master.cf", "/etc/aliases"},
		Directories: []string{"/etc/postfix"},
	},
	{
		Name:        "chrony",
		Removes:     []string{"systemd-timesyncd", "ntp", "ntpsec", "openntpd"},
		Running:     []string{"chrony.service"},
		Files:       []string{"/etc/chrony/chrony.conf", "/etc/chrony/chrony.keys", "/etc/default/chrony"},
		Directories: []string{"/etc/chrony", "/etc/chrony/conf.d", "/etc/chrony/sources.d"},
		Programs:    []string{"chronyc"},
	},
	{
		Name:        "open-iscsi",
		Waiting:     []string{"open-iscsi.service"},
		Files:       []string{"/etc/iscsi/iscsid.conf", "/etc/iscsi/initiatorname.iscsi"},
		Directories: []string{"/etc/iscsi"},
		Programs:    []string{"iscsiadm"},
	},
	{Name: "gdisk", Programs: []string{"sgdisk", "gdisk"}},
	{Name: "nvme-cli", Programs: []string{"nvme"}},
	{Name: "iperf3", Programs: []string{"iperf3"}},
	{Name: "os-prober", Inert: true, Files: []string{"/etc/grub.d/30_os-prober"}, Programs: []string{"os-prober"}},
}

// known holds the packages added by AddPackages, by name.
var known = map[string]modules.Package{}

// AddPackages adds packages about which something is known. The registry calls it with the packages of all modules
// during initialization, before anything is planned. AddPackages panics if a name is taken, which is a programming
// error.
func AddPackages(more ...modules.Package) {
	for _, p := range more {
		if _, taken := known[p.Name]; taken {
			panic("the package " + p.Name + " is added twice")
		}
		known[p.Name] = p
	}
}

// closure adds the packages that come with the given ones, as far as they are known.
func closure(names []string, recommends, from13 bool) map[string]bool {
	all := map[string]bool{}
	for left := slices.Clone(names); len(left) > 0; {
		name := left[0]
		left = left[1:]
		if all[name] {
			continue
		}
		all[name] = true
		p := known[name]
		left = append(left, p.Depends...)
		if recommends {
			left = append(left, p.Recommends...)
		}
		if from13 {
			left = append(left, p.DependsFrom13...)
		}
	}
	return all
}
