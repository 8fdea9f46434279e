package machine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/afero"
)

func networkPrograms() map[string]Program {
	return map[string]Program{"ip": ipProgram, "/usr/sbin/ip": ipProgram, "ping": ping, "ss": ss, "curl": curl, "wget": wget, "nc": nc, "/usr/sbin/ifreload": accept("", ""),
		"/usr/sbin/ifup": accept("", ""), "openssl": openssl}
}

// Serve says what the machine answers on a TCP port: open tells whether something listens just now.
func (m *Machine) Serve(port int, open func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ports, _ := m.values[portsKey{}].(map[int]func() bool)
	if ports == nil {
		ports = map[int]func() bool{}
	}
	ports = maps.Clone(ports)
	ports[port] = open
	m.values[portsKey{}] = ports
}

type portsKey struct{}

// Open reports whether something listens on a TCP port: sshd on 22, and what Serve was told.
func (m *Machine) Open(port int) bool {
	if !m.On() {
		return false
	}
	if port == 22 {
		return m.units.Active("ssh")
	}
	ports, _ := m.Value(portsKey{}).(map[int]func() bool)
	return ports[port] != nil && ports[port]()
}

// ports are the open ones, in order.
func (m *Machine) openPorts() []int {
	ports, _ := m.Value(portsKey{}).(map[int]func() bool)
	var open []int
	for port := range ports {
		open = append(open, port)
	}
	open = append(open, 22)
	slices.Sort(open)
	return slices.DeleteFunc(open, func(port int) bool { return !m.Open(port) })
}

// iface is an interface as ip -j prints it.
type iface struct {
	Index     int      `json:"ifindex"`
	Name      string   `json:"ifname"`
	Flags     []string `json:"flags"`
	MTU       int      `json:"mtu"`
	Qdisc     string   `json:"qdisc"`
	State     string   `json:"operstate"`
	Group     string   `json:"group"`
	Txqlen    int      `json:"txqlen"`
	LinkType  string   `json:"link_type"`
	Address   string   `json:"address"`
	Broadcast string   `json:"broadcast"`
	Addrs     []ifaddr `json:"addr_info,omitempty"`
}

type ifaddr struct {
	Family    string `json:"family"`
	Local     string `json:"local"`
	Prefix    int    `json:"prefixlen"`
	Scope     string `json:"scope"`
	Label     string `json:"label,omitempty"`
	Valid     int64  `json:"valid_life_time"`
	Preferred int64  `json:"preferred_life_time"`
}

const forever = 4294967295

func (m *Machine) interfaces() []iface {
	all := []iface{{Index: 1, Name: "lo", Flags: []string{"LOOPBACK", "UP", "LOWER_UP"}, MTU: 65536, Qdisc: "noqueue", State: "UNKNOWN", Group: "default", Txqlen: 1000, LinkType: "loopback",
		Address: "00:00:00:00:00:00", Broadcast: "00:00:00:00:00:00", Addrs: []ifaddr{{"inet", "127.0.0.1", 8, "host", "lo", forever, forever}, {"inet6", "::1", 128, "host", "", forever, forever}}}}
	for i, p := range m.addresses {
		family := "inet"
		if p.Addr().Is6() {
			family = "inet6"
		}
		name := interfaceName(i)
		mtu := 1500
		if lines := m.lines("/sys/class/net/" + name + "/mtu"); len(lines) > 0 {
			if n, err := strconv.Atoi(lines[0]); err == nil {
				mtu = n
			}
		}
		all = append(all, iface{Index: i + 2, Name: name, Flags: []string{"BROADCAST", "MULTICAST", "UP", "LOWER_UP"}, MTU: mtu, Qdisc: "fq_codel", State: "UP", Group: "default", Txqlen: 1000, LinkType: "ether",
			Address: m.mac(i), Broadcast: "ff:ff:ff:ff:ff:ff", Addrs: []ifaddr{{family, p.Addr().String(), p.Bits(), "global", name, forever, forever}}})
	}
	return all
}

func ipProgram(_ context.Context, c *Call) int {
	asJSON, brief, family := false, false, ""
	args := c.Argv[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-j", "-json":
			asJSON = true
		case "-br", "-brief":
			brief = true
		case "-4":
			family = "inet"
		case "-6":
			family = "inet6"
		case "-o", "-p", "-d", "-details":
		default:
			return notSimulated(c, args[0])
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return notSimulated(c, "no object")
	}
	object, args := args[0], args[1:]
	if len(args) > 0 && (args[0] == "show" || args[0] == "list" || args[0] == "get") {
		args = args[1:]
	}
	switch {
	case strings.HasPrefix("address", object) && len(object) > 0, strings.HasPrefix("link", object):
		return c.ipShow(args, asJSON, brief, family, strings.HasPrefix("link", object))
	case strings.HasPrefix("route", object):
		return c.ipRoute(args, asJSON, family)
	}
	return notSimulated(c, object)
}

func (c *Call) ipShow(args []string, asJSON, brief bool, family string, link bool) int {
	name, to := "", ""
	for len(args) > 0 {
		switch {
		case args[0] == "dev" && len(args) > 1:
			name, args = args[1], args[2:]
		case args[0] == "to" && len(args) > 1:
			to, args = args[1], args[2:]
		case args[0] == "up", args[0] == "scope" && len(args) > 1:
			args = args[1+min(1, len(args[0])-2):]
		case len(args) == 1:
			name, args = args[0], nil
		default:
			return notSimulated(c, args[0])
		}
	}
	var shown []iface
	for _, i := range c.Machine.interfaces() {
		if name != "" && i.Name != name {
			continue
		}
		i.Addrs = slices.DeleteFunc(i.Addrs, func(a ifaddr) bool {
			return link || family != "" && a.Family != family || to != "" && !within(a.Local, to)
		})
		if to != "" && len(i.Addrs) == 0 {
			continue
		}
		shown = append(shown, i)
	}
	if name != "" && len(shown) == 0 {
		fmt.Fprintf(c.Stderr, "Device \"%s\" does not exist.\n", name)
		return 1
	}
	if asJSON {
		out, err := json.Marshal(shown)
		if err != nil {
			return c.Errorf("%v", err)
		}
		if len(shown) == 0 {
			out = []byte("[]")
		}
		c.printf("%s\n", out)
		return 0
	}
	for _, i := range shown {
		if brief {
			var addrs []string
			for _, a := range i.Addrs {
				addrs = append(addrs, fmt.Sprintf("%s/%d", a.Local, a.Prefix))
			}
			if link {
				addrs = []string{i.Address}
			}
			c.printf("%-16s %-14s %s \n", i.Name, i.State, strings.Join(addrs, " "))
			continue
		}
		c.printf("%d: %s: <%s> mtu %d qdisc %s state %s group default qlen %d\n    link/%s %s brd %s\n", i.Index, i.Name, strings.Join(i.Flags, ","), i.MTU, i.Qdisc, i.State, i.Txqlen, i.LinkType, i.Address, i.Broadcast)
		for _, a := range i.Addrs {
			c.printf("    %s %s/%d scope %s %s\n       valid_lft forever preferred_lft forever\n", a.Family, a.Local, a.Prefix, a.Scope, a.Label)
		}
	}
	return 0
}

func within(addr, prefix string) bool {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return addr == prefix
	}
	a, err := netip.ParseAddr(addr)
	return err == nil && p.Contains(a)
}

func (c *Call) ipRoute(args []string, asJSON bool, family string) int {
	type route struct {
		Dst     string   `json:"dst"`
		Gateway string   `json:"gateway,omitempty"`
		Dev     string   `json:"dev"`
		Scope   string   `json:"scope,omitempty"`
		Source  string   `json:"prefsrc,omitempty"`
		Flags   []string `json:"flags"`
	}
	routes := []route{}
	for i, p := range c.Machine.addresses {
		if family == "inet6" && p.Addr().Is4() || family != "inet6" && p.Addr().Is6() {
			continue
		}
		if i == 0 {
			routes = append(routes, route{Dst: "default", Gateway: gateway(p).String(), Dev: interfaceName(i), Flags: []string{"onlink"}})
		}
		if len(args) == 0 || args[0] != "default" {
			routes = append(routes, route{Dst: p.Masked().String(), Dev: interfaceName(i), Scope: "link", Source: p.Addr().String(), Flags: []string{}})
		}
	}
	if asJSON {
		out, err := json.Marshal(routes)
		if err != nil {
			return c.Errorf("%v", err)
		}
		c.printf("%s\n", out)
		return 0
	}
	for _, r := range routes {
		text := r.Dst
		if r.Gateway != "" {
			text += " via " + r.Gateway
		}
		text += " dev " + r.Dev
		if r.Scope != "" {
			text += " proto kernel scope " + r.Scope + " src " + r.Source
		}
		c.printf("%s\n", text)
	}
	return 0
}

func ping(_ context.Context, c *Call) int {
	o, ok := c.options("c:W:w:i:qn46I:s:M:", "count=")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		return c.Errorf("usage error: Destination address required")
	}
	target := o.rest[0]
	addrs := c.Machine.Resolve(target)
	if len(addrs) == 0 {
		c.Errorf("%s: Name or service not known", target)
		return 2
	}
	count, err := strconv.Atoi(cmpOr(o.value("c", "count"), "4"))
	if err != nil || count < 1 {
		return c.Errorf("invalid argument: '%s'", o.value("c", "count"))
	}
	c.printf("PING %s (%s) 56(84) bytes of data.\n", target, addrs[0])
	_, reached := c.Machine.Reach(addrs[0].String())
	got := 0
	for i := range count {
		if reached {
			got++
			if !o.has("q") {
				c.printf("64 bytes from %s: icmp_seq=%d ttl=64 time=0.321 ms\n", addrs[0], i+1)
			}
		}
		if i+1 < count && !c.Spend(time.Second) {
			return 130
		}
	}
	if !reached {
		c.Spend(time.Second)
	}
	c.printf("\n--- %s ping statistics ---\n%d packets transmitted, %d received, %d%% packet loss, time %dms\n", target, count, got, (count-got)*100/count, (count-1)*1000)
	if got == 0 {
		return 1
	}
	return 0
}

func ss(_ context.Context, c *Call) int {
	o, ok := c.options("tlnupaH46", "tcp", "listening", "numeric", "processes", "no-header")
	if !ok {
		return 2
	}
	if !o.has("H", "no-header") {
		c.printf("State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n")
	}
	for _, port := range c.Machine.openPorts() {
		c.printf("LISTEN 0      128          0.0.0.0:%d       0.0.0.0:*\n", port)
	}
	return 0
}

// connect tries a TCP connection to another machine's port.
func (c *Call) connect(host, port string) error {
	addrs := c.Machine.Resolve(host)
	if len(addrs) == 0 {
		return plainError("Name or service not known")
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return plainError("invalid port number " + port)
	}
	to, ok := c.Machine.Reach(host)
	switch {
	case !ok:
		return plainError("No route to host")
	case !to.Open(n):
		return plainError("Connection refused")
	}
	return nil
}

func nc(_ context.Context, c *Call) int {
	o, ok := c.options("zvw:n")
	if !ok {
		return 2
	}
	if len(o.rest) != 2 || !o.has("z") {
		return notSimulated(c, "anything but -z HOST PORT")
	}
	if err := c.connect(o.rest[0], o.rest[1]); err != nil {
		if o.has("v") {
			c.Errorf("connect to %s port %s (tcp) failed: %v", o.rest[0], o.rest[1], err)
		}
		return 1
	}
	return 0
}

// fetchURL is what curl and wget get: published files, and a bare answer from the ports of nodes.
func (c *Call) fetchURL(url string) (content []byte, status int, err error) {
	if content, ok := c.Machine.archive.Published(url); ok {
		return content, 200, nil
	}
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		scheme, rest = "http", url
	}
	host, _, _ := strings.Cut(rest, "/")
	port := map[string]string{"http": "80", "https": "443"}[scheme]
	if i := strings.LastIndexByte(host, ':'); i > 0 {
		host, port = host[:i], host[i+1:]
	}
	if len(c.Machine.Resolve(host)) == 0 {
		if _, published := c.Machine.archive.repository(url); published {
			return nil, 404, nil
		}
		return nil, 0, plainError("Could not resolve host: " + host)
	}
	if err := c.connect(host, port); err != nil {
		return nil, 0, err
	}
	return []byte("<!DOCTYPE html>\n"), 200, nil
}

func curl(_ context.Context, c *Call) int {
	o, ok := c.options("fsSLkOo:w:m:X:H:Iv", "fail", "silent", "show-error", "location", "insecure", "remote-name", "output=", "write-out=", "max-time=", "connect-timeout=", "retry=", "request=", "proto=", "tlsv1.2")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		fmt.Fprintln(c.Stderr, "curl: try 'curl --help' or 'curl --manual' for more information")
		return 2
	}
	quiet := o.has("s", "silent") && !o.has("S", "show-error")
	content, status, err := c.fetchURL(o.rest[0])
	if err != nil {
		code := 7
		if strings.HasPrefix(err.Error(), "Could not resolve") {
			code = 6
		}
		if !quiet {
			fmt.Fprintf(c.Stderr, "curl: (%d) %v\n", code, err)
		}
		return code
	}
	if status >= 400 && o.has("f", "fail") {
		if !quiet {
			fmt.Fprintf(c.Stderr, "curl: (22) The requested URL returned error: %d\n", status)
		}
		return 22
	}
	file := o.value("o", "output")
	if o.has("O", "remote-name") {
		file = o.rest[0][strings.LastIndexByte(o.rest[0], '/')+1:]
	}
	if code := c.deliver(file, content); code != 0 {
		return 23
	}
	if format := o.value("w", "write-out"); format != "" {
		text, _ := unescape(strings.ReplaceAll(format, "%{http_code}", strconv.Itoa(status)))
		c.printf("%s", text)
	}
	return 0
}

func (c *Call) deliver(file string, content []byte) int {
	if file == "" || file == "-" {
		_, err := c.Stdout.Write(content)
		return c.ended(err)
	}
	if file == "/dev/null" {
		return 0
	}
	if err := afero.WriteFile(c.view(), c.Path(file), content, 0o666&^c.process.umaskNow()); err != nil {
		return c.Errorf("%s: %s", file, errText(err))
	}
	return 0
}

func wget(_ context.Context, c *Call) int {
	o, ok := c.options("qO:nvT:t:", "quiet", "output-document=", "no-verbose", "timeout=", "tries=", "no-check-certificate", "spider")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		fmt.Fprintln(c.Stderr, "wget: missing URL")
		return 1
	}
	url := o.rest[0]
	content, status, err := c.fetchURL(url)
	switch {
	case err != nil:
		if !o.has("q", "quiet") {
			fmt.Fprintf(c.Stderr, "wget: unable to reach ‘%s’: %v\n", url, err)
		}
		return 4
	case status >= 400:
		if !o.has("q", "quiet") {
			fmt.Fprintf(c.Stderr, "ERROR %d: Not Found.\n", status)
		}
		return 8
	case o.has("spider"):
		return 0
	}
	return c.deliver(cmpOr(o.value("O", "output-document"), url[strings.LastIndexByte(url, '/')+1:]), content)
}

func ethtool(_ context.Context, c *Call) int {
	o, ok := c.options("i", "driver")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		return c.Errorf("bad command line argument(s)")
	}
	for _, i := range c.Machine.interfaces() {
		if i.Name != o.rest[0] {
			continue
		}
		if o.has("i", "driver") {
			c.printf("driver: virtio_net\nversion: 1.0.0\n")
			return 0
		}
		c.printf("Settings for %s:\n\tSpeed: 10000Mb/s\n\tDuplex: Full\n\tLink detected: yes\n", i.Name)
		return 0
	}
	fmt.Fprintf(c.Stderr, "netlink error: No such device\n")
	return 75
}
