package pve

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"strconv"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// HA is the configuration and the state of high availability.
type HA struct {
	// Resources by their service id, "vm:100".
	Resources map[string]Resource
	// Groups by name; Proxmox VE 8 only.
	Groups map[string]Group
	// Rules by id; Proxmox VE 9 only. Those that are not about node affinity are here too.
	Rules map[string]Rule
	// Nodes are the states that the active manager knows ("online", "maintenance", …); empty until the
	// first resource has made a manager active.
	Nodes map[string]string
	// Services are the states of the resources: "started", "stopped", "queued", "error", ….
	Services map[string]Service
	// Disarmed says that the managers have let go of all watchdogs, so that no node is fenced (Proxmox VE 9).
	Disarmed bool
	// Digests are the versions of ResourcesFile, GroupsFile and RulesFile (see Versioned), which an expectation leaves open.
	Digests map[string]string
}

// Resource is one entry of resources.cfg, defaults filled in.
type Resource struct {
	// State is the requested one: started, stopped, disabled or ignored ("enabled" is started).
	State                   string
	MaxRestart, MaxRelocate int
	// Failback is Proxmox VE 9 only, Group 8 only.
	Failback bool
	Group    string
	Comment  string
}

// Group is one entry of groups.cfg.
type Group struct {
	// Nodes and their priorities; 0 where none is given.
	Nodes                  map[string]int
	Restricted, NoFailback bool
	Comment                string
}

// Rule is one entry of rules.cfg.
type Rule struct {
	// Type is "node-affinity" or "resource-affinity".
	Type      string
	Nodes     map[string]int
	Resources map[string]bool
	Strict    bool
	Disabled  bool
	// Affinity is "positive" or "negative" in a resource-affinity rule.
	Affinity string
	Comment  string
}

// Service is the state of a resource as the manager last wrote it.
type Service struct {
	Node  string
	State string
	// Running says that the guest runs. A service that is only being started is in state "started" without it, for
	// some 45 seconds, until it runs or is in error.
	Running bool
	// Failed are the nodes on which it could not be started.
	Failed []string
}

// UnmarshalJSON reads an entry of service_status. Perl writes a number as it was last used: 1 or "1".
func (s *Service) UnmarshalJSON(text []byte) error {
	var entry struct {
		Node    string   `json:"node"`
		State   string   `json:"state"`
		Running any      `json:"running"`
		Failed  []string `json:"failed_nodes"`
	}
	if err := json.Unmarshal(text, &entry); err != nil {
		return err
	}
	*s = Service{Node: entry.Node, State: entry.State, Failed: entry.Failed}
	switch running := entry.Running.(type) {
	case bool:
		s.Running = running
	case float64:
		s.Running = running != 0
	case string:
		s.Running = truth(running)
	}
	return nil
}

// HAs observes HA; its only name is "".
//
// An expectation does not claim where a service that is not started could not be started before: the manager keeps that
// in some cases and clears it in others. Nor does it claim which further nodes the manager knows: it lists a node that has joined only
// when it next looks.
var HAs = &observe.Kind[HA]{
	Complete: func(expected, found HA) HA {
		expected = expected.Clone()
		expected.Digests = found.Digests
		for sid, s := range expected.Services {
			if s.State != "started" {
				s.Failed = found.Services[sid].Failed
				expected.Services[sid] = s
			}
		}
		for node, state := range found.Nodes {
			if _, claimed := expected.Nodes[node]; !claimed {
				expected.Nodes[node] = state
			}
		}
		return expected
	},
	Name: "pve-ha", What: "high availability",
	Shared: observe.Always,
	Ask:    AskFiles,
	Parse: func(names []string, answers []remote.Answer, tell func(string, HA, error)) {
		ha, err := parseHA(ParseFiles(answers[0]))
		for _, name := range names {
			tell(name, ha, err)
		}
	},
}

func emptyHA() HA {
	return HA{
		Resources: map[string]Resource{}, Groups: map[string]Group{}, Rules: map[string]Rule{},
		Nodes: map[string]string{}, Services: map[string]Service{}, Digests: map[string]string{},
	}
}

func parseHA(files Files) (HA, error) {
	ha := emptyHA()
	for _, file := range []struct {
		path string
		read func([]byte) error
	}{
		{ResourcesFile, ha.readResources}, {GroupsFile, ha.readGroups}, {RulesFile, ha.readRules}, {statusFile, ha.readStatus},
	} {
		content, _, err := files.Read(file.path)
		if err != nil {
			return ha, err
		}
		if err := file.read(content); err != nil {
			return ha, &FileError{file.path, err}
		}
		if file.path != statusFile {
			ha.Digests[file.path] = files.Digest(file.path)
		}
	}
	return ha, nil
}

func (ha HA) readResources(content []byte) error {
	sections, err := parseSections(content)
	for _, s := range sections {
		r := Resource{
			State: s.Options["state"], MaxRestart: 1, MaxRelocate: 1, Failback: true,
			Group: s.Options["group"], Comment: decodeText(s.Options["comment"]),
		}
		if r.State == "" || r.State == "enabled" {
			r.State = "started"
		}
		if n, err := strconv.Atoi(s.Options["max_restart"]); err == nil {
			r.MaxRestart = n
		}
		if n, err := strconv.Atoi(s.Options["max_relocate"]); err == nil {
			r.MaxRelocate = n
		}
		if v, ok := s.Options["failback"]; ok {
			r.Failback = truth(v)
		}
		ha.Resources[s.Type+":"+s.ID] = r
	}
	return err
}

func (ha HA) readGroups(content []byte) error {
	sections, err := parseSections(content)
	for _, s := range sections {
		ha.Groups[s.ID] = Group{
			Nodes: ParsePriorities(s.Options["nodes"]), Restricted: truth(s.Options["restricted"]),
			NoFailback: truth(s.Options["nofailback"]), Comment: decodeText(s.Options["comment"]),
		}
	}
	return err
}

func (ha HA) readRules(content []byte) error {
	sections, err := parseSections(content)
	for _, s := range sections {
		ha.Rules[s.ID] = Rule{
			Type: s.Type, Nodes: ParsePriorities(s.Options["nodes"]), Resources: List(s.Options["resources"]),
			Strict: truth(s.Options["strict"]), Disabled: truth(s.Options["disable"]),
			Affinity: s.Options["affinity"], Comment: decodeText(s.Options["comment"]),
		}
	}
	return err
}

func (ha *HA) readStatus(content []byte) error {
	if len(bytes.TrimSpace(content)) == 0 {
		return nil
	}
	var status struct {
		Nodes    map[string]string  `json:"node_status"`
		Services map[string]Service `json:"service_status"`
		Disarm   struct {
			State string `json:"state"`
		} `json:"disarm"`
	}
	if err := json.Unmarshal(content, &status); err != nil {
		return err
	}
	ha.Disarmed = status.Disarm.State == "disarmed"
	for node, state := range status.Nodes {
		ha.Nodes[node] = state
	}
	for sid, service := range status.Services {
		ha.Services[sid] = service
	}
	return nil
}

// ParsePriorities reads "pve1:2,pve2" as nodes and priorities; a node without one has 0.
func ParsePriorities(text string) map[string]int {
	nodes := map[string]int{}
	for item := range List(text) {
		name, priority := item, 0
		for i := len(item) - 1; i > 0; i-- {
			if item[i] == ':' {
				if n, err := strconv.Atoi(item[i+1:]); err == nil {
					name, priority = item[:i], n
				}
				break
			}
		}
		nodes[name] = priority
	}
	return nodes
}

// truth reads a boolean of a section: 1, or a bare key.
func truth(text string) bool {
	on, _ := Truth(text)
	return on
}

// decodeText undoes the percent-encoding of comments.
func decodeText(text string) string {
	if decoded, err := url.PathUnescape(text); err == nil {
		return decoded
	}
	return text
}

// Clone is a copy whose maps can be changed.
func (ha HA) Clone() HA {
	copied := emptyHA()
	copied.Disarmed = ha.Disarmed
	maps.Copy(copied.Digests, ha.Digests)
	for k, v := range ha.Resources {
		copied.Resources[k] = v
	}
	for k, v := range ha.Groups {
		copied.Groups[k] = v
	}
	for k, v := range ha.Rules {
		copied.Rules[k] = v
	}
	for k, v := range ha.Nodes {
		copied.Nodes[k] = v
	}
	for k, v := range ha.Services {
		copied.Services[k] = v
	}
	return copied
}
