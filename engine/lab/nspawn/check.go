//go:build linux

package nspawn

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// needed are the programs that create nodes, and the Debian packages that contain them.
var needed = []struct{ program, debian string }{
	{"mmdebstrap", "mmdebstrap"},
	{"systemd-nspawn", "systemd-container"},
	{"ip", "iproute2"},
	{"ssh-keygen", "openssh-client"},
	{"nsenter", "util-linux"},
}

// Check reports whether nodes can run on this machine; its error says what is missing and how to get it.
func Check() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("real nodes need root (systemd-nspawn, namespaces, overlayfs): run the tests as root")
	}
	var programs, packages []string
	for _, n := range needed {
		if _, err := exec.LookPath(n.program); err != nil {
			programs = append(programs, n.program)
			packages = append(packages, n.debian)
		}
	}
	if len(programs) > 0 {
		return fmt.Errorf("real nodes need %s; on Debian: apt-get install --no-install-recommends %s", strings.Join(programs, ", "), strings.Join(packages, " "))
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
