package pveceph

import (
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// What a step says of the other nodes: whatever is not certain to stay as it is may have changed.
func TestElsewhere(t *testing.T) {
	for name, test := range map[string]struct {
		of      func(modules.Host, observe.Key) bool
		changes []observe.Key
		not     []observe.Key
	}{
		"any step": {elsewhere,
			[]observe.Key{ceph.Confs.Key(""), ceph.Monitors.Key("pve2"), ceph.OSDs.Key("pve2"), ceph.Pools.Key(""), pve.Storages.Key(""), observe.Files.Key("/etc/pve/ceph.conf"), ceph.Holdings.Key(""), observe.AuthorCommands.Key("ceph -s")},
			[]observe.Key{pve.Nodes.Key(""), pve.Clusters.Key(""), ceph.Nodes.Key(""), ceph.Units.Key(""), observe.Networks.Key(""), observe.Disks.Key("")},
		},
		"a new manager": {elsewhereOfManager("pve1"),
			[]observe.Key{ceph.Managers.Key("pve1"), ceph.Pools.Key(""), ceph.Distributions.Key(""), ceph.Statuses.Key(""), ceph.Healths.Key("")},
			[]observe.Key{ceph.Managers.Key("pve2"), ceph.Monitors.Key("pve2"), ceph.OSDs.Key("pve2"), ceph.Holdings.Key(""), ceph.Confs.Key(""), observe.Disks.Key("")},
		},
		"a new OSD": {elsewhereOfOSD("pve1"),
			[]observe.Key{ceph.OSDs.Key("pve1"), ceph.OSDMaps.Key(""), ceph.Pools.Key(""), ceph.Distributions.Key(""), ceph.Statuses.Key("")},
			[]observe.Key{ceph.OSDs.Key("pve2"), ceph.CrushRules.Key(""), ceph.Holdings.Key(""), ceph.Managers.Key("pve1"), ceph.Monitors.Key("pve2"), ceph.Confs.Key(""), observe.Disks.Key("")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, k := range test.changes {
				if !test.of(nil, k) {
					t.Errorf("%s is said to stay as it is", k)
				}
			}
			for _, k := range test.not {
				if test.of(nil, k) {
					t.Errorf("%s is said to change", k)
				}
			}
		})
	}
}
