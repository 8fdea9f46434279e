package pvecm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/internal/pve"
)

// Link is a link of an existing cluster. How corosync takes changes while it runs was tried with corosync 3.1.7 of Debian 12: links
// come and go, and priorities change, without a new membership as long as one link stays; an address is not changed in place.
type Link struct {
	Name      string            `hcl:"name,label" doc:"the number of the link: 0 to 7"`
	Addresses map[string]string `hcl:"addresses,optional" doc:"The IP address of each node on this link, by the node's name: { pve1 = \"10.20.0.11\" }. All nodes of the cluster, and no others. Needed unless state is absent."`
	Priority  *int              `hcl:"priority,optional" doc:"Of the links that are connected, corosync uses the one with the highest priority: 0 to 255. By default it stays as it is; a new link has 1."`
	State     string            `hcl:"state,optional" default:"present" enum:"present,absent" doc:"Whether the cluster has this link."`
}

// number returns the link's number; Validate has checked it.
func (l Link) number() int {
	n, _ := strconv.Atoi(l.Name)
	return n
}

// Bounds of the time within which a change of links must be proven. Two versions of the file are loaded within seconds, and knet
// finds a link connected a few seconds later.
const (
	leastRollback = 30 * time.Second
	mostRollback  = time.Hour
)

func (m *Module) validateLinks() error {
	if m.Cluster != "" || m.Founder != "" || m.Link0 != "" || m.Check != nil || m.Remove != nil || m.QDevice != nil {
		return &modules.ArgumentError{Argument: "link", Problem: "links of a cluster are not changed in the same task as a membership or a QDevice", Want: "give link blocks only; a node that joins is given link0, link1, …"}
	}
	if m.Rollback != 0 && (m.Rollback < leastRollback || m.Rollback > mostRollback) {
		return &modules.ArgumentError{Argument: "rollback", Problem: fmt.Sprintf("%s is not between %s and %s", m.Rollback, leastRollback, mostRollback), Want: "two minutes are enough for corosync"}
	}
	numbers := map[string]bool{}
	taken := map[netip.Addr]string{}
	for _, l := range m.Link {
		at := "link." + l.Name
		switch {
		case len(l.Name) != 1 || l.Name < "0" || l.Name > "7":
			return &modules.ArgumentError{Argument: "link", Problem: fmt.Sprintf("%q is not the number of a link", l.Name), Want: "expected 0 to 7"}
		case numbers[l.Name]:
			return &modules.ArgumentError{Argument: at, Problem: "given twice", Want: "one block for each link"}
		case l.State == "absent" && (len(l.Addresses) > 0 || l.Priority != nil):
			return &modules.ArgumentError{Argument: at, Problem: "a link that is absent has no addresses and no priority", Want: "leave them out"}
		case l.State != "absent" && len(l.Addresses) == 0:
			return &modules.ArgumentError{Argument: at + ".addresses", Problem: "missing", Want: "expected the address of each node"}
		case l.Priority != nil && (*l.Priority < 0 || *l.Priority > 255):
			return &modules.ArgumentError{Argument: at + ".priority", Problem: fmt.Sprint(*l.Priority), Want: "expected 0 to 255"}
		}
		numbers[l.Name] = true
		var six *bool
		for _, node := range slices.Sorted(maps.Keys(l.Addresses)) {
			address, err := netip.ParseAddr(l.Addresses[node])
			switch {
			case err != nil || address.Zone() != "":
				return &modules.ArgumentError{Argument: at + ".addresses." + node, Problem: fmt.Sprintf("%q is not an IP address", l.Addresses[node]), Want: "expected one without a zone or prefix length"}
			case taken[address] != "":
				return &modules.ArgumentError{Argument: at + ".addresses." + node, Problem: fmt.Sprintf("%s is given for %s as well", address, taken[address]), Want: "each node has an address of its own on each link"}
			case six != nil && *six != address.Is6():
				return &modules.ArgumentError{Argument: at + ".addresses." + node, Problem: "IPv4 and IPv6 on the same link", Want: "corosync accepts only one of them"}
			}
			is6 := address.Is6()
			taken[address], six = fmt.Sprintf("link%s of %s", l.Name, node), &is6
		}
	}
	return nil
}

// linkage holds the observations that a plan for links is made from.
type linkage struct {
	m       *Module
	host    modules.Host
	cluster pve.Cluster
	conf    pve.CorosyncConf
	// file is corosync.conf as it is.
	file string
	// hosts are the nodes that are online, by name, and states what their corosyncs say.
	hosts  map[string]modules.Host
	states map[string]pve.Links
}

func (m *Module) planLinks(ctx context.Context, h modules.Host) (modules.Plan, error) {
	observe.Files.Want(h, pve.CorosyncFile)
	c, err := pve.Clusters.Observe(ctx, h, "")
	switch {
	case err != nil:
		return modules.Plan{}, err
	case c.Mounted && c.Name == "":
		return modules.Plan{}, fmt.Errorf("%s is not in a cluster: create one first, and give the links with link0, link1, … then", h.Name())
	}
	if err := pve.Writable(ctx, h); err != nil {
		return modules.Plan{}, err
	}
	l := &linkage{m: m, host: h, cluster: c}
	if err := l.look(ctx); err != nil {
		return modules.Plan{}, err
	}
	if err := l.fits(); err != nil {
		return modules.Plan{}, err
	}
	plan := modules.Plan{Data: modules.Data(result{Cluster: c.Name, Nodes: c.Names(), Quorate: c.Quorate})}
	changes := l.changes()
	if late := l.late(); len(late) > 0 {
		plan.Steps, plan.Partial = []modules.Step{l.await(late)}, len(changes) > 0
		return plan, nil
	}
	if len(changes) == 0 {
		if apart := l.apart(l.declared()); len(apart) > 0 {
			plan.Steps = []modules.Step{l.await(apart)}
		}
		return plan, nil
	}
	r := first(changes)
	if err := l.allow(ctx, r); err != nil {
		return modules.Plan{}, err
	}
	if plan.Steps, plan.Guard, err = l.carryOut(ctx, r); err != nil {
		return modules.Plan{}, err
	}
	plan.Partial = len(r) < len(changes)
	return plan, nil
}

// look reads corosync.conf, and finds the hosts of the nodes that are online.
func (l *linkage) look(ctx context.Context) error {
	before, err := observe.Files.Observe(ctx, l.host, pve.CorosyncFile)
	switch {
	case err != nil:
		return err
	case before.Type != observe.Regular || before.Truncated:
		return fmt.Errorf("%s: %s is not a file of at most %d bytes: expected the configuration of cluster %s", l.host.Name(), pve.CorosyncFile, observe.FileLimit, l.cluster.Name)
	}
	l.file = string(before.Content)
	if l.conf, err = pve.ParseCorosyncConf(l.file); err != nil {
		return err
	}
	l.hosts, l.states = map[string]modules.Host{}, map[string]pve.Links{}
	for _, peer := range l.host.Peers() {
		pve.Nodes.Want(peer, "")
	}
	var away error
	for _, peer := range l.host.Peers() {
		node, err := pve.Nodes.Observe(ctx, peer, "")
		var unreachable *remote.UnreachableError
		switch {
		case errors.As(err, &unreachable) && ctx.Err() == nil:
			away = err // a node that is off is not asked
		case err != nil:
			return err
		case l.cluster.Members[node.Name].Online:
			l.hosts[node.Name] = peer
			pve.LinkStates.Want(peer, "")
		}
	}
	for _, name := range l.cluster.Online() {
		switch {
		case l.hosts[name] == nil && away != nil:
			return away
		case l.hosts[name] == nil:
			return fmt.Errorf("cluster node %s is not among the hosts of the play: it must have all nodes, because each must see the links", name)
		}
		if l.states[name], err = pve.LinkStates.Observe(ctx, l.hosts[name], ""); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// fits requires an address of every node, and of no others, on each link.
func (l *linkage) fits() error {
	for _, link := range l.m.Link {
		if link.State == "absent" {
			continue
		}
		for _, name := range l.cluster.Names() {
			if link.Addresses[name] == "" {
				return fmt.Errorf("link%s: no address for %s: all nodes of cluster %s (%s) need one, because corosync refuses a node that has fewer links than others", link.Name, name, l.cluster.Name, strings.Join(l.cluster.Names(), ", "))
			}
		}
		for name := range link.Addresses {
			if _, ok := l.cluster.Members[name]; !ok {
				return fmt.Errorf("link%s: %s is not a node of cluster %s, which has %s: use the nodes' names", link.Name, name, l.cluster.Name, strings.Join(l.cluster.Names(), ", "))
			}
		}
	}
	return nil
}

// A change is one difference between the links that are and those that are wanted.
type change struct {
	Link
	// moves is set if addresses of an existing link change, gone if the link is removed.
	moves, gone bool
	// says is the change in words; priority is the one that the link gets.
	says     string
	priority int
}

// changes returns what differs: first what only adds to the links or changes priorities, then links with other addresses, then
// those that go.
func (l *linkage) changes() []change {
	var adds, moves, goes []change
	for _, link := range l.m.Link {
		have, there := l.conf.Links()[link.number()]
		c := change{Link: link, priority: l.conf.Priority(link.number())}
		if link.Priority != nil {
			c.priority = *link.Priority
		}
		var other []string
		for _, name := range l.cluster.Names() {
			if !sameAddress(have[name], link.Addresses[name]) {
				other = append(other, name+" "+link.Addresses[name])
			}
		}
		switch {
		case link.State == "absent" && there:
			c.gone, c.says = true, fmt.Sprintf("remove link%s", link.Name)
			goes = append(goes, c)
		case link.State == "absent":
		case !there:
			c.says = fmt.Sprintf("add link%s (%s)", link.Name, strings.Join(other, ", "))
			adds = append(adds, c)
		case len(other) > 0:
			c.moves, c.says = true, fmt.Sprintf("put link%s back with %s", link.Name, strings.Join(other, ", "))
			moves = append(moves, c)
		case c.priority != l.conf.Priority(link.number()):
			c.says = fmt.Sprintf("change the priority of link%s from %d to %d", link.Name, l.conf.Priority(link.number()), c.priority)
			adds = append(adds, c)
		}
	}
	return slices.Concat(adds, moves, goes)
}

func sameAddress(a, b string) bool {
	if x, err := netip.ParseAddr(a); err == nil {
		if y, err := netip.ParseAddr(b); err == nil {
			return x == y
		}
	}
	return a == b
}

// first returns the changes that are made at once: all that take nothing away, or a single one that does.
func first(changes []change) []change {
	for i, c := range changes {
		if c.moves || c.gone {
			return changes[:max(1, i)]
		}
	}
	return changes
}

// declared returns the numbers of the links that the task wants.
func (l *linkage) declared() []int {
	var numbers []int
	for _, link := range l.m.Link {
		if link.State != "absent" {
			numbers = append(numbers, link.number())
		}
	}
	return numbers
}

// late lists the nodes whose corosync has not loaded the file that is there.
func (l *linkage) late() []string {
	var late []string
	for _, name := range l.cluster.Online() {
		if l.states[name].Version != l.conf.Version() {
			late = append(late, fmt.Sprintf("corosync on %s uses version %d of corosync.conf, which is at version %d", name, l.states[name].Version, l.conf.Version()))
		}
	}
	return late
}

// apart lists which of the nodes that are online do not reach each other over some links.
func (l *linkage) apart(links []int) []string {
	var apart []string
	for _, link := range links {
		for _, name := range l.cluster.Online() {
			for _, other := range l.cluster.Online() {
				if id := l.cluster.Members[other].ID; other != name && !slices.Contains(l.states[name].Connected[link], id) {
					apart = append(apart, fmt.Sprintf("link%d: %s does not reach %s", link, name, other))
				}
			}
		}
	}
	return apart
}

// await returns a step that waits for what corosync may still be about to do.
func (l *linkage) await(what []string) modules.Step {
	expect := []observe.Expectation{}
	for name, h := range l.hosts {
		expect = append(expect, pve.LinkStates.Expect("", l.connected(name, l.conf, l.declared()...)).On(h))
	}
	return modules.Step{
		Summary: "wait for corosync: " + strings.Join(what, ", "),
		Action:  modules.Wait{},
		Expect:  expect,
		Settle:  30 * time.Second,
		Await:   "corosync's links (corosync-cfgtool -s, journalctl -u corosync)",
		Unmet:   "check that UDP ports 5405 to 5412 are open between the addresses of the link, and what journalctl -u corosync says on these nodes",
		Wide:    true,
	}
}

// connected returns what a node's corosync says once it has loaded a configuration: the fresh links connect all nodes, the others
// do what they did.
func (l *linkage) connected(name string, conf pve.CorosyncConf, fresh ...int) pve.Links {
	after := pve.Links{Version: conf.Version(), Connected: map[int][]int{}}
	for link := range conf.Links() {
		after.Connected[link] = l.states[name].Connected[link]
		if slices.Contains(fresh, link) {
			after.Connected[link] = l.others(name)
		}
	}
	return after
}

// others returns the ids of the nodes that are online but one, sorted.
func (l *linkage) others(name string) []int {
	var ids []int
	for _, other := range l.cluster.Online() {
		if other != name {
			ids = append(ids, l.cluster.Members[other].ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// allow refuses changes that could cost the membership.
func (l *linkage) allow(ctx context.Context, changes []change) error {
	if offline := l.cluster.Offline(); len(offline) > 0 {
		return fmt.Errorf("bring %s back online first: links are changed only while all nodes are online, so that each takes the change", strings.Join(offline, ", "))
	}
	stays := l.conf.Links()
	for _, c := range changes {
		if c.moves || c.gone {
			delete(stays, c.number())
			if len(stays) == 0 && c.gone {
				return fmt.Errorf("link%s is the only link of cluster %s: it cannot be removed", c.Name, l.cluster.Name)
			}
			if len(stays) == 0 {
				return fmt.Errorf("link%s is the only link of cluster %s. corosync does not change an address in place: the link has to go for a moment, and another one must connect the nodes meanwhile. Add that first, in the same task if you like: it is added before anything is taken away", c.Name, l.cluster.Name)
			}
		}
	}
	var broken []string
	for _, link := range slices.Sorted(maps.Keys(stays)) {
		apart := l.apart([]int{link})
		if len(apart) == 0 {
			broken = nil
			break
		}
		broken = append(broken, apart...)
	}
	if len(broken) > 0 {
		return fmt.Errorf("no link that stays as it is connects all nodes of cluster %s (%s): links are changed only while one does; repair that first", l.cluster.Name, strings.Join(broken, ", "))
	}
	if err := l.owned(ctx, changes); err != nil {
		return err
	}
	if changes[0].moves || changes[0].gone { // what is added takes nothing away
		for _, name := range l.cluster.Names() {
			if err := pve.Disarmed(ctx, l.hosts[name]); err != nil {
				return fmt.Errorf("while link%s is away a failure of the others would end the quorum, and %w", changes[0].Name, err)
			}
		}
	}
	return nil
}

// owned requires that nodes have their new addresses, and that no other link uses them: corosync takes any address, and then reaches
// nobody.
func (l *linkage) owned(ctx context.Context, changes []change) error {
	for _, h := range l.hosts {
		observe.Networks.Want(h, "")
	}
	for _, c := range changes {
		if c.gone {
			continue
		}
		for _, name := range l.cluster.Names() {
			address := netip.MustParseAddr(c.Addresses[name])
			network, err := observe.Networks.Observe(ctx, l.hosts[name], "")
			if err != nil {
				return err
			}
			if !network.Has(address) {
				return fmt.Errorf("link%s: %s is not an address of %s: give the address of one of its interfaces", c.Name, address, name)
			}
			for number, used := range l.conf.Links() {
				for other, text := range used {
					if number != c.number() && sameAddress(text, c.Addresses[name]) {
						return fmt.Errorf("link%s: %s is the address of %s on link%d already: a link of its own needs a network of its own", c.Name, address, other, number)
					}
				}
			}
		}
	}
	return nil
}

// carryOut returns the steps that make changes in one or two versions of corosync.conf, and the guard that takes them back.
func (l *linkage) carryOut(ctx context.Context, changes []change) ([]modules.Step, *modules.Guard, error) {
	conf, between := l.conf, ""
	var says []string
	var fresh []int
	var stages []stage
	for _, c := range changes {
		says = append(says, c.says)
		switch {
		case c.gone:
			conf = conf.WithoutLink(c.number())
			continue
		case c.moves:
			without := conf.WithoutLink(c.number())
			between = without.Text(l.conf.Version())
			stages = append(stages, l.stage(fmt.Sprintf("take link%s out, because corosync does not change an address in place", c.Name), without, 1))
			conf = without
		}
		conf = conf.WithLink(c.number(), c.Addresses, c.priority)
		fresh = append(fresh, c.number())
	}
	stages = append(stages, l.stage(strings.Join(says, ", "), conf, len(stages)+1, fresh...))
	steps, err := l.write(ctx, stages)
	if err != nil || len(steps) == 0 {
		return nil, nil, err
	}
	undo := []string{"sh", "-c", putBack, "sh", trimmed(l.file), trimmed(l.conf.Text(l.conf.Version())), trimmed(between)}
	for _, s := range stages {
		undo = append(undo, trimmed(s.text))
	}
	guard := &modules.Guard{Within: l.m.Rollback, Undo: [][]string{undo}, Outlives: true}
	for _, name := range l.cluster.Names() {
		argv := []string{"sh", "-c", proven, "sh", strconv.Itoa(stages[len(stages)-1].version), strconv.Itoa(len(l.cluster.Members) - 1)}
		for _, link := range fresh {
			argv = append(argv, strconv.Itoa(link))
		}
		proof := modules.Proof{Summary: "the links of " + name, Argv: argv, Limit: 20 * time.Second, Explain: lastWords}
		if l.hosts[name] != l.host {
			proof.On = l.hosts[name]
		}
		guard.Proofs = append(guard.Proofs, proof)
	}
	return steps, guard, nil
}

// stage is a version of corosync.conf on the way.
type stage struct {
	says, text string
	version    int
	expect     []observe.Expectation
}

// stage returns the version that is so many above the present one.
func (l *linkage) stage(says string, conf pve.CorosyncConf, above int, fresh ...int) stage {
	s := stage{version: l.conf.Version() + above}
	s.says = fmt.Sprintf("%s, in version %d of corosync.conf of cluster %s", says, s.version, l.cluster.Name)
	s.text = conf.Text(s.version)
	links := conf.Links()
	for name, h := range l.hosts {
		after := l.connected(name, conf, fresh...)
		after.Version = s.version
		s.expect = append(s.expect, pve.LinkStates.Expect("", after).On(h))
	}
	s.expect = append(s.expect, onMembers(l.host, l.cluster, func(seen *pve.Cluster) {
		seen.ConfigVersion = s.version
		seen.Members = maps.Clone(seen.Members)
		for name, m := range seen.Members {
			m.Links = map[int]string{}
			for number, addresses := range links {
				if address, ok := addresses[name]; ok {
					m.Links[number] = address
				}
			}
			seen.Members[name] = m
		}
	})...)
	return s
}

// write returns the steps that write the stages one after another, each over the one before it only, and wait in between until
// corosync has loaded it.
func (l *linkage) write(ctx context.Context, stages []stage) ([]modules.Step, error) {
	var steps []modules.Step
	was := l.file
	for i, s := range stages {
		if i > 0 {
			steps = append(steps, modules.Step{
				Summary: fmt.Sprintf("wait until corosync has loaded version %d", stages[i-1].version),
				Action:  modules.Run{Argv: []string{"sh", "-c", loaded + `until_loaded "$1"`, "sh", strconv.Itoa(stages[i-1].version)}, Limit: time.Minute, Explain: lastWords},
				Exact:   true,
			})
		}
		written, err := conffile.Write(ctx, l.host, pve.CorosyncFile, s.text, s.says)
		if err != nil {
			return nil, err
		}
		for _, step := range written {
			if file, ok := step.Action.(modules.WriteFile); ok {
				file.Was = was
				step.Action = file
				step.Diff = &modules.Diff{Subject: pve.CorosyncFile, Before: was, After: s.text}
			}
			step.Expect = append(step.Expect, s.expect...)
			step.Risk, step.Wide = modules.CostsQuorum, true
			step.Settle, step.Await = 30*time.Second, "every corosync to use the links (corosync-cfgtool -s)"
			steps = append(steps, step)
		}
		was = s.text
	}
	return steps, nil
}

// lastWords returns why one of the scripts below has failed.
func lastWords(_ int, _, stderr []byte) error {
	if line := observe.LastLine(stderr); line != "" {
		return fmt.Errorf("%s; see journalctl -u corosync -u pve-cluster", line)
	}
	return nil
}

func trimmed(text string) string { return strings.TrimRight(text, "\n") }

// loaded defines until_loaded, which waits until corosync has loaded a version. pmxcfs tells it about a second after the file has
// changed; corosync keeps its version if it refuses the file.
const loaded = `until_loaded() {
	n=0
	until corosync-cmapctl -g totem.config_version 2>/dev/null | grep -q " = $1\$"; do
		n=$((n + 1))
		[ $n -lt 30 ] || { echo "corosync has not loaded version $1 within 30 seconds" >&2; exit 1; }
		sleep 1
	done
}
`

// proven succeeds if corosync has loaded version $1, has a quorum, and reaches $2 nodes over each of the other arguments.
const proven = `corosync-cmapctl -g totem.config_version | grep -q " = $1\$" || { echo "corosync has not loaded version $1" >&2; exit 1; }
corosync-quorumtool -s | grep -q '^Quorate: *Yes' || { echo "no quorum" >&2; exit 1; }
want=$2
shift 2
for link; do
	reached=$(corosync-cfgtool -s | while read -r word _ third _; do
		case $word in
		LINK) at=$third ;;
		nodeid:) [ "$at" != "$link" ] || echo "$third" ;;
		esac
	done | grep -c '^connected$')
	[ "$reached" = "$want" ] || { echo "link$link reaches $reached of $want nodes" >&2; exit 1; }
done`

// putBack puts the links back as they were, by a version above the present one: pmxcfs does not hand out a lower one. If an address
// was changed, the link has to go first. It needs a quorum, which the link that stays keeps; without one it tries for two minutes,
// and then leaves the file as it is, as it also does with what somebody else has written since. It may be broken off and run again.
// Its arguments are the file as it was, the same as it is written, what is loaded before it (nothing if empty), and what the change
// wrote; their versions do not matter.
const putBack = loaded + `f=/etc/pve/corosync.conf was=$1 old=$2 between=$3
shift 3
n=0
until now=$(cat $f); do
	n=$((n + 1))
	[ $n -lt 60 ] || { echo "$f cannot be read: it stays as it is" >&2; exit 1; }
	sleep 2
done
v=$(printf '%s\n' "$now" | sed -n 's/^  config_version: //p')
plain() { printf '%s\n' "$1" | sed '/^ *config_version: /d'; }
is=$(plain "$now")
[ "$is" != "$(plain "$was")" ] && [ "$is" != "$(plain "$old")" ] || exit 0
ours=
for wrote; do
	[ "$is" != "$(plain "$wrote")" ] || ours=yes
done
[ -n "$ours" ] || { echo "$f was changed by somebody else since: it is left as it is" >&2; exit 1; }
put() {
	v=$((v + 1)) n=0
	until printf '%s\n\n' "$1" | sed "s/^  config_version: .*/  config_version: $v/" >$f.new && mv $f.new $f; do
		n=$((n + 1))
		[ $n -lt 60 ] || { echo "$f cannot be written: without a quorum it stays as it is" >&2; exit 1; }
		sleep 2
	done
	until_loaded $v
}
[ -z "$between" ] || put "$between"
put "$old"`
