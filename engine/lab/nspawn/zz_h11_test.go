//go:build linux && h11

package nspawn

import "testing"

func TestH11(t *testing.T) {
	n, err := Start(t.Context(), Options{Names: []string{"pve1"}, Packages: []string{"initramfs-tools", "iperf3", "logrotate", "python3", "python3-apt", "rsyslog", "smartmontools", "udev"}, Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	out, err := n.List[0].Exec(t.Context(), "sh", "-c", "ls -la /etc /etc/modules /etc/initramfs-tools/initramfs.conf /etc/default/smartmontools /etc/crontab /etc/network /etc/apt /etc/udev/rules.d /etc/systemd/ /etc/modules-load.d /etc/tmpfiles.d /etc/modprobe.d; for u in ssh cron rsyslog dbus systemd-logind systemd-journald iperf3 systemd-networkd logrotate.timer systemd-tmpfiles-clean.timer smartmontools; do echo $u $(systemctl is-active $u) $(systemctl is-enabled $u); done; systemctl is-system-running; cd /proc/sys/net/ipv4; grep -H . ip_forward conf/*/rp_filter conf/*/accept_redirects tcp_syncookies tcp_keepalive_time; which visudo hostname ip; systemctl --failed")
	t.Log(out, err)
}
