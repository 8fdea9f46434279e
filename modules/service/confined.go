package service

import (
	"slices"

	"hlplay/engine/observe"
)

// confined are units of Debian that start, and do their work, whatever other hosts are doing, and on which no other host's
// start depends. What else runs on a host may be a part of something larger: a server that the units of other hosts need, or a
// member of a cluster.
var confined = []string{
	"apt-daily.timer", "apt-daily-upgrade.timer", "atd.service", "auditd.service", "chrony.service", "cron.service", "dbus.service",
	"dpkg-db-backup.timer", "fail2ban.service", "fstrim.timer", "irqbalance.service", "ksmtuned.service", "logrotate.timer", "lm-sensors.service",
	"lldpd.service", "mdmonitor.service", "ntpsec.service", "rsyslog.service", "smartd.service", "smartmontools.service", "ssh.service",
	"ssh.socket", "sshd.service", "sysstat.service", "systemd-journald.service", "systemd-logind.service", "systemd-modules-load.service",
	"systemd-sysctl.service", "systemd-timesyncd.service", "systemd-tmpfiles-clean.timer", "systemd-udevd.service", "unattended-upgrades.service",
	"zfs-zed.service",
}

// Confined implements modules.Confined. Masked, enabled and re-read units do not start anything.
func (s *Service) Confined() bool {
	return s.State == "" || slices.Contains(confined, observe.UnitName(s.Name))
}
