package main

import (
	"bytes"
	"strings"
	"testing"
)

// A short command ends before the first garbage collection, which GODEBUG=gctrace=1 would report.
func TestShortCommandsCollectNoGarbage(t *testing.T) {
	cmd := hlplayCommand(t, "validate", "../../playbooks/cluster.hcl", "-i", "../../inventory")
	var stderr bytes.Buffer
	cmd.Env, cmd.Stderr = append(cmd.Env, "GODEBUG=gctrace=1"), &stderr
	if err := cmd.Run(); err != nil || strings.Contains(stderr.String(), "gc 1 @") {
		t.Errorf("%v: %s", err, stderr.String())
	}
}
