package proxmox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/afero"

	"hlplay/engine/lab/machine"
)

// If the host name resolves to a loopback address, pmxcfs does not start, and its package stays half-configured.
func TestLoopbackNameBreaksTheInstallation(t *testing.T) {
	l := newLab(t, labOptions{count: 1, bare: true, hosts: "127.0.0.1 localhost\n127.0.1.1 pve1.lab.local pve1\n"})
	err := l.nodes["pve1"].Packages().Install("proxmox-ve")
	if err == nil || !strings.Contains(err.Error(), "pve-cluster") {
		t.Fatalf("installing with the name on loopback: got error %v, expected pve-cluster's maintainer script to fail", err)
	}
	if _, ok := l.nodes["pve1"].Packages().Installed("pve-cluster"); ok {
		t.Error("pve-cluster counts as installed, expected it half-configured")
	}
	status, _ := l.nodes["pve1"].Units().Get("pve-cluster.service")
	if status.ActiveState != "failed" || !strings.Contains(status.Reason, "Unable to resolve node name 'pve1' to a non-loopback IP address") {
		t.Errorf("pve-cluster.service is %s (%s), expected failed because of the name", status.ActiveState, status.Reason)
	}
}

// Packages install what the documentation says.
func TestInstallationLeavesANode(t *testing.T) {
	for debian, enterprise := range map[string]string{"bookworm": "/etc/apt/sources.list.d/pve-enterprise.list", "trixie": "/etc/apt/sources.list.d/pve-enterprise.sources"} {
		l := newLab(t, labOptions{debian: debian, count: 1, guests: map[string]string{"100": "vm", "200": "ct"}})
		for _, name := range []string{enterprise, "/etc/pve/local", "/etc/pve/nodes/pve1/pve-ssl.pem", "/etc/pve/pve-root-ca.pem", "/etc/pve/qemu-server/100.conf", "/etc/pve/lxc/200.conf", "/root/.ssh/id_rsa.pub"} {
			if _, err := l.nodes["pve1"].FS().Stat(name); err != nil {
				t.Errorf("%s: %v", debian, err)
			}
		}
		n, _ := attached(l.nodes["pve1"])
		if target, err := n.Readlink(authorizedKeys); err != nil || target != clusterKeys {
			t.Errorf("%s: root's authorized_keys points to %q (%v), expected %s", debian, target, err, clusterKeys)
		}
		for _, unit := range []string{"pve-cluster", "pveproxy", "pvedaemon", "pve-ha-lrm", "pve-ha-crm"} {
			if !l.nodes["pve1"].Units().Active(unit) {
				t.Errorf("%s: %s does not run", debian, unit)
			}
		}
		if got, want := l.read("pve1", "/etc/pve/.vmlist"), `"200": { "node": "pve1", "type": "lxc"`; !strings.Contains(got, want) {
			t.Errorf("%s: .vmlist has no %s:\n%s", debian, want, got)
		}
	}
}

func TestMembersFile(t *testing.T) {
	l := newLab(t, labOptions{})
	if got := l.read("pve1", "/etc/pve/.members"); !strings.HasPrefix(got, "{\n\"nodename\": \"pve1\",\n\"version\": ") || strings.Contains(got, "cluster") {
		t.Errorf("a standalone node's .members:\n%s", got)
	}
	l.form("lab", 3)
	l.off("pve3")
	var members struct {
		Nodename string
		Cluster  struct {
			Name           string
			Version, Nodes int
			Quorate        int
		}
		Nodelist map[string]struct {
			ID, Online int
			IP         string
		}
	}
	if err := json.Unmarshal([]byte(l.read("pve2", "/etc/pve/.members")), &members); err != nil {
		t.Fatal(err)
	}
	if members.Nodename != "pve2" || members.Cluster.Quorate != 1 || members.Nodelist["pve3"].Online != 0 || members.Nodelist["pve1"].Online != 1 || members.Nodelist["pve1"].IP != "10.77.0.11" {
		t.Errorf("with pve3 off .members says %+v", members)
	}
}

// What one member writes is visible on the others, and a node without quorum cannot write.
func TestConfigurationIsShared(t *testing.T) {
	l := newLab(t, labOptions{})
	l.form("lab", 3)
	l.file("pve1", "/etc/pve/test.cfg", "one")
	if got := l.read("pve3", "/etc/pve/test.cfg"); got != "one" {
		t.Errorf("pve3 reads %q, expected what pve1 wrote", got)
	}
	node := l.nodes["pve1"].FS()
	if err := node.Chmod("/etc/pve/test.cfg", 0o600); !errors.Is(err, syscall.EPERM) {
		t.Errorf("chmod 600 in /etc/pve: %v, expected EPERM", err)
	}
	if err := node.Chown("/etc/pve/test.cfg", 1000, 1000); !errors.Is(err, syscall.EPERM) {
		t.Errorf("chown in /etc/pve: %v, expected EPERM", err)
	}
	mode := func() fs.FileMode {
		info, _, err := node.(afero.Lstater).LstatIfPossible("/etc/pve/local")
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	if mode()&0o200 == 0 {
		t.Errorf("/etc/pve/local has mode %v with quorum, expected it writable", mode())
	}
	l.off("pve2")
	l.off("pve3")
	if mode()&0o200 != 0 {
		t.Errorf("/etc/pve/local has mode %v without quorum, expected it read-only", mode())
	}
	if err := afero.WriteFile(node, "/etc/pve/test.cfg", []byte("two"), 0o640); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("writing without quorum: %v, expected EACCES", err)
	}
	if got := l.read("pve1", "/etc/pve/test.cfg"); got != "one" {
		t.Errorf("reading without quorum gives %q", got)
	}
}

// A join replaces the joining node's configuration, including its keys.
func TestJoinReplacesConfiguration(t *testing.T) {
	l := newLab(t, labOptions{count: 2})
	l.file("pve2", "/etc/pve/own.cfg", "pve2's")
	n, _ := attached(l.nodes["pve2"])
	keys := l.read("pve2", authorizedKeys) + "ssh-ed25519 AAAA controller\n"
	if err := n.WriteFile(authorizedKeys, []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	l.form("lab", 2)
	if _, err := n.ReadFile("/etc/pve/own.cfg"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("pve2's own file after the join: %v, expected it gone", err)
	}
	if got := l.read("pve2", authorizedKeys); strings.Contains(got, "controller") {
		t.Error("a key that only pve2 had survived the join")
	}
	if entries, err := afero.ReadDir(l.nodes["pve2"].FS(), "/var/lib/pve-cluster/backup"); err != nil || len(entries) != 1 {
		t.Errorf("backups of the replaced database: %v, %v", entries, err)
	}
	if l.read("pve2", "/etc/corosync/corosync.conf") != l.read("pve1", "/etc/pve/corosync.conf") {
		t.Error("the local copy of corosync.conf differs from the cluster's")
	}
}

func jsonValue(t *testing.T, text string) map[string]any {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return value
}

// cephLab is a cluster with three monitors and two OSDs per node, in a settled state.
func cephLab(t *testing.T, debian, version string) *testLab {
	l := newLab(t, labOptions{debian: debian, network: "10.10.10.", ceph: version})
	recordedCluster(6)(l)
	return l
}

// The disk of a running OSD or a mounted disk cannot be zapped. That of a stopped OSD can, and is blank only with
// --destroy.
func TestZapOfADiskInUse(t *testing.T) {
	l := newLab(t, labOptions{network: "10.10.10.", ceph: "19.2.3"})
	recordedCluster(0)(l)
	l.ok("pve1", "pveceph", "osd", "create", "/dev/sdb")
	for _, disk := range []string{"/dev/sdb", "/dev/sda"} {
		r := l.run("pve1", "", "ceph-volume", "lvm", "zap", disk, "--destroy")
		if r.code != 1 || !strings.Contains(r.stderr, "Device or resource busy") || !strings.Contains(r.stderr, "could not complete wipefs on device") {
			t.Errorf("zapping %s: exit %d, %s", disk, r.code, r.stderr)
		}
	}
	taken := func() bool {
		return strings.Contains(l.run("pve1", "", "pveceph", "osd", "create", "/dev/sdb").stderr, "already in use")
	}
	if !taken() {
		t.Error("after a zap that failed the disk is blank")
	}
	l.ok("pve1", "pveceph", "stop", "--service", "osd.0")
	l.ok("pve1", "ceph-volume", "lvm", "zap", "/dev/sdb")
	if !taken() {
		t.Error("without --destroy the volume group is gone")
	}
	l.ok("pve1", "ceph-volume", "lvm", "zap", "/dev/sdb", "--destroy")
	if taken() {
		t.Error("the disk of a stopped OSD is still in use after zap --destroy")
	}
	if r := l.run("pve1", "", "ceph-volume", "lvm", "zap", "/dev/sdq"); r.code != 2 {
		t.Errorf("zapping a disk that is not there: exit %d, %s", r.code, r.stderr)
	}
}

// An OSD comes up some seconds after its command has returned.
func TestOSDComesUpLate(t *testing.T) {
	l := newLab(t, labOptions{network: "10.10.10.", ceph: "19.2.3"})
	recordedCluster(0)(l)
	l.ok("pve1", "pveceph", "osd", "create", "/dev/sdb")
	up := func() any {
		return jsonValue(t, l.ok("pve1", "ceph", "-s", "-f", "json"))["osdmap"].(map[string]any)["num_up_osds"]
	}
	if up() != 0.0 {
		t.Errorf("right after its creation %v OSDs are up, expected none yet", up())
	}
	l.clock.Advance(osdDelay)
	if up() != 1.0 {
		t.Errorf("%v after its creation %v OSDs are up, expected one", osdDelay, up())
	}
	if r := l.run("pve1", "", "pveceph", "osd", "create", "/dev/sdb"); r.code == 0 || !strings.Contains(r.stderr, "device '/dev/sdb' is already in use") {
		t.Errorf("creating it again: exit %d, %s", r.code, r.stderr)
	}
	volumes := jsonValue(t, l.ok("pve1", "ceph-volume", "lvm", "list", "--format", "json"))
	if _, ok := volumes["0"]; !ok {
		t.Errorf("ceph-volume lists %v, expected OSD 0", volumes)
	}
}

// A pool with five copies on three hosts stays undersized with a rule by host, and becomes clean with one by OSD.
func TestFiveCopiesNeedARuleByOSD(t *testing.T) {
	l := cephLab(t, "trixie", "19.2.3")
	l.ok("pve1", "pveceph", "pool", "create", "vm", "--size", "5", "--min_size", "3", "--pg_num", "32")
	states := func() map[string]int { c, _ := l.world.Ceph("pve1"); return c.PGs }
	l.clock.Advance(10 * time.Second)
	if diff := cmp.Diff(map[string]int{"active+undersized": 32, "active+clean": 1}, states()); diff != "" {
		t.Errorf("PGs by host (-expected +found):\n%s", diff)
	}
	if got := l.ok("pve1", "ceph", "health"); got != "HEALTH_OK\n" {
		t.Errorf("health is %q, expected the warning to be late", got)
	}
	l.clock.Advance(time.Minute)
	if got := l.ok("pve1", "ceph", "health"); got != "HEALTH_WARN Degraded data redundancy: 32 pgs undersized\n" {
		t.Errorf("a minute later health is %q", got)
	}
	l.ok("pve1", "ceph", "osd", "crush", "rule", "create-replicated", "by_osd", "default", "osd")
	l.ok("pve1", "pveceph", "pool", "set", "vm", "--crush_rule", "by_osd")
	l.clock.Advance(10 * time.Second)
	if diff := cmp.Diff(map[string]int{"active+clean": 33}, states()); diff != "" {
		t.Errorf("PGs by OSD (-expected +found):\n%s", diff)
	}
}

// A second init rewrites the networks silently and ignores the sizes.
func TestSecondInitRewritesNetworks(t *testing.T) {
	l := newLab(t, labOptions{count: 1, ceph: "19.2.3"})
	l.ok("pve1", "pveceph", "init", "--network", "10.77.0.0/24", "--cluster-network", "10.78.0.0/24")
	l.ok("pve1", "pveceph", "init", "--network", "10.77.0.0/24", "--size", "5")
	conf := parseCephConf(l.read("pve1", "/etc/pve/ceph.conf"))
	if got := conf.get("global", "cluster_network"); got != "10.77.0.0/24" {
		t.Errorf("cluster_network is %s, expected it rewritten", got)
	}
	if got := conf.get("global", "osd_pool_default_size"); got != "3" {
		t.Errorf("osd_pool_default_size is %s, expected the new size ignored", got)
	}
}

// Without a quorum of monitors, ceph waits until its timeout; without a manager, forever.
func TestCephBlocks(t *testing.T) {
	l := cephLab(t, "trixie", "19.2.3")
	for _, node := range []string{"pve1", "pve2"} {
		l.ok(node, "pveceph", "stop", "--service", "mgr."+node)
	}
	if r := l.run("pve1", "", "ceph", "pg", "stat"); r.code != 0 {
		t.Errorf("pg stat a moment after: exit %d, expected the managers to be in the map until their beacons are missed", r.code)
	}
	l.clock.Advance(mgrGrace + time.Second)
	before := l.clock.Now()
	if r := l.run("pve1", "", "ceph", "--connect-timeout", "5", "pg", "stat"); r.code != 1 || l.clock.Now().Sub(before) < blockLimit {
		t.Errorf("pg stat without a manager: exit %d after %v, expected it to block", r.code, l.clock.Now().Sub(before))
	}
	l.off("pve2")
	l.off("pve3")
	l.clock.Advance(time.Minute)
	before = l.clock.Now()
	r := l.run("pve1", "", "ceph", "-s", "--connect-timeout", "7")
	if took := l.clock.Now().Sub(before); r.code != 1 || r.stderr != "timed out\n" || took != 7*time.Second {
		t.Errorf("ceph -s without quorum: exit %d, %q after %v", r.code, r.stderr, took)
	}
}

// A node that fails is fenced after a minute, and its services start elsewhere after two.
func TestServicesRecover(t *testing.T) {
	l := newLab(t, labOptions{guests: map[string]string{"100": "vm"}})
	l.form("lab", 3)
	l.ok("pve1", "ha-manager", "add", "vm:100")
	l.clock.Advance(time.Minute)
	if node, running, _ := l.world.Guest("pve2", "100"); node != "pve1" || !running {
		t.Fatalf("vm:100 is on %s, running %v", node, running)
	}
	l.nodes["pve1"].Crash()
	l.clock.Advance(75 * time.Second)
	if got := l.ok("pve2", "ha-manager", "status"); !strings.Contains(got, "service vm:100 (pve1, fence)") {
		t.Errorf("75 s after the crash:\n%s", got)
	}
	l.clock.Advance(100 * time.Second)
	if node, running, _ := l.world.Guest("pve2", "100"); node != "pve2" || !running {
		t.Errorf("175 s after the crash vm:100 is on %s, running %v, expected it recovered on pve2", node, running)
	}
}

// A cluster survives a reboot of each node in turn. Its daemons come back without help.
func TestRollingReboot(t *testing.T) {
	l := cephLab(t, "trixie", "19.2.3")
	for _, node := range []string{"pve1", "pve2", "pve3"} {
		l.nodes[node].Reboot()
		l.clock.Advance(2 * time.Minute)
		cluster, _ := l.world.Cluster("lab")
		if len(cluster.Online) != 3 || !cluster.Quorate {
			t.Fatalf("after the reboot of %s online: %v, quorate %v", node, cluster.Online, cluster.Quorate)
		}
		ceph, _ := l.world.Ceph(node)
		up := slices.IndexFunc(ceph.OSDs, func(o OSD) bool { return !o.Up })
		if ceph.Health != "HEALTH_OK" || up >= 0 || len(ceph.Quorum) != 3 || ceph.ActiveMgr == "" {
			t.Fatalf("after the reboot of %s: %s, monitors %v, manager %q, OSDs %+v", node, ceph.Health, ceph.Quorum, ceph.ActiveMgr, ceph.OSDs)
		}
	}
}

// The state is plain data: it survives a round trip through JSON, which a store in a file needs.
func TestStateSurvivesJSON(t *testing.T) {
	l := cephLab(t, "bookworm", "18.2.7")
	l.world.update(func(s *State) {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var read State
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		*s = read
	})
	if got := l.ok("pve2", "pvecm", "status"); !strings.Contains(got, "Quorate:          Yes") {
		t.Errorf("after a round trip through JSON:\n%s", got)
	}
	if ceph, _ := l.world.Ceph("pve3"); ceph.Health != "HEALTH_OK" || len(ceph.OSDs) != 6 {
		t.Errorf("after a round trip through JSON: %+v", ceph)
	}
}

// CephFS becomes active some seconds after its creation.
func TestFileSystem(t *testing.T) {
	l := cephLab(t, "trixie", "19.2.3")
	if r := l.run("pve1", "", "pveceph", "fs", "create"); r.stderr != "no running Metadata Server (MDS) found!\n" {
		t.Errorf("without a metadata server: %q", r.stderr)
	}
	l.ok("pve1", "pveceph", "mds", "create")
	l.clock.Advance(5 * time.Second)
	out := l.ok("pve1", "pveceph", "fs", "create", "--pg_num", "64", "--add-storage", "1")
	if !strings.Contains(out, "Successfully create CephFS 'cephfs'\nAdding 'cephfs' to storage configuration...\nWaiting for an MDS to become active\n") {
		t.Errorf("fs create printed\n%s", out)
	}
	if got := l.read("pve2", "/etc/pve/storage.cfg"); !strings.Contains(got, "cephfs: cephfs\n\tpath /mnt/pve/cephfs\n") {
		t.Errorf("storage.cfg:\n%s", got)
	}
	l.clock.Advance(5 * time.Second)
	if got := l.ok("pve1", "ceph", "-s"); !strings.Contains(got, "    mds: 1/1 daemons up\n") {
		t.Errorf("status:\n%s", got)
	}
}

// All dependencies of the packages are in the archive.
func TestPackagesInstall(t *testing.T) {
	for debian, ceph := range map[string][]string{"bookworm": {"quincy", "reef", "squid"}, "trixie": {"squid", "tentacle"}} {
		for _, release := range ceph {
			l := newLab(t, labOptions{debian: debian, count: 1, bare: true})
			m := l.nodes["pve1"]
			archive := machine.NewArchive()
			for _, p := range Packages(l.world, debian) {
				if !strings.HasPrefix(p.Component, "ceph-") || strings.HasPrefix(p.Component, "ceph-"+release+"/no") {
					archive.Add(p)
				}
			}
			fresh := machine.New(machine.Config{Name: "pve1", Address: "10.77.0.11/24", Debian: debian, Clock: m.Clock(), Archive: archive})
			l.world.Attach(fresh, Options{})
			if err := afero.WriteFile(fresh.FS(), "/etc/hosts", []byte("10.77.0.11 pve1\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := fresh.Packages().Install("proxmox-ve", "ceph", "ceph-common", "ceph-fuse", "ceph-mds", "ceph-volume", "gdisk", "nvme-cli"); err != nil {
				t.Errorf("%s with Ceph %s: %v", debian, release, err)
				continue
			}
			for _, file := range []string{"/usr/bin/ceph", "/usr/bin/ceph-mon", "/usr/sbin/ceph-volume", "/usr/bin/pveceph", "/usr/sbin/ha-manager", fmt.Sprintf("/boot/vmlinuz-%s", editions[debian].kernel)} {
				if _, err := fresh.FS().Stat(file); err != nil {
					t.Errorf("%s with Ceph %s: %v", debian, release, err)
				}
			}
		}
	}
}

// generated matches the lines of a guest's configuration that are generated when it is created.
var generated = regexp.MustCompile(`(?m)^(meta|smbios1|vmgenid): .*\n`)

// Given a size instead of a volume, qm allocates a disk on a storage that can hold one.
func TestGuestDisks(t *testing.T) {
	l := newLab(t, labOptions{count: 1})
	if r := l.run("pve1", "", "qm", "create", "100", "--scsi0", "nowhere:8"); r.code == 0 || !strings.Contains(r.stderr, "unable to create VM 100 - storage 'nowhere' does not exist") {
		t.Errorf("on a storage that is not there: exit %d, %q", r.code, r.stderr)
	}
	l.ok("pve1", "qm", "create", "100", "--name", "web", "--memory", "2048", "--scsi0", "local:32,discard=on")
	want := "boot: order=scsi0\nmemory: 2048\nname: web\nscsi0: local:100/vm-100-disk-0.raw,discard=on,size=32G\n"
	if got := generated.ReplaceAllString(l.ok("pve1", "qm", "config", "100"), ""); got != want {
		t.Errorf("qm config (-expected +found):\n%s", cmp.Diff(want, got))
	}
	l.ok("pve1", "qm", "start", "100")
	if got := l.ok("pve1", "qm", "list"); !strings.Contains(got, "       100 web                  running    2048              32.00 2") {
		t.Errorf("qm list:\n%s", got)
	}
	if r := l.run("pve1", "", "qm", "destroy", "100"); !strings.Contains(r.stderr, "VM 100 is running - destroy failed") {
		t.Errorf("destroying a running guest: %q", r.stderr)
	}
}

// Renaming a file over another one in /etc/pve replaces it, which is how corosync.conf and authorized_keys are edited.
func TestRenameReplacesInClusterFileSystem(t *testing.T) {
	l := newLab(t, labOptions{count: 1})
	if got := l.sh("pve1", "cd /etc/pve/priv && echo old >a && echo new >b && mv -T b a && cat a && ls b"); got.stdout != "new\n" {
		t.Errorf("the file is %q, expected that of the rename; %s", got.stdout, got.stderr)
	}
}
