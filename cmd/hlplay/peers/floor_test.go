//go:build linux && peers

package peers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

// reads is a script that reads everything that a converged run of the playbook needs to know about a node, with the
// cheapest programs: files, settings, packages, units, and the playbook's own commands.
const reads = `f="hosts network/interfaces.d/bond0 network/interfaces.d/vmbr0 network/interfaces.d/ring apt/keyrings apt/keyrings/release.asc
apt/sources.list.d/hypervisor.list apt/sources.list.d/storage.list apt/sources.list.d/enterprise.list apt/preferences.d/node apt/apt.conf.d/99node
ssh/sshd_config.d/50-node.conf ssh/sshd_config sudoers.d/10-operators security/limits.d/90-storage.conf udev/rules.d/60-scheduler.rules
udev/rules.d/71-ports.rules profile.d/node-aliases.sh motd issue ceph ceph/ceph.conf node-local node-local/node.yaml node-local/current
systemd/system/cron.service.d systemd/system/cron.service.d/limits.conf systemd/journald.conf.d systemd/journald.conf.d/size.conf
rsyslog.d/30-node.conf logrotate.d/node-local cron.d/disk-selftest cron.d/array-check crontab default/smartmontools
initramfs-tools/initramfs.conf tmpfiles.d/node-local.conf modules modules-load.d/bonding.conf modules-load.d/8021q.conf
modules-load.d/br_netfilter.conf modprobe.d/node-vfio.conf modprobe.d/node-kvm.conf modprobe.d/node-blacklist.conf
modprobe.d/node-bonding.conf sysctl.d/90-node.conf"
cd /etc; stat -c '%f %U %G %s %N' $f; for p in $f; do [ -f $p ] && r="$r $p"; done; head -v -c 1048576 $r
cd /proc/sys/net/ipv4; grep -H '' ip_forward conf/all/rp_filter conf/default/rp_filter conf/all/accept_redirects conf/default/accept_redirects \
conf/all/send_redirects conf/all/accept_source_route conf/all/log_martians icmp_echo_ignore_broadcasts tcp_syncookies tcp_keepalive_time \
tcp_fin_timeout tcp_mtu_probing tcp_slow_start_after_idle ip_local_port_range
dpkg-query -W python3 openssh-server sudo ca-certificates cron rsyslog logrotate iperf3 smartmontools iproute2
systemctl show -p Id,LoadState,ActiveState,UnitFileState ssh cron rsyslog dbus systemd-logind systemd-journald iperf3 systemd-networkd logrotate.timer systemd-tmpfiles-clean.timer
cat /etc/os-release; uname -rvm
hostname --ip-address; stat -c %a /etc/ssh/ssh_host_ed25519_key; uname -r; sysctl -n net.ipv4.ip_forward; ip -o link show host0
/usr/sbin/sshd -t; /usr/sbin/visudo -c; systemctl is-system-running; stat -c %a /etc/node-local/node.yaml; df -P /; stat -c %a /etc/default/grub; true`

// floor is a program that only performs these reads, on all hosts concurrently, each over a connection of
// golang.org/x/crypto/ssh with its defaults. Its arguments are a key, a file of host keys, and addresses.
func floor(args []string) error {
	return onEach(args, func(i int, host string, p *phases, key ssh.Signer, known *knownhosts.HostKeyDB) error {
		err := p.read(host, key, known)
		if i == 0 && err == nil {
			fmt.Println(strings.Join(p.took, ", "))
		}
		return err
	})
}

// onEach calls do for all hosts concurrently.
func onEach(args []string, do func(i int, host string, p *phases, key ssh.Signer, known *knownhosts.HostKeyDB) error) error {
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return err
	}
	known, err := knownhosts.NewDB(args[1])
	if err != nil {
		return err
	}
	hosts := args[2:]
	failed := make([]error, len(hosts))
	var all sync.WaitGroup
	for i, host := range hosts {
		all.Go(func() { failed[i] = do(i, host, &phases{since: time.Now()}, key, known) })
	}
	all.Wait()
	return errors.Join(failed...)
}

// phases are the times that the parts of a connection take.
type phases struct {
	since time.Time
	took  []string
}

func (p *phases) end(of string) {
	now := time.Now()
	p.took = append(p.took, fmt.Sprintf("%s %.0f ms", of, ms(now.Sub(p.since))))
	p.since = now
}

// open logs in to one host and opens a session. close ends both.
func (p *phases) open(host string, key ssh.Signer, known *knownhosts.HostKeyDB) (session *ssh.Session, closeAll func() error, err error) {
	tcp, err := net.DialTimeout("tcp", host, 10*time.Second)
	if err != nil {
		return nil, nil, err
	}
	p.end("TCP")
	conn, channels, requests, err := ssh.NewClientConn(tcp, host, &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyAlgorithms: known.HostKeyAlgorithms(host),
		HostKeyCallback: func(name string, address net.Addr, k ssh.PublicKey) error {
			p.end("versions and key exchange")
			return known.HostKeyCallback()(name, address, k)
		},
	})
	if err != nil {
		tcp.Close()
		return nil, nil, err
	}
	p.end("authentication")
	client := ssh.NewClient(conn, channels, requests)
	session, err = client.NewSession()
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	p.end("session")
	return session, client.Close, nil
}

// read performs the reads on one host.
func (p *phases) read(host string, key ssh.Signer, known *knownhosts.HostKeyDB) error {
	session, closeAll, err := p.open(host, key, known)
	if err != nil {
		return err
	}
	defer closeAll()
	out, err := session.Output(reads)
	if err == nil && len(out) < 10_000 {
		err = fmt.Errorf("%s: only %d bytes were read", host, len(out))
	}
	p.end("command and reads")
	return err
}

// floors measures the two lower bounds on a testbed.
func (s *testbed) floors(t *testing.T) map[string]result {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + os.Getenv("PATH")}
	took := map[string]result{}
	for name, argv := range map[string][]string{
		coldSSH: {"ssh", "-F", "none", "-i", s.key(), "-o", "UserKnownHostsFile=" + s.file("known_hosts"), "-o", "LogLevel=ERROR",
			"-p", s.port(0), "root@" + s.host(0), "true"},
		oneBatch: append([]string{"env", role + "=floor", self, s.key(), s.file("known_hosts")}, s.endpoints...),
	} {
		before := s.counts()
		u, output, err := measured(s.Nodes, ".", env, argv...)
		if err != nil || u.Exit != 0 {
			t.Fatalf("%s: exit code %d, %v:\n%s", name, u.Exit, err, output)
		}
		after := s.counts()
		connections := max(1, after.Connections-before.Connections)
		took[name] = result{usage: u, up: after.Up - before.Up, down: after.Down - before.Down,
			roundTrips: (after.Reversals - before.Reversals) / 2 / connections}
		t.Logf("%-8s %6s: %.3f s, controller %.3f s, %d round trips; %s", name, distance(s.rtt), u.Wall.Seconds(), u.CPU().Seconds(), took[name].roundTrips, strings.TrimSpace(output))
	}
	return took
}

// Lower bounds.
const (
	coldSSH   = "`ssh host true`"
	oneBatch  = "the same reads in one script"
	oneScript = "the same changes in one script"
)
