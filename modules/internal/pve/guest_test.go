package pve

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

func TestGuestMovedAway(t *testing.T) {
	root := t.TempDir()
	modulestest.Place(t, root, map[string]string{
		"/usr/bin/pmxcfs": "", "/etc/pve/local": "-> nodes/pve1",
		"/etc/pve/nodes/pve1/qemu-server/100.conf": "-> ../../pve2/qemu-server/100.conf", // the glob finds it, but it is gone when it is opened
	})
	_, err := modulestest.FetchBelow(t, GuestConfigs, root, []string{"/etc/pve", PmxcfsProgram}, "100")
	if err == nil || !strings.Contains(err.Error(), "was moved during the search") {
		t.Errorf("error %v, want that the guest was moved", err)
	}
}

func TestBrokenPackageDatabase(t *testing.T) {
	broken := remote.Answer{Stdout: []byte("name pve1\n"), Stderr: []byte("dpkg-query: error: parsing file '/var/lib/dpkg/status' near line 1\n"), Exit: 2}
	if _, err := parseNode(broken); err == nil || !strings.Contains(err.Error(), "parsing file") {
		t.Errorf("error %v", err)
	}
}

// A configuration in the form of PVE::QemuServer::write_vm_config, with a pending change and a snapshot.
func TestPendingOptions(t *testing.T) {
	got := parseGuestConfig([]byte("/etc/pve/nodes/pve1/qemu-server/100.conf\n#a note\nhostpci0: 0000:01:00.0\nname: sso\n\n[PENDING]\n#another note\ndelete: usb1\nhostpci0: mapping=gpu,pcie=1\n\n[before]\nhostpci0: 0000:02:00.0\nmemory: 512\n"))
	if diff := cmp.Diff(map[string]string{"hostpci0": "mapping=gpu,pcie=1", "usb1": "", "description": "another note\n"}, got.Pending); diff != "" {
		t.Errorf("pending (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"hostpci0": "0000:01:00.0", "name": "sso", "description": "a note"}, got.Options); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	container := parseGuestConfig([]byte("/etc/pve/nodes/pve1/lxc/101.conf\nhostname: dns\nnameserver: 1.1.1.1\n\n[pve:pending]\ndelete: nameserver\nfeatures: nesting=1\n\n[before]\nhostname: old\n"))
	if diff := cmp.Diff(map[string]string{"nameserver": "", "features": "nesting=1"}, container.Pending); diff != "" {
		t.Errorf("pending of a container (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"hostname": "dns", "features": "nesting=1"}, container.Started().Options); diff != "" {
		t.Errorf("a container once it has been started (-want +got):\n%s", diff)
	}
	want := GuestConfig{Exists: true, Pending: map[string]string{"hostpci0": "mapping=gpu"}}
	if completed := completeGuest(want, got); completed.Pending["hostpci0"] != "mapping=gpu,pcie=1" {
		t.Errorf("expected and found: %v", completed.Pending)
	}
}
