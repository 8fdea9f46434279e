//go:build linux

package nspawn

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// bridgeAddress is the Ethernet address of the bridge, from the locally administered range.
const bridgeAddress = "02:00:00:00:00:01"

// Listen opens a TCP listener in the nodes' network at Controller's address; port 0 means any.
func (n *Nodes) Listen(port int) (listener net.Listener, err error) {
	err = n.Do(func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(Controller, fmt.Sprint(port)))
		return err
	})
	return listener, err
}

// plug returns the name of the node's interface on the bridge, as systemd-nspawn chooses it.
func (node *Node) plug() string { return "vb-" + node.Name }

// CutLink unplugs the node's network cable.
func (node *Node) CutLink(ctx context.Context) error {
	return node.nodes.IP(ctx, "link", "set", node.plug(), "down")
}

// RestoreLink plugs the node's network cable in again.
func (node *Node) RestoreLink(ctx context.Context) error {
	return node.nodes.IP(ctx, "link", "set", node.plug(), "up")
}

// sharedDir is the name of the directory that the nodes share, next to their root file systems; it is not a valid
// name of a node.
const sharedDir = "SHARED"

// makeDisk mounts an in-memory file system for what the nodes write, and returns its path. Only the nodes' mount
// namespace sees it.
func (n *Nodes) makeDisk(shared bool) (string, error) {
	dir := filepath.Join(n.Dir, "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	err := n.Do(func() error {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755,size=80%"); err != nil || !shared {
			return err
		}
		return os.Mkdir(filepath.Join(dir, sharedDir), 0o755)
	})
	if err != nil {
		return "", fmt.Errorf("memory for what the nodes write: %w", err)
	}
	return dir, nil
}
