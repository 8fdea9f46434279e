package ceph

import (
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
)

// MonitorMaps observes all monitors by id, under the empty name.
var MonitorMaps = &observe.Kind[map[string]Monitor]{
	Name: "ceph-mons", What: "the monitors",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseWhole(parseMonitors),
}

// MetadataServerMaps observes all metadata servers by id, under the empty name.
var MetadataServerMaps = &observe.Kind[map[string]MetadataServer]{
	Name: "ceph-mdss", What: "the metadata servers",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseWhole(parseMetadataServers),
}

// OSDMaps observes all OSDs by node, under the empty name.
var OSDMaps = &observe.Kind[map[string][]OSD]{
	Name: "ceph-osds", What: "the OSDs",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseWhole(parseOSDs),
}

// CrushHosts observes the host buckets of the CRUSH map by name, including those without OSDs.
var CrushHosts = &observe.Kind[bool]{
	Name: "ceph-host", What: "whether the CRUSH map has host %s",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse: parseEach(func(s monitorsAnswer) (map[string]bool, error) {
		var report osdReport
		err := readReport(s, &report)
		hosts := map[string]bool{}
		for _, bucket := range report.Crush.Buckets {
			if bucket.Type == "host" {
				hosts[bucket.Name] = true
			}
		}
		return hosts, err
	}),
}

// Spread describes where a CRUSH rule puts the copies of a placement group.
type Spread struct {
	// PerHost is the maximum number of copies on one host; 0 means any number.
	PerHost int
	Class   string
	// Unknown says why this cannot be determined; empty if it can.
	Unknown string
}

// Spreads observes the CRUSH rules by name, including hand-made ones, under the empty name.
var Spreads = &observe.Kind[map[string]Spread]{
	Name: "ceph-spreads", What: "the CRUSH rules",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse: parseWhole(func(s monitorsAnswer) (map[string]Spread, error) {
		dump, err := parseRuleDump(s)
		spreads := map[string]Spread{}
		for _, r := range dump {
			spreads[r.Name] = r.spread()
		}
		return spreads, err
	}),
}

// aboveHost lists the types of CRUSH buckets that contain hosts, from near to far.
var aboveHost = []string{"chassis", "rack", "row", "pdu", "pod", "room", "datacenter", "zone", "region", "root"}

// spread follows the steps of a rule to determine how many OSDs of one host it can choose. A bucket is chosen at most
// once, so a step that chooses hosts, or one leaf below each bucket above them, contains each host once.
func (r ruleDump) spread() Spread {
	s := Spread{PerHost: -1}
	perHost := 0 // any number, until a step has chosen hosts
	for _, step := range r.Steps {
		choose, leaf := strings.CutPrefix(step.Op, "chooseleaf_")
		if !leaf {
			choose, _ = strings.CutPrefix(step.Op, "choose_")
		}
		switch {
		case step.Op == "take" && s.PerHost >= 0, step.Op == "emit" && s.PerHost >= 0:
			return Spread{Unknown: fmt.Sprintf("its rule %s chooses more than once", r.Name)}
		case step.Op == "take":
			_, s.Class, _ = strings.Cut(step.Item, "~")
		case step.Op == "emit":
			s.PerHost = perHost
		case choose != "firstn" && choose != "indep": // set_chooseleaf_tries and the like
		case step.Type == "osd" && perHost == 1: // below a host that was chosen
			perHost = step.Num
		case step.Type == "osd", slices.Contains(aboveHost, step.Type) && !leaf:
		case step.Type == "host", slices.Contains(aboveHost, step.Type):
			perHost = 1
		default:
			return Spread{Unknown: fmt.Sprintf("its rule %s chooses a %s", r.Name, step.Type)}
		}
	}
	if s.PerHost < 0 {
		return Spread{Unknown: fmt.Sprintf("its rule %s chooses relative to the size", r.Name)}
	}
	return s
}
