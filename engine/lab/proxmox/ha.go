package proxmox

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// HA is the runtime state of the HA manager of a cluster: the content of manager_status and lrm_status.
type HA struct {
	// Used is when the first resource was added, which starts the managers' loops. It is zero before that.
	Used time.Time
	// Tick is the last computed loop of the CRM.
	Tick   time.Time
	Master string
	// Nodes are the node states as the CRM knows them: online, maintenance, unknown, fence, gone.
	Nodes map[string]string
	// LRMs are the local resource managers by node.
	LRMs     map[string]*LRM
	Services map[string]*Service
	// Commands are queued crm-commands.
	Commands []string
	// Disarmed is empty, or the resource mode while HA is disarmed: "freeze" or "ignore".
	Disarmed string
	// Maintenance are the nodes in maintenance mode.
	Maintenance []string
	// Cooldown is how many more loops the CRM waits before it retries migrating groups to rules.
	Cooldown int
}

// LRM is the state of a local resource manager.
type LRM struct {
	// Seen is when it last wrote its status.
	Seen time.Time
	// Active reports whether it holds its lock and watchdog, Waiting whether it has a service and waits for the lock.
	// Idle is since when it has had no service.
	Active, Waiting bool
	Idle            time.Time
}

// idleAfter is how long an LRM without services keeps its lock.
const idleAfter = 10 * time.Minute

// Service is the state of an HA resource in the CRM.
type Service struct {
	Node, State, UID string
	Running          bool
	Target           string
	// Home is the node that the service left because of maintenance mode, and to which it returns; empty if there is
	// none.
	Home string
	// Since is when the state was entered.
	Since time.Time
	// Tries is the number of failed attempts to start it, and Failed the nodes on which they were made.
	Tries  int
	Failed []string
}

// crmLoop is the interval of the loops of the CRM and of idle LRMs.
const crmLoop = 10 * time.Second

// maxLoops is how many loops are computed when much time has passed; further ones would change nothing.
const maxLoops = 60

// Fencing: a failed node becomes unknown and is fenced a minute later. Its services are recovered when its agent lock
// has expired (two minutes).
const (
	fenceAfter   = 60 * time.Second
	recoverAfter = 130 * time.Second
	deadAfter    = 30 * time.Second
)

func (db *Database) resources() []Section { return ParseSections(db.Text("ha/resources.cfg")) }

// advanceHA computes the managers' loops up to now.
func (v *view) advanceHA(db *Database) {
	ha := &db.HA
	if ha.Used.IsZero() {
		return
	}
	if behind := v.now.Sub(ha.Tick); behind > maxLoops*crmLoop {
		ha.Tick = v.now.Add(-behind % crmLoop).Add(-maxLoops * crmLoop)
	}
	for next := ha.Tick.Add(crmLoop); !next.After(v.now); next = next.Add(crmLoop) {
		ha.Tick = next
		v.crmLoop(db, next)
	}
}

// useHA starts the managers' loops when there is something to manage.
func (v *view) useHA(db *Database) {
	if db.HA.Used.IsZero() {
		db.HA.Used, db.HA.Tick = v.now, v.now
		db.HA.Nodes, db.HA.LRMs, db.HA.Services = map[string]string{}, map[string]*LRM{}, map[string]*Service{}
	}
}

func (v *view) crmLoop(db *Database, now time.Time) {
	ha := &db.HA
	members := db.onlineNodes()
	if conf := db.corosync(); conf == nil {
		for _, n := range sorted(v.Nodes) {
			if n.Database == db.ID && v.up[n.Name] {
				members = []string{n.Name}
			}
		}
	} else if !slices.ContainsFunc(members, v.quorate) {
		return // without a quorum there is no master
	}
	for _, name := range members {
		if v.runs(name, "pve-ha-lrm.service", 0) {
			ha.lrm(name).Seen = now
		}
	}
	if !slices.Contains(members, ha.Master) {
		if len(members) == 0 {
			return
		}
		ha.Master = members[0]
	}
	for _, name := range members {
		ha.Nodes[name] = "online"
		if slices.Contains(ha.Maintenance, name) {
			ha.Nodes[name] = "maintenance"
		}
	}
	for name, state := range ha.Nodes {
		if slices.Contains(members, name) {
			continue
		}
		gone := now.Sub(ha.lrm(name).Seen)
		switch {
		case gone >= recoverAfter || state == "gone":
			ha.Nodes[name] = "unknown"
		case gone >= fenceAfter:
			ha.Nodes[name] = "fence"
		default:
			ha.Nodes[name] = "unknown"
		}
	}
	v.migrateGroups(db, members)
	v.crmCommands(db)
	v.crmServices(db, now, members)
	for _, name := range members {
		ha.lrmLoop(name, now)
	}
}

func (ha *HA) lrm(node string) *LRM {
	if ha.LRMs[node] == nil {
		ha.LRMs[node] = &LRM{}
	}
	return ha.LRMs[node]
}

// lrmLoop acquires the lock one loop after the node was given a service, and releases it some time after the last
// service is gone.
func (ha *HA) lrmLoop(node string, now time.Time) {
	l, busy := ha.lrm(node), false
	for _, s := range ha.Services {
		busy = busy || s.Node == node || s.Target == node
	}
	switch {
	case busy:
		l.Idle = time.Time{}
		if l.Waiting {
			l.Active = true
		}
		l.Waiting = !l.Active
	case l.Active && l.Idle.IsZero():
		l.Idle = now
	case l.Active && now.Sub(l.Idle) >= idleAfter, l.Waiting:
		l.Active, l.Waiting = false, false
	}
}

func (v *view) crmServices(db *Database, now time.Time, members []string) {
	ha := &db.HA
	guests := db.guests()
	wanted := map[string]Section{}
	for _, r := range db.resources() {
		wanted[r.Type+":"+r.ID] = r
	}
	for sid := range ha.Services {
		if _, ok := wanted[sid]; !ok {
			delete(ha.Services, sid)
		}
	}
	for _, sid := range sortedKeys(wanted) {
		r := wanted[sid]
		g, exists := guests[r.ID]
		if !exists || r.Keys["state"] == "ignored" || ha.Disarmed != "" {
			delete(ha.Services, sid)
			continue
		}
		s := ha.Services[sid]
		if s == nil {
			s = &Service{Node: g.node, UID: serviceUID(v.next()), Since: now}
			ha.Services[sid] = s
			s.State = "request_stop"
			if startWanted(r) {
				s.State = "request_start"
			}
			continue
		}
		v.crmService(db, s, r, g, now, members)
	}
}

func startWanted(r Section) bool {
	state := r.Keys["state"]
	return state == "" || state == "started" || state == "enabled"
}

// crmService advances a service by one loop, including the LRM's part.
func (v *view) crmService(db *Database, s *Service, r Section, g guest, now time.Time, members []string) {
	ha := &db.HA
	set := func(state string) {
		if s.State != state {
			s.State, s.Since = state, now
		}
	}
	power := func(on bool) {
		if on && !db.guestState(g.id).Running && parseGuest(g.config)["lock"] != "" {
			if s.refused(r) {
				set("error")
			}
			return
		}
		v.switchGuest(db, g, on)
		s.Running, s.Tries = on, 0
		if on {
			s.Failed = nil
		}
	}
	if !slices.Contains(members, s.Node) {
		gone := now.Sub(ha.lrm(s.Node).Seen)
		if gone >= fenceAfter {
			v.switchGuest(db, g, false) // the watchdog has reset the node
		}
		switch {
		case gone >= recoverAfter:
			if target := v.place(db, r, s, members); target != "" {
				v.unlockFenced(db, g, now)
				db.moveGuest(g, target, now)
				s.Node = target
				s.Running = false
				set("request_start")
				if !startWanted(r) {
					set("request_stop")
				}
			} else {
				set("recovery")
			}
		case gone >= fenceAfter:
			set("fence")
		}
		return
	}
	if s.Since.Equal(now) {
		return // a new request takes effect in the next loop
	}
	switch s.State {
	case "request_start":
		set("started")
	case "started":
		if s.Home == "" && slices.Contains(ha.Maintenance, s.Node) {
			s.Home = s.Node
		}
		switch target := v.place(db, r, s, members); {
		case !startWanted(r):
			set("request_stop")
		case target != "" && target != s.Node && v.mustMove(db, r, s, target):
			set("migrate")
			s.Target = target
			if s.Home != s.Node {
				s.Home = ""
			}
		default:
			power(true)
		}
	case "request_stop":
		power(false)
		set("stopped")
	case "stopped":
		if startWanted(r) {
			set("request_start")
		} else if s.Running {
			power(false)
		}
	case "migrate", "relocate":
		// A task that fails leaves the guest where it is.
		if g.unlocked() == nil && slices.Contains(members, s.Target) {
			db.moveGuest(g, s.Target, now)
			s.Node = s.Target
		}
		s.Target = ""
		set("started")
		if !startWanted(r) {
			set("request_stop")
		}
	case "fence", "recovery":
		v.unlockFenced(db, g, now)
		set("request_start")
	case "error": // only the administrator can clear it
		if r.Keys["state"] == "disabled" {
			s.Tries = 0
			set("request_stop")
		}
	}
}

// fencedLocks are the locks that the CRM removes from a guest of a node that was fenced: whatever held them ended with the
// node ($fence_recovery_cleanup in PVE/HA/Manager.pm of pve-ha-manager).
var fencedLocks = []string{"backup", "mounted", "migrate", "clone", "rollback", "snapshot", "snapshot-delete", "suspending", "suspended"}

// unlockFenced removes such a lock from a guest.
func (v *view) unlockFenced(db *Database, g guest, now time.Time) {
	if slices.Contains(fencedLocks, parseGuest(g.config)["lock"]) {
		db.Write(g.path(), []byte(g.withoutLock()), now)
	}
}

// refused counts a failed attempt to start a guest and reports whether it was the last one.
func (s *Service) refused(r Section) bool {
	s.Tries++
	if !slices.Contains(s.Failed, s.Node) {
		s.Failed = append(s.Failed, s.Node)
	}
	return s.Tries >= (1+count(r.Keys["max_restart"], 1))*(1+count(r.Keys["max_relocate"], 1))
}

// guestState returns the power state of a guest.
func (db *Database) guestState(id string) *GuestState {
	if db.Guests[id] == nil {
		db.Guests[id] = &GuestState{}
	}
	return db.Guests[id]
}

func (db *Database) moveGuest(g guest, node string, now time.Time) {
	if g.node == node {
		return
	}
	target := g
	target.node = node
	db.Rename(g.path(), target.path(), now)
}

// crmCommands executes the queued commands.
func (v *view) crmCommands(db *Database) {
	ha := &db.HA
	for _, line := range ha.Commands {
		f := strings.Fields(line)
		switch {
		case len(f) == 3 && (f[0] == "migrate" || f[0] == "relocate"):
			s := ha.Services[f[1]]
			if s == nil || ha.Nodes[f[2]] != "online" || s.Node == f[2] || !v.allowed(db, f[1], f[2]) {
				continue
			}
			s.State, s.Target, s.Since = f[0], f[2], ha.Tick
		case len(f) == 2 && f[0] == "enable-node-maintenance":
			if !slices.Contains(ha.Maintenance, f[1]) {
				ha.Maintenance = append(ha.Maintenance, f[1])
			}
		case len(f) == 2 && f[0] == "disable-node-maintenance":
			ha.Maintenance = slices.DeleteFunc(ha.Maintenance, func(n string) bool { return n == f[1] })
		case len(f) == 2 && f[0] == "disarm-ha":
			ha.Disarmed = f[1]
		case len(f) == 1 && f[0] == "arm-ha":
			ha.Disarmed = ""
		}
	}
	ha.Commands = nil
	delete(db.Files, "ha/crm_commands")
}

// allowed reports whether the rules let a service run on a node.
func (v *view) allowed(db *Database, sid, node string) bool {
	for _, r := range db.resources() {
		if r.Type+":"+r.ID == sid {
			priorities, strict := v.affinity(db, r)
			_, listed := priorities[node]
			return listed || !strict || priorities == nil
		}
	}
	return false
}

// serviceUID returns an ID in the form of the CRM's.
func serviceUID(n int) string {
	sum := sha256.Sum256([]byte(fmt.Sprint("service/", n)))
	return base64.RawStdEncoding.EncodeToString(sum[:16])
}
