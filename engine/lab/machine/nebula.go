package machine

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/slackhq/nebula/cert"
	"github.com/spf13/afero"
	"go.yaml.in/yaml/v3"
)

// nebulaNode is the configuration that a running Nebula has loaded. It is never changed, only replaced.
type nebulaNode struct {
	certificate cert.Certificate
	authorities *cert.CAPool
	config      nebulaConfig
}

// nebulaConfig is the part of a configuration that the lab supports.
type nebulaConfig struct {
	PKI struct {
		CA, Cert, Key string
		Blocklist     []string
	}
	StaticHostMap map[string][]string `yaml:"static_host_map"`
	Lighthouse    struct {
		AmLighthouse bool `yaml:"am_lighthouse"`
		Hosts        []string
	}
	Listen struct{ Port int }
	Tun    struct {
		Dev string
		MTU int
	}
	Firewall struct{ Inbound, Outbound []map[string]any }
}

// nebulaError is what Nebula logs before it gives up.
type nebulaError struct{ msg, err string }

func (e nebulaError) Error() string {
	return fmt.Sprintf("level=error msg=%q error=%q", e.msg, e.err)
}

// loadNebula reads a configuration and the files that it refers to, as Nebula 1.6 does.
func (m *Machine) loadNebula(file string) (nebulaNode, error) {
	var n nebulaNode
	text, err := afero.ReadFile(m.FS(), file)
	if err != nil {
		return n, fmt.Errorf("failed to load config: %s", errText(err))
	}
	if err := yaml.Unmarshal(text, &n.config); err != nil {
		return n, fmt.Errorf("failed to load config: %s", err)
	}
	pki := n.config.PKI
	read := func(what, file string) ([]byte, error) {
		text, err := afero.ReadFile(m.FS(), file)
		if err != nil {
			return nil, fmt.Errorf("unable to read pki.%s file %s: open %s: no such file or directory", what, file, file)
		}
		return text, nil
	}
	authorities, err := read("ca", pki.CA)
	if err != nil {
		return n, nebulaError{"Failed to load ca from config", err.Error()}
	}
	if n.authorities, err = cert.NewCAPoolFromPEM(authorities); err != nil && !errors.Is(err, cert.ErrExpired) { // its expiry check uses the controller's clock
		return n, nebulaError{"Failed to load ca from config", "error while adding CA certificate to CA trust store: " + err.Error()}
	}
	for _, print := range pki.Blocklist {
		n.authorities.BlocklistFingerprint(print)
	}
	if err := m.loadCertificate(&n, read); err != nil {
		return n, nebulaError{"Failed to load certificate from config", err.Error()}
	}
	for direction, rules := range map[string][]map[string]any{"outbound": n.config.Firewall.Outbound, "inbound": n.config.Firewall.Inbound} {
		for i, rule := range rules {
			if rule["host"] == nil && rule["group"] == nil && rule["groups"] == nil && rule["cidr"] == nil {
				return n, nebulaError{"Error while loading firewall rules", fmt.Sprintf("firewall.%s rule #%d; at least one of host, group, cidr, ca_name, or ca_sha must be provided", direction, i)}
			}
		}
	}
	return n, nil
}

func (m *Machine) loadCertificate(n *nebulaNode, read func(what, file string) ([]byte, error)) error {
	pki := n.config.PKI
	key, err := read("key", pki.Key)
	if err != nil {
		return err
	}
	private, _, curve, err := cert.UnmarshalPrivateKeyFromPEM(key)
	if err != nil {
		return fmt.Errorf("error while unmarshaling pki.key %s: %s", pki.Key, err)
	}
	text, err := read("cert", pki.Cert)
	if err != nil {
		return err
	}
	if n.certificate, _, err = cert.UnmarshalCertificateFromPEM(text); err != nil {
		return fmt.Errorf("error while unmarshaling pki.cert %s: %s", pki.Cert, err)
	}
	switch {
	case n.certificate.Version() != cert.Version1:
		return fmt.Errorf("error while unmarshaling pki.cert %s: bytes did not contain a proper nebula certificate banner", pki.Cert)
	case n.certificate.Expired(m.clock.Now()):
		return errors.New("nebula certificate for this host is expired")
	case n.certificate.VerifyPrivateKey(curve, private) != nil:
		return errors.New("private key is not a pair with public key in nebula cert")
	}
	return nil
}

// accepts reports whether one node of Nebula accepts another one's certificate.
func (m *Machine) accepts(n, other *nebulaNode) bool {
	_, err := n.authorities.VerifyCertificate(m.clock.Now(), other.certificate)
	return err == nil
}

// address returns the address of a node within the network.
func (n *nebulaNode) address() netip.Addr { return n.certificate.Networks()[0].Addr() }

// knows reports whether a node can find an address: from its static host map or through a lighthouse.
func (n *nebulaNode) knows(to netip.Addr) bool {
	_, static := n.config.StaticHostMap[to.String()]
	return static || n.config.Lighthouse.AmLighthouse || len(n.config.Lighthouse.Hosts) > 0
}

// beyondNebula returns the machine that an address leads to through Nebula: both nodes accept each other's certificate,
// and one can find the other.
func (m *Machine) beyondNebula(to netip.Addr) (*Machine, bool) {
	m.network.mu.RLock()
	others := slices.Clone(m.network.machines)
	m.network.mu.RUnlock()
	for _, t := range m.tunnels() {
		if t.nebula == nil {
			continue
		}
		for _, other := range others {
			for _, theirs := range other.tunnels() {
				if n := theirs.nebula; n != nil && other != m && other.On() && n.address() == to && theirs.port == t.port &&
					m.accepts(t.nebula, n) && other.accepts(n, t.nebula) && (t.nebula.knows(to) || n.knows(t.nebula.address())) {
					return other, true
				}
			}
		}
	}
	return nil, false
}

func nebulaProgram(_ context.Context, c *Call) int {
	args := c.Argv[1:]
	if len(args) != 3 || args[0] != "-test" || args[1] != "-config" {
		return notSimulated(c, strings.Join(args, " "))
	}
	if _, err := c.Machine.loadNebula(c.Path(args[2])); err != nil {
		fmt.Fprintln(c.Stderr, err)
		return 1
	}
	return 0
}

func nebulaCert(_ context.Context, c *Call) int {
	args := c.Argv[1:]
	given := map[string]string{}
	for i := 1; i+1 < len(args); i += 2 {
		given[args[i]] = c.Path(args[i+1])
	}
	switch {
	case len(args) == 5 && args[0] == "keygen" && given["-out-key"] != "" && given["-out-pub"] != "":
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return c.Errorf("%v", err)
		}
		for file, block := range map[string]pem.Block{
			given["-out-key"]: {Type: cert.X25519PrivateKeyBanner, Bytes: key.Bytes()},
			given["-out-pub"]: {Type: cert.X25519PublicKeyBanner, Bytes: key.PublicKey().Bytes()},
		} {
			if err := afero.WriteFile(c.FS(), file, pem.EncodeToMemory(&block), 0o600); err != nil {
				fmt.Fprintf(c.Stderr, "Error: error while writing %s: %s\n", file, errText(err))
				return 1
			}
		}
		return 0
	case len(args) == 5 && args[0] == "verify" && given["-ca"] != "" && given["-crt"] != "":
		text, err := afero.ReadFile(c.FS(), given["-crt"])
		authorities, err2 := afero.ReadFile(c.FS(), given["-ca"])
		if err := errors.Join(err, err2); err != nil {
			fmt.Fprintf(c.Stderr, "Error: %s\n", errText(err))
			return 1
		}
		pool, err := cert.NewCAPoolFromPEM(authorities)
		if err == nil || errors.Is(err, cert.ErrExpired) {
			var certificate cert.Certificate
			if certificate, _, err = cert.UnmarshalCertificateFromPEM(text); err == nil {
				_, err = pool.VerifyCertificate(c.Machine.clock.Now(), certificate)
			}
		}
		if err != nil {
			fmt.Fprintf(c.Stderr, "Error: %s\n", err)
			return 1
		}
		return 0
	}
	return notSimulated(c, strings.Join(args, " "))
}

// nebulaUnit returns the unit of a network. It runs the commands that drop-ins add before the start and to the reload.
func nebulaUnit(name string) Unit {
	const folder = "/etc/nebula/"
	runtime := "/run/nebula-" + name
	load := func(m *Machine) error {
		n, err := m.loadNebula(folder + name + ".yml")
		if err != nil {
			return saying("%s", err.Error())
		}
		for _, running := range m.tunnels() { // a reload does not change the interface and the port
			if old := running.nebula; running.name == name && old != nil {
				running.nebula = &n
				m.setTunnel(name, &running)
				return nil
			}
		}
		m.setTunnel(name, &tunnel{name: name, port: n.config.Listen.Port, mtu: n.config.Tun.MTU, addresses: n.certificate.Networks(), nebula: &n})
		return nil
	}
	commands := func(m *Machine, directive string) (all []string) {
		files, _ := afero.Glob(m.FS(), "/etc/systemd/system/nebula@"+name+".service.d/*.conf")
		for _, file := range files {
			text, _ := afero.ReadFile(m.FS(), file)
			for line := range strings.Lines(string(text)) {
				if value, ok := strings.CutPrefix(strings.TrimSpace(line), directive+"="); ok && value != "" {
					all = append(all, strings.ReplaceAll(value, "%i", name))
				}
			}
		}
		return all
	}
	added := func(m *Machine, directive string) error {
		for _, command := range commands(m, directive) {
			var said bytes.Buffer
			if code := m.Console(context.Background(), &said, &said, words(command)...); code != 0 {
				return saying("%s", strings.TrimSpace(said.String()))
			}
		}
		return nil
	}
	clear := func(m *Machine) {
		m.setTunnel(name, nil)
		m.tree.mu.Lock()
		_ = m.tree.drop(runtime) // it does not exist before the first start
		m.tree.mu.Unlock()
	}
	start := func(m *Machine) error {
		clear(m)
		m.tree.mu.Lock()
		m.tree.mkdirAll(runtime, 0o755)
		m.tree.mu.Unlock()
		if err := added(m, "ExecStartPre"); err != nil {
			return err
		}
		return load(m)
	}
	return Unit{
		Name:  "nebula@" + name,
		Start: start,
		Stop:  clear,
		Reload: func(m *Machine) {
			if len(commands(m, "ExecStart")) == 0 { // the signal ends the launcher's shell, and systemd starts a new one
				_ = start(m)
			} else {
				_ = load(m) // on error it keeps its configuration
			}
			_ = added(m, "ExecReload")
		},
	}
}

// nebulaPackage returns the package of nebula(1) and nebula-cert(1).
func nebulaPackage(version string) Package {
	unit := `[Unit]
Description=Run the Nebula networking overlay as a daemon
Wants=basic.target
After=basic.target network-online.target

[Service]
User=root
SyslogIdentifier=nebula-%i
ExecReload=/bin/kill -HUP $MAINPID
ExecStart=/usr/lib/nebula/bin/nebula-systemd-launcher %i
Restart=always

[Install]
WantedBy=multi-user.target
`
	return Package{Name: "nebula", Version: version, Programs: map[string]Program{"nebula": nebulaProgram, "nebula-cert": nebulaCert},
		Files: map[string]string{"/usr/lib/systemd/system/nebula@.service": unit},
		Installed: func(m *Machine, _ io.Writer) error {
			m.tree.mu.Lock()
			m.tree.mkdirAll("/etc/nebula", 0o755)
			m.tree.mu.Unlock()
			m.Units().Template("nebula", nebulaUnit)
			return nil
		}}
}
