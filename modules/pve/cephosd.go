package pve

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// OSD is one object storage daemon.
type OSD struct {
	// ID is -1 in a prediction: the cluster gives the number.
	ID     int
	Up, In bool
	// Class is the device class in the CRUSH map; empty if it has none.
	Class string
	// UUID is the OSD's fsid. ceph-volume names the logical volume after it ("osd-block-UUID"), which is
	// what proves that a disk is this OSD's, whatever kernel name it has today.
	UUID string
	// Devices are the kernel names of the disks under its data, as the daemon reported them when it
	// started last.
	Devices []string
}

// OSDs observes the OSDs of each node by the node's name.
//
// osd tree says which node, class, up and in; osd dump has the UUID also of an OSD that never started;
// osd metadata has the disks as the daemon saw them. Three reads of the monitors cost 0.6 to 1.5 s once
// for a whole run, where ceph-volume lvm list (Python, scans LVM) costs as much on every node and says
// nothing about up and in.
var OSDs = &observe.Kind[[]OSD]{
	Name: "ceph-osd",
	Ask: func([]string) []remote.Query {
		return []remote.Query{ceph("osd", "tree"), ceph("osd", "dump"), ceph("osd", "metadata")}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, []OSD, error)) {
		all, err := parseOSDAnswers(answers)
		for _, name := range names {
			tell(name, all[name], err)
		}
	},
}

func parseOSDAnswers(answers []remote.Answer) (map[string][]OSD, error) {
	tree, asked, err := cephAnswer(answers[0], "osd tree")
	if err != nil || !asked {
		return nil, err
	}
	dump, _, err := cephAnswer(answers[1], "osd dump")
	if err != nil {
		return nil, err
	}
	metadata, _, err := cephAnswer(answers[2], "osd metadata")
	if err != nil {
		return nil, err
	}
	return parseOSDs(tree, dump, metadata)
}

// osdTree is the answer to ceph osd tree.
type osdTree struct {
	Nodes []osdTreeNode `json:"nodes"`
	Stray []osdTreeNode `json:"stray"`
}

type osdTreeNode struct {
	ID       int     `json:"id"`
	Name     string  `json:"name"`
	Type     string  `json:"type"`
	Children []int   `json:"children"`
	Class    string  `json:"device_class"`
	Status   string  `json:"status"`
	Reweight float64 `json:"reweight"`
}

// osdMetadata is one entry of ceph osd metadata.
type osdMetadata struct {
	ID       int    `json:"id"`
	Hostname string `json:"hostname"`
	// Data are the disks under the data alone, Devices also those under the database.
	Data    string `json:"bluestore_bdev_devices"`
	Devices string `json:"devices"`
}

func parseOSDs(tree, dump, metadata []byte) (map[string][]OSD, error) {
	var t osdTree
	if err := json.Unmarshal(clean(tree), &t); err != nil {
		return nil, fmt.Errorf("ceph osd tree: %w", err)
	}
	var d struct {
		OSDs []struct {
			ID   int    `json:"osd"`
			UUID string `json:"uuid"`
		} `json:"osds"`
	}
	if err := json.Unmarshal(clean(dump), &d); err != nil {
		return nil, fmt.Errorf("ceph osd dump: %w", err)
	}
	var m []osdMetadata
	if err := json.Unmarshal(clean(metadata), &m); err != nil {
		return nil, fmt.Errorf("ceph osd metadata: %w", err)
	}
	host := map[int]string{}
	osds := map[int]OSD{}
	for _, node := range append(append([]osdTreeNode{}, t.Nodes...), t.Stray...) {
		switch node.Type {
		case "host":
			for _, child := range node.Children {
				host[child] = node.Name
			}
		case "osd":
			osds[node.ID] = OSD{ID: node.ID, Up: node.Status == "up", In: node.Reweight > 0, Class: node.Class}
		}
	}
	for _, entry := range d.OSDs {
		if osd, ok := osds[entry.ID]; ok {
			osd.UUID = entry.UUID
			osds[entry.ID] = osd
		}
	}
	for _, entry := range m {
		osd, ok := osds[entry.ID]
		if !ok {
			continue
		}
		devices := entry.Data
		if devices == "" {
			devices = entry.Devices
		}
		osd.Devices = strings.FieldsFunc(devices, func(r rune) bool { return r == ',' || r == ' ' })
		osds[entry.ID] = osd
		if host[entry.ID] == "" {
			host[entry.ID], _, _ = strings.Cut(entry.Hostname, ".")
		}
	}
	all := map[string][]OSD{}
	for id, osd := range osds {
		all[host[id]] = append(all[host[id]], osd)
	}
	for _, list := range all {
		sort.Slice(list, func(i, j int) bool { return list[i].ID < list[j].ID })
	}
	return all, nil
}

// ErrNoCeph says that a plan needs a running Ceph cluster and there is none.
var ErrNoCeph = errors.New("there is no Ceph cluster yet: pveceph { init { … } } and a first monitor come before")
