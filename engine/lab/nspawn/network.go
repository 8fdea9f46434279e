//go:build linux

package nspawn

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// dialLimit bounds one attempt to connect to a node.
const dialLimit = time.Second

// bridgeAddress is the Ethernet address of the bridge, from the range for local use.
const bridgeAddress = "02:00:00:00:00:01"

// makeNetwork makes the bridge that the nodes are plugged into.
func (n *Nodes) makeNetwork(ctx context.Context) error {
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		// A bridge without an address of its own takes the lowest of its ports', and another one when a
		// node reboots; the others would go on answering to the old one for a minute.
		{"link", "add", bridge, "address", bridgeAddress, "type", "bridge"},
		{"address", "add", Controller + "/24", "dev", bridge},
		{"link", "set", bridge, "up"},
	} {
		if err := n.ip(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

func (n *Nodes) ip(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "ip", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := n.Run(cmd); err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}

// plug is the end of the node's cable in the bridge, as systemd-nspawn names it.
func (node *Node) plug() string { return "vb-" + node.Name }

// CutLink pulls the node's network cable.
func (node *Node) CutLink(ctx context.Context) error {
	return node.nodes.ip(ctx, "link", "set", node.plug(), "down")
}

// RestoreLink plugs the node's network cable in again.
func (node *Node) RestoreLink(ctx context.Context) error {
	return node.nodes.ip(ctx, "link", "set", node.plug(), "up")
}

// sharedDir is the name, beside the nodes' root file systems, of the directory that they share; no node
// can have it.
const sharedDir = "SHARED"

// makeDisk mounts the memory that holds what the nodes write, and returns where. It is seen in
// the nodes' mount namespace only.
func (n *Nodes) makeDisk(shared bool) (string, error) {
	dir := filepath.Join(n.Dir, "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	err := n.inside.do(func() error {
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
