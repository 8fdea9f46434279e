package ceph

import (
	"errors"
	"maps"
	"math"
	"strings"

	"hlplay/engine/observe"
)

// Distribution describes how Ceph distributes data among the OSDs.
type Distribution struct {
	// Weights holds the weights of the OSDs in the CRUSH map, by number.
	Weights map[int]OSDWeight
	// Usages holds the capacities of the device classes; OSDs without a class count under "".
	Usages map[string]Usage
	// Nearfull is the share of an OSD's capacity above which Ceph warns: 0.85 by default.
	Nearfull float64
}

// OSDWeight determines how much data an OSD gets.
type OSDWeight struct {
	// Crush is the weight in the CRUSH map: by default the capacity in TiB.
	Crush float64
	// Reweight is the override, from 0 to 1; it is 0 for an OSD that is out.
	Reweight float64
	Class    string
}

// Usage is the raw capacity of OSDs in KiB.
type Usage struct{ Total, Used int64 }

// Distributions observes Distribution, under the empty name.
//
// An expectation claims only the weights. They are multiples of 1/65536, and compared as such.
var Distributions = &observe.Kind[Distribution]{
	Complete: func(expected, found Distribution) Distribution {
		weights := maps.Clone(expected.Weights)
		for id, w := range weights {
			if f, ok := found.Weights[id]; ok && SameWeight(f.Crush, w.Crush) && SameWeight(f.Reweight, w.Reweight) && f.Class == w.Class {
				weights[id] = f
			}
		}
		found.Weights = weights
		return found
	},
	Name: "ceph-weights", What: "the weights of the OSDs",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseOnly(parseDistribution),
}

// SameWeight reports whether two weights are equal for Ceph, which stores multiples of 1/65536.
func SameWeight(a, b float64) bool {
	return int64(a*65536+0.5) == int64(b*65536+0.5) || math.Abs(a-b) < 1.0/65536
}

func parseDistribution(s monitorsAnswer) (Distribution, error) {
	var report struct {
		Map struct {
			Nearfull *float64 `json:"nearfull_ratio"`
			OSDs     []struct {
				ID     int     `json:"osd"`
				Weight float64 `json:"weight"`
			} `json:"osds"`
		} `json:"osdmap"`
		Usages map[string]struct {
			Total int64 `json:"kb"`
			Used  int64 `json:"kb_used"`
		} `json:"osd_sum_by_class"`
		Crush struct {
			Devices []struct {
				ID    int    `json:"id"`
				Class string `json:"class"`
			} `json:"devices"`
			Buckets []struct {
				Name  string `json:"name"`
				Items []struct {
					ID     int `json:"id"`
					Weight int `json:"weight"`
				} `json:"items"`
			} `json:"buckets"`
		} `json:"crushmap"`
	}
	if err := readReport(s, &report); err != nil {
		return Distribution{}, err
	}
	if report.Map.Nearfull == nil {
		return Distribution{}, errors.New("ceph report contains no nearfull_ratio")
	}
	d := Distribution{Weights: map[int]OSDWeight{}, Usages: map[string]Usage{}, Nearfull: *report.Map.Nearfull}
	reweight, class := map[int]float64{}, map[int]string{}
	for _, osd := range report.Map.OSDs {
		reweight[osd.ID] = osd.Weight
	}
	for _, device := range report.Crush.Devices {
		class[device.ID] = device.Class
	}
	for _, bucket := range report.Crush.Buckets {
		if strings.Contains(bucket.Name, "~") { // the same bucket, restricted to a class
			continue
		}
		for _, item := range bucket.Items {
			if item.ID >= 0 {
				d.Weights[item.ID] = OSDWeight{Crush: float64(item.Weight) / 65536, Reweight: reweight[item.ID], Class: class[item.ID]}
			}
		}
	}
	for name, usage := range report.Usages {
		d.Usages[name] = Usage{usage.Total, usage.Used}
	}
	return d, nil
}

// With returns the distribution with the weight of one OSD changed.
func (d Distribution) With(id int, w OSDWeight) Distribution {
	d.Weights = maps.Clone(d.Weights)
	d.Weights[id] = w
	return d
}

// Without returns the distribution without an OSD.
func (d Distribution) Without(id int) Distribution {
	d.Weights = maps.Clone(d.Weights)
	delete(d.Weights, id)
	return d
}

// Share returns the share of the data of its device class that an OSD should hold, from 0 to 1.
func (d Distribution) Share(id int) float64 {
	own, ok := d.Weights[id]
	if !ok {
		return 0
	}
	total := 0.0
	for _, w := range d.Weights {
		if w.Class == own.Class {
			total += w.Crush * w.Reweight
		}
	}
	if total == 0 {
		return 0
	}
	return own.Crush * own.Reweight / total
}
