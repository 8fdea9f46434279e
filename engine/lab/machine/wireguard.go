package machine

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// tunnel is an interface of WireGuard or Nebula. It is never changed, only replaced.
type tunnel struct {
	name      string
	private   string
	port, mtu int
	addresses []netip.Prefix
	peers     []tunnelPeer
	nebula    *nebulaNode // nil for WireGuard
}

type tunnelPeer struct{ public, allowed, endpoint string }

// tunnelsKey is the key of a machine's tunnels, a slice in the order of their creation.
type tunnelsKey struct{}

func (m *Machine) tunnels() []tunnel {
	all, _ := m.Value(tunnelsKey{}).([]tunnel)
	return all
}

func (m *Machine) tunnel(name string) (tunnel, bool) {
	all := m.tunnels()
	at := slices.IndexFunc(all, func(t tunnel) bool { return t.name == name })
	if at < 0 {
		return tunnel{}, false
	}
	return all[at], true
}

// setTunnel replaces the interface with that name, or removes it if to is nil.
func (m *Machine) setTunnel(name string, to *tunnel) {
	all := slices.DeleteFunc(slices.Clone(m.tunnels()), func(t tunnel) bool { return t.name == name })
	m.tree.mu.Lock()
	_ = m.tree.drop("/sys/class/net/" + name) // it does not exist before it is up
	if to != nil {
		all = append(all, *to)
		m.tree.file("/sys/class/net/"+name+"/mtu", 0o644, fmt.Sprintln(to.mtu))
	}
	m.tree.mu.Unlock()
	m.SetValue(tunnelsKey{}, all)
}

// publicKey returns the public half of a private key.
func publicKey(private string) (string, bool) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(private))
	if err != nil {
		return "", false
	}
	key, err := ecdh.X25519().NewPrivateKey(raw)
	if err != nil {
		return "", false
	}
	return base64.StdEncoding.EncodeToString(key.PublicKey().Bytes()), true
}

func (t tunnel) iface(index int) iface {
	i := iface{Index: index, Name: t.name, Flags: []string{"POINTOPOINT", "NOARP", "UP", "LOWER_UP"}, MTU: t.mtu, Qdisc: "noqueue", State: "UNKNOWN", Group: "default", Txqlen: 1000, LinkType: "none"}
	for _, p := range t.addresses {
		family := "inet"
		if p.Addr().Is6() {
			family = "inet6"
		}
		i.Addrs = append(i.Addrs, ifaddr{family, p.Addr().String(), p.Bits(), "global", t.name, forever, forever})
	}
	return i
}

// beyond returns the machine that an address leads to through a tunnel. Both sides must know each other's keys.
func (m *Machine) beyond(to netip.Addr) (*Machine, bool) {
	m.network.mu.RLock()
	others := slices.Clone(m.network.machines)
	m.network.mu.RUnlock()
	for _, t := range m.tunnels() {
		own, _ := publicKey(t.private) // Nebula's tunnels have neither key nor peers
		for _, p := range t.peers {
			for _, other := range others {
				for _, theirs := range other.tunnels() {
					public, _ := publicKey(theirs.private)
					if within(to.String(), p.allowed) && public == p.public && other.On() && slices.ContainsFunc(theirs.addresses, func(a netip.Prefix) bool { return a.Addr() == to }) &&
						slices.ContainsFunc(theirs.peers, func(back tunnelPeer) bool { return back.public == own }) {
						return other, true
					}
				}
			}
		}
	}
	return nil, false
}

func wg(_ context.Context, c *Call) int {
	args := c.Argv[1:]
	if len(args) == 0 {
		args = []string{"show"}
	}
	switch {
	case args[0] == "genkey" && len(args) == 1:
		key := make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return c.Errorf("%v", err)
		}
		key[0], key[31] = key[0]&248, key[31]&127|64
		c.printf("%s\n", base64.StdEncoding.EncodeToString(key))
		return 0
	case args[0] == "pubkey" && len(args) == 1:
		in, err := io.ReadAll(c.Stdin)
		public, ok := publicKey(string(in))
		if err != nil || !ok {
			return c.Errorf("Key is not the correct length or format")
		}
		c.printf("%s\n", public)
		return 0
	case args[0] == "show" && len(args) == 2 && args[1] == "interfaces":
		for _, t := range c.Machine.tunnels() {
			c.printf("%s\n", t.name)
		}
		return 0
	case args[0] == "show" && len(args) == 3:
		return c.wgShow(args[1], args[2])
	case args[0] == "set" && len(args) == 4 && args[2] == "private-key", args[0] == "syncconf" && len(args) == 3:
		t, ok := c.Machine.tunnel(args[1])
		if c.User != "root" {
			return c.Errorf("Unable to modify interface: Operation not permitted")
		}
		file, err := c.input(strings.Replace(args[len(args)-1], "/dev/stdin", "-", 1))
		if err != nil {
			return c.Errorf("fopen: %v", err)
		}
		text, err := io.ReadAll(file)
		if err != nil {
			return c.Errorf("fopen: %v", err)
		}
		if !ok {
			return c.Errorf("Unable to modify interface: No such device")
		}
		if args[0] == "set" {
			if _, ok := publicKey(string(text)); !ok {
				return c.Errorf("Key is not the correct length or format: `%s'", strings.TrimSpace(string(text)))
			}
			t.private = strings.TrimSpace(string(text))
		} else {
			t.private, t.peers = "", nil // whatever is not in the file is removed
			t.read(string(text))
		}
		c.Machine.setTunnel(t.name, &t)
		return 0
	}
	return notSimulated(c, strings.Join(args, " "))
}

func (c *Call) wgShow(name, what string) int {
	t, ok := c.Machine.tunnel(name)
	if !ok {
		return c.Errorf("Unable to access interface: No such device")
	}
	switch what {
	case "public-key":
		public, ok := publicKey(t.private)
		if !ok {
			public = "(none)"
		}
		c.printf("%s\n", public)
	case "listen-port":
		c.printf("%d\n", t.port)
	case "allowed-ips":
		for _, p := range t.peers {
			c.printf("%s\t%s\n", p.public, p.allowed)
		}
	case "peers":
		for _, p := range t.peers {
			c.printf("%s\n", p.public)
		}
	default:
		return notSimulated(c, what)
	}
	return 0
}

// read parses a configuration into the tunnel and returns the commands to run when the interface is up.
func (t *tunnel) read(text string) (up []string) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.TrimSpace(value)
		if strings.EqualFold(strings.TrimSpace(key), "[Peer]") {
			t.peers = append(t.peers, tunnelPeer{})
		}
		last := len(t.peers) - 1
		switch strings.TrimSpace(key) {
		case "Address":
			if p, err := netip.ParsePrefix(value); err == nil {
				t.addresses = append(t.addresses, p)
			}
		case "ListenPort":
			t.port, _ = strconv.Atoi(value)
		case "MTU":
			t.mtu, _ = strconv.Atoi(value)
		case "PrivateKey":
			t.private = value
		case "PostUp":
			up = append(up, value)
		case "PublicKey":
			t.peers[last].public = value
		case "AllowedIPs":
			t.peers[last].allowed = value
		case "Endpoint":
			t.peers[last].endpoint = value
		}
	}
	return up
}

// wgQuickOnly are the keys that wg(8) does not know.
var wgQuickOnly = []string{"Address", "MTU", "DNS", "Table", "PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig"}

func wgQuick(_ context.Context, c *Call) int {
	if len(c.Argv) != 3 {
		return notSimulated(c, strings.Join(c.Argv[1:], " "))
	}
	verb, name := c.Argv[1], c.Argv[2]
	file := "/etc/wireguard/" + name + ".conf"
	text, err := afero.ReadFile(c.view(), file)
	if err != nil {
		return c.Errorf("`%s' does not exist", file)
	}
	_, up := c.Machine.tunnel(name)
	switch verb {
	case "strip":
		for line := range strings.Lines(string(text)) {
			key, _, _ := strings.Cut(line, "=")
			if !slices.Contains(wgQuickOnly, strings.TrimSpace(key)) {
				c.printf("%s", line)
			}
		}
	case "up":
		if up {
			return c.Errorf("`%s' already exists", name)
		}
		t := tunnel{name: name, mtu: 1420}
		commands := t.read(string(text))
		c.Machine.setTunnel(name, &t)
		for _, command := range commands {
			if code := c.Run("sh", "-c", strings.ReplaceAll(command, "%i", name)); code != 0 {
				c.Machine.setTunnel(name, nil)
				return code
			}
		}
	case "down":
		if !up {
			return c.Errorf("`%s' is not a WireGuard interface", name)
		}
		c.Machine.setTunnel(name, nil)
	default:
		return notSimulated(c, verb)
	}
	return 0
}

// wgQuickUnit returns the unit of an interface. Reloading runs the last ExecReload in its drop-ins.
func wgQuickUnit(name string) Unit {
	run := func(m *Machine, argv ...string) error {
		var said bytes.Buffer
		if code := m.Console(context.Background(), &said, &said, argv...); code != 0 {
			return saying("%s", strings.TrimSpace(said.String()))
		}
		return nil
	}
	return Unit{
		Name: "wg-quick@" + name, Exits: true,
		Start: func(m *Machine) error { return run(m, "wg-quick", "up", name) },
		Stop:  func(m *Machine) { _ = run(m, "wg-quick", "down", name) }, // it may not exist any more
		Reload: func(m *Machine) {
			command := []string{"sh", "-c", "wg-quick strip " + name + " | wg syncconf " + name + " /dev/stdin"}
			files, _ := afero.Glob(m.FS(), "/etc/systemd/system/wg-quick@"+name+".service.d/*.conf")
			for _, file := range files {
				text, _ := afero.ReadFile(m.FS(), file)
				for line := range strings.Lines(string(text)) {
					if value, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecReload="); ok && value != "" {
						command = words(strings.ReplaceAll(value, "%i", name))
					}
				}
			}
			_ = run(m, command...)
		},
	}
}

// wireguardTools returns the package of wg(8) and wg-quick(8).
func wireguardTools(version string) Package {
	return Package{Name: "wireguard-tools", Version: version, Programs: map[string]Program{"wg": wg, "wg-quick": wgQuick},
		Files: map[string]string{"/usr/lib/systemd/system/wg-quick@.service": `[Unit]
Description=WireGuard via wg-quick(8) for %I
After=network-online.target nss-lookup.target
Wants=network-online.target nss-lookup.target
PartOf=wg-quick.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/wg-quick up %i
ExecStop=/usr/bin/wg-quick down %i
ExecReload=/bin/bash -c 'exec /usr/bin/wg syncconf %i <(exec /usr/bin/wg-quick strip %i)'

[Install]
WantedBy=multi-user.target
`},
		Installed: func(m *Machine, _ io.Writer) error {
			m.tree.mu.Lock()
			m.tree.mkdirAll("/etc/wireguard", 0o700)
			m.tree.mu.Unlock()
			m.Units().Template("wg-quick", wgQuickUnit)
			return nil
		}}
}
