package pve

import (
	"encoding/json"
	"fmt"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Monitor is a monitor in the cluster's monitor map.
type Monitor struct {
	InMap, InQuorum bool
	// Address is the public address without port.
	Address string
}

// Monitors observes Monitor by the monitor's id, which is the node's name.
var Monitors = &observe.Kind[Monitor]{
	Name:  "ceph-mon",
	Ask:   func([]string) []remote.Query { return []remote.Query{ceph("quorum_status")} },
	Parse: parseEach("quorum_status", parseMonitors),
}

// Manager says whether the cluster's manager map has a daemon, active or standing by.
type Manager struct{ InMap bool }

// Managers observes Manager by the daemon's id, which is the node's name.
var Managers = &observe.Kind[Manager]{
	Name:  "ceph-mgr",
	Ask:   func([]string) []remote.Query { return []remote.Query{ceph("mgr", "dump")} },
	Parse: parseEach("mgr dump", parseManagers),
}

// MetadataServer is an MDS in the cluster's map; State is "up:active", "up:standby", …, and empty
// if the map does not have it.
type MetadataServer struct{ State string }

// MetadataServers observes MetadataServer by the daemon's id, which is the node's name.
var MetadataServers = &observe.Kind[MetadataServer]{
	Name:  "ceph-mds",
	Ask:   func([]string) []remote.Query { return []remote.Query{ceph("mds", "stat")} },
	Parse: parseEach("mds stat", parseMetadataServers),
}

// FileSystem is a CephFS.
type FileSystem struct {
	// Active says that a metadata server serves it.
	Active bool
}

// FileSystems observes the file systems of the cluster by name; its only name is "".
var FileSystems = &observe.Kind[map[string]FileSystem]{
	Name:  "ceph-fs",
	Ask:   func([]string) []remote.Query { return []remote.Query{ceph("mds", "stat")} },
	Parse: parseWhole("mds stat", parseFileSystems),
}

// parseEach makes the Parse of a kind of which one answer holds all names; a name that it does not
// hold has the zero value.
func parseEach[T any](what string, parse func([]byte) (map[string]T, error)) func([]string, []remote.Answer, func(string, T, error)) {
	return func(names []string, answers []remote.Answer, tell func(string, T, error)) {
		var all map[string]T
		body, asked, err := cephAnswer(answers[0], what)
		if err == nil && asked {
			if all, err = parse(clean(body)); err != nil {
				err = fmt.Errorf("ceph %s: %w", what, err)
			}
		}
		for _, name := range names {
			tell(name, all[name], err)
		}
	}
}

// parseWhole makes the Parse of a kind whose only name is "" and whose value is the whole map.
func parseWhole[T any](what string, parse func([]byte) (map[string]T, error)) func([]string, []remote.Answer, func(string, map[string]T, error)) {
	return func(names []string, answers []remote.Answer, tell func(string, map[string]T, error)) {
		all := map[string]T{}
		body, asked, err := cephAnswer(answers[0], what)
		if err == nil && asked {
			if all, err = parse(clean(body)); err != nil {
				err = fmt.Errorf("ceph %s: %w", what, err)
			}
		}
		for _, name := range names {
			tell(name, all, err)
		}
	}
}

func parseMonitors(body []byte) (map[string]Monitor, error) {
	var status struct {
		Quorum []string `json:"quorum_names"`
		Map    struct {
			Mons []struct {
				Name   string `json:"name"`
				Public string `json:"public_addr"`
				Addr   string `json:"addr"`
			} `json:"mons"`
		} `json:"monmap"`
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return nil, err
	}
	all := map[string]Monitor{}
	for _, mon := range status.Map.Mons {
		address := mon.Public
		if address == "" {
			address = mon.Addr
		}
		all[mon.Name] = Monitor{InMap: true, Address: stripPort(address)}
	}
	for _, name := range status.Quorum {
		mon := all[name]
		mon.InQuorum = true
		all[name] = mon
	}
	return all, nil
}

// stripPort reads "10.10.10.11:6789/0" and "[fd00::1]:6789/0".
func stripPort(address string) string {
	address, _, _ = strings.Cut(address, "/")
	if at := strings.LastIndexByte(address, ':'); at >= 0 {
		address = address[:at]
	}
	return strings.Trim(address, "[]")
}

func parseManagers(body []byte) (map[string]Manager, error) {
	var dump struct {
		Active   string `json:"active_name"`
		Standbys []struct {
			Name string `json:"name"`
		} `json:"standbys"`
	}
	if err := json.Unmarshal(body, &dump); err != nil {
		return nil, err
	}
	all := map[string]Manager{}
	if dump.Active != "" {
		all[dump.Active] = Manager{InMap: true}
	}
	for _, standby := range dump.Standbys {
		all[standby.Name] = Manager{InMap: true}
	}
	return all, nil
}

// mdsDaemon is one entry of the file system map.
type mdsDaemon struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

// mdsStat is the answer to ceph mds stat.
type mdsStat struct {
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

func parseMetadataServers(body []byte) (map[string]MetadataServer, error) {
	var stat mdsStat
	if err := json.Unmarshal(body, &stat); err != nil {
		return nil, err
	}
	all := map[string]MetadataServer{}
	for _, daemon := range stat.Map.Standbys {
		all[daemon.Name] = MetadataServer{State: daemon.State}
	}
	for _, fs := range stat.Map.FileSystems {
		for _, daemon := range fs.Map.Info {
			all[daemon.Name] = MetadataServer{State: daemon.State}
		}
	}
	return all, nil
}

func parseFileSystems(body []byte) (map[string]FileSystem, error) {
	var stat mdsStat
	if err := json.Unmarshal(body, &stat); err != nil {
		return nil, err
	}
	all := map[string]FileSystem{}
	for _, fs := range stat.Map.FileSystems {
		var f FileSystem
		for _, daemon := range fs.Map.Info {
			f.Active = f.Active || daemon.State == "up:active"
		}
		all[fs.Map.Name] = f
	}
	return all, nil
}
