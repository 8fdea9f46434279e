package pve_firewall

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
	"hlplay/modules/internal/pve"
	"hlplay/modules/internal/session"
)

// clusterFile is the cluster's file. The files of nodes and guests depend on it.
const clusterFile = "/etc/pve/firewall/cluster.fw"

func nodeFile(node string) string { return "/etc/pve/nodes/" + node + "/host.fw" }

func guestFile(id int) string { return "/etc/pve/firewall/" + strconv.Itoa(id) + ".fw" }

// mostText is the maximum size of a file in bytes. To restore a file, it is passed as an argument of a command, which
// Linux limits to 128 KiB.
const mostText = 100 << 10

// Plan implements modules.Module.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	pve.Clusters.Want(h, "")
	observe.Files.Want(h, clusterFile)
	node, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	if !node.Installed {
		return modules.Plan{}, fmt.Errorf("%s does not run Proxmox VE: use the module firewall, which is nftables, there", h.Name())
	}
	c, err := pve.Clusters.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	s := &state{m: m, host: h, node: node.Name, cluster: c}
	if s.want, err = m.config(); err != nil {
		return modules.Plan{}, err
	}
	_, was, err := s.read(ctx, clusterFile)
	if err != nil {
		return modules.Plan{}, err
	}
	if m.Guest != nil {
		return s.guest(ctx, was)
	}
	if m.Node != nil {
		return s.own(ctx, was)
	}
	return s.all(ctx, was)
}

// state holds the observations on which a plan is based.
type state struct {
	m       *Module
	host    modules.Host
	node    string
	cluster pve.Cluster
	want    config
}

// read returns a file in /etc/pve and its parsed content.
func (s *state) read(ctx context.Context, name string) (observe.File, config, error) {
	file, err := observe.Files.Observe(ctx, s.host, name)
	switch {
	case err != nil:
		return file, config{}, err
	case file.Exists() && file.Type != observe.Regular:
		return file, config{}, fmt.Errorf("%s on %s is a %s: expected a file", name, s.host.Name(), file.Type)
	case file.Truncated || len(file.Content) > mostText:
		return file, config{}, fmt.Errorf("%s on %s is larger than %d KiB: shorten it, with networks in place of addresses", name, s.host.Name(), mostText>>10)
	}
	return file, parseConfig(string(file.Content)), nil
}

// all plans the cluster's file.
func (s *state) all(ctx context.Context, was config) (modules.Plan, error) {
	addresses, err := s.addresses(ctx, was)
	if err != nil {
		return modules.Plan{}, err
	}
	s.keepNodes(addresses)
	file, _, err := s.read(ctx, clusterFile)
	if err != nil || s.same(file, was) {
		return modules.Plan{}, err
	}
	nodes := s.cluster.Online()
	if s.cluster.Name == "" {
		nodes = []string{s.node}
	}
	for _, name := range nodes {
		_, own, err := s.read(ctx, nodeFile(name))
		if err != nil {
			return modules.Plan{}, err
		}
		if err := s.open(ctx, name, filter{was, own}, filter{s.want, own}, addresses); err != nil {
			return modules.Plan{}, err
		}
	}
	plan, err := s.write(ctx, clusterFile, file, was, "set the cluster's firewall")
	if err != nil {
		return modules.Plan{}, err
	}
	s.guard(&plan, clusterFile, file)
	for _, name := range nodes {
		on, err := s.hostOf(ctx, name)
		if err != nil {
			return modules.Plan{}, err
		}
		proof := modules.Proof{Summary: "the firewall of " + name, Argv: []string{"sh", "-c", proven, "sh", clusterFile}, Limit: 20 * time.Second, Explain: lastWords}
		if on != s.host {
			proof.On = on
		}
		plan.Guard.Proofs = append(plan.Guard.Proofs, proof)
	}
	return plan, nil
}

// own plans the host's file.
func (s *state) own(ctx context.Context, cluster config) (modules.Plan, error) {
	name := nodeFile(s.node)
	file, was, err := s.read(ctx, name)
	if err != nil {
		return modules.Plan{}, err
	}
	var plan modules.Plan
	if !cluster.enabled() && s.want.options["enable"] == "1" {
		plan.Notes = append(plan.Notes, fmt.Sprintf("%s: nothing is filtered, because the firewall of the cluster is not enabled", s.node))
	}
	if s.same(file, was) {
		return plan, nil
	}
	if err := s.want.defines("node", cluster); err != nil {
		return plan, err
	}
	addresses, err := s.addresses(ctx, cluster)
	if err != nil {
		return plan, err
	}
	if err := s.open(ctx, s.node, filter{cluster, was}, filter{cluster, s.want}, addresses); err != nil {
		return plan, err
	}
	notes := plan.Notes
	if plan, err = s.write(ctx, name, file, was, "set the firewall of "+s.node); err != nil {
		return plan, err
	}
	plan.Notes = notes
	s.guard(&plan, name, file)
	plan.Guard.Proofs = []modules.Proof{{Summary: "the firewall of " + s.node, Argv: []string{"sh", "-c", proven, "sh", name}, Limit: 20 * time.Second, Explain: lastWords}}
	return plan, nil
}

// guest plans a guest's file. It cannot cut off a node, so it has no guard.
func (s *state) guest(ctx context.Context, cluster config) (modules.Plan, error) {
	name := guestFile(s.m.Guest.ID)
	observe.Files.Want(s.host, name)
	have, _, err := pve.FindGuest(ctx, s.host, s.m.Guest.ID)
	switch {
	case err != nil:
		return modules.Plan{}, err
	case !have.Exists && !s.m.absent():
		return modules.Plan{}, fmt.Errorf("guest.id: there is no guest %d: create it in an earlier task, with qm or pct", s.m.Guest.ID)
	}
	file, was, err := s.read(ctx, name)
	if err != nil {
		return modules.Plan{}, err
	}
	if err := s.want.defines("guest", cluster); err != nil {
		return modules.Plan{}, err
	}
	var notes []string
	if s.want.enabled() {
		filtered, cards := false, 0
		for key, value := range have.Options {
			if strings.HasPrefix(key, "net") && count.MatchString(key[3:]) {
				cards++
				filtered = filtered || slices.Contains(strings.Split(value, ","), "firewall=1")
			}
		}
		if cards > 0 && !filtered {
			notes = append(notes, fmt.Sprintf("%s: no network device has firewall=1, so nothing is filtered: set it with qm or pct", have.Label(s.m.Guest.ID)))
		}
		if !cluster.enabled() {
			notes = append(notes, fmt.Sprintf("%s: nothing is filtered, because the firewall of the cluster is not enabled", have.Label(s.m.Guest.ID)))
		}
	}
	if s.same(file, was) {
		return modules.Plan{Notes: notes}, nil
	}
	plan, err := s.write(ctx, name, file, was, "set the firewall of "+have.Label(s.m.Guest.ID))
	plan.Notes = notes
	return plan, err
}

// same reports whether a file is equivalent to the wanted one.
func (s *state) same(file observe.File, was config) bool {
	if s.m.absent() {
		return !file.Exists()
	}
	return file.Exists() && was.Text() == s.want.Text()
}

// write returns the plan that writes a file, or removes it.
func (s *state) write(ctx context.Context, name string, file observe.File, was config, summary string) (modules.Plan, error) {
	text := s.want.Text()
	if len(text) > mostText {
		return modules.Plan{}, fmt.Errorf("%s would have %d KiB, and the limit is %d: use networks in place of addresses", name, len(text)>>10, mostText>>10)
	}
	if err := pve.Writable(ctx, s.host); err != nil {
		return modules.Plan{}, err
	}
	if s.m.absent() {
		return modules.Plan{Steps: []modules.Step{{
			Summary: "remove " + strings.TrimPrefix(summary, "set "),
			Action:  modules.Remove{Path: name, Lossless: true}, // a copy is kept: see Spec.Vital
			Diff:    &modules.Diff{Subject: name, Before: string(file.Content)},
			Expect:  observe.Placed(s.host, name, observe.File{}),
			Wide:    true,
		}}}, nil
	}
	switch is, wanted := was.enabled(), s.want.enabled(); {
	case wanted && !is:
		summary += ", and enable it"
	case is && !wanted:
		summary += ", and disable it"
	}
	return modules.Plan{Steps: []modules.Step{{
		Summary: summary,
		Action:  modules.WriteFile{Path: name, Content: []byte(text)},
		Diff:    &modules.Diff{Subject: name, Before: string(file.Content), After: text},
		Expect:  observe.Placed(s.host, name, observe.File{Type: observe.Regular, Mode: 0o640, Owner: "root", Group: "www-data", Size: int64(len(text)), Content: []byte(text)}),
		Wide:    true,
	}}}, nil
}

// guard adds the guard, and a step that waits for the host's own daemon, so that the new connection is subject to the new
// rules.
func (s *state) guard(plan *modules.Plan, name string, file observe.File) {
	plan.Steps = append(plan.Steps, modules.Step{
		Summary: "wait until pve-firewall has loaded the rules",
		Action:  modules.Run{Argv: []string{"sh", "-c", loaded, "sh", name}, Limit: 2 * time.Minute, Explain: lastWords},
		Exact:   true,
	})
	there := "yes"
	if !file.Exists() {
		there = "no"
	}
	within := s.m.Rollback
	if within == 0 {
		within = 3 * time.Minute
	}
	plan.Guard = &modules.Guard{
		Within: within, Outlives: true,
		Undo: [][]string{{"sh", "-c", putBack, "sh", name, there, trimmed(string(file.Content)), trimmed(s.want.Text())}},
	}
}

func trimmed(text string) string { return strings.TrimRight(text, "\n") }

// addresses returns the addresses of each node of the cluster: those of corosync's links, those in every network in which
// several nodes have addresses, such as the networks for Ceph, migrations and administration, and host addresses, such as
// those of a routed mesh. For a node that is away, it returns the addresses in the set.
func (s *state) addresses(ctx context.Context, was config) (map[string][]netip.Addr, error) {
	of := map[string][]netip.Addr{}
	networks := map[string][]netip.Prefix{}
	hosts := map[string]modules.Host{}
	for _, name := range s.cluster.Names() {
		if on, err := pve.Listed(s.host, name); err == nil {
			hosts[name] = on
			observe.Networks.Want(on, "")
			pve.Nodes.Want(on, "")
		}
	}
	for _, name := range s.cluster.Names() {
		for _, text := range s.cluster.Members[name].Links {
			if a, err := netip.ParseAddr(text); err == nil {
				of[name] = append(of[name], a)
			}
		}
		if hosts[name] == nil {
			_, err := pve.Listed(s.host, name)
			return nil, fmt.Errorf("all nodes of the cluster must be in the inventory, because they must reach each other: %w", err)
		}
		network, err := observe.Networks.Observe(ctx, hosts[name], "")
		var away *remote.UnreachableError
		switch {
		case errors.As(err, &away) && ctx.Err() == nil:
			for _, e := range was.sets[nodesSet].entries {
				if p, err := parseNetwork(e.member); err == nil && e.comment == name {
					of[name] = append(of[name], p.Addr())
				}
			}
			// The networks that only one other node shares with it are still shared.
			for _, a := range of[name] {
				networks[name] = append(networks[name], netip.PrefixFrom(a, a.BitLen()))
			}
		case err != nil:
			return nil, err
		}
		for _, i := range network.Interfaces {
			for _, p := range i.Addresses {
				if p.Addr().IsGlobalUnicast() {
					networks[name] = append(networks[name], p)
				}
			}
		}
	}
	for name, own := range networks {
		for _, p := range own {
			if shared(p, name, networks) {
				of[name] = append(of[name], p.Addr())
			}
		}
	}
	for name, all := range of {
		slices.SortFunc(all, netip.Addr.Compare)
		of[name] = slices.Compact(all)
	}
	return of, nil
}

// shared reports whether another node has an address in the network, and no other node has the same one. The latter
// excludes networks such as that of Docker's bridge, which has the same address on every node. A host address (/32 or
// /128) is in no network: it is for the others, which have a route to it.
func shared(p netip.Prefix, node string, networks map[string][]netip.Prefix) bool {
	found := p.IsSingleIP()
	for name, others := range networks {
		for _, other := range others {
			if name == node || !p.Contains(other.Addr()) {
				continue
			}
			if other.Addr() == p.Addr() {
				return false
			}
			found = true
		}
	}
	return found
}

// keepNodes adds the set of the nodes' addresses, and the rules that let the nodes reach each other. These come first, so
// that no rule of the task precedes them.
func (s *state) keepNodes(addresses map[string][]netip.Addr) {
	set := ipset{comment: "the nodes, kept by hlplay"}
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		for _, a := range addresses[name] {
			set.entries = append(set.entries, entry{a.String(), name})
		}
	}
	if len(set.entries) == 0 { // the node is in no cluster
		return
	}
	s.want.sets[nodesSet] = set
	rules := []rule{{direction: "IN", action: "ACCEPT", source: "+" + nodesSet, comment: "the nodes, kept by hlplay"}}
	if out := s.want.options["policy_out"]; out != "" && out != "ACCEPT" {
		rules = append(rules, rule{direction: "OUT", action: "ACCEPT", dest: "+" + nodesSet, comment: "the nodes, kept by hlplay"})
	}
	s.want.rules = append(rules, s.want.rules...)
}

// needed lists the ports that the nodes of a cluster need from each other: SSH, the web interface, the first and the last
// of corosync's links, and Ceph's monitors and daemons.
var needed = []packet{
	{protocol: "tcp", port: 22}, {protocol: "tcp", port: 8006}, {protocol: "udp", port: 5405}, {protocol: "udp", port: 5412},
	{protocol: "tcp", port: 3300}, {protocol: "tcp", port: 6789}, {protocol: "tcp", port: 6800},
}

// open returns an error if a node would keep out hlplay or another node that it admits now.
func (s *state) open(ctx context.Context, node string, before, after filter, addresses map[string][]netip.Addr) error {
	on, err := s.hostOf(ctx, node)
	if err != nil {
		return err
	}
	over, err := session.Sessions.Observe(ctx, on, "")
	if err != nil {
		return err
	}
	worse := func(p packet) string {
		if before.drops(p) != "" { // it is admitted by something that does not count, or was cut off before
			return ""
		}
		return after.drops(p)
	}
	if over.Client.IsValid() && over.Port != 0 && !over.Client.IsLoopback() {
		if by := worse(packet{over.Client, "tcp", over.Port}); by != "" {
			return fmt.Errorf("the session to %s comes from %s to port %d, which %s would not let in: hlplay could not connect again. Add the address, or its network, to the IP set \"management\" of the cluster block", on.Name(), over.Client, over.Port, by)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		if name == node {
			continue
		}
		for _, a := range addresses[name] {
			for _, p := range needed {
				p.from = a
				if by := worse(p); by != "" {
					return fmt.Errorf("%s would keep out %s (%s), by %s: the nodes of a cluster must reach each other", node, name, p, by)
				}
			}
		}
	}
	return nil
}

// hostOf returns the host of a node.
func (s *state) hostOf(ctx context.Context, node string) (modules.Host, error) {
	if node == s.node {
		return s.host, nil
	}
	return pve.HostOf(ctx, s.host, node)
}

// lastWords returns why one of the following scripts failed.
func lastWords(_ int, _, stderr []byte) error {
	if text := pve.Complaint(stderr); text != "" {
		return fmt.Errorf("%s; see journalctl -u pve-firewall", text)
	}
	return nil
}

// status defines status, which succeeds if pve-firewall has loaded its files. A complaint about file $1 is an error. The
// firewall with nftables, which host.fw can select, also loads them within ten seconds, but does not report it. A host.fw that
// cannot be read has not said that it does not select it.
const status = `status() {
	said=$(pve-firewall status 2>&1) || { echo "$said" >&2; exit 1; }
	case $said in
	*"$1 (line "*) echo "$said" >&2; exit 1 ;;
	*/stopped*) echo "pve-firewall.service does not run" >&2; exit 1 ;;
	esac
	if [ -x /usr/libexec/proxmox/proxmox-firewall ]; then
		options=
		if [ -e /etc/pve/local/host.fw ]; then
			options=$(cat /etc/pve/local/host.fw) || exit 1
		elif [ ! -e /etc/pve/local ]; then
			echo "/etc/pve/local is missing: pve-cluster.service does not run" >&2
			exit 1
		fi
		if printf '%s\n' "$options" | grep -qi '^nftables: *1'; then sleep 12; return 0; fi
	fi
	case $said in *"pending changes"*) return 1 ;; esac
}
`

// loaded waits until pve-firewall has loaded file $1, which it does every ten seconds.
const loaded = status + `n=0
until status "$1"; do
	n=$((n + 1))
	[ $n -lt 30 ] || { echo "pve-firewall has not loaded $1 within a minute" >&2; exit 1; }
	sleep 2
done`

// proven succeeds if pve-firewall has loaded file $1 and the node is quorate.
const proven = status + `status "$1" || { echo "pve-firewall has not loaded $1 yet" >&2; exit 1; }
[ ! -e /etc/pve/corosync.conf ] || corosync-quorumtool -s | grep -q '^Quorate: *Yes' || { echo "no quorum" >&2; exit 1; }`

// putBack stops the firewall of the host, which then admits everybody, and restores file $1: with the content $3 if $2 is
// yes, and otherwise by removing it. It does nothing to a file whose content is no longer $4. Without a quorum the file
// cannot be written: the script tries for two minutes, and then leaves the firewall stopped, so that the nodes can form a
// quorum. It may be interrupted and run again.
const putBack = `f=$1 there=$2 old=$3 ours=$4
for u in pve-firewall proxmox-firewall; do
	case $(systemctl is-active $u 2>/dev/null) in
	inactive | failed | unknown) ;;
	*) systemctl stop $u ;; # also if systemd does not say
	esac
done
put() {
	if [ "$there" = yes ]; then
		printf '%s\n\n' "$old" >"$f.new" && mv "$f.new" "$f"
	else
		rm -f "$f"
	fi
}
n=0 code=0
while :; do
	now=
	if [ -e /etc/pve/local ] && { [ ! -e "$f" ] || now=$(cat "$f"); }; then
		if [ "$now" != "$ours" ]; then
			[ "$now" = "$old" ] || { echo "$f was changed by somebody else since: it is left as it is" >&2; code=1; }
			break
		fi
		! put || break
	fi
	n=$((n + 1))
	[ $n -lt 60 ] || { echo "$f cannot be written: the firewall of this host stays stopped (systemctl start pve-firewall)" >&2; exit 1; }
	sleep 2
done
for u in pve-firewall proxmox-firewall; do
	case $(LC_ALL=C systemctl is-enabled $u 2>&1) in
	disabled | masked* | linked* | not-found | *"No such file or directory") ;;
	*) systemctl start $u || code=1 ;; # also if systemd does not say
	esac
done
exit $code`
