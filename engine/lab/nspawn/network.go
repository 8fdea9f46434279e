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

// dialLimit limits one attempt to connect to a node.
const dialLimit = time.Second

// bridgeAddress is the Ethernet address of the bridge, from the range for local use.
const bridgeAddress = "02:00:00:00:00:01"

// makeNetwork creates the bridge that the nodes are plugged into.
func (n *Nodes) makeNetwork(ctx context.Context) error {
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		// A bridge without an address of its own takes the lowest of its ports', which changes when a node reboots;
		// the other nodes would use the old one for another minute.
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

// plug returns the name of the node's end in the bridge, as systemd-nspawn chooses it.
func (node *Node) plug() string { return "vb-" + node.Name }

// CutLink unplugs the node's network cable.
func (node *Node) CutLink(ctx context.Context) error {
	return node.nodes.ip(ctx, "link", "set", node.plug(), "down")
}

// RestoreLink plugs the node's network cable in again.
func (node *Node) RestoreLink(ctx context.Context) error {
	return node.nodes.ip(ctx, "link", "set", node.plug(), "up")
}

// sharedDir is the name of the directory that the nodes share, next to their root file systems; it is not a valid
// name of a node.
const sharedDir = "SHARED"

// makeDisk mounts a file system in memory for what the nodes write, and returns its path. It is visible only in the
// nodes' mount namespace.
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
