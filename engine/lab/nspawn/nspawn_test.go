//go:build linux && e2e

package nspawn

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNodes boots nodes, uses all that tests use of them, and looks for what they leave behind.
func TestNodes(t *testing.T) {
	ctx := t.Context()
	n, err := Start(ctx, Options{Names: []string{"left", "right"}, Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		for _, h := range n.reaper.hierarchies {
			if _, err := os.Stat(filepath.Join(h, filepath.Base(n.Dir))); err == nil {
				t.Errorf("cgroup %s/%s is left behind", h, filepath.Base(n.Dir))
			}
		}
		if _, err := os.Stat(n.Dir); err == nil {
			t.Errorf("%s is left behind", n.Dir)
		}
	})
	left := n.Node("left")
	state, err := left.Exec(ctx, "systemctl", "is-system-running", "--wait")
	if strings.TrimSpace(state) != "running" {
		failed, _ := left.Exec(ctx, "systemctl", "--failed", "--no-legend", "--plain")
		t.Errorf("systemd says %q (%v), expected running; failed units:\n%s", strings.TrimSpace(state), err, failed)
	}

	t.Run("cable", func(t *testing.T) {
		if err := left.CutLink(ctx); err != nil {
			t.Fatal(err)
		}
		if err := n.dial(left.Address.String() + ":22"); err == nil {
			t.Error("the node can be reached although its cable is pulled")
		}
		if err := left.RestoreLink(ctx); err != nil {
			t.Fatal(err)
		}
		if err := left.WaitUp(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Run("reboot", func(t *testing.T) {
		before, err := left.BootID(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := left.Exec(ctx, "systemctl", "reboot"); err != nil {
			t.Fatal(err)
		}
		if err := left.WaitBoot(ctx, before); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCheckNames(t *testing.T) {
	for _, names := range [][]string{{"UPPER"}, {"thirteen-long"}, {"-a"}, {"a", "a"}, {""}} {
		if _, err := Start(context.Background(), Options{Names: names}); err == nil {
			t.Errorf("names %q are accepted", names)
		}
	}
}
