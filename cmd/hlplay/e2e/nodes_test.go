//go:build linux && e2e

package e2e

import (
	"strings"
	"testing"

	"hlplay/engine/lab/nspawn"
)

// startNodes boots nodes for one test.
func startNodes(t *testing.T, names ...string) *nspawn.Nodes {
	t.Helper()
	return startNodesWith(t, nspawn.Options{Names: names})
}

// startNodesWith is like startNodes, with all options.
func startNodesWith(t *testing.T, o nspawn.Options) *nspawn.Nodes {
	t.Helper()
	o.Log = t.Logf
	n, err := nspawn.Start(t.Context(), o)
	if o.Suite != "" && err != nil && strings.Contains(err.Error(), "does not have a Release file") {
		t.Skipf("the host's archive has no Debian %s: %v", o.Suite, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// dailyPackages and overlayPackages are installed on the nodes of several tests, so that these share an image. It takes
// minutes to build.
var (
	dailyPackages   = []string{"curl", "git", "nftables"}
	overlayPackages = []string{"iproute2", "iputils-ping", "nebula", "wireguard-go", "wireguard-tools"}
)

// onBothReleases runs a test on Debian 12 and 13, and with -short, as in CI, on 13 alone.
func onBothReleases(t *testing.T, test func(t *testing.T, suite string)) {
	t.Run("Debian 12", func(t *testing.T) {
		if testing.Short() {
			t.Skip("-short")
		}
		test(t, "bookworm")
	})
	t.Run("Debian 13", func(t *testing.T) { test(t, "trixie") })
}

func newRunner(t *testing.T, n *nspawn.Nodes, account string) *runner {
	t.Helper()
	inventory, err := n.Inventory(account)
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{network: n, inventory: inventory, dir: n.Dir}
	if account == nspawn.Deploy {
		r.password = n.Password()
	}
	return r
}
