package ceph

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"hlplay/engine/observe"
)

// OSD is one object storage daemon.
type OSD struct {
	// ID is -1 in a prediction, because the cluster assigns the number.
	ID     int
	Up, In bool
	// Class is the device class in the CRUSH map; empty if there is none.
	Class string
	// UUID is the OSD's fsid. ceph-volume names the logical volume after it ("osd-block-UUID"), which proves that a
	// disk belongs to this OSD, whatever its kernel name is today.
	UUID string
	// Devices holds the kernel names of the disks under its data, as reported by the daemon when it last started.
	Devices []string
}

// OSDs observes the OSDs of each node, by the name of the node.
//
// The CRUSH map contains node and class, and the OSD map up, in and the UUID, even of an OSD that never started. The
// daemons' own metadata contain the disks as each daemon saw them when it started. ceph-volume lvm list (Python, scans
// LVM) would take a second on every node and does not know up and in.
var OSDs = &observe.Kind[[]OSD]{
	Complete: completeOSDs,
	Name:     "ceph-osd", What: "the OSDs of node %s",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseEach(parseOSDs),
}

// completeOSDs leaves the id and UUID of a new OSD unclaimed, and accepts that an OSD on a partition reports the whole
// disk. The new OSD is the one that is not expected otherwise, on a device that is, or contains, the expected one.
func completeOSDs(expected, found []OSD) []OSD {
	all := slices.Clone(expected)
	for i, o := range all {
		if o.ID >= 0 {
			continue
		}
		at := slices.IndexFunc(found, func(f OSD) bool {
			taken := slices.ContainsFunc(all, func(other OSD) bool { return other.ID == f.ID })
			return !taken && slices.EqualFunc(f.Devices, o.Devices, func(whole, device string) bool { return strings.HasPrefix(device, whole) })
		})
		if at >= 0 {
			all[i].ID, all[i].UUID, all[i].Devices = found[at].ID, found[at].UUID, found[at].Devices
		}
	}
	slices.SortFunc(all, func(a, b OSD) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// osdReport is the part of the report about OSDs.
type osdReport struct {
	Map struct {
		OSDs []struct {
			ID   int    `json:"osd"`
			UUID string `json:"uuid"`
			Up   int    `json:"up"`
			In   int    `json:"in"`
		} `json:"osds"`
	} `json:"osdmap"`
	Metadata []struct {
		ID       int    `json:"id"`
		Hostname string `json:"hostname"`
		// Data holds only the disks under the data, Devices also those under the database.
		Data    string `json:"bluestore_bdev_devices"`
		Devices string `json:"devices"`
	} `json:"osd_metadata"`
	Crush struct {
		Devices []struct {
			ID    int    `json:"id"`
			Class string `json:"class"`
		} `json:"devices"`
		Buckets []struct {
			Name  string `json:"name"`
			Type  string `json:"type_name"`
			Items []struct {
				ID int `json:"id"`
			} `json:"items"`
		} `json:"buckets"`
	} `json:"crushmap"`
}

func parseOSDs(s monitorsAnswer) (map[string][]OSD, error) {
	var report osdReport
	if err := readReport(s, &report); err != nil {
		return nil, err
	}
	host, class, devices := report.hosts(), map[int]string{}, map[int][]string{}
	for _, device := range report.Crush.Devices {
		class[device.ID] = device.Class
	}
	for _, entry := range report.Metadata {
		list := entry.Data
		if list == "" {
			list = entry.Devices
		}
		devices[entry.ID] = strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	}
	all := map[string][]OSD{}
	for _, osd := range report.Map.OSDs {
		name := host[osd.ID]
		all[name] = append(all[name], OSD{ID: osd.ID, Up: osd.Up == 1, In: osd.In == 1,
			Class: class[osd.ID], UUID: osd.UUID, Devices: devices[osd.ID]})
	}
	for _, list := range all {
		slices.SortFunc(list, func(a, b OSD) int { return cmp.Compare(a.ID, b.ID) })
	}
	return all, nil
}

// hosts returns the nodes of the OSDs: the host buckets that contain them or, for OSDs in none, the host where they
// last started.
func (r osdReport) hosts() map[int]string {
	host := map[int]string{}
	for _, bucket := range r.Crush.Buckets {
		// "pve1~hdd" is pve1 restricted to a class.
		if bucket.Type != "host" || strings.Contains(bucket.Name, "~") {
			continue
		}
		for _, item := range bucket.Items {
			host[item.ID] = bucket.Name
		}
	}
	for _, entry := range r.Metadata {
		if host[entry.ID] == "" {
			host[entry.ID], _, _ = strings.Cut(entry.Hostname, ".")
		}
	}
	return host
}

// ErrNoCeph is returned if a plan needs a running Ceph cluster and there is none.
var ErrNoCeph = errors.New("there is no Ceph cluster yet: create it first, with pveceph { init { … } } and a first monitor")
