package pve

import "hlplay/modules"

// CephPackages are those of Ceph.
var CephPackages = []modules.Package{
	{Name: "ceph", Depends: []string{"ceph-mon", "ceph-mgr", "ceph-osd"}, Installed: CephInstalledExpectations},
	{Name: "ceph-mon", Depends: []string{"ceph-base"}, Running: []string{"ceph-mon.target"}, Programs: []string{"ceph-mon"}, Installed: CephInstalledExpectations},
	{Name: "ceph-mgr", Depends: []string{"ceph-base"}, Running: []string{"ceph-mgr.target"}, Programs: []string{"ceph-mgr"}},
	{Name: "ceph-osd", Depends: []string{"ceph-base"}, Running: []string{"ceph-osd.target"}, Programs: []string{"ceph-osd"}},
	{Name: "ceph-mds", Depends: []string{"ceph-base"}, Running: []string{"ceph-mds.target"}, Programs: []string{"ceph-mds"}},
	{Name: "ceph-base", Depends: []string{"ceph-common"}, Running: []string{"ceph.target", "ceph-crash.service"}},
	{Name: "ceph-common", Directories: []string{"/etc/ceph"}, Programs: []string{"ceph", "rados", "rbd"}},
	{Name: "ceph-fuse", Programs: []string{"ceph-fuse"}},
	{Name: "ceph-volume", Programs: []string{"ceph-volume"}},
}
