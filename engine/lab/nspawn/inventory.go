//go:build linux

package nspawn

import "hlplay/engine/lab/login"

// Inventory writes an inventory of the nodes, for logging in to an account, and returns its path. All nodes are in
// group "nodes". Users other than root become root through sudo. The host keys are those that the nodes have at the
// start, in a separate known_hosts file.
func (n *Nodes) Inventory(account string) (string, error) {
	var hosts []login.Host
	for _, node := range n.List {
		hosts = append(hosts, login.Host{Name: node.Name, Address: node.Address, HostKey: node.hostKey})
	}
	return login.Inventory(n.Dir, n.key, account, hosts)
}
