package pveceph

import (
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
)

// A public network is added to those that ceph.conf has, in the file itself: pveceph knows only one.
func TestPublicNetworksAreAdded(t *testing.T) {
	text := "[global]\n\tcluster_network = 10.10.20.0/24\n\tpublic_network = 10.10.10.11/24\n\n[mon.pve1]\n\tpublic_addr = 10.10.10.11\n"
	file := observe.Files.Expect(linkTarget, observe.File{Type: observe.Regular, Mode: 0o640, Owner: "root", Group: "www-data", Size: int64(len(text)), Content: []byte(text)})
	dir := observe.Files.Expect("/etc/pve", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "www-data"})
	m := &Module{Init: &Init{Network: "10.10.10.0/24,10.10.30.0/24", ClusterNetwork: "10.10.20.0/24", Size: 3, MinSize: 2}}
	plan := modulestest.Converges(t, m, node(file, dir))
	if len(plan.Steps) != 1 {
		t.Fatalf("steps:\n%s", modulestest.Summaries(plan))
	}
	write, ok := plan.Steps[0].Action.(modules.WriteFile)
	if want := strings.Replace(text, "10.10.10.11/24", "10.10.10.0/24, 10.10.30.0/24", 1); !ok || string(write.Content) != want {
		t.Errorf("writes %q, want %q", write.Content, want)
	}
}

// The lines of Windows stay such. Without cluster_network OSDs would replicate on all public networks, which pveceph cannot do:
// it is set to the one on which they have done so.
func TestPublicNetworksAreAddedWithoutAClusterNetwork(t *testing.T) {
	text := "[global]\r\n\tfsid = f\r\n\tpublic_network = 10.10.10.0/24\r\n"
	conf := runningConf()
	conf.Sections = map[string]map[string]string{"global": {"fsid": "f", "public_network": "10.10.10.0/24", "osd_pool_default_size": "3", "osd_pool_default_min_size": "2"}}
	m := &Module{Init: &Init{Network: "10.10.10.0/24, 10.10.30.0/24", Size: 3, MinSize: 2}}
	plan := modulestest.Converges(t, m, node(
		ceph.Confs.Expect("", conf),
		observe.Files.Expect(linkTarget, observe.File{Type: observe.Regular, Mode: 0o640, Owner: "root", Group: "www-data", Size: int64(len(text)), Content: []byte(text)}),
		observe.Files.Expect("/etc/pve", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "www-data"})))
	if len(plan.Steps) != 1 {
		t.Fatalf("steps:\n%s", modulestest.Summaries(plan))
	}
	write, ok := plan.Steps[0].Action.(modules.WriteFile)
	if want := "[global]\r\n\tfsid = f\r\n\tpublic_network = 10.10.10.0/24, 10.10.30.0/24\r\n\tcluster_network = 10.10.10.0/24\r\n"; !ok || string(write.Content) != want {
		t.Errorf("writes %q, want %q", write.Content, want)
	}
}

// pveceph passes the network for replication to ip(8) as one, and cannot create an OSD with several.
func TestNoOSDWithSeveralNetworksForReplication(t *testing.T) {
	conf := runningConf().With("global", "cluster_network", "10.10.10.0/24, 10.10.20.0/24")
	_, err := (&Module{OSD: &OSD{Device: "/dev/sdb", MaxWiped: 1}}).Plan(t.Context(), node(ceph.Confs.Expect("", conf)))
	const want = "/etc/pve/ceph.conf: cluster_network has several networks, 10.10.10.0/24, 10.10.20.0/24, with which pveceph cannot create an OSD"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v, want %q", err, want)
	}
}
