package pve

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// HA is the configuration and the state of high availability.
type HA struct {
	// Resources holds the resources by service id, "vm:100".
	Resources map[string]Resource
	// Groups holds the groups by name; only in Proxmox VE 8.
	Groups map[string]Group
	// Rules holds the rules by id, including those that are not about node affinity; only in Proxmox VE 9.
	Rules map[string]Rule
	// Nodes holds the states of nodes that the active manager knows ("online", "maintenance", …). It is empty until
	// the first resource has made a manager active.
	Nodes map[string]string
	// Services holds the states of the resources: "started", "stopped", "queued", "error", ….
	Services map[string]Service
	// Disarmed is set if the managers have released all watchdogs, so that no node is fenced (Proxmox VE 9).
	Disarmed bool
	// Digests holds the versions of ResourcesFile, GroupsFile and RulesFile (see Versioned). An expectation does not
	// claim them.
	Digests map[string]string
}

// Resource is an entry of resources.cfg, with defaults filled in.
type Resource struct {
	// State is the requested state: started, stopped, disabled or ignored ("enabled" means started).
	State                   string
	MaxRestart, MaxRelocate int
	// Failback exists only in Proxmox VE 9, Group only in 8.
	Failback bool
	Group    string
	Comment  string
}

// Group is an entry of groups.cfg.
type Group struct {
	// Nodes maps nodes to priorities; 0 if none is given.
	Nodes                  map[string]int
	Restricted, NoFailback bool
	Comment                string
}

// Rule is an entry of rules.cfg.
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

// Service is the state of a resource as last written by the manager.
type Service struct {
	Node  string
	State string
	// Running is set if the guest is running. A service that is only being started has the state "started" without it
	// for some 45 seconds, until it runs or is in error.
	Running bool
	// Failed lists the nodes on which it could not be started.
	Failed []string
}

// SettleService limits how long a service may take to reach its state: the manager and the nodes act every ten seconds, and
// the first resource of a cluster waits for a master.
const SettleService = 2 * time.Minute

// String returns the state as ha-manager status shows it.
func (s Service) String() string {
	switch {
	case s.State == "":
		return "not known to the manager yet"
	case s.State == "started" && !s.Running:
		return "starting"
	}
	return s.State
}

// Arrived reports whether the service is in the state that was requested of it: started, stopped, disabled or ignored.
func (s Service) Arrived(requested string) bool {
	switch requested {
	case "ignored":
		return true
	case "started":
		// While a service is being moved, or stopped for maintenance, the manager is in charge.
		return s.State == "started" && s.Running || slices.Contains([]string{"migrate", "relocate", "freeze"}, s.State)
	}
	return s.State == "stopped"
}

// Manages reports whether the manager decides if and where the guest with that service id runs.
func (ha HA) Manages(sid string) bool {
	resource, ok := ha.Resources[sid]
	return ok && resource.State != "ignored"
}

// With returns the HA once the manager has acted on a resource, whose guest is on that node; online lists the nodes that
// the manager knows by then.
func (ha HA) With(sid string, want Resource, node string, online []string) HA {
	after := ha.Clone()
	after.Resources[sid] = want
	for _, name := range online {
		if after.Nodes[name] == "" {
			after.Nodes[name] = "online"
		}
	}
	service := after.Services[sid]
	if service.Node == "" {
		service.Node = node
	}
	service.State = map[string]string{"started": "started", "stopped": "stopped", "disabled": "stopped", "ignored": "ignored"}[want.State]
	service.Running, service.Failed = want.State == "started", nil
	after.Services[sid] = service
	return after
}

// UnmarshalJSON decodes an entry of service_status. Perl writes a number as it was last used: 1 or "1".
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

// HAs observes HA, under the empty name.
//
// An expectation does not claim on which nodes a service that is not started could not be started before: in some
// cases the manager keeps that, in others it clears it. Nor does it claim which other nodes the manager knows: it
// lists a node that has joined only when it looks again.
var HAs = &observe.Kind[HA]{
	Complete: func(expected, found HA) HA {
		expected = expected.Clone()
		expected.Digests = found.Digests
		for sid, s := range expected.Services {
			if s.Node == "" { // the manager chooses
				expected.Services[sid] = found.Services[sid]
				continue
			}
			if s.State != "started" {
				s.Failed = found.Services[sid].Failed
				expected.Services[sid] = s
			}
		}
		// The manager forgets the service of a removed resource in its next round.
		removed := func(sid string, _ Service) bool { _, managed := expected.Resources[sid]; return !managed }
		maps.DeleteFunc(expected.Services, removed)
		for sid, s := range found.Services {
			if removed(sid, s) {
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
	Common: true,
	Alike:  true,
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
	sections, err := ParseSections(content)
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
	sections, err := ParseSections(content)
	for _, s := range sections {
		ha.Groups[s.ID] = Group{
			Nodes: ParsePriorities(s.Options["nodes"]), Restricted: truth(s.Options["restricted"]),
			NoFailback: truth(s.Options["nofailback"]), Comment: decodeText(s.Options["comment"]),
		}
	}
	return err
}

func (ha HA) readRules(content []byte) error {
	sections, err := ParseSections(content)
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

// ParsePriorities parses "pve1:2,pve2" into nodes and priorities; a node without a priority has 0.
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

// truth parses a boolean in a section: 1, or a bare key.
func truth(text string) bool {
	on, _ := Truth(text)
	return on
}

// decodeText decodes the percent-encoding of comments.
func decodeText(text string) string {
	if decoded, err := url.PathUnescape(text); err == nil {
		return decoded
	}
	return text
}

// Clone returns a copy whose maps can be modified.
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
