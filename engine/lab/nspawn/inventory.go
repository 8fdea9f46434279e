//go:build linux

package nspawn

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Inventory writes an inventory of the nodes, for logging in to an account, and returns its path. All nodes are in
// group "nodes". Users other than root become root through sudo. The host keys are those that the nodes have at the
// start, in a separate known_hosts file.
func (n *Nodes) Inventory(account string) (string, error) {
	dir, err := os.MkdirTemp(n.Dir, "inventory-")
	if err != nil {
		return "", err
	}
	var known, hosts strings.Builder
	var names []string
	for _, node := range n.List {
		fields := strings.Fields(node.hostKey)
		if len(fields) < 2 {
			return "", fmt.Errorf("node %s: %q is not a host key", node.Name, node.hostKey)
		}
		fmt.Fprintf(&known, "%s %s %s\n", node.Address, fields[0], fields[1])
		fmt.Fprintf(&hosts, "\nhost %q {\n  address = %q\n}\n", node.Name, node.Address)
		names = append(names, fmt.Sprintf("%q", node.Name))
	}
	knownHosts := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(knownHosts, []byte(known.String()), 0o600); err != nil {
		return "", err
	}
	inventory := fmt.Sprintf("defaults {\n  user        = %q\n  keys        = [%q]\n  known_hosts = %q\n  become      = %t\n}\n\ngroup \"nodes\" {\n  hosts = [%s]\n}\n%s",
		account, n.key, knownHosts, account != Root, strings.Join(names, ", "), hosts.String())
	path := filepath.Join(dir, "hosts.hcl")
	return path, os.WriteFile(path, []byte(inventory), 0o600)
}
