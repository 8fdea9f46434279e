//go:build linux

package nspawn

import (
	"fmt"
	"os"
	"strings"

	"hlplay/engine/lab/rootfs"
)

// needed maps the programs that create nodes to the Debian packages that contain them.
var needed = map[string]string{
	"mmdebstrap":     "mmdebstrap",
	"systemd-nspawn": "systemd-container",
	"ip":             "iproute2",
	"ssh-keygen":     "openssh-client",
	"nsenter":        "util-linux",
}

// Check reports whether nodes can run on this machine. Its error says what is missing and how to install it.
func Check() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("real nodes need root (systemd-nspawn, namespaces, overlayfs): run the tests as root")
	}
	if err := rootfs.Missing(needed); err != nil {
		return err
	}
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return fmt.Errorf("which file systems the kernel has: %w", err)
	}
	if !strings.Contains(string(known), "\toverlay\n") {
		return fmt.Errorf("real nodes need overlayfs, which this kernel has not (yet): modprobe overlay")
	}
	return nil
}
