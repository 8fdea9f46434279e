package apt

// effect is what installing a package brings that later tasks may look at. It lets check mode see
// past an installation on a bare host, whose index does not even know the package yet.
type effect struct {
	// implies are packages that come with it: dependencies, and what it recommends.
	implies, recommends []string
	// from9 are packages that come with it from Debian 13 (Proxmox VE 9) on.
	from9 []string
	// removes are packages that conflict with it, or that it replaces.
	removes []string
	// running are units that it enables and starts; waiting are those that it enables and that start
	// only once they are configured.
	running, waiting []string
	// static are units that others start.
	static []string
	// drops are files whose content is the package's own; dirs are directories.
	drops, dirs []string
	// programs are commands that it brings.
	programs []string
}

// known are the packages that the guides' cluster needs (steps G1.6, G1.7, G1.18, G1.31 and G1.61;
// what they bring is from the packages' control files and pve-manager's postinst). The reference is
// Proxmox VE 8.4 and 9.2. Units, commands and directories are held against recordings (testdata); what else a package
// may bring is unknown until it is there.
var known = map[string]effect{
	"proxmox-ve": {
		implies:    []string{"pve-manager", "proxmox-default-kernel", "qemu-server", "pve-container", "pve-ha-manager"},
		recommends: []string{"ifupdown2"},
		from9:      []string{"proxmox-archive-keyring"},
	},
	"pve-manager": {
		implies: []string{
			"pve-cluster", "pve-ha-manager", "pve-firewall", "pve-container", "qemu-server", "libpve-storage-perl",
			"ceph-common", "ceph-fuse", "corosync", "proxmox-backup-client",
		},
		recommends: []string{"ifupdown2", "proxmox-offline-mirror-helper"},
		running:    []string{"pvedaemon.service", "pveproxy.service", "pvestatd.service", "pvescheduler.service", "spiceproxy.service", "pve-daily-update.timer"},
		programs:   []string{"pveversion", "pvesh", "pveceph", "pvenode", "pvesubscription", "vzdump"},
		drops:      []string{"/etc/vzdump.conf"},
	},
	"pve-cluster": {
		running:  []string{"pve-cluster.service"},
		programs: []string{"pvecm"},
	},
	"pve-ha-manager": {
		running:  []string{"pve-ha-crm.service", "pve-ha-lrm.service"},
		static:   []string{"watchdog-mux.service"},
		programs: []string{"ha-manager"},
	},
	"pve-firewall":           {programs: []string{"pve-firewall"}},
	"qemu-server":            {programs: []string{"qm", "qmrestore"}},
	"pve-container":          {programs: []string{"pct"}},
	"libpve-storage-perl":    {programs: []string{"pvesm"}},
	"corosync":               {waiting: []string{"corosync.service"}, dirs: []string{"/etc/corosync"}, programs: []string{"corosync-cfgtool", "corosync-quorumtool"}},
	"ifupdown2":              {removes: []string{"ifupdown"}, running: []string{"networking.service"}, programs: []string{"ifreload", "ifquery"}},
	"proxmox-default-kernel": {},
	"proxmox-archive-keyring": {
		drops: []string{"/usr/share/keyrings/proxmox-archive-keyring.gpg"},
	},
	"proxmox-backup-client":         {programs: []string{"proxmox-backup-client"}},
	"proxmox-offline-mirror-helper": {},
	"proxmox-backup-server": {
		programs: []string{"proxmox-backup-manager"},
	},
	"postfix": {
		removes: []string{"exim4", "exim4-base", "exim4-config", "exim4-daemon-light", "exim4-daemon-heavy"},
		drops:   []string{"/etc/postfix/main.cf", "/etc/postfix/master.cf", "/etc/aliases"},
		dirs:    []string{"/etc/postfix"},
	},
	"chrony": {
		removes:  []string{"systemd-timesyncd", "ntp", "ntpsec", "openntpd"},
		running:  []string{"chrony.service"},
		drops:    []string{"/etc/chrony/chrony.conf", "/etc/chrony/chrony.keys", "/etc/default/chrony"},
		dirs:     []string{"/etc/chrony", "/etc/chrony/conf.d", "/etc/chrony/sources.d"},
		programs: []string{"chronyc"},
	},
	"open-iscsi": {
		waiting:  []string{"open-iscsi.service"},
		drops:    []string{"/etc/iscsi/iscsid.conf", "/etc/iscsi/initiatorname.iscsi"},
		dirs:     []string{"/etc/iscsi"},
		programs: []string{"iscsiadm"},
	},
	"ceph": {
		implies:  []string{"ceph-mon", "ceph-mgr", "ceph-osd"},
		programs: []string{"ceph"},
	},
	"ceph-mon":    {implies: []string{"ceph-base"}, running: []string{"ceph-mon.target"}, programs: []string{"ceph-mon"}},
	"ceph-mgr":    {implies: []string{"ceph-base"}, running: []string{"ceph-mgr.target"}, programs: []string{"ceph-mgr"}},
	"ceph-osd":    {implies: []string{"ceph-base"}, running: []string{"ceph-osd.target"}, programs: []string{"ceph-osd"}},
	"ceph-mds":    {implies: []string{"ceph-base"}, running: []string{"ceph-mds.target"}, programs: []string{"ceph-mds"}},
	"ceph-base":   {implies: []string{"ceph-common"}, running: []string{"ceph.target", "ceph-crash.service"}},
	"ceph-common": {dirs: []string{"/etc/ceph"}, programs: []string{"ceph", "rados", "rbd"}},
	"ceph-fuse":   {programs: []string{"ceph-fuse"}},
	"ceph-volume": {programs: []string{"ceph-volume"}},
	"gdisk":       {programs: []string{"sgdisk", "gdisk"}},
	"nvme-cli":    {programs: []string{"nvme"}},
	"iperf3":      {programs: []string{"iperf3"}},
	"os-prober":   {drops: []string{"/etc/grub.d/30_os-prober"}, programs: []string{"os-prober"}},
}

// closure adds the packages that come with the given ones, as far as they are known.
func closure(names []string, recommends, from9 bool) map[string]bool {
	all := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if all[name] {
			return
		}
		all[name] = true
		e := known[name]
		for _, n := range e.implies {
			add(n)
		}
		if recommends {
			for _, n := range e.recommends {
				add(n)
			}
		}
		if from9 {
			for _, n := range e.from9 {
				add(n)
			}
		}
	}
	for _, name := range names {
		add(name)
	}
	return all
}
