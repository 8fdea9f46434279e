package ceph

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
)

// Monitor is a monitor in the cluster's monitor map.
type Monitor struct {
	InMap, InQuorum bool
	// Address is the public address without the port.
	Address string
}

// Monitors observes monitors by id, which is the name of the node.
var Monitors = &observe.Kind[Monitor]{
	Name: "ceph-mon", What: "monitor %s",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseEach(parseMonitors),
}

// Manager records whether the cluster's manager map contains a daemon, active or standby.
type Manager struct{ InMap bool }

// Managers observes managers by id, which is the name of the node.
var Managers = &observe.Kind[Manager]{
	Name: "ceph-mgr", What: "manager %s",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseEach(parseManagers),
}

// MetadataServer is an MDS in the cluster's map. State is "up:active", "up:standby", …, or empty if the map does not
// contain it.
type MetadataServer struct{ State string }

// MetadataServers observes metadata servers by id, which is the name of the node.
var MetadataServers = &observe.Kind[MetadataServer]{
	Name: "ceph-mds", What: "metadata server %s",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseEach(parseMetadataServers),
}

// FileSystem is a CephFS.
type FileSystem struct {
	// Active is set if a metadata server serves the file system.
	Active bool
}

// FileSystems observes the file systems of the cluster by name, under the empty name.
var FileSystems = &observe.Kind[map[string]FileSystem]{
	Name: "ceph-fs", What: "the CephFS file systems",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseWhole(parseFileSystems),
}

func parseMonitors(s monitorsAnswer) (map[string]Monitor, error) {
	var report struct {
		Quorum []int `json:"quorum"`
		Map    struct {
			Mons []struct {
				Rank   int    `json:"rank"`
				Name   string `json:"name"`
				Public string `json:"public_addr"`
				Addr   string `json:"addr"`
			} `json:"mons"`
		} `json:"monmap"`
	}
	if err := readReport(s, &report); err != nil {
		return nil, err
	}
	all := map[string]Monitor{}
	for _, mon := range report.Map.Mons {
		address := mon.Public
		if address == "" {
			address = mon.Addr
		}
		all[mon.Name] = Monitor{InMap: true, InQuorum: slices.Contains(report.Quorum, mon.Rank), Address: stripPort(address)}
	}
	return all, nil
}

// stripPort returns the address in "10.10.10.11:6789/0" or "[fd00::1]:6789/0".
func stripPort(address string) string {
	address, _, _ = strings.Cut(address, "/")
	if at := strings.LastIndexByte(address, ':'); at >= 0 {
		address = address[:at]
	}
	return strings.Trim(address, "[]")
}

func parseManagers(s monitorsAnswer) (map[string]Manager, error) {
	if s.noManagers != nil {
		return nil, s.noManagers
	}
	var managers []struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(s.managers, &managers); err != nil {
		return nil, fmt.Errorf("ceph mgr metadata: %w", err)
	}
	all := map[string]Manager{}
	for _, manager := range managers {
		all[manager.Name] = Manager{InMap: true}
	}
	return all, nil
}

// mdsDaemon is an entry of the file system map.
type mdsDaemon struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

// fsReport is the part of the report about file systems.
type fsReport struct {
	Map struct {
		Standbys    []mdsDaemon `json:"standbys"`
		FileSystems []struct {
			Map struct {
				Name string               `json:"fs_name"`
				Info map[string]mdsDaemon `json:"info"`
			} `json:"mdsmap"`
		} `json:"filesystems"`
	} `json:"fsmap"`
}

func parseMetadataServers(s monitorsAnswer) (map[string]MetadataServer, error) {
	var report fsReport
	if err := readReport(s, &report); err != nil {
		return nil, err
	}
	all := map[string]MetadataServer{}
	for _, daemon := range report.Map.Standbys {
		all[daemon.Name] = MetadataServer{State: daemon.State}
	}
	for _, fs := range report.Map.FileSystems {
		for _, daemon := range fs.Map.Info {
			all[daemon.Name] = MetadataServer{State: daemon.State}
		}
	}
	return all, nil
}

func parseFileSystems(s monitorsAnswer) (map[string]FileSystem, error) {
	var report fsReport
	if err := readReport(s, &report); err != nil {
		return nil, err
	}
	all := map[string]FileSystem{}
	for _, fs := range report.Map.FileSystems {
		var f FileSystem
		for _, daemon := range fs.Map.Info {
			f.Active = f.Active || daemon.State == "up:active"
		}
		all[fs.Map.Name] = f
	}
	return all, nil
}
