//go:build linux

package nspawn

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hlplay/engine/lab/login"
)

// Accounts of a node besides root. All three log in with the nodes' key.
const (
	Root   = "root"
	Admin  = "admin"  // becomes root with sudo, without a password
	Deploy = "deploy" // becomes root with sudo and the password that Nodes.Password returns
)

// Password returns the password that sudo asks the account Deploy for.
func (n *Nodes) Password() string { return n.secret }

// makeKey generates the key that logs in to the nodes.
func (n *Nodes) makeKey(ctx context.Context) error {
	n.key, n.secret = filepath.Join(n.Dir, "key"), rand.Text()
	return login.MakeKey(ctx, n.key)
}

// furnish creates the node's root file system: a layer over the base image that contains the files specific to the
// machine.
func (node *Node) furnish(ctx context.Context, base string) error {
	public, err := os.ReadFile(node.nodes.key + ".pub")
	if err != nil {
		return err
	}
	files := map[string]string{
		"etc/hostname":   node.Name + "\n",
		"etc/hosts":      "127.0.0.1\tlocalhost\n127.0.1.1\t" + node.Name + "\n",
		"etc/machine-id": hex16() + "\n",
		// host0 is the container's end of the cable, as systemd-nspawn names it.
		"etc/systemd/network/10-host0.network": "[Match]\nName=host0\n[Network]\nAddress=" + node.Address.String() + "/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n",
	}
	for _, home := range []string{"root", "home/" + Admin, "home/" + Deploy} {
		files[home+"/.ssh/authorized_keys"] = string(public)
	}
	layer := node.root + ".layer"
	err = node.nodes.Do(func() error {
		for _, dir := range []string{node.root, layer, layer + "/upper", layer + "/work"} {
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
		}
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", base, layer, layer)
		if err := unix.Mount("overlay", node.root, "overlay", 0, options); err != nil {
			return fmt.Errorf("overlay over %s: %w", base, err)
		}
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(node.root, name), []byte(content), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	script := `ssh-keygen -q -t ed25519 -N '' -C "$1" -f /etc/ssh/ssh_host_ed25519_key && chpasswd && cat /etc/ssh/ssh_host_ed25519_key.pub`
	cmd := exec.CommandContext(ctx, "chroot", node.root, "sh", "-c", script, "sh", node.Name)
	cmd.Stdin = strings.NewReader(Deploy + ":" + node.nodes.secret + "\n")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := node.nodes.Run(cmd); err != nil {
		return fmt.Errorf("host key and password: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	node.hostKey = strings.TrimSpace(stdout.String())
	return nil
}

// hex16 returns sixteen random bytes in hexadecimal, as in machine-id(5).
func hex16() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x", b)
}
