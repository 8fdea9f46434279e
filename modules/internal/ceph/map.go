package ceph

import (
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
)

// MonitorMaps observes all monitors by id; its only name is "".
var MonitorMaps = &observe.Kind[map[string]Monitor]{
	Name: "ceph-mons", What: "the monitors",
	Shared: observe.Always,
	Ask:    askMonitors,
	Parse:  parseWhole(parseMonitors),
}

// MetadataServerMaps observes all metadata servers by id; its only name is "".
var MetadataServerMaps = &observe.Kind[map[string]MetadataServer]{
	Name: "ceph-mdss", What: "the metadata servers",
	Shared: observe.Always,
	Ask:    askMonitors,
	Parse:  parseWhole(parseMetadataServers),
}

// OSDMaps observes all OSDs by node; its only name is "".
var OSDMaps = &observe.Kind[map[string][]OSD]{
	Name: "ceph-osds", What: "the OSDs",
	Shared: observe.Always,
	Ask:    askMonitors,
	Parse:  parseWhole(parseOSDs),
}

// CrushHosts observes the host buckets of the CRUSH map by name, those without OSDs too.
var CrushHosts = &observe.Kind[bool]{
	Name: "ceph-host", What: "whether the CRUSH map has host %s",
	Shared: observe.Always,
	Ask:    askMonitors,
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

// Spread is where a CRUSH rule puts the copies of a placement group.
type Spread struct {
	// PerHost is how many copies one host gets at most; 0 is any number.
	PerHost int
	Class   string
	// Unknown says why it cannot be told; empty if it can.
	Unknown string
}

// Spreads observes the CRUSH rules, hand-made ones too, by name; its only name is "".
var Spreads = &observe.Kind[map[string]Spread]{
	Name: "ceph-spreads", What: "the CRUSH rules",
	Shared: observe.Always,
	Ask:    askMonitors,
	Parse: parseWhole(func(s monitorsAnswer) (map[string]Spread, error) {
		dump, err := parseRuleDump(s)
		spreads := map[string]Spread{}
		for _, r := range dump {
			spreads[r.Name] = r.spread()
		}
		return spreads, err
	}),
}

// aboveHost are the types of CRUSH buckets that hold hosts, from near to far.
var aboveHost = []string{"chassis", "rack", "row", "pdu", "pod", "room", "datacenter", "zone", "region", "root"}

// spread follows the steps of a rule: how many OSDs of one host it can come to. A bucket is chosen once at most, so that a step that
// chooses hosts, or one leaf below each bucket above them, has each host once.
func (r ruleDump) spread() Spread {
	s := Spread{PerHost: -1}
	perHost := 0 // any number, as long as no step has chosen hosts
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
