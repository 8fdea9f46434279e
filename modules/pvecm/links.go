package pvecm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// linkage holds the observations on which a plan for links is based.
type linkage struct {
	m       *Module
	host    modules.Host
	cluster pve.Cluster
	conf    pve.CorosyncConf
	// file is the current corosync.conf.
	file string
	// hosts holds the online nodes by name, and states what corosync reports on each.
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

// look reads corosync.conf and finds the hosts of the online nodes.
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
	if l.hosts, err = onlineHosts(ctx, l.host, l.cluster, func(peer modules.Host) { pve.LinkStates.Want(peer, "") }); err != nil {
		return err
	}
	l.states = map[string]pve.Links{}
	for _, name := range l.cluster.Online() {
		if l.states[name], err = pve.LinkStates.Observe(ctx, l.hosts[name], ""); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// fits verifies that each link has an address for every node of the cluster, and for no others.
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

// late lists the nodes whose corosync has not loaded the current file.
func (l *linkage) late() []string {
	var late []string
	for _, name := range l.cluster.Online() {
		if l.states[name].Version != l.conf.Version() {
			late = append(late, fmt.Sprintf("corosync on %s uses version %d of corosync.conf, which is at version %d", name, l.states[name].Version, l.conf.Version()))
		}
	}
	return late
}

// apart lists which online nodes do not reach each other over the given links.
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

// await returns a step that waits for what corosync may still do by itself.
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

// connected returns what a node's corosync reports once it has loaded a configuration: fresh links connect all nodes, and
// the others are in the same state as before.
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

// others returns the ids of all online nodes except one, sorted.
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
