//go:build linux && peers

package peers

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hlplay/engine/lab/delay"
	"hlplay/engine/lab/nspawn"
)

// added are the packages that the nodes need in addition to the usual ones: Python for Ansible's modules, and the
// packages whose files and settings the playbook manages.
var added = []string{"initramfs-tools", "iperf3", "logrotate", "python3", "python3-apt", "rsyslog", "smartmontools", "udev"}

// bare prepares a fresh node: settings start from the kernel's own values, not from those of the machine that the nodes
// run on.
const bare = `mkdir -p /etc/network/interfaces.d
systemctl --quiet enable --now iperf3
cd /proc/sys/net/ipv4
for s in ip_forward:0 conf/all/rp_filter:0 conf/default/rp_filter:0 conf/all/accept_redirects:1 conf/default/accept_redirects:1 \
	conf/all/send_redirects:1 conf/all/accept_source_route:0 conf/all/log_martians:0 icmp_echo_ignore_broadcasts:1 tcp_syncookies:1 \
	tcp_keepalive_time:7200 tcp_fin_timeout:60 tcp_mtu_probing:0 tcp_slow_start_after_idle:1; do
	echo "${s#*:}" >"${s%:*}"
done
echo 32768 60999 >ip_local_port_range`

// testbed is three fresh nodes, with addresses at which they can be reached from some distance.
type testbed struct {
	*nspawn.Nodes
	rtt     time.Duration
	proxies []*delay.Proxy
	// endpoints are the addresses of the nodes' sshd, in order.
	endpoints []string
	home      string // for the tools: inventories, host keys, control sockets
	ended     sync.Once
}

// open boots three nodes. Without a round-trip time they are reached directly.
func open(t testing.TB, rtt time.Duration) *testbed {
	t.Helper()
	if rtt == 0 {
		return prepare(t, 0, nil)
	}
	return prepare(t, rtt, func(n *nspawn.Nodes) (net.Listener, error) { return n.Listen(0) })
}

// openHere boots three nodes that this process itself can reach, always through proxies.
func openHere(t testing.TB, rtt time.Duration) *testbed {
	t.Helper()
	return prepare(t, rtt, func(*nspawn.Nodes) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") })
}

// prepare boots three nodes and a proxy for each of them with a listener from listen. If listen is nil, there are no
// proxies.
func prepare(t testing.TB, rtt time.Duration, listen func(*nspawn.Nodes) (net.Listener, error)) *testbed {
	t.Helper()
	n, err := nspawn.Start(t.Context(), nspawn.Options{Names: []string{"pve1", "pve2", "pve3"}, Packages: added, Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	s := &testbed{Nodes: n, rtt: rtt, home: filepath.Join(n.Dir, "home")}
	t.Cleanup(func() { s.end(t) })
	if err := os.Mkdir(s.home, 0o700); err != nil {
		t.Fatal(err)
	}
	for i, node := range n.List {
		s.endpoints = append(s.endpoints, net.JoinHostPort(node.Address.String(), "22"))
		if _, err := node.Exec(t.Context(), "sh", "-euc", bare); err != nil {
			t.Fatal(err)
		}
		if listen == nil {
			continue
		}
		listener, err := listen(n)
		if err != nil {
			t.Fatal(err)
		}
		sshd := s.endpoints[i]
		s.proxies = append(s.proxies, delay.Start(listener, func() (net.Conn, error) { return n.Dial("tcp", sshd) }, rtt))
		s.endpoints[i] = listener.Addr().String()
	}
	if err := s.inventories(); err != nil {
		t.Fatal(err)
	}
	return s
}

// end ends the nodes, at the end of the test at the latest. Each takes several of the instances of inotify that root may have
// (fs.inotify.max_user_instances, 128 by default), so that the 16th node or so does not boot.
func (s *testbed) end(t testing.TB) {
	s.ended.Do(func() {
		for _, p := range s.proxies {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// inventories writes the files that tell the tools about the nodes.
func (s *testbed) inventories() error {
	own, err := s.Nodes.Inventory(nspawn.Root)
	if err != nil {
		return err
	}
	keys, err := os.ReadFile(filepath.Join(filepath.Dir(own), "known_hosts"))
	if err != nil {
		return err
	}
	hostKeys := map[string]string{}
	for line := range strings.Lines(string(keys)) {
		address, key, _ := strings.Cut(strings.TrimSpace(line), " ")
		hostKeys[address] = key
	}
	var known, hcl, ini strings.Builder
	fmt.Fprintf(&hcl, "defaults {\n  user        = \"root\"\n  keys        = [%q]\n  known_hosts = %q\n}\ngroup \"pve\" {\n  hosts = [\"pve1\", \"pve2\", \"pve3\"]\n}\n", s.key(), s.file("known_hosts"))
	ini.WriteString("[pve]\n")
	for i, node := range s.List {
		host, port := s.host(i), s.port(i)
		name := host
		if port != "22" {
			name = "[" + host + "]:" + port
		}
		fmt.Fprintf(&known, "%s %s\n", name, hostKeys[node.Address.String()])
		fmt.Fprintf(&hcl, "host %q {\n  address     = %q\n  ssh_address = %q\n  port        = %s\n  vars        = { ring = %q }\n}\n", node.Name, node.Address, host, port, ring(i))
		fmt.Fprintf(&ini, "%s ansible_host=%s ansible_port=%s address=%s ring=%s\n", node.Name, host, port, node.Address, ring(i))
	}
	ini.WriteString("[pve:vars]\nansible_user=root\nansible_python_interpreter=/usr/bin/python3\n")
	for name, text := range map[string]string{"known_hosts": known.String(), "hosts.hcl": hcl.String(), "hosts.ini": ini.String()} {
		if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// ring returns the address of a node in the storage network.
func ring(i int) string { return "10.77.1.1" + strconv.Itoa(i+1) }

func (s *testbed) host(i int) string {
	host, _, _ := net.SplitHostPort(s.endpoints[i])
	return host
}

func (s *testbed) port(i int) string {
	_, port, _ := net.SplitHostPort(s.endpoints[i])
	return port
}

func (s *testbed) file(name string) string { return filepath.Join(s.home, name) }

// key returns the path of the private key for logging in.
func (s *testbed) key() string { return filepath.Join(s.Dir, "key") }

// counts returns the totals of the proxies.
func (s *testbed) counts() (all delay.Counts) {
	for _, p := range s.proxies {
		c := p.Counts()
		all.Connections += c.Connections
		all.Up += c.Up
		all.Down += c.Down
		all.Reversals += c.Reversals
	}
	return all
}

// lastProcesses returns, for each node, the ID of the last process or thread that it started. Asking starts one.
func (s *testbed) lastProcesses(ctx context.Context) (all []int, err error) {
	for _, node := range s.List {
		text, err := node.Exec(ctx, "cat", "/proc/sys/kernel/ns_last_pid")
		if err != nil {
			return nil, err
		}
		last, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		all = append(all, last)
	}
	return all, nil
}

// started returns how many processes and threads a node started between two calls of lastProcesses, on average.
func (s *testbed) started(ctx context.Context, before, after []int) (int, error) {
	text, err := s.List[0].Exec(ctx, "cat", "/proc/sys/kernel/pid_max")
	if err != nil {
		return 0, err
	}
	most, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return 0, err
	}
	all := 0
	for i := range after {
		n := after[i] - before[i] - 1
		if n < 0 { // when IDs wrap around, they continue at 300 (RESERVED_PIDS in the kernel)
			n += most - 300
		}
		all += n
	}
	return all / len(after), nil
}

// cpu returns the processor time of all nodes.
func (s *testbed) cpu() (all time.Duration, err error) {
	for _, node := range s.List {
		cpu, err := node.CPU()
		if err != nil {
			return 0, err
		}
		all += cpu
	}
	return all, nil
}
