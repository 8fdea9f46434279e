// Package drill loses a node of a Proxmox VE cluster on purpose, to see that its guests run again elsewhere.
package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
	"hlplay/modules/survival"
	"hlplay/modules/survival/living"
)

// Module is one drill.
type Module struct {
	Lose    string        `hcl:"lose" doc:"Inventory name of the node to lose. Another host of the play watches."`
	Guests  []string      `hcl:"guests,optional" doc:"Highly available guests of the node that must run on another node in time: [\"vm:100\"]. By default all that are running there."`
	Within  time.Duration `hcl:"within,optional" default:"\"4m\"" doc:"How long it may take until they run there. The HA manager waits two minutes before it considers a node lost."`
	Away    time.Duration `hcl:"away,optional" default:"\"6m\"" doc:"When the timer on the node starts the services again. It must not be shorter than within."`
	Returns time.Duration `hcl:"returns,optional" default:"\"30m\"" doc:"How long it may then take until the node is a member again and all placement groups are active and clean."`
}

// Spec describes the module.
var Spec = modules.Spec{
	Name:    "drill",
	Summary: "Loses a node of a Proxmox VE cluster on purpose, and checks that its guests run elsewhere",
	Doc: `Stops corosync and the Ceph daemons of the node. To the rest of the cluster, the node does not answer. A timer on the node, which is
started first, starts the services again; it needs neither hlplay nor a connection. **A node with highly available guests is reset by its
watchdog after a minute;** its services then start at boot, possibly before the timer expires.

Another host watches. The task fails if a guest is not running on another node in time, or if the node or its placement groups do not
recover afterwards.

Nothing is stopped, and the task fails, if ` + "`hlplay prove`" + ` predicts that losing the node would stop something: the quorum, the
monitors, a pool, CephFS, or a guest that can run nowhere else. The task also fails if something is wrong already: a node is offline or
in maintenance mode, placement groups are not clean, or a guest is in state error. The same goes for a guest that is running on the node
but is not highly available, because nothing would start it elsewhere.

The task repeats the drill each time it runs.`,
	Example: `task "lose pve1" {
  when = host.name == "pve2"
  drill {
    lose   = "pve1"
    guests = ["vm:100"]
    within = "3m"
  }
}
`,
	New: func() modules.Module { return &Module{} },
}

// Scope implements modules.Scoped.
func (m *Module) Scope() modules.Scope { return modules.OncePerCluster }

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	if m.Lose == "" {
		return &modules.ArgumentError{Argument: "lose", Problem: "empty", Want: "expected the inventory name of a node"}
	}
	for _, sid := range m.Guests {
		if err := pve.CheckServiceID("guests", sid); err != nil {
			return err
		}
	}
	if m.Within < time.Minute || m.Away < m.Within {
		return &modules.ArgumentError{Argument: "within", Problem: fmt.Sprintf("%s, and the node is back after %s", m.Within, m.Away), Want: "expected at least a minute, and no more than away"}
	}
	return nil
}

// Plan implements modules.Module.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	c, err := living.Read(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	ha, err := pve.HAs.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	lost, err := h.Peer(m.Lose)
	if err != nil {
		return modules.Plan{}, fmt.Errorf("lose: %w", err)
	}
	node, err := pve.Nodes.Observe(ctx, lost, "")
	if err != nil {
		return modules.Plan{}, err
	}
	if lost == h {
		return modules.Plan{}, fmt.Errorf("lose: %s cannot watch its own loss: run the task on another host of the cluster", m.Lose)
	}
	running, err := pve.Running.Observe(ctx, lost, "")
	if err != nil {
		return modules.Plan{}, err
	}
	problems := Against(c, node.Name)
	if c.DeviceVotes > 0 {
		device, err := pve.QDevices.Observe(ctx, h, "")
		if err != nil {
			return modules.Plan{}, err
		}
		if !device.Votes {
			problems = append(problems, fmt.Sprintf("the QDevice does not vote as seen from %s, so its votes would be lost together with those of %s: see corosync-quorumtool -s", h.Name(), node.Name))
		}
	}
	hasCeph := len(c.Monitors) > 0
	if hasCeph {
		status, err := ceph.Statuses.Observe(ctx, h, "")
		if err != nil {
			return modules.Plan{}, err
		}
		if status.Clean < status.PGs {
			problems = append(problems, fmt.Sprintf("%d of %d placement groups are not active and clean: wait until they are before losing a node", status.PGs-status.Clean, status.PGs))
		}
	}
	guests, more := m.guests(ha, node.Name, running)
	if problems = append(problems, more...); len(problems) > 0 {
		return modules.Plan{}, errors.New("the drill is refused for " + node.Name + ":\n" + strings.Join(problems, "\n"))
	}
	return modules.Plan{Repeats: true, Steps: []modules.Step{m.lose(lost, node.Name, hasCeph), m.watch(node.Name, guests), m.back(node.Name, hasCeph)}}, nil
}

// Against lists the reasons against losing a node: what is wrong already, and what the loss would stop.
func Against(c survival.Cluster, node string) []string {
	var all []string
	known := false
	for _, n := range c.Nodes {
		known = known || n.Name == node
		switch {
		case !n.Online:
			all = append(all, n.Name+" is offline already")
		case n.Maintenance:
			all = append(all, n.Name+" is in maintenance mode, and takes no guests")
		}
	}
	if !known {
		return append(all, fmt.Sprintf("cluster %s has no node %s", c.Name, node))
	}
	l := survival.Lose(c, node)
	if !l.Quorate {
		all = append(all, fmt.Sprintf("the cluster would lose its quorum: %d of %d votes would be left, and %d are needed", l.Votes, l.VotesOf, l.VotesNeeded))
	}
	if l.MonitorsOf > 0 && !l.MonitorQuorum {
		all = append(all, fmt.Sprintf("the monitors would lose their quorum: %d of %d would be left, and %d are needed", l.Monitors, l.MonitorsOf, l.MonitorsNeeded))
	}
	for _, p := range l.Pools {
		if !p.Writes {
			all = append(all, fmt.Sprintf("pool %s would stop or could stop: %s", p.Name, p.Why))
		}
	}
	if !l.FileSystems {
		all = append(all, fmt.Sprintf("CephFS would have %d metadata servers for %d file systems", l.MetadataServers, len(c.FileSystems)))
	}
	for _, g := range l.Guests {
		if g.To == "" && l.Quorate {
			all = append(all, fmt.Sprintf("no other node could run %s: %s", g.Guest, g.Why))
		}
	}
	return all
}

// guests returns the guests to watch, and what is wrong with the guests of the node.
func (m *Module) guests(ha pve.HA, node string, running map[int]bool) (watched, problems []string) {
	managed := map[int]bool{}
	for sid, service := range ha.Services {
		_, id := pve.SplitServiceID(sid)
		if service.State == "error" {
			problems = append(problems, sid+" is in state error")
		}
		if service.Node != node {
			continue
		}
		managed[id] = true
		if ha.Resources[sid].State == "started" && service.Running {
			watched = append(watched, sid)
		}
	}
	for id := range running {
		if !managed[id] {
			problems = append(problems, fmt.Sprintf("guest %d runs on %s and is not highly available: nothing would start it elsewhere; stop it, or migrate it", id, node))
		}
	}
	slices.Sort(watched)
	for _, sid := range m.Guests {
		if !slices.Contains(watched, sid) {
			problems = append(problems, fmt.Sprintf("%s is not running on %s as a highly available guest", sid, node))
		}
	}
	slices.Sort(problems)
	if len(m.Guests) > 0 {
		watched = m.Guests
	}
	return watched, problems
}

// timer is the unit on the node that starts its services again.
const timer = "hlplay-drill"

// units returns the units to stop. All of them are enabled, so that a node that is reset starts them by itself.
func units(hasCeph bool) string {
	if hasCeph {
		return "ceph.target corosync.service"
	}
	return "corosync.service"
}

// lose returns the step that takes the node out of the cluster.
func (m *Module) lose(lost modules.Host, node string, hasCeph bool) modules.Step {
	return modules.Step{
		Risk:    modules.CostsQuorum,
		Summary: fmt.Sprintf("lose %s: stop %s there; a timer of its own starts them again after %s", node, units(hasCeph), short(m.Away)),
		Action: modules.Run{Argv: []string{"sh", "-c", stop, "sh", timer, strconv.Itoa(int(m.Away.Seconds())) + "s", units(hasCeph)},
			Dir: "/root", Limit: 2 * time.Minute,
			Explain: explain(node+" could not be stopped", "the stopped services are started again after "+short(m.Away)+", if "+timer+".timer is listed by systemctl list-timers")},
		Wide: true,
		On:   lost,
	}
}

// stop starts the timer before it stops anything. If the timer cannot be started, nothing is stopped. --collect unloads a
// unit that failed, which would otherwise block the next drill.
const stop = `systemd-run --quiet --collect --unit="$1" --on-active="$2" systemctl start $3 && exec systemctl stop $3`

// watch returns the step that waits until the guests run elsewhere.
func (m *Module) watch(node string, guests []string) modules.Step {
	summary := fmt.Sprintf("wait until %s %s on another node, for at most %s", strings.Join(guests, ", "), map[bool]string{true: "runs", false: "run"}[len(guests) == 1], short(m.Within))
	if len(guests) == 0 {
		summary = fmt.Sprintf("wait until the cluster has noticed, for at most %s: no highly available guest runs on %s", short(m.Within), node)
	}
	return modules.Step{
		Risk:    modules.Restarts,
		Summary: summary,
		Action: modules.Run{Argv: append([]string{"sh", "-c", elsewhere, "sh", node, seconds(m.Within)}, guests...),
			Dir: "/root", Limit: 2*m.Within + time.Minute,
			Explain: explain("the drill failed", "the timer on "+node+" restarts the stopped services "+short(m.Away)+" after it was stopped")},
		Wide: true,
	}
}

// timed defines a function that succeeds until "$2" seconds have passed. It does not depend on the time of day, which may
// be set meanwhile.
const timed = `read -r up _ </proc/uptime; end=$((${up%.*} + $2))
early() { read -r up _ </proc/uptime; [ "${up%.*}" -lt "$end" ]; }
`

// elsewhere checks every five seconds, first whether the node is gone, then where the guests are. "$1" is the node, "$2"
// the time limit in seconds; the remaining arguments are guests.
const elsewhere = timed + `node=$1; shift 2; gone=
while :; do
	waits=
	member=$(grep -o "\"$node\": *{[^}]*}" /etc/pve/.members) || { echo "/etc/pve/.members does not name $node" >&2; exit 1; }
	case $member in *'"online": 0'*) gone=1 ;; esac
	[ -n "$gone" ] || waits=" $node is still online"
	status=$(ha-manager status) || exit
	for sid; do
		line=$(printf '%s\n' "$status" | grep "^service $sid (")
		case $line in *"($node,"*) waits="$waits; $line" ;; *", started)") ;; *) waits="$waits; ${line:-$sid is not known}" ;; esac
	done
	[ -n "$waits" ] || exit 0
	early && sleep 5 && early || { echo "timed out:${waits#;}" >&2; exit 1; }
done`

// back returns the step that waits until everything is as before.
func (m *Module) back(node string, hasCeph bool) modules.Step {
	what := "a member again"
	if hasCeph {
		what += ", and all placement groups active and clean"
	}
	return modules.Step{
		Summary: fmt.Sprintf("wait until %s is %s, for at most %s", node, what, short(m.Returns+m.Away)),
		Action: modules.Run{Argv: []string{"sh", "-c", returned, "sh", node, seconds(m.Returns + m.Away), pve.Flag(hasCeph)},
			Dir: "/root", Limit: 2*(m.Returns+m.Away) + time.Minute,
			Explain: explain(node+" is not back", "see systemctl status "+units(hasCeph)+" there, and ceph health detail if there is Ceph")},
		Wide: true,
	}
}

// explain returns the Explain of a step: it reports what is wrong, what the step's script said about it, and what happens
// or is to be done now. It returns nil, for the usual report, if the script said nothing.
func explain(wrong, now string) func(exit int, stdout, stderr []byte) error {
	return func(_ int, _, stderr []byte) error {
		said := pve.Complaint(stderr)
		if said == "" {
			return nil
		}
		return fmt.Errorf("%s: %s; %s", wrong, said, now)
	}
}

// returned checks every ten seconds. "$1" is the node, "$2" the time limit in seconds, and "$3" is 1 if there is Ceph. The
// health status does not show whether placement groups are clean: it stays HEALTH_OK for a minute while they are
// undersized, and warns about groups that have not been scrubbed for long. Without a manager, "ceph pg stat" never
// returns.
const returned = timed + `node=$1; ceph=$3
while :; do
	waits=
	online=$(grep -o "\"$node\": *{[^}]*}" /etc/pve/.members)
	case $online in *'"online": 1'*) ;; *) waits=" $node is not online" ;; esac
	if [ "$ceph" = 1 ]; then
		status=$(timeout 20 ceph --connect-timeout 10 health detail) && pgs=$(timeout 20 ceph --connect-timeout 10 pg stat) || { waits="$waits; ceph does not answer"; pgs=; }
		case $status in *OSD_DOWN* | *MON_DOWN*) waits="$waits; $(printf '%s\n' "$status" | head -n 1)" ;; esac
		pgs=${pgs#*pgs: }
		pgs=${pgs%%;*}
		case $(printf '%s\n' "$pgs" | tr , '\n' | grep -v active+clean) in '') ;; *) waits="$waits; placement groups are $pgs" ;; esac
	fi
	[ -n "$waits" ] || exit 0
	early && sleep 10 && early || { echo "not recovered:${waits#;}" >&2; exit 1; }
done`

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

// short formats a duration without zero units at its end: "6m" instead of "6m0s".
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
