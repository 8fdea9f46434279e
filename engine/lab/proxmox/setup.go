package proxmox

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

func fqdn(n Node) string {
	hosts, _ := n.ReadFile("/etc/hosts")
	for line := range strings.Lines(string(hosts)) {
		line, _, _ = strings.Cut(line, "#")
		for _, name := range strings.Fields(line) {
			if strings.HasPrefix(name, n.Name()+".") {
				return name
			}
		}
	}
	return n.Name()
}

// unitStarted is called when a unit on a node starts. pve-cluster refuses a node whose name does not resolve to an
// address of the LAN, as pmxcfs does.
func (w *World) unitStarted(n Node, unit string) error {
	switch unit {
	case "pve-cluster.service":
		return w.startPmxcfs(n)
	case "corosync.service":
		var configured bool
		if _, err := n.ReadFile("/etc/corosync/corosync.conf"); err == nil {
			configured = true
		}
		if !configured {
			return nil // ConditionPathExists: the unit is skipped without an error
		}
	case qdeviceUnit:
		var conf *Corosync
		w.at(func(v *view) { conf = clusterOf(v.database(n.Name())) })
		if conf == nil || conf.Device == nil {
			return failed(1, "Can't read quorum.device.model cmap key.")
		}
	}
	w.update(func(s *State) { s.node(n.Name()).started(unit, w.clock.Now()) })
	return nil
}

func (w *World) unitStopped(n Node, unit string) {
	if unit == "pve-cluster.service" {
		n.UnmountConfig()
	}
	w.update(func(s *State) {
		for _, name := range w.names(n) {
			s.node(name).stopped(unit, w.clock.Now())
		}
	})
	if unit == "corosync.service" {
		w.at(func(*view) {}) // the other nodes form a new ring now, not at the next query
	}
}

func (w *World) startPmxcfs(n Node) error {
	address, err := nodeAddress(n)
	if err != nil {
		return failed(exitDie, "Unable to resolve node name '%s' to a non-loopback IP address - missing entry in '/etc/hosts' or DNS?", n.Name())
	}
	w.update(func(s *State) {
		v := &view{State: s, world: w, now: w.clock.Now(), up: map[string]bool{n.Name(): true}}
		state := s.node(n.Name())
		state.IP = address.String()
		for _, name := range w.names(n) {
			if known := s.Nodes[name]; known != nil && state.Database == "" {
				state.Database = known.Database // a renamed node keeps its database
			}
		}
		if s.Databases[state.Database] == nil {
			state.Database = fmt.Sprintf("%s-%d", n.Name(), s.next())
			db := newDatabase(state.Database)
			s.Databases[state.Database] = db
			v.base(db)
			for id, kind := range w.options(n.Name()).Guests {
				v.makeGuest(db, n.Name(), id, kind)
			}
		}
		state.started("pve-cluster.service", v.now)
		if clusterOf(s.database(n.Name())) == nil {
			v.nodeFiles(n, address, false)
		}
	})
	w.know(n)
	n.MountConfig()
	prepareSSH(w, n)
	mergeRootKey(w, n)
	return nil
}

// base returns the files of a new database.
func (v *view) base(db *Database) {
	for _, dir := range []string{"nodes", "priv", "priv/lock", "priv/acme", "virtual-guest", "firewall", "mapping", "sdn"} {
		db.MakeDir(dir, v.now)
	}
	db.Write("user.cfg", []byte("user:root@pam:1:0:::root@example.com:::\n"), v.now)
	db.Write("vzdump.cron", []byte("# cluster wide vzdump cron schedule\n# Automatically generated file - do not edit\n\nPATH=\"/usr/sbin:/usr/bin:/sbin:/bin\"\n\n"), v.now)
	db.Write("pve-www.key", pemBlock("EC PRIVATE KEY", randomBytes(120)), v.now)
	db.Write("authkey.pub", pemBlock("PUBLIC KEY", randomBytes(90)), v.now)
	db.Write("priv/authkey.key", pemBlock("EC PRIVATE KEY", randomBytes(120)), v.now)
	db.Write("priv/authorized_keys", nil, v.now)
	db.Write("priv/known_hosts", nil, v.now)
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// nodeFiles creates a node's files below nodes/: directories and its certificate, signed by the cluster's CA, which is
// created if necessary. It reports whether anything was missing.
func (v *view) nodeFiles(n Node, address netip.Addr, force bool) bool {
	db, name := v.database(n.Name()), n.Name()
	made := !db.Has("nodes/"+name+"/qemu-server") || !db.Has("nodes/"+name+"/pve-ssl.key")
	for _, dir := range []string{"", "/qemu-server", "/lxc", "/openvz", "/priv"} {
		db.MakeDir("nodes/"+name+dir, v.now)
	}
	if made || force || !db.Has("nodes/"+name+"/pve-ssl.pem") {
		ca, caKey := v.authority(db)
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // never fails with this curve
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(v.next())), Subject: pkix.Name{OrganizationalUnit: []string{"PVE Cluster Node"}, Organization: []string{"Proxmox Virtual Environment"}, CommonName: name},
			NotBefore: v.now.Add(-labAhead), NotAfter: v.now.AddDate(2, 0, 0), DNSNames: []string{"localhost", name},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IP(address.AsSlice())}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		der, _ := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
		keyDER, _ := x509.MarshalECPrivateKey(key)
		db.Write("nodes/"+name+"/pve-ssl.key", pemBlock("EC PRIVATE KEY", keyDER), v.now)
		db.Write("nodes/"+name+"/pve-ssl.pem", pemBlock("CERTIFICATE", der), v.now)
	}
	return made
}

func (v *view) authority(db *Database) (*x509.Certificate, *ecdsa.PrivateKey) {
	if certificate, ok := db.Read("pve-root-ca.pem"); ok {
		keyText, _ := db.Read("priv/pve-root-ca.key")
		block, _ := pem.Decode(certificate)
		keyBlock, _ := pem.Decode(keyText)
		if block != nil && keyBlock != nil {
			parsed, err := x509.ParseCertificate(block.Bytes)
			key, keyErr := x509.ParseECPrivateKey(keyBlock.Bytes)
			if err == nil && keyErr == nil {
				return parsed, key
			}
		}
	}
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(v.next())), IsCA: true, BasicConstraintsValid: true,
		Subject:   pkix.Name{CommonName: "Proxmox Virtual Environment", OrganizationalUnit: []string{hex(randomBytes(16))}, Organization: []string{"PVE Cluster Manager CA"}},
		NotBefore: v.now.Add(-labAhead), NotAfter: v.now.AddDate(10, 0, 0), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	der, _ := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	keyDER, _ := x509.MarshalECPrivateKey(key)
	db.Write("pve-root-ca.pem", pemBlock("CERTIFICATE", der), v.now)
	db.Write("priv/pve-root-ca.key", pemBlock("EC PRIVATE KEY", keyDER), v.now)
	parsed, _ := x509.ParseCertificate(der)
	return parsed, key
}

// labAhead is how far a lab's clock may be ahead of the controller's, which uses its own clock to check certificates.
const labAhead = 30 * 24 * time.Hour

func hex(b []byte) string { return fmt.Sprintf("%x", b) }

// fingerprint returns the fingerprint of a node's API certificate: pveproxy-ssl.pem takes precedence over
// pve-ssl.pem.
func (db *Database) fingerprint(node string) string {
	if db == nil {
		return ""
	}
	data, ok := db.Read("nodes/" + node + "/pveproxy-ssl.pem")
	if !ok {
		data, _ = db.Read("nodes/" + node + "/pve-ssl.pem")
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return ""
	}
	sum := sha256.Sum256(block.Bytes)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

const (
	authorizedKeys = "/root/.ssh/authorized_keys"
	clusterKeys    = "/etc/pve/priv/authorized_keys"
)

// prepareSSH changes root's SSH files as PVE does: it creates a key, moves authorized_keys into the cluster and links
// to it from the old place.
func prepareSSH(w *World, n Node) {
	if err := n.MkdirAll("/root/.ssh", 0o700); err != nil {
		return
	}
	if !n.Exists("/root/.ssh/id_rsa.pub") {
		key, err := w.rootKey()
		if err != nil {
			return
		}
		public, err := ssh.NewPublicKey(&key.PublicKey)
		if err != nil {
			return
		}
		line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public))) + " root@" + n.Name() + "\n"
		private := pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
		_ = n.WriteFile("/root/.ssh/id_rsa", private, 0o600)
		_ = n.WriteFile("/root/.ssh/id_rsa.pub", []byte(line), 0o644)
	}
	if !n.Exists("/root/.ssh/config") {
		_ = n.WriteFile("/root/.ssh/config", []byte("Ciphers aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com\n"), 0o640)
	}
}

// rootKeys are generated once per process, the n-th for the n-th node of every lab, because generating one takes longer
// than everything else about a simulated node.
var rootKeys struct {
	mu   sync.Mutex
	made []*rsa.PrivateKey
}

// rootKey returns a key that no other node of this lab has.
func (w *World) rootKey() (*rsa.PrivateKey, error) {
	w.mu.Lock()
	n := w.rootKeys
	w.rootKeys++
	w.mu.Unlock()
	rootKeys.mu.Lock()
	defer rootKeys.mu.Unlock()
	for len(rootKeys.made) <= n {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		rootKeys.made = append(rootKeys.made, key)
	}
	return rootKeys.made[n], nil
}

// mergeRootKey adds a node's root key, and the content of its own authorized_keys file if there still is one, to the
// cluster's list, and links the file to it.
func mergeRootKey(w *World, n Node) {
	own, _ := n.ReadFile("/root/.ssh/id_rsa.pub")
	var real []byte
	if _, err := n.Readlink(authorizedKeys); err != nil {
		real, _ = n.ReadFile(authorizedKeys)
	}
	merge := false
	w.at(func(v *view) {
		db := v.database(n.Name())
		if db == nil || !v.quorate(n.Name()) {
			return
		}
		merge = true
		old, _ := db.Read("priv/authorized_keys")
		merged := append([]byte(nil), old...)
		for line := range bytes.Lines(append(append([]byte(nil), real...), own...)) {
			line = bytes.TrimSpace(line)
			if len(line) > 0 && !bytes.Contains(merged, line) {
				merged = append(append(merged, line...), '\n')
			}
		}
		if !bytes.Equal(merged, old) {
			db.Write("priv/authorized_keys", merged, v.now)
		}
	})
	if _, err := n.Readlink(authorizedKeys); err != nil && merge {
		if real != nil {
			_ = n.WriteFile(authorizedKeys+".org", real, 0o600)
		}
		_ = n.Symlink(clusterKeys, authorizedKeys)
	}
}

// trusts reports whether root on n can log in to a member without prompts: its key is authorised there, and the
// member's host key is known under exactly the name that is used.
func trusts(n, member Node, host string) bool {
	own, err := n.ReadFile("/root/.ssh/id_rsa.pub")
	if err != nil {
		return false
	}
	authorized, err := member.ReadFile(authorizedKeys)
	if err != nil {
		return false
	}
	fields := strings.Fields(string(own))
	if len(fields) < 2 || !strings.Contains(string(authorized), fields[1]) {
		return false
	}
	hostKeys := map[string]bool{}
	for _, kind := range []string{"rsa", "ecdsa", "ed25519"} {
		if public, err := member.ReadFile("/etc/ssh/ssh_host_" + kind + "_key.pub"); err == nil {
			if f := strings.Fields(string(public)); len(f) >= 2 {
				hostKeys[f[1]] = true
			}
		}
	}
	for _, file := range []string{"/root/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"} {
		known, _ := n.ReadFile(file)
		for line := range strings.Lines(string(known)) {
			f := strings.Fields(line)
			if len(f) < 3 || !hostKeys[f[2]] {
				continue
			}
			for _, pattern := range strings.Split(f[0], ",") {
				if pattern == host {
					return true
				}
			}
		}
	}
	return false
}

func pvecmUpdatecerts(c *Command, a arguments) int {
	deadline := c.slept + 80*time.Second
	for {
		var ready bool
		c.World.at(func(v *view) { ready = v.quorate(c.Node.Name()) && v.runs(c.Node.Name(), "pve-cluster.service", 0) })
		if ready {
			break
		}
		if c.slept >= deadline {
			if a.bool("silent") {
				return 0
			}
			return c.die(4, "got timeout when trying to ensure cluster certificates and base file hierarchy is set up - no quorum (yet) or hung pmxcfs?")
		}
		if err := c.sleep(5 * time.Second); err != nil {
			return exitDie
		}
	}
	address, err := nodeAddress(c.Node)
	if err != nil {
		return c.die(exitDie, "%s", err)
	}
	var made bool
	c.World.at(func(v *view) { made = v.nodeFiles(c.Node, address, a.bool("force")) })
	if made || a.bool("force") {
		c.printf("(re)generate node files\n")
	}
	if a.bool("force") {
		c.printf("generate new node certificate\nmerge authorized SSH keys\n")
	}
	mergeRootKey(c.World, c.Node)
	return 0
}
