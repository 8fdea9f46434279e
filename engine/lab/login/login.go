// Package login makes the keys that tests use to log in to real nodes, and the inventories that tell hlplay where the
// nodes are.
package login

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// MakeKey generates a key pair without a passphrase, in path and path.pub.
func MakeKey(ctx context.Context, path string) error {
	out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hlplay-e2e", "-f", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make a key: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// Host is a node that a test logs in to.
type Host struct {
	Name    string
	Address netip.Addr
	HostKey string // the public key of its sshd, as in a line of authorized_keys
}

// Inventory writes an inventory of hosts to a new directory below dir and returns its path. All hosts are in group
// "nodes"; hlplay logs in to account with key, and users other than root become root through sudo. The host keys are in
// a separate known_hosts file.
func Inventory(dir, key, account string, list []Host) (string, error) {
	dir, err := os.MkdirTemp(dir, "inventory-")
	if err != nil {
		return "", err
	}
	var known, hosts strings.Builder
	var names []string
	for _, host := range list {
		fields := strings.Fields(host.HostKey)
		if len(fields) < 2 {
			return "", fmt.Errorf("node %s: %q is not a host key", host.Name, host.HostKey)
		}
		fmt.Fprintf(&known, "%s %s %s\n", host.Address, fields[0], fields[1])
		fmt.Fprintf(&hosts, "\nhost %q {\n  address = %q\n}\n", host.Name, host.Address)
		names = append(names, fmt.Sprintf("%q", host.Name))
	}
	knownHosts := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(knownHosts, []byte(known.String()), 0o600); err != nil {
		return "", err
	}
	inventory := fmt.Sprintf("defaults {\n  user        = %q\n  keys        = [%q]\n  known_hosts = %q\n  become      = %t\n}\n\ngroup \"nodes\" {\n  hosts = [%s]\n}\n%s",
		account, key, knownHosts, account != "root", strings.Join(names, ", "), hosts.String())
	path := filepath.Join(dir, "hosts.hcl")
	return path, os.WriteFile(path, []byte(inventory), 0o600)
}
