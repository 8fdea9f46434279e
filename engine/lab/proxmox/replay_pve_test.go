package proxmox

import (
	"path"
	"strings"
	"testing"
)

var oneNode = func(l *testLab) { l.form("lab", 1) }
var threeNodes = func(l *testLab) { l.form("lab", 3) }

// trust makes a node accept the key of root on another one. If hostKey is set, it also makes its host key known there.
func (l *testLab) trust(from, to string, hostKey bool) {
	own := strings.TrimSpace(l.read(from, "/root/.ssh/id_rsa.pub"))
	l.world.at(func(v *view) {
		db := v.database(to)
		db.Write("priv/authorized_keys", []byte(db.Text("priv/authorized_keys")+own+"\n"), v.now)
	})
	if hostKey {
		key := strings.Fields(l.read(to, "/etc/ssh/ssh_host_ed25519_key.pub"))
		l.file(from, "/root/.ssh/known_hosts", l.address(to)+" "+key[0]+" "+key[1]+"\n")
	}
}

var pve9 = []scenario{
	{name: "standalone", replay: []string{
		"pvecm-status.standalone", "pvecm-nodes.standalone", "pvecm-delnode.standalone", "pvecm-updatecerts.standalone",
		"pvecm-noargs", "pvecm-unknown-subcommand",
		"pvecm-create.badname", "pvecm-create.longname", "pvecm-create.noname", "pvecm-create.unknown-option", "pvecm-add.nohost",
		"pvecm-add.target-not-in-cluster.no-ssh-trust", "pvecm-add.unreachable-host-use_ssh",
		"pveversion",
	}},
	{name: "a name that does not resolve", setUp: func(l *testLab) { l.file("pve2", "/etc/hosts", "127.0.0.1 localhost\n") },
		replay: []string{"pvecm-create.hostname-unresolvable", "pvecm-status.hostname-unresolvable"}},
	{name: "a name that resolves to loopback", setUp: func(l *testLab) { l.file("pve1", "/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 pve1\n") },
		replay: []string{"pvecm-create.hosts-127.0.1.1", "pvecm-status.after-create-127.0.1.1"}},
	{name: "a link that is not local", replay: []string{"pvecm-create.badlink", "pvecm-status.after-create-badlink", "pvecm-nodes.after-create-badlink", "pvecm-create.second-after-badlink",
		"pvecm-delnode.after-create-badlink"}},
	{name: "link options", replay: []string{"pvecm-create.link-options", "pvecm-status.link-options"}},
	{name: "create and join", replay: []string{
		"pvecm-create.first", "pvecm-status.0s-after-create", "pvecm-status.1node", "pvecm-nodes.1node", "pvecm-create.second-same-name", "pvecm-create.second-other-name",
		"pvecm-delnode.self-only-node", "pvecm-status.after-delnode-self", "pvecm-add.self",
		"pvecm-add.no-tty-no-password", "pvecm-add.cwd-in-etc-pve", "pvecm-add.use_ssh-no-trust", "pvecm-add.unresolvable", "pvecm-add.password-on-stdin-no-tty",
		"pvecm-add.api-join-password-stdin-fingerprint", "pvecm-status.2nodes-0s-after-join",
	}},
	{name: "join over SSH", setUp: func(l *testLab) { l.form("lab", 2); l.trust("pve3", "pve1", true) },
		replay: []string{"pvecm-add.use_ssh-ok", "pvecm-status.3nodes-0s-after-join"}},
	{name: "join over SSH, host key unknown", setUp: func(l *testLab) { l.form("lab", 2); l.trust("pve3", "pve1", false) },
		replay: []string{"pvecm-add.use_ssh-key-trusted-hostkey-unknown"}},
	{name: "three nodes", setUp: threeNodes, replay: []string{
		"pvecm-status.3nodes", "pvecm-nodes.3nodes", "pvecm-add.already-member-api", "pvecm-add.already-member-use_ssh",
		"pvecm-delnode.self", "pvecm-delnode.unknown",

		"pvesm-status", "pvesm-add.dir", "pvesm-status.after-add", "pvesm-add.duplicate", "pvesm-set", "pvesm-set.missing",
	}},
	{name: "a forced add on a member", setUp: threeNodes, replay: []string{"pvecm-add.already-member-force", "pvecm-status.after-force-add-on-member"}},
	{name: "one of three off", setUp: threeNodes, replay: []string{"@pve3-off", "pvecm-status.pve3-just-off", "pvecm-nodes.pve3-off"}},
	{name: "an offline node is deleted", setUp: threeNodes, replay: []string{"@pve3-off", "pvecm-delnode.offline-node-quorate", "pvecm-status.after-delnode", "pvecm-nodes.after-delnode", "pvecm-delnode.repeat"}},
	{name: "two of three off", setUp: threeNodes, replay: []string{"@pve3-off", "@pve2-off", "pvecm-status.no-quorum", "pvecm-nodes.no-quorum", "pvecm-create.no-quorum", "pvecm-delnode.no-quorum",
		"ha-manager-add.no-quorum", "ha-manager-status.no-quorum", "write-etc-pve.no-quorum", "pvecm-updatecerts.no-quorum",
		"@expected-1", "pvecm-status.after-expected-1", "pvecm-delnode.offline-node", "pvecm-status.after-delnode-offline", "ls-etc-pve-nodes.after-delnode"}},
	{name: "an online node is deleted", setUp: threeNodes, replay: []string{"@version-5", "pvecm-delnode.online-node", "pvecm-nodes.after-delnode-online-15s", "pvecm-status.after-delnode-online", "pvecm-status.on-node-deleted-online"}},
	{name: "a node with guests joins", options: labOptions{guests: map[string]string{}}, setUp: func(l *testLab) { l.form("lab", 2); l.guest("pve3", "100") }, replay: []string{"pvecm-add.node-has-guests"}},
	{name: "two nodes join at once", setUp: oneNode, replay: []string{"@pve3-joins-too", "pvecm-add.parallel-joins-pve2", "pvecm-updatecerts.repair-after-half-join", "@settle", "pvecm-add.retry-after-aborted-join"}},
	{name: "a node is reinstalled", setUp: threeNodes, replay: []string{"@pve3-off", "pvecm-delnode.offline-node-quorate", "@reinstall-pve3", "pvecm-add.rejoin-reinstalled-same-name", "pvecm-nodes.after-rejoin"}},
	{name: "two links", options: labOptions{second: "10.78.0.", count: 2}, replay: []string{"pvecm-create.two-links", "pvecm-add.link-address-not-local", "pvecm-add.link-count-mismatch", "pvecm-add.two-links",
		"pvecm-status.two-links", "corosync-cfgtool-s.two-links"}},
	{name: "HA", options: labOptions{guests: map[string]string{"100": "vm", "101": "vm", "102": "vm"}}, setUp: threeNodes, replay: []string{
		"ha-manager-noargs", "ha-manager-config.empty", "ha-manager-status.empty",
		"ha-manager-add.bad-sid", "ha-manager-add.bad-state", "ha-manager-add.no-such-vm", "ha-manager-add.with-group", "ha-manager-groupadd", "ha-manager-remove.not-existing", "ha-manager-set.not-existing",
		"ha-manager-add.plain-vmid", "ha-manager-status.0s-after-add", "ha-manager-config.after-add", "ha-manager-add.duplicate", "@settle", "ha-manager-add.vm101-stopped", "@tick", "ha-manager-status.settled", "@settle", "ha-manager-status.settled2",
		"ha-manager-set.no-change", "ha-manager-set.bad-digest", "ha-manager-set.unquoted-comment-two-args", "ha-manager-set.delete", "ha-manager-config.after-set",
		"ha-manager-rules-add.unknown-node", "ha-manager-rules-add.unmanaged-resource", "ha-manager-rules-add.node-affinity", "ha-manager-rules-add.duplicate", "ha-manager-rules-add.conflict", "ha-manager-rules-add.resource-affinity",
		"ha-manager-rules-list-json", "ha-manager-rules-set.missing", "ha-manager-rules-set", "ha-manager-set.comment",
		"ha-manager-rules-add.resource-affinity-ok", "cat-ha-resources.cfg", "cat-ha-rules.cfg", "ha-manager-rules-remove", "ha-manager-rules-remove.missing", "@settle",
		"ha-manager-crm-command-migrate.same-node", "ha-manager-crm-command-migrate.bad-node", "ha-manager-crm-command-migrate.not-allowed-node", "@settle", "ha-manager-crm-command-relocate", "@tick", "ha-manager-status.0s-after-relocate",
		"@settle", "ha-manager-status.after-relocate", "qm-stop.ha-managed", "ha-manager-config.after-qm-stop", "qm-start.ha-managed", "@settle",
		"ha-manager-set.disabled", "ha-manager-add.enabled-alias", "ha-manager-config.enabled-alias", "@tick", "ha-manager-remove.in-rule", "ha-manager-status.0s-after-remove",
		"ha-manager-remove.plain-vmid", "ha-manager-remove.repeat",
	}},
	{name: "Ceph before init", options: labOptions{ceph: "18.2.7"}, setUp: threeNodes, replay: []string{"pveceph-noargs", "pveceph-mon-create.not-initialized", "pveceph-osd-create.not-initialized",
		"pveceph-init.bad-network", "pveceph-init.first", "pveceph-init.second-same", "pveceph-init.second-other-size", "pveceph-init.second-other-network",
		"cat-ceph.conf.after-init", "pveceph-mgr-create.no-mon"}},
	{name: "Ceph", options: labOptions{ceph: "18.2.7"}, setUp: func(l *testLab) { threeNodes(l); hooks["@network"](l) }, replay: []string{
		"pveceph-mon-create.first", "pveceph-mon-create.pve3-not-linked", "pveceph-mon-create.second-same-node", "@settle",
		"pveceph-mgr-create.second-same-node", "pveceph-mgr-create.pve3", "cat-ceph.conf.2mon", "@20s", "pveceph-osd-create.missing-device", "pveceph-pool-create.no-osd",
		"pveceph-mon-create.pve2", "@settle", "pveceph-pool-create.duplicate", "pveceph-pool-set", "pveceph-pool-set.missing", "pveceph-mds-create", "pveceph-mds-create.duplicate",
		"pveceph-pool-create.add-storages", "pvesm-status.with-rbd-storage-no-osd", "pveceph-stop-mon", "pveceph-start-mon", "@settle", "pveceph-mgr-destroy.from-other-node", "pveceph-mgr-destroy", "pveceph-mon-destroy.from-other-node", "pveceph-mon-destroy", "pveceph-mon-destroy.repeat",
		"pveceph-init.other-network-after-mon",
	}},
	{name: "a left-over monitor", options: labOptions{ceph: "18.2.7"}, setUp: func(l *testLab) { threeNodes(l); hooks["@network"](l) }, replay: []string{"@stale-mon", "pveceph-mon-create.stale-mon-broadcast"}},
	{name: "a monitor in the wrong network", options: labOptions{ceph: "18.2.7"}, setUp: func(l *testLab) { threeNodes(l); hooks["@bad-network"](l) }, replay: []string{"pveceph-mon-create.wrong-network"}},
}

var pve8 = []scenario{
	{name: "three nodes", options: labOptions{debian: "bookworm"}, setUp: func(l *testLab) { threeNodes(l); l.guest("pve1", "100"); l.guest("pve1", "101") }, replay: []string{"pvecm-status.3nodes", "pvecm-create.second", "pvecm-delnode.unknown", "@guest-pve2", "pvecm-add.already-member-use_ssh",
		"@manager-8.4.1", "pveversion", "pveceph-noargs", "ha-manager-noargs", "ha-manager-rules-list", "ha-manager-status.empty", "ha-manager-add.no-such-vm",
		"ha-manager-groupadd", "ha-manager-groupadd.duplicate", "ha-manager-groupadd.unknown-node", "ha-manager-groupset", "ha-manager-groupset.missing", "cat-ha-groups.cfg",
		"ha-manager-add.group", "@master-pve3", "ha-manager-add.duplicate", "ha-manager-add.missing-group", "ha-manager-config", "@settle", "ha-manager-status.settled", "ha-manager-set.delete-group", "ha-manager-remove"}},
}

// guest defines a stopped VM.
func (l *testLab) guest(node, id string) {
	l.world.at(func(v *view) { v.makeGuest(v.database(node), node, id, "vm") })
}

func TestReplayPVE9(t *testing.T) {
	for _, s := range pve9 {
		t.Run(s.name, func(t *testing.T) { play(t, s, "pve9") })
	}
}

func TestReplayPVE8(t *testing.T) {
	for _, s := range pve8 {
		t.Run(s.name, func(t *testing.T) { play(t, s, "pve8") })
	}
}

// unplayed are the recordings that no scenario replays, and why.
var unplayed = map[string]string{
	"pve9/pvecm-add.tty-bad-fingerprint":                         "needs a terminal",
	"pve9/pvecm-add.tty-fingerprint-declined":                    "needs a terminal",
	"pve9/pvecm-add.tty-wrong-password":                          "needs a terminal",
	"pve9/pvecm-add.rejoin-without-cleanup-splitbrain":           splitBrain,
	"pve9/pvecm-nodes.on-removed-node-splitbrain":                splitBrain,
	"pve9/pvecm-status.on-removed-node-splitbrain":               splitBrain,
	"pve9/pvecm-status.pve1-after-removed-node-boots-splitbrain": splitBrain,
	"pve9/cat-ceph.conf.after-mon":                               "recorded before the crash keyring was configured, which the command does by itself",
}

const splitBrain = "two clusters of one name side by side are not simulated"

func TestEveryRecordingIsPlayed(t *testing.T) {
	played := map[string]bool{"pve9/pvecm-add.parallel-joins-pve3": true} // by @pve3-joins-too
	for generation, scenarios := range map[string][]scenario{"pve9": pve9, "pve8": pve8} {
		for _, s := range scenarios {
			for _, step := range s.replay {
				played[generation+"/"+step] = true
			}
		}
		entries, err := testdata.ReadDir(path.Join("testdata", generation))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			name := generation + "/" + strings.TrimSuffix(e.Name(), ".txt")
			if !played[name] && unplayed[name] == "" {
				t.Errorf("no scenario plays %s", name)
			}
		}
	}
}
