package pve

import (
	"testing"

	"hlplay/engine/observe"
)

// What another node does to /etc/pve/corosync.conf changes every node's own copy, too, which is no file of the cluster's file system.
func TestOwnCopyOfCorosyncChangesElsewhere(t *testing.T) {
	observe.AddFileSystems(ClusterFileSystem)
	for name, want := range map[string]bool{CorosyncFile: true, "/etc/corosync/corosync.conf": true, "/etc/corosync/authkey": false} {
		if got := observe.Files.Read(name).Shared(); got != want {
			t.Errorf("%s may change because of another node: %v, want %v", name, got, want)
		}
	}
	if observe.OnSharedFileSystem("/etc/corosync/corosync.conf") {
		t.Error("a node's own copy is taken for a file of the cluster's file system")
	}
}
