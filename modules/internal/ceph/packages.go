package ceph

import (
	"hlplay/modules"
)

// Packages are the packages of Ceph. Their dependencies differ: monitors, managers and metadata servers depend on
// ceph-common in Debian 13, but in Debian 12 and Proxmox on ceph-base, which depends on it. A host that has only
// monitors does not count as a host with Ceph, because OSDs cannot be created there.
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
