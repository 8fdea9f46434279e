// Package pveceph sets up Ceph on the nodes of a Proxmox VE cluster, one part at a time.
//
// What pveceph itself does is described in pveceph(1) and in PVE::CLI::pveceph. Several of its commands exit
// 0 when they failed, reset what exists already, or silently keep old values: so that state is observed
// before and after, and a command only runs where something is missing.
package pveceph

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// Module is one part of a Ceph cluster. Exactly one block is given.
type Module struct {
	Install *Install `hcl:"install,block" doc:"Ceph's packages, from Proxmox's repository, on each node."`
	Init    *Init    `hcl:"init,block" doc:"The cluster's configuration with its networks, once."`
	Link    *Link    `hcl:"link,block" doc:"/etc/ceph/ceph.conf, the link to the cluster's configuration, on each node."`
	Mon     *Mon     `hcl:"mon,block" doc:"A monitor on this node, one node after the other."`
	Mgr     *Mgr     `hcl:"mgr,block" doc:"A manager on this node."`
	MDS     *MDS     `hcl:"mds,block" doc:"A metadata server on this node, one node after the other."`
	Disks   *Disks   `hcl:"disks,block" doc:"A check: the disks exist and are blank, or carry OSDs of this cluster already."`
	OSD     *OSD     `hcl:"osd,block" doc:"An OSD on a blank disk of this node."`
	Rule    *Rule    `hcl:"rule,block" doc:"A replicated CRUSH rule, once."`
	Pool    *Pool    `hcl:"pool,block" doc:"A replicated pool, once."`
	FS      *FS      `hcl:"fs,block" doc:"A CephFS with its two pools, once."`
	Clean   *Clean   `hcl:"clean,block" doc:"A gate: wait until all placement groups are active and clean."`
}

// part is what each block is.
type part interface {
	validate() error
	scope() modules.Scope
	plan(ctx context.Context, h modules.Host) (modules.Plan, error)
}

// result is what the module registers.
type result struct {
	ID      cty.Value `cty:"id" doc:"Identity of what was made: a number for an OSD and a pool, a name for other daemons."`
	Address *string   `cty:"address" doc:"Address of the monitor."`
	Class   *string   `cty:"class" doc:"Device class of the OSD."`
	FSID    *string   `cty:"fsid" doc:"Identity of the Ceph cluster, with init."`
	PGs     *int      `cty:"pg_num" doc:"Placement groups of the pool."`
	State   *string   `cty:"state" doc:"State of the metadata server."`
	Version *string   `cty:"version" doc:"Version of Ceph, with install."`
}

// Spec describes the module.
var Spec = modules.Spec{
	Name:      "pveceph",
	Facts:     []observe.FactSpec{pve.CephFact},
	Packages:  pve.CephPackages,
	Rewritten: []string{"/etc/pve/ceph.conf", "/etc/ceph/ceph.conf"},
	Functions: functions,
	Summary:   "Ceph on Proxmox VE: packages, monitors, managers, OSDs, rules, pools, CephFS",
	Doc: `A task names exactly one part. Each is observed before anything runs, and again afterwards: the exit codes
of pveceph prove nothing.

- **install** writes Proxmox's Ceph source and installs without questions. It never changes the release of a Ceph
  that is installed.
- **init** runs only where there is no configuration. Networks that differ are refused: a second
  ` + "`pveceph init`" + ` would rewrite the networks of a running cluster, silently.
- **mon** and **mds** take turns, node by node; **mgr** need not. A daemon that exists and does not run is started.
- **osd** takes blank disks only. A disk that carries one of this cluster's OSDs is done; anything else
  on a disk is refused by name. Nothing is ever wiped.
- **pool** never runs ` + "`pool create`" + ` on a pool that exists, which would reset it; it sets what differs, the size
  together with min_size. It refuses min_size 1, more copies than there are places for them, and more placement groups than
  the OSDs may carry.
- **rule** compares the whole rule: a rule cannot be changed in place.
- **clean** judges by the states of the placement groups, not by health, which is late by a minute.

Nothing is destroyed by this module.`,
	Example: `task "packages" {
  pveceph {
    install {
      version = "squid"
    }
  }
}

task "a monitor" {
  pveceph {
    mon {
      address = "10.10.10.11"
    }
  }
}

task "an OSD" {
  pveceph {
    osd {
      device = "/dev/disk/by-id/ata-WDC_WD40EFZX_1"
      class  = "hdd"
    }
  }
}

task "a pool" {
  pveceph {
    pool {
      name     = "vm-disks"
      size     = 4
      min_size = 2
      pg_num   = 128
    }
  }
}
`,
	Result: result{},
	New:    func() modules.Module { return &Module{} },
}

// parts are the blocks that are given, by name.
func (m *Module) parts() map[string]part {
	all := map[string]part{}
	if m.Install != nil {
		all["install"] = m.Install
	}
	if m.Init != nil {
		all["init"] = m.Init
	}
	if m.Link != nil {
		all["link"] = m.Link
	}
	if m.Mon != nil {
		all["mon"] = m.Mon
	}
	if m.Mgr != nil {
		all["mgr"] = m.Mgr
	}
	if m.MDS != nil {
		all["mds"] = m.MDS
	}
	if m.Disks != nil {
		all["disks"] = m.Disks
	}
	if m.OSD != nil {
		all["osd"] = m.OSD
	}
	if m.Rule != nil {
		all["rule"] = m.Rule
	}
	if m.Pool != nil {
		all["pool"] = m.Pool
	}
	if m.FS != nil {
		all["fs"] = m.FS
	}
	if m.Clean != nil {
		all["clean"] = m.Clean
	}
	return all
}

// part is the one block that is given.
func (m *Module) part() (part, error) {
	all := m.parts()
	if len(all) == 1 {
		for _, p := range all {
			return p, nil
		}
	}
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	problem := "no block is given"
	if len(names) > 0 {
		problem = "several blocks are given: " + strings.Join(names, ", ")
	}
	return nil, &modules.ArgumentError{Argument: "pveceph", Problem: problem,
		Want: "exactly one of install, init, link, mon, mgr, mds, disks, osd, rule, pool, fs, clean"}
}

// Validate checks what needs no host.
func (m *Module) Validate() error {
	p, err := m.part()
	if err != nil {
		return err
	}
	return p.validate()
}

// Scope is that of the part.
func (m *Module) Scope() modules.Scope {
	p, err := m.part()
	if err != nil {
		return modules.EachHost
	}
	return p.scope()
}

// Plan is that of the part.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	p, err := m.part()
	if err != nil {
		return modules.Plan{}, err
	}
	return p.plan(ctx, h)
}

// site is what most parts start from.
type site struct {
	host  modules.Host
	node  pve.Node
	local pve.CephNode
	conf  pve.CephConf
	// units are the states of the units of the daemons on this node.
	units map[string]string
	notes []string
}

func (s *site) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

func (s *site) plan(steps ...modules.Step) modules.Plan {
	return modules.Plan{Steps: steps, Notes: s.notes}
}

// survey reads a node on which Ceph is installed and can be used.
func survey(ctx context.Context, h modules.Host) (*site, error) {
	pve.CephNodes.Want(h, "")
	pve.CephConfs.Want(h, "")
	pve.CephUnits.Want(h, "")
	node, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	local, err := pve.CephNodes.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	conf, err := pve.CephConfs.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	switch {
	case local.Installing:
		return nil, installing(h)
	case !local.Installed:
		return nil, fmt.Errorf("%s has no Ceph: a task with pveceph { install { … } } comes before", h.Name())
	case local.ForeignConf:
		return nil, fmt.Errorf("/etc/ceph/ceph.conf on %s is a file of its own and not the link to /etc/pve/ceph.conf: look at it, move it away, and run again", h.Name())
	}
	units, err := pve.CephUnits.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	return &site{host: h, node: node, local: local, conf: conf, units: units}, nil
}

// runs reports whether a daemon of this node runs, whatever Ceph's maps still say.
func (s *site) runs(kind, id string) bool { return s.units[pve.DaemonUnit(kind, id)] == "active" }

// started is what is observed of the units once those of daemons of this node run.
func (s *site) started(units ...string) observe.Expectation {
	return pve.CephUnits.Expect("", pve.WithUnits(s.units, units...)).On(s.host)
}

func installing(h modules.Host) error {
	return fmt.Errorf("/run/pve-ceph-install-flag exists on %s: pveceph install is running, or was killed; if no apt runs there, remove the file and run again", h.Name())
}

// running is survey for parts that need a cluster with a monitor.
func running(ctx context.Context, h modules.Host) (*site, error) {
	s, err := survey(ctx, h)
	if err == nil && (!s.conf.Initialised() || len(s.conf.MonHosts()) == 0) {
		err = fmt.Errorf("%s: %w", h.Name(), pve.ErrNoCeph)
	}
	return s, err
}

// members are the names of the nodes of the Proxmox VE cluster.
func (s *site) members(ctx context.Context) ([]string, error) {
	cluster, err := pve.Clusters.Observe(ctx, s.host, "")
	if err != nil {
		return nil, err
	}
	switch {
	case !cluster.Mounted:
		return nil, fmt.Errorf("the members of the cluster are not known: /etc/pve on %s is not mounted: start pve-cluster.service there (systemctl start pve-cluster.service), and run again", s.host.Name())
	case cluster.Name == "":
		return []string{s.node.Name}, nil
	}
	return cluster.Names(), nil
}

// writable refuses where /etc/pve cannot be written.
func (s *site) writable(ctx context.Context) error {
	cluster, err := pve.Clusters.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	if !cluster.Mounted || !cluster.Quorate {
		return fmt.Errorf("%s has no quorum: /etc/pve cannot be written (online: %s)", s.host.Name(), strings.Join(cluster.Online(), ", "))
	}
	return nil
}

// linkTarget is what /etc/ceph/ceph.conf points to on every node of a Ceph cluster of Proxmox VE.
const linkTarget = "/etc/pve/ceph.conf"

// linked is the node's local state with one more change, and the link that monitors, OSDs and init make.
func (s *site) linked(change func(*pve.CephNode)) observe.Expectation {
	local := s.local
	local.Conf = linkTarget
	if change != nil {
		change(&local)
	}
	return pve.CephNodes.Expect("", local).On(s.host)
}

// addressesIn are the host's addresses in a network.
func addressesIn(ctx context.Context, h modules.Host, network netip.Prefix) ([]string, error) {
	n, err := observe.Networks.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, i := range n.Interfaces {
		for _, prefix := range i.Addresses {
			if network.Contains(prefix.Addr()) {
				found = append(found, prefix.Addr().String())
			}
		}
	}
	return found, nil
}

// networks reads a list of networks as ceph.conf has them; each is masked, because they are stored as typed.
func networks(text string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			return nil, fmt.Errorf("%q is not a network such as 10.10.10.0/24", item)
		}
		all = append(all, prefix.Masked())
	}
	return all, nil
}

// pveceph runs one of its commands. Locks of other nodes are waited for.
func pveceph(limit time.Duration, args ...string) modules.Run {
	return modules.Run{
		Argv:     append([]string{"pveceph"}, args...),
		Dir:      "/root",
		Limit:    limit,
		Retry:    []string{"got lock request timeout", "can't lock file"},
		Patience: 2 * time.Minute,
		Explain:  explain,
	}
}

// explain turns a failure into pveceph's own words; its exit codes mean nothing.
func explain(exit int, _, stderr []byte) error {
	switch exit {
	case 124, 137, 143: // its limit, or somebody else, ended it
		return nil
	}
	var lines []string
	for line := range strings.Lines(string(stderr)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.Contains(line, "DNS SRV") { // printed on success, too
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return pve.Refused(strings.Join(lines, "; "))
}

// settleDaemon bounds how long a daemon may take until the cluster knows it. A manager loads some thirty Python modules
// first, which takes a busy machine more than a minute.
const settleDaemon = 3 * time.Minute

// startUnit starts a daemon that exists and does not run.
func (s *site) startUnit(unit, await string, expect []observe.Expectation) modules.Step {
	return modules.Step{
		Summary: "start " + unit,
		Action:  modules.Run{Argv: []string{"systemctl", "enable", "--now", unit}, Limit: 2 * time.Minute, Brief: true},
		Expect:  append(expect, s.started(unit)),
		Settle:  settleDaemon,
		Await:   await + " (journalctl -u " + unit + ")",
		Wide:    true,
	}
}
