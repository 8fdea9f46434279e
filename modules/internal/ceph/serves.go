package ceph

import (
	_ "embed"
	"strconv"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/pve"
)

// Condition is a query that exits with 0 once something is so: see modules.Step.Until.
type Condition = *remote.Query

// servesScript asks the monitors what they know, as monitorsQuery does.
//
//go:embed serves.sh
var servesScript string

// DaemonServes returns the query that exits with 0 once the monitors know a daemon: one in the quorum (kind "mon"), a manager
// ("mgr"), or a metadata server that is active or stands by ("mds").
func DaemonServes(kind, id string) *remote.Query { return serves(kind, id) }

// FirstServes returns the query that exits with 0 once the first monitor, which is then the quorum, and the manager that pveceph
// creates with it both serve. They have the same ID.
func FirstServes(id string) *remote.Query { return serves("first", id) }

// OSDServes returns the query that exits with 0 once an OSD on a disk of a node is up and in. It must be the whole disk, even if
// the OSD is on a partition: a daemon does not report which (get_raw_devices in common/blkdev.cc of Ceph).
func OSDServes(node string, disk observe.BlockDevice) *remote.Query {
	return serves("osd", disk.Name, node)
}

// OSDUp returns the query that exits with 0 once an OSD is up and in.
func OSDUp(id int) *remote.Query { return serves("osd-up", strconv.Itoa(id)) }

// FileSystemServes returns the query that exits with 0 once a metadata server is active.
func FileSystemServes() *remote.Query { return serves("fs") }

// PGsClean returns the query that exits with 0 once all placement groups are active and clean.
func PGsClean() *remote.Query { return serves("clean") }

func serves(args ...string) *remote.Query {
	return &remote.Query{Script: servesScript, Args: append([]string{pve.CephConfFile}, args...)}
}
