package pve

import (
	"strings"
	"testing"

	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

func TestAGuestThatIsMovedAwayExists(t *testing.T) {
	root := t.TempDir()
	modulestest.Place(t, root, map[string]string{
		"/usr/bin/pmxcfs": "", "/etc/pve/local": "-> nodes/pve1",
		"/etc/pve/nodes/pve1/qemu-server/100.conf": "-> ../../pve2/qemu-server/100.conf", // seen by the glob, and gone when it is opened
	})
	_, err := modulestest.FetchBelow(t, GuestConfigs, root, []string{"/etc/pve", PmxcfsProgram}, "100")
	if err == nil || !strings.Contains(err.Error(), "was moved while it was looked for") {
		t.Errorf("error %v, want that the guest was moved", err)
	}
}

func TestABrokenPackageDatabaseIsNoMissingPackage(t *testing.T) {
	broken := remote.Answer{Stdout: []byte("name pve1\n"), Stderr: []byte("dpkg-query: error: parsing file '/var/lib/dpkg/status' near line 1\n"), Exit: 2}
	if _, err := parseNode(broken); err == nil || !strings.Contains(err.Error(), "parsing file") {
		t.Errorf("error %v", err)
	}
}
