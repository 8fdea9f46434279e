package proxmox

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// haEntry is a line of `ha-manager status`, with the API's properties of it.
type haEntry map[string]any

const haDate = "Mon Jan _2 15:04:05 2006"

// haStatus returns the state of HA as `ha-manager status` shows it on a node.
func (v *view) haStatus(node string) []haEntry {
	db := v.database(node)
	new9 := v.world.node(node).Debian() != "bookworm"
	if !v.quorate(node) {
		entries := []haEntry{{"id": "quorum", "type": "quorum", "node": node, "quorate": 0, "status": fmt.Sprintf("No quorum on node '%s'!", node)}}
		if new9 {
			entries = append(entries, fencing(node, db))
		}
		return entries
	}
	ha := &db.HA
	entries := []haEntry{{"id": "quorum", "type": "quorum", "node": node, "quorate": 1, "status": "OK"}}
	if ha.Master != "" {
		state := "active"
		switch age := v.now.Sub(ha.Tick); {
		case age > deadAfter:
			state = "old timestamp - dead?"
		case v.managed(db) == 0 && v.now.Sub(ha.Tick) > 15*time.Minute:
			state = "idle"
		}
		entries = append(entries, haEntry{"id": "master", "type": "master", "node": ha.Master, "timestamp": ha.Tick.Unix(),
			"status": fmt.Sprintf("%s (%s, %s)", ha.Master, state, ha.Tick.UTC().Format(haDate))})
	}
	if new9 {
		entries = append(entries, fencing(node, db))
	}
	if ha.Master != "" {
		for _, name := range sortedKeys(ha.Nodes) {
			entries = append(entries, v.lrmEntry(db, name, new9))
		}
	}
	resources := map[string]Section{}
	for _, r := range db.resources() {
		resources[r.Type+":"+r.ID] = r
	}
	names := map[string]bool{}
	for sid := range resources {
		names[sid] = true
	}
	for sid := range ha.Services {
		names[sid] = true
	}
	for _, sid := range sortedKeys(names) {
		r, configured := resources[sid]
		entries = append(entries, v.serviceEntry(db, sid, r, configured, new9))
	}
	return entries
}

// managed returns the number of resources that the managers act on.
func (v *view) managed(db *Database) int { return len(db.HA.Services) }

func fencing(node string, db *Database) haEntry {
	e := haEntry{"id": "fencing", "type": "fencing", "armed-state": "standby", "status": "standby (CRM watchdog standby)"}
	switch {
	case db.HA.Disarmed != "":
		e["armed-state"], e["resource_mode"] = "disarmed", db.HA.Disarmed
		e["status"] = fmt.Sprintf("disarmed, resource mode: %s (CRM watchdog released)", db.HA.Disarmed)
	case db.HA.Master != "":
		e["armed-state"], e["status"] = "armed", "armed (CRM watchdog active)"
	}
	e["node"] = node
	if db.HA.Master != "" {
		e["node"] = db.HA.Master
	}
	return e
}

// lrmState returns the state of a node's LRM, and whether it holds its watchdog.
func (v *view) lrmState(db *Database, node string) (state string, active bool) {
	ha := &db.HA
	l := ha.lrm(node)
	switch {
	case v.now.Sub(l.Seen) > deadAfter:
		return "old timestamp - dead?", false
	case slices.Contains(ha.Maintenance, node): // takes effect before the manager records it
		return "maintenance mode", l.Active
	case l.Active:
		return "active", true
	case l.Waiting:
		return "wait_for_agent_lock", false
	}
	return "idle", false
}

func (v *view) lrmEntry(db *Database, node string, new9 bool) haEntry {
	seen := db.HA.lrm(node).Seen
	if seen.IsZero() {
		return haEntry{"id": "lrm:" + node, "type": "lrm", "node": node, "status": node + " (unable to read lrm status)"}
	}
	state, active := v.lrmState(db, node)
	watchdog := ""
	if new9 {
		watchdog = "watchdog standby, "
		if active {
			watchdog = "watchdog active, "
		}
	}
	return haEntry{"id": "lrm:" + node, "type": "lrm", "node": node, "timestamp": seen.Unix(),
		"status": fmt.Sprintf("%s (%s, %s%s)", node, state, watchdog, seen.UTC().Format(haDate))}
}

func (v *view) serviceEntry(db *Database, sid string, r Section, configured, new9 bool) haEntry {
	s := db.HA.Services[sid]
	_, id, _ := strings.Cut(sid, ":")
	node, state := db.guests()[id].node, "queued"
	e := haEntry{"id": "service:" + sid, "type": "service", "sid": sid}
	if s != nil {
		node, state = s.Node, s.State
		e["crm_state"] = s.State
		switch {
		case !configured:
			state = "deleting"
		case s.State == "request_start", s.State == "started" && !s.Running:
			state = "starting"
		case s.State == "stopped" && r.Keys["state"] == "disabled":
			state = "disabled"
		}
	}
	if r.Keys["state"] == "ignored" {
		state = "ignored"
	}
	if configured {
		e["request_state"] = or(r.Keys["state"], "started")
		e["max_restart"], e["max_relocate"] = count(r.Keys["max_restart"], 1), count(r.Keys["max_relocate"], 1)
		if new9 {
			e["failback"] = count(r.Keys["failback"], 1)
		}
		for _, key := range []string{"comment", "group"} {
			if r.Keys[key] != "" {
				e[key] = decodeComment(r.Keys[key])
			}
		}
	}
	e["node"], e["state"], e["status"] = node, state, fmt.Sprintf("%s (%s, %s)", sid, node, state)
	return e
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func count(text string, other int) int {
	n := other
	if text != "" {
		fmt.Sscan(text, &n)
	}
	return n
}

// managerStatus returns the JSON of `status --verbose` and of /cluster/ha/status/manager_status.
func (v *view) managerStatus(node string) map[string]any {
	db := v.database(node)
	ha := &db.HA
	manager := map[string]any{"node_status": map[string]any{}}
	status := map[string]any{"manager_status": manager, "quorum": map[string]any{"node": node, "quorate": fmt.Sprint(number(v.quorate(node)))}}
	if ha.Master == "" {
		return status
	}
	nodes, services, lrms := map[string]any{}, map[string]any{}, map[string]any{}
	for name, state := range ha.Nodes {
		nodes[name] = state
		lrm, active := v.lrmState(db, name)
		written := map[string]string{"idle": "wait_for_agent_lock", "active": "active"}[lrm]
		entry := map[string]any{"mode": "active", "results": map[string]any{}, "state": or(written, "wait_for_agent_lock"), "timestamp": ha.lrm(name).Seen.Unix()}
		if lrm == "maintenance mode" {
			entry["mode"], entry["state"] = "maintenance", "maintenance"
		}
		if active {
			results := entry["results"].(map[string]any)
			for sid, s := range ha.Services {
				if s.Node == name && (s.State == "started" || s.State == "stopped") {
					results[s.UID] = map[string]any{"exit_code": 0, "sid": sid, "state": s.State}
				}
			}
		}
		lrms[name] = entry
	}
	for sid, s := range ha.Services {
		entry := map[string]any{"node": s.Node, "state": s.State, "uid": s.UID}
		if s.Running {
			entry["running"] = 1
		}
		if s.Target != "" {
			entry["target"] = s.Target
		}
		if s.Home != "" {
			entry["maintenance_node"] = s.Home
		}
		if len(s.Failed) > 0 {
			entry["failed_nodes"] = s.Failed
		}
		services[sid] = entry
	}
	manager["master_node"], manager["node_status"], manager["service_status"], manager["timestamp"] = ha.Master, nodes, services, ha.Tick.Unix()
	if len(ha.Maintenance) > 0 {
		requests := map[string]any{}
		for _, name := range ha.Maintenance {
			requests[name] = map[string]any{"maintenance": 1}
		}
		manager["node_request"] = requests
	}
	if ha.Disarmed != "" {
		manager["disarm"] = map[string]any{"mode": ha.Disarmed, "state": "disarmed"}
	}
	status["lrm_status"] = lrms
	return status
}
