package ceph

import (
	"hlplay/modules"
)

// Packages are those of Ceph. What depends on what differs: monitors, managers and metadata servers of Debian 13 depend on
// ceph-common, those of Debian 12 and of Proxmox on ceph-base, which has it. A host that has monitors alone is none where OSDs can be
// made, so that it does not count as one with Ceph.
var Packages = []modules.Package{
	{Name: "ceph", Depends: []string{"ceph-mon", "ceph-mgr", "ceph-osd"}, Installed: InstalledExpectations},
	{Name: "ceph-mon", Depends: []string{"ceph-common"}, Running: []string{"ceph-mon.target"}, Programs: []string{"ceph-mon"}},
	{Name: "ceph-mgr", Depends: []string{"ceph-common"}, Running: []string{"ceph-mgr.target"}, Programs: []string{"ceph-mgr"}},
	{Name: "ceph-osd", Depends: []string{"ceph-base"}, Running: []string{"ceph-osd.target"}, Programs: []string{"ceph-osd"}},
	{Name: "ceph-mds", Depends: []string{"ceph-common"}, Running: []string{"ceph-mds.target"}, Programs: []string{"ceph-mds"}},
	{Name: "ceph-base", Depends: []string{"ceph-common"}, Running: []string{"ceph-crash.service"}},
	{Name: "ceph-common", Running: []string{"ceph.target"}, Directories: []string{"/etc/ceph"}, Programs: []string{"ceph", "rados", "rbd"}},
	{Name: "ceph-fuse", Programs: []string{"ceph-fuse"}},
	{Name: "ceph-volume", Programs: []string{"ceph-volume"}},
}
