package pveceph

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/internal/pve"
)

// Init is the configuration of a new Ceph cluster.
type Init struct {
	Network        string `hcl:"network" doc:"Public network in CIDR form, for monitors and clients. Separate several with commas; they must be routed to each other. It is hard to change later."`
	ClusterNetwork string `hcl:"cluster_network,optional" doc:"Network on which OSDs replicate. The default is the (first) public one."`
	Size           int    `hcl:"size,optional" default:"3" doc:"Default number of copies in a new pool, 2 to 7."`
	MinSize        int    `hcl:"min_size,optional" default:"2" doc:"Default number of copies that a new pool needs to accept I/O, at least 2."`
}

func (i *Init) scope() modules.Scope { return modules.OncePerCluster }

func (i *Init) validate() error {
	public, err := ceph.Networks(i.Network)
	if err != nil || len(public) == 0 {
		return &modules.ArgumentError{Argument: "init.network", Problem: fmt.Sprintf("%q is not a network", i.Network), Want: "expected an address and a prefix length, such as 10.10.10.0/24; several are separated by commas"}
	}
	for n, network := range public {
		switch {
		case slices.Contains(public[:n], network):
			return &modules.ArgumentError{Argument: "init.network", Problem: fmt.Sprintf("%s is given twice", network), Want: "expected each network once"}
		case network.Addr().Is4() != public[0].Addr().Is4():
			return &modules.ArgumentError{Argument: "init.network", Problem: "IPv4 and IPv6 networks are mixed", Want: "expected either IPv4 or IPv6: Ceph's daemons listen on only one of them"}
		}
	}
	if i.ClusterNetwork == "" {
		return sizes("init", i.Size, i.MinSize)
	}
	cluster, err := netip.ParsePrefix(i.ClusterNetwork)
	switch {
	case err != nil:
		return &modules.ArgumentError{Argument: "init.cluster_network", Problem: fmt.Sprintf("%q is not a network", i.ClusterNetwork), Want: "expected a single address and prefix length, such as 10.10.10.0/24: pveceph cannot create OSDs with several"}
	case cluster.Addr().Is4() != public[0].Addr().Is4():
		return &modules.ArgumentError{Argument: "init.cluster_network", Problem: "IPv4 and IPv6 networks are mixed", Want: "expected either IPv4 or IPv6: Ceph's daemons listen on only one of them"}
	}
	return sizes("init", i.Size, i.MinSize)
}

// sizes checks size and min_size together. With min_size 1 a single disk may hold the only copy of recent data.
func sizes(block string, size, minSize int) error {
	switch {
	case size < 2 || size > 7:
		return &modules.ArgumentError{Argument: block + ".size", Problem: strconv.Itoa(size), Want: "expected 2 to 7 copies"}
	case minSize < 2:
		return &modules.ArgumentError{Argument: block + ".min_size", Problem: fmt.Sprintf("%d risks data: a single disk could hold the only copy of what was just written", minSize), Want: "expected 2 or more"}
	case minSize > size:
		return &modules.ArgumentError{Argument: block + ".min_size", Problem: fmt.Sprintf("%d is more than size %d", minSize, size), Want: "expected at most size"}
	}
	return nil
}

// publicNetworks returns the public networks as given.
func (i *Init) publicNetworks() []string {
	return strings.FieldsFunc(i.Network, func(r rune) bool { return r == ',' || r == ' ' })
}

func (i *Init) clusterNetwork() string {
	if i.ClusterNetwork == "" {
		return i.publicNetworks()[0]
	}
	return i.ClusterNetwork
}

func (i *Init) mayRead(h modules.Host) { observe.Networks.Want(h, "") }

func (i *Init) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := survey(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	if s.conf.Sections["global"] != nil {
		return i.existing(ctx, s)
	}
	if err := s.writable(ctx); err != nil {
		return modules.Plan{}, err
	}
	for _, networks := range []string{i.Network, i.clusterNetwork()} {
		if found, err := addressesInAny(ctx, h, networks); err != nil {
			return modules.Plan{}, err
		} else if len(found) == 0 {
			return modules.Plan{}, fmt.Errorf("%s has no address in %s: Ceph's networks cannot be changed later, so correct the network or the host's interfaces first", h.Name(), networks)
		}
	}
	public := i.publicNetworks()
	args := []string{"init", "--network", public[0]}
	if i.ClusterNetwork != "" {
		args = append(args, "--cluster-network", i.ClusterNetwork)
	}
	args = append(args, "--size", strconv.Itoa(i.Size), "--min_size", strconv.Itoa(i.MinSize))
	run := pveceph(2*time.Minute, args...)
	if len(public) > 1 {
		run.Argv = append([]string{"sh", "-c", severalNetworks, "sh", linkTarget, strings.Join(public, ", ")}, run.Argv...)
	}
	if text := tight("", ceph.Pool{Size: i.Size, MinSize: i.MinSize}); text != "" {
		s.note("%s", text)
	}
	conf := ceph.Conf{Exists: true, Folder: true}
	for key, value := range map[string]string{
		"public_network": strings.Join(public, ", "), "cluster_network": i.clusterNetwork(),
		"osd_pool_default_size": strconv.Itoa(i.Size), "osd_pool_default_min_size": strconv.Itoa(i.MinSize),
	} {
		conf = conf.With("global", key, value)
	}
	return s.plan(modules.Step{
		Summary: fmt.Sprintf("initialise Ceph (public network %s, cluster network %s, size %d, min_size %d)", i.Network, i.clusterNetwork(), i.Size, i.MinSize),
		Action:  run,
		Expect:  append(pve.Everywhere(h, ceph.Confs.Expect("", conf)), s.linked(nil)),
		Settle:  10 * time.Second,
		Await:   "/etc/pve/ceph.conf",
		Wide:    true, Elsewhere: elsewhere,
	}), nil
}

// severalNetworks runs pveceph init, which takes only one public network, and then writes the list into ceph.conf, which
// pveceph and Ceph read (find_mon_ips in PVE::API2::Ceph::MON of pve-manager 8). Its arguments are the file, the list, and the
// command. The file is written beside and moved, because pmxcfs distributes each write.
const severalNetworks = `set -eu
conf=$1 networks=$2; shift 2
"$@"
sed "s|^\([[:space:]]*public_network[[:space:]]*=\).*|\1 $networks|" "$conf" >"$conf.hlplay"
mv -- "$conf.hlplay" "$conf"`

// existing compares an existing configuration. Public networks are added to it; nothing else is changed, because the monitors
// keep their addresses.
func (i *Init) existing(ctx context.Context, s *state) (modules.Plan, error) {
	public, cluster := s.conf.Global("public_network"), s.conf.Global("cluster_network")
	if cluster == "" {
		cluster = public
	}
	for _, pair := range []struct{ what, have, want string }{
		{"public", public, i.Network}, {"cluster", cluster, i.clusterNetwork()},
	} {
		same, err := sameNetworks(pair.have, pair.want)
		if err != nil {
			return modules.Plan{}, fmt.Errorf("/etc/pve/ceph.conf: %s network: %w", pair.what, err)
		}
		if !same {
			if sameCluster, err := sameNetworks(cluster, i.clusterNetwork()); pair.what == "public" && sameCluster && err == nil {
				steps, err := i.addNetworks(ctx, s)
				if err != nil || len(steps) > 0 {
					return s.plan(steps...), err
				}
			}
			return modules.Plan{}, fmt.Errorf("the %s network of Ceph is %q, the task says %q: it cannot be changed on an existing cluster, because its monitors would keep their old addresses; correct the task",
				pair.what, pair.have, pair.want)
		}
	}
	for key, want := range map[string]int{"osd_pool_default_size": i.Size, "osd_pool_default_min_size": i.MinSize} {
		if have := s.conf.Global(key); have != "" && have != strconv.Itoa(want) {
			s.note("%s is %s in ceph.conf, the task says %d; not changed, because each pool has its own setting", key, have, want)
		}
	}
	slices.Sort(s.notes)
	var plan modules.Plan
	if !s.conf.Folder {
		if err := s.writable(ctx); err != nil {
			return modules.Plan{}, err
		}
		after := s.conf
		after.Folder = true
		plan = s.plan(modules.Step{
			// Without --network, init does not change the networks.
			Summary: "create the missing /etc/pve/ceph",
			Action:  pveceph(2*time.Minute, "init"),
			Expect:  append(pve.Everywhere(s.host, ceph.Confs.Expect("", after)), s.linked(nil)),
			Wide:    true, Elsewhere: elsewhere,
		})
	} else {
		plan = s.plan()
	}
	fsid := s.conf.Global("fsid")
	plan.Data = modules.Data(result{FSID: &fsid})
	return plan, nil
}

// addNetworks returns the steps that set the public networks in ceph.conf, or none if it has none, or one that would be left
// out. Without cluster_network OSDs would replicate on all of them: it is set to the one on which they have done so.
func (i *Init) addNetworks(ctx context.Context, s *state) ([]modules.Step, error) {
	have, err := ceph.Networks(s.conf.Global("public_network"))
	if err != nil {
		return nil, fmt.Errorf("/etc/pve/ceph.conf: public network: %w", err)
	}
	want, err := ceph.Networks(i.Network)
	if err != nil {
		return nil, err
	}
	if len(have) == 0 || slices.ContainsFunc(have, func(network netip.Prefix) bool { return !slices.Contains(want, network) }) {
		return nil, nil
	}
	if err := s.writable(ctx); err != nil {
		return nil, err
	}
	before, err := observe.Files.Observe(ctx, s.host, linkTarget)
	if err != nil {
		return nil, err
	}
	list := strings.Join(i.publicNetworks(), ", ")
	text, conf := string(before.Content), s.conf
	set := func(key, value string) {
		text = conffile.EditLines(text, func(text string) string { return editConf(text, "global", key, value) })
		conf = conf.With("global", key, value)
	}
	set("public_network", list)
	if s.conf.Global("cluster_network") == "" {
		set("cluster_network", i.clusterNetwork())
	}
	steps, err := conffile.Write(ctx, s.host, linkTarget, text,
		fmt.Sprintf("add to Ceph's public networks: %s instead of %s; daemons read it when they start", list, s.conf.Global("public_network")))
	for n := range steps {
		steps[n].Wide = true
		steps[n].Expect = append(steps[n].Expect, pve.Everywhere(s.host, ceph.Confs.Expect("", conf))...)
	}
	return steps, err
}

// sameNetworks compares sets of networks. They are stored as typed, such as "10.10.10.11/24".
func sameNetworks(have, want string) (bool, error) {
	a, err := ceph.Networks(have)
	if err != nil {
		return false, err
	}
	b, err := ceph.Networks(want)
	if err != nil {
		return false, err
	}
	if len(a) != len(b) {
		return false, nil
	}
	for _, network := range a {
		if !slices.Contains(b, network) {
			return false, nil
		}
	}
	return true, nil
}

// Link is the node's link to the cluster's configuration.
type Link struct{}

func (l *Link) scope() modules.Scope { return modules.EachHost }
func (l *Link) validate() error      { return nil }

func (l *Link) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := survey(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	return s.plan(s.link()...), nil
}

// link creates /etc/ceph/ceph.conf, which managers and metadata servers read but their create commands do not create.
func (s *state) link() []modules.Step {
	if s.local.Conf == linkTarget {
		return nil
	}
	return []modules.Step{{
		Summary: "link /etc/ceph/ceph.conf to " + linkTarget,
		Action:  modules.Link{Path: "/etc/ceph/ceph.conf", Target: linkTarget},
		Diff:    &modules.Diff{Subject: "/etc/ceph/ceph.conf", Before: s.local.Conf, After: linkTarget},
		Expect:  append(on(s.host, placedLink(s.host)), s.linked(nil)),
	}}
}
