//go:build linux && e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/lab/nspawn"
)

// expected is a shell command and its expected output.
type expected struct{ script, output string }

// wantAllOn is like wantOn, for many commands in one shell.
func wantAllOn(t *testing.T, node *nspawn.Node, all []expected) {
	t.Helper()
	const mark = "\n=== end of a line ===\n"
	var script strings.Builder
	for _, want := range all {
		fmt.Fprintf(&script, "(\n%s\n)\nprintf '%s'\n", want.script, strings.ReplaceAll(mark, "\n", `\n`))
	}
	out, err := node.ExecInput(t.Context(), script.String(), "sh")
	if err != nil {
		t.Fatal(err)
	}
	outputs := strings.Split(out, mark)
	if len(outputs) != len(all)+1 {
		t.Fatalf("%s: %d answers to %d lines:\n%s", node.Name, len(outputs)-1, len(all), out)
	}
	for i, want := range all {
		if diff := cmp.Diff(want.output, strings.TrimRight(outputs[i], "\n")); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", node.Name, want.script, diff)
		}
	}
}

// digests prints checksums of what all machines of a cluster share.
const digests = "for f in /etc/pve/corosync.conf /etc/pve/storage.cfg /root/.ssh/authorized_keys; do sha256sum <$f; done; ceph fsid"

// wantCluster asserts what cluster.hcl describes: on each machine, and about the cluster.
func wantCluster(t *testing.T, n *nspawn.Nodes) {
	t.Helper()
	for i, node := range n.List {
		name, address := node.Name, node.Address.String()
		wantAllOn(t, node, []expected{
			// The machine.
			{"getent -s files ahostsv4 " + name + " | awk '{print $1}' | sort -u", address},
			{"getent -s files hosts pve1 pve2 pve3 | xargs", "10.77.0.11 pve1.example.org pve1 10.77.0.12 pve2.example.org pve2 10.77.0.13 pve3.example.org pve3"},
			{"grep -c ^127.0.1.1 /etc/hosts", "0"},
			{"uname -r; cat /proc/sys/kernel/osrelease", "6.8.12-9-pve\n6.8.12-9-pve"},
			{"cat /proc/sys/vm/swappiness /proc/sys/fs/aio-max-nr /proc/sys/net/core/somaxconn", "10\n1048576\n4096"},
			{"grep -hv '^#' /etc/sysctl.d/90-hlplay.conf | sort | xargs", "fs.aio-max-nr = 1048576 net.core.somaxconn = 4096 vm.swappiness = 10"},
			{"cd /sys/module && ls -d vfio vfio_iommu_type1 vfio_pci | xargs; grep -v '^#' /etc/modules-load.d/hlplay.conf | xargs", "vfio vfio_iommu_type1 vfio_pci\nvfio vfio_iommu_type1 vfio_pci"},
			{"grep -v '^iface\\|^ \\|^$' /etc/network/interfaces", "auto lo\nauto host0"},
			{"e2e-tool", "2.0"},
			{"systemctl is-system-running --wait", "running"},
			{"find / -xdev -name '*hlplay*' -not -path '/proc/*' | sort", "/etc/modules-load.d/hlplay.conf\n/etc/sysctl.d/90-hlplay.conf\n/var/lib/hlplay"},
			{"stat -c '%a %U:%G' /var/lib/hlplay; ls -A /var/lib/hlplay/due", "700 root:root"},
			// Packages.
			{"for p in proxmox-ve pve-manager proxmox-default-kernel postfix open-iscsi chrony ceph-mon ceph-mds; do dpkg-query -W -f '${db:Status-Abbrev}' $p; done", strings.Repeat("ii ", 8)},
			{"dpkg-query -W -f '${Version} ' ceph-common ceph-osd pve-manager", "19.2.3-pve1 19.2.3-pve1 8.4.21 "},
			{"dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' 'linux-image-*' os-prober 2>/dev/null | grep ^ii", ""},
			{"apt-get check -qq && dpkg --audit && echo consistent", "consistent"},
			{"cat /boot/grub/grub.cfg", "/boot/vmlinuz-6.8.12-9-pve"},
			{"cat /etc/mailname; postconf -h default_transport inet_interfaces", name + ".example.org\nerror\nloopback-only"},
			{"debconf-show postfix | grep main_mailer_type", "* postfix/main_mailer_type: Local only"},
			{"apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' | sort -u", "http://download.proxmox.com/debian/ceph-squid/ no-subscription\nhttp://download.proxmox.com/debian/pve/ pve-no-subscription\nhttp://mirror.example.org/debian/ main"},
			{"stat -c '%a %U' /etc/apt/trusted.gpg.d/proxmox-release-bookworm.gpg", "644 root"},
			// Proxmox VE.
			{"systemctl is-active pve-cluster pvedaemon pveproxy corosync pve-ha-crm pve-ha-lrm postfix | xargs", "active active active active active active active"},
			{"systemctl is-enabled pve-cluster pvedaemon pveproxy corosync | xargs", "enabled enabled enabled enabled"},
			{"ss -Hltn sport = :8006 | wc -l", "1"},
			{"findmnt -n -o SOURCE,FSTYPE /etc/pve | xargs", "/dev/fuse fuse.pmxcfs"},
			{"readlink /root/.ssh/authorized_keys /etc/pve/local", "/etc/pve/priv/authorized_keys\nnodes/" + name},
			{"grep -c hlplay-e2e /root/.ssh/authorized_keys; stat -L -c '%a %U %G' /root/.ssh/authorized_keys", "1\n600 root www-data"},
			{"pvecm status | grep -E '^(Name|Nodes|Quorate|Expected votes):' | xargs", "Name: dream Nodes: 3 Quorate: Yes Expected votes: 3"},
			{"cmp /etc/pve/corosync.conf /etc/corosync/corosync.conf && echo same", "same"},
			{"stat -c '%a %U' /etc/corosync/authkey", "400 root"},
			// Ceph.
			{"readlink /etc/ceph/ceph.conf", "/etc/pve/ceph.conf"},
			{"systemctl is-active ceph-mon@" + name + " ceph-mgr@" + name + " ceph-mds@" + name + " | xargs", "active active active"},
			{"systemctl list-units --no-legend --plain --state=active 'ceph-osd@*' | wc -l", "2"},
			{"ls /etc/systemd/system/ceph-mon.target.wants /etc/systemd/system/ceph-mgr.target.wants /etc/systemd/system/ceph-mds.target.wants | grep @ | xargs", "ceph-mds@" + name + ".service ceph-mgr@" + name + ".service ceph-mon@" + name + ".service"},
			{"lsblk -n -o NAME,FSTYPE | grep -E '^sd[bc]' | xargs", "sdb LVM2_member sdc LVM2_member"},
			{"ceph mon dump 2>/dev/null | grep -c " + cephAddress(i), "1"},
		})
	}
	// All machines see the same cluster.
	same := shell(t, n.List[0], digests)
	for _, node := range n.List {
		wantAllOn(t, node, []expected{
			{digests, same},
			{"ceph health", "HEALTH_OK"},
			{"ceph quorum_status -f json | grep -o '\"quorum_names\":[^]]*]'", `"quorum_names":["pve1","pve2","pve3"]`},
			{"ceph osd stat | cut -d'(' -f1,2,3 | grep -o '6 osds: 6 up'", "6 osds: 6 up"},
			{"ceph osd crush rule ls | xargs", "replicated_rule replicated_rule_osd"},
			{"for k in size min_size crush_rule; do ceph osd pool get vm-disks $k; ceph osd pool get ha-disks $k; done | xargs", "size: 4 size: 5 min_size: 2 min_size: 3 crush_rule: replicated_rule_osd crush_rule: replicated_rule_osd"},
			{"ceph fs ls | cut -d, -f1", "name: cephfs"},
			{"pvesm status | awk 'NR>1 {print $1, $2, $3}' | sort | xargs", "cephfs cephfs active ha-disks rbd active local dir active vm-disks rbd active"},
			{"grep -E '^(name|memory|scsi0):' /etc/pve/nodes/pve1/qemu-server/100.conf | sort | xargs", "memory: 2048 name: sso scsi0: ha-disks:vm-100-disk-0,size=32G"},
			{"ha-manager config | xargs", "vm:100 group prefer-vm-100 max_relocate 1 max_restart 1 state started"},
			{"grep -v '^$' /etc/pve/ha/groups.cfg | xargs", "group: prefer-vm-100 nodes pve1:2,pve2:1 nofailback 0 restricted 0"},
		})
	}
	wantOn(t, n.List[0], "timeout 1200 sh -c 'until qm status 100 | grep -q running; do sleep 0.2; done'; qm status 100", "status: running")
	var status struct {
		PGMap struct {
			States []struct {
				Name  string `json:"state_name"`
				Count int
			} `json:"pgs_by_state"`
		}
	}
	if err := json.Unmarshal([]byte(shell(t, n.List[0], "ceph -s --format json")), &status); err != nil {
		t.Fatal(err)
	}
	if len(status.PGMap.States) != 1 || status.PGMap.States[0].Name != "active+clean" {
		t.Errorf("the placement groups are in the states %v, expected all of them active+clean", status.PGMap.States)
	}
}

// wantReadOnlyWithoutQuorum stops corosync on two of three nodes, one after the other. While there is a quorum, the
// others see what one node writes; without it, nothing can be written.
func wantReadOnlyWithoutQuorum(t *testing.T, n *nspawn.Nodes) {
	t.Helper()
	wantOn(t, n.List[1], "echo written >/etc/pve/e2e && chmod 0777 /etc/pve/e2e 2>&1", "chmod: changing permissions of '/etc/pve/e2e': Operation not permitted")
	wantOn(t, n.List[2], "cat /etc/pve/e2e; stat -c '%a %U %G' /etc/pve/e2e", "written\n640 root www-data")
	for _, node := range n.List[1:] {
		shell(t, node, "systemctl stop corosync")
	}
	wantOn(t, n.List[0], "rm /etc/pve/e2e 2>&1; cat /etc/pve/e2e; stat -c '%a' /etc/pve/e2e", "rm: cannot remove '/etc/pve/e2e': Permission denied\nwritten\n440")
	for _, node := range n.List[1:] {
		shell(t, node, "systemctl start corosync")
	}
	wantOn(t, n.List[0], "timeout 1200 sh -c 'until rm /etc/pve/e2e 2>/dev/null; do sleep 0.2; done'; ls /etc/pve/e2e 2>&1", "ls: cannot access '/etc/pve/e2e': No such file or directory")
	if diff := cmp.Diff(shell(t, n.List[0], "ls -A /etc/pve/priv"), shell(t, n.List[2], "ls -A /etc/pve/priv")); diff != "" {
		t.Errorf("pve1 and pve3 have different files in /etc/pve/priv (-pve1 +pve3):\n%s", diff)
	}
}
