package pvecm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/plural"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/internal/pve"
)

// Remove removes a node from the cluster.
type Remove struct {
	Node string `hcl:"node" doc:"Name of the node. It must be switched off, and nothing may depend on it any more."`
}

// The cluster's files about its nodes: keys that root accepts on all of them, and host keys as older releases kept them.
const (
	clusterKeys  = "/etc/pve/priv/authorized_keys"
	clusterHosts = "/etc/pve/priv/known_hosts"
	nodesFolder  = "/etc/pve/nodes/"
)

func (m *Module) validateRemove() error {
	if m.Cluster != "" || m.Founder != "" || m.Link0 != "" || m.Check != nil || m.QDevice != nil {
		return &modules.ArgumentError{Argument: "remove", Problem: "a node is not removed in the same task as a membership", Want: "give remove only"}
	}
	return pve.CheckNodeName("remove.node", m.Remove.Node)
}

// plan plans to remove the node, or returns an error that lists everything that prevents it.
func (r *Remove) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	r.want(h)
	c, err := pve.Clusters.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	switch {
	case !c.Mounted:
		return modules.Plan{}, pve.Writable(ctx, h)
	case c.Name == "":
		return modules.Plan{}, fmt.Errorf("%s is not in a cluster: remove %s from one of the remaining members", h.Name(), r.Node)
	}
	self, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	if self.Name == r.Node {
		return modules.Plan{}, fmt.Errorf("%s is the node to remove: run this on the remaining members, for example with hosts = \"pve:!%s\"", h.Name(), h.Name())
	}
	obstacles, err := r.obstacles(ctx, h, c)
	if err != nil {
		return modules.Plan{}, err
	}
	if len(obstacles) > 0 {
		return modules.Plan{}, fmt.Errorf("%s was not removed; first, in this order: %s", r.Node, strings.Join(obstacles, "; "))
	}
	var steps []modules.Step
	if _, listed := c.Members[r.Node]; listed {
		steps = append(steps, r.delnode(h, c))
	}
	rest, err := r.rest(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	if steps = append(steps, rest...); len(steps) > 0 {
		if err := pve.Writable(ctx, h); err != nil {
			return modules.Plan{}, err
		}
	}
	return modules.Plan{Steps: steps, Data: modules.Data(result{Cluster: c.Name, Nodes: c.Names(), Quorate: c.Quorate})}, nil
}

// want announces what a plan reads.
func (r *Remove) want(h modules.Host) {
	pve.Nodes.Want(h, "")
	pve.Clusters.Want(h, "")
	pve.Replications.Want(h, "")
	ceph.Monitors.Want(h, r.Node)
	for _, name := range []string{clusterKeys, clusterHosts, nodesFolder + r.Node} {
		observe.Files.Want(h, name)
	}
}

// obstacles lists what has to be done first, in order. What the node holds counts even after the node was deleted, because
// it may have been deleted by hand.
func (r *Remove) obstacles(ctx context.Context, h modules.Host, c pve.Cluster) ([]string, error) {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if err := r.guests(ctx, h, add); err != nil {
		return nil, err
	}
	if err := r.ceph(ctx, h, add); err != nil {
		return nil, err
	}
	member, listed := c.Members[r.Node]
	if !listed {
		return all, nil
	}
	if c.Device != "" {
		add("remove the QDevice (%s), and set it up again afterwards if the number of nodes is even", deviceAbsent)
	}
	answers, err := r.answers(ctx, h, member)
	if err != nil {
		return nil, err
	}
	if answers != "" {
		add("switch off %s permanently, and erase its disks before it starts again: %s", r.Node, answers)
	}
	online, total := 0, 0
	for name, m := range c.Members {
		if name != r.Node {
			total += m.Votes
			if m.Online {
				online += m.Votes
			}
		}
	}
	switch needed := (total+member.Votes)/2 + 1; {
	case online < needed && answers == "":
		add("bring %s back online: the online members have %d of %d votes, and removing a node while most are merely switched off splits the cluster in two", strings.Join(without(c.Offline(), r.Node), ", "), online, total+member.Votes)
	case online < total/2+1:
		add("bring %s back online: without %s the online members have %d of %d votes, which is not a quorum", strings.Join(without(c.Offline(), r.Node), ", "), r.Node, online, total)
	}
	return all, nil
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(names, func(n string) bool { return n == name })
}

// answers says how the node still responds, or returns "" if it does not seem to.
func (r *Remove) answers(ctx context.Context, h modules.Host, member pve.Member) (string, error) {
	if member.Online {
		return "the cluster sees it online", nil
	}
	peer, err := pve.Listed(h, r.Node)
	if err != nil {
		return "", nil // it is no longer in the inventory
	}
	var unreachable *remote.UnreachableError
	switch _, err := pve.Nodes.Observe(ctx, peer, ""); {
	case err == nil:
		return "it answers over SSH", nil
	case errors.As(err, &unreachable) && ctx.Err() == nil && unreachable.NoAnswer:
		return "", nil
	case errors.As(err, &unreachable) && ctx.Err() == nil:
		return fmt.Sprintf("whether it is off cannot be determined over SSH (%s): a machine that is off does not answer at all; if it is off, remove it from the inventory", unreachable.Reason), nil
	default:
		return "", err
	}
}

// guests adds the guests that the node still has, and what refers to it for guests.
func (r *Remove) guests(ctx context.Context, h modules.Host, add func(string, ...any)) error {
	guests, err := pve.GuestLists.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	here := map[int]pve.Guest{}
	for id, guest := range guests {
		if guest.Node == r.Node {
			here[id] = guest
		}
	}
	if len(here) > 0 {
		add("migrate or remove its guests (%s)", ids(here))
	}
	ha, err := pve.HAs.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	var naming []string
	for name, rule := range ha.Rules {
		if _, in := rule.Nodes[r.Node]; in {
			naming = append(naming, "rule "+name)
		}
	}
	for name, group := range ha.Groups {
		if _, in := group.Nodes[r.Node]; in {
			naming = append(naming, "group "+name)
		}
	}
	if len(naming) > 0 {
		add("remove it from the nodes of HA %s", strings.Join(slices.Sorted(slices.Values(naming)), ", "))
	}
	jobs, err := pve.Replications.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	var copying []string
	for _, id := range slices.Sorted(maps.Keys(jobs)) {
		if jobs[id].Target == r.Node || jobs[id].Source == r.Node {
			copying = append(copying, id)
		}
	}
	if len(copying) > 0 {
		add("delete its replication jobs, which is not possible afterwards (pvesr delete %s)", strings.Join(copying, ", "))
	}
	return nil
}

// ceph adds what the node still provides in Ceph.
func (r *Remove) ceph(ctx context.Context, h modules.Host, add func(string, ...any)) error {
	osds, err := ceph.OSDs.Observe(ctx, h, r.Node)
	if err != nil {
		return err
	}
	if len(osds) > 0 {
		var names []string
		for _, o := range osds {
			names = append(names, fmt.Sprintf("osd.%d", o.ID))
		}
		add("mark its OSDs out, wait until all placement groups are active and clean, and destroy them (%s)", strings.Join(names, ", "))
	}
	monitor, err := ceph.Monitors.Observe(ctx, h, r.Node)
	if err != nil {
		return err
	}
	if monitor.InMap {
		add("destroy its monitor (pveceph mon destroy %s there; if the machine is lost, ceph mon remove %s, and delete its lines from /etc/pve/ceph.conf)", r.Node, r.Node)
	}
	manager, err := ceph.Managers.Observe(ctx, h, r.Node)
	if err != nil {
		return err
	}
	if manager.InMap {
		add("destroy its manager (pveceph mgr destroy %s there)", r.Node)
	}
	server, err := ceph.MetadataServers.Observe(ctx, h, r.Node)
	if err != nil {
		return err
	}
	if server.State != "" {
		add("destroy its metadata server (pveceph mds destroy %s there)", r.Node)
	}
	return nil
}

// delnode deletes the node from corosync's configuration. pvecm prints that it could not kill the node, which is off; that
// is not a failure.
func (r *Remove) delnode(h modules.Host, c pve.Cluster) modules.Step {
	return modules.Step{
		Risk:    modules.Destroys,
		Summary: fmt.Sprintf("delete %s from cluster %s, which then has %s", r.Node, c.Name, plural.Of(len(c.Members)-1, "node")),
		Action:  modules.Run{Argv: []string{"pvecm", "delnode", r.Node}, Dir: "/root", Limit: time.Minute, Explain: explain},
		Expect: onMembers(h, c, func(seen *pve.Cluster) {
			seen.Members = maps.Clone(seen.Members)
			delete(seen.Members, r.Node)
		}),
		Settle: 30 * time.Second,
		Await:  "every member to list the cluster without " + r.Node,
		Wide:   true,
	}
}

// onMembers returns what the hosts of the run that are in cluster c will observe after a change of its configuration.
func onMembers(h modules.Host, c pve.Cluster, change func(seen *pve.Cluster)) []observe.Expectation {
	var expect []observe.Expectation
	for _, peer := range h.Peers() {
		known, ok := peer.Known(pve.Clusters.Key(""))
		if seen, _ := known.(pve.Cluster); ok && seen.Name == c.Name {
			seen.ConfigVersion = c.ConfigVersion + 1
			change(&seen)
			expect = append(expect, pve.Clusters.Expect("", seen).On(peer))
		}
	}
	return expect
}

// rest removes what Proxmox VE leaves of a deleted node. The node's folder comes last, because a run after an interruption
// uses it to find the node.
func (r *Remove) rest(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	var steps []modules.Step
	bucket, err := ceph.CrushHosts.Observe(ctx, h, r.Node)
	if err != nil {
		return nil, err
	}
	if bucket {
		steps = append(steps, modules.Step{
			Summary: fmt.Sprintf("remove %s's empty bucket from the CRUSH map", r.Node),
			Action:  modules.Run{Argv: []string{"ceph", "osd", "crush", "remove", r.Node}, Dir: "/root", Limit: time.Minute},
			Expect:  pve.Everywhere(h, ceph.CrushHosts.Expect(r.Node, false)),
			Objects: []string{ceph.CrushMapObject},
			Wide:    true,
		})
	}
	for _, file := range []struct {
		name, what string
		edit       func(string) string
	}{
		{clusterKeys, "root's key of " + r.Node + ", so that it can no longer log in", func(text string) string { return withoutKeys(text, r.Node) }},
		{clusterHosts, "the host keys of " + r.Node, func(text string) string { return withoutHost(text, r.Node) }},
	} {
		before, err := observe.Files.Observe(ctx, h, file.name)
		if err != nil {
			return nil, err
		}
		if !before.Exists() || before.Type != observe.Regular {
			continue
		}
		if before.Truncated {
			return nil, fmt.Errorf("%s is larger than %d bytes: remove %s by hand, and run again", file.name, observe.FileLimit, file.what)
		}
		edited := conffile.EditLines(string(before.Content), file.edit)
		if edited == string(before.Content) {
			continue
		}
		write, err := conffile.Write(ctx, h, file.name, edited, "remove "+file.what)
		if err != nil {
			return nil, err
		}
		steps = append(steps, write...)
	}
	folder := nodesFolder + r.Node
	there, err := observe.Files.Observe(ctx, h, folder)
	if err != nil || !there.Exists() {
		return steps, err
	}
	return append(steps, modules.Step{
		Summary: "remove " + folder,
		Action:  modules.Remove{Path: folder, Recursive: true},
		Expect:  observe.Placed(h, folder, observe.File{}),
	}), nil
}

// withoutKeys returns an authorized_keys without the lines that Proxmox VE wrote for root of a node: keys without options
// and with the comment root@NODE.
func withoutKeys(text, node string) string {
	return keepLines(text, func(fields []string) bool {
		return len(fields) != 3 || !strings.HasPrefix(fields[1], "AAAA") || fields[2] != "root@"+node
	})
}

// withoutHost returns a known_hosts without the keys of a node, under any name: a key that is listed under the node's name
// belongs to the node under its addresses too.
func withoutHost(text, node string) string {
	its := map[string]bool{}
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) >= 3 && slices.Contains(strings.Split(fields[0], ","), node) {
			its[fields[2]] = true
		}
	}
	return keepLines(text, func(fields []string) bool { return len(fields) < 3 || !its[fields[2]] })
}

// keepLines keeps the lines for whose fields keep returns true.
func keepLines(text string, keep func(fields []string) bool) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if keep(strings.Fields(line)) {
			b.WriteString(line)
		}
	}
	return b.String()
}
