// Package pveceph sets up Ceph on the nodes of a Proxmox VE cluster, one part at a time.
//
// pveceph(1) and PVE::CLI::pveceph describe what pveceph itself does. Some of its commands exit with 0 when they failed,
// reset what exists already, or silently keep old values. The module therefore observes the state before and after, and runs
// a command only if something is missing.
package pveceph

import (
	"context"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// Module is one part of a Ceph cluster. Exactly one block is set.
type Module struct {
	Release   *ReleaseCheck `hcl:"release,block" doc:"A check: the release of Ceph is installed, or offered by the Proxmox VE that the host has or will get."`
	Install   *Install      `hcl:"install,block" doc:"Ceph's packages, from Proxmox's repository, on each node."`
	Init      *Init         `hcl:"init,block" doc:"The cluster's configuration with its networks, once."`
	Link      *Link         `hcl:"link,block" doc:"/etc/ceph/ceph.conf, the link to the cluster's configuration, on each node."`
	Mon       *Mon          `hcl:"mon,block" doc:"A monitor on this node, one node at a time."`
	Mgr       *Mgr          `hcl:"mgr,block" doc:"A manager on this node."`
	MDS       *MDS          `hcl:"mds,block" doc:"A metadata server on this node, one node at a time."`
	Disks     *Disks        `hcl:"disks,block" doc:"A check: the disks exist, and are blank, already carry OSDs of this cluster, or may be wiped."`
	OSD       *OSD          `hcl:"osd,block" doc:"An OSD on a disk of this node."`
	Rule      *Rule         `hcl:"rule,block" doc:"A replicated CRUSH rule, once."`
	Pool      *Pool         `hcl:"pool,block" doc:"A replicated pool, once."`
	FS        *FS           `hcl:"fs,block" doc:"A CephFS with its two pools, once."`
	Clean     *Clean        `hcl:"clean,block" doc:"A gate: wait until all placement groups are active and clean."`
	Health    *Health       `hcl:"health,block" doc:"A gate: wait until Ceph has no problems other than the allowed ones."`
	Flags     *Flags        `hcl:"flags,block" doc:"Flags of the OSD map, such as noout."`
	OSDAbsent *OSDAbsent    `hcl:"osd_absent,block" doc:"Remove an OSD once its data is elsewhere."`
	Weight    *Weight       `hcl:"weight,block" doc:"How much data an OSD gets."`
	Reweight  *Reweight     `hcl:"reweight,block" doc:"Move data off OSDs that hold too much, as Ceph's own dry run proposes."`
	Crush     *Crush        `hcl:"crush,block" doc:"The whole CRUSH map, from text, once."`
	Conf      *Conf         `hcl:"conf,block" doc:"Settings in the cluster's ceph.conf, once."`
}

// part is implemented by each block.
type part interface {
	validate() error
	scope() modules.Scope
	plan(ctx context.Context, h modules.Host) (modules.Plan, error)
}

// result is the registered result.
type result struct {
	ID      cty.Value `cty:"id" doc:"ID of what was created: a number for an OSD or a pool, a name for other daemons."`
	Address *string   `cty:"address" doc:"Address of the monitor."`
	Class   *string   `cty:"class" doc:"Device class of the OSD."`
	FSID    *string   `cty:"fsid" doc:"ID of the Ceph cluster, with init."`
	PGs     *int      `cty:"pg_num" doc:"Placement groups of the pool."`
	Health  *string   `cty:"health" doc:"HEALTH_OK, HEALTH_WARN or HEALTH_ERR, with health."`
	State   *string   `cty:"state" doc:"State of the metadata server."`
	Version *string   `cty:"version" doc:"Version of Ceph, with install."`
}

// Spec describes the module.
var Spec = modules.Spec{
	Name:      "pveceph",
	Facts:     []observe.FactSpec{ceph.Fact},
	Packages:  ceph.Packages,
	Rewritten: []string{"/etc/pve/ceph.conf", "/etc/ceph/ceph.conf"},
	Objects:   []modules.Object{crushObject},
	Functions: functions,
	Summary:   "Ceph on Proxmox VE: packages, monitors, managers, OSDs, rules, pools, CephFS",
	Doc: `A task has exactly one block. The state is read before anything is done, and again afterwards, because the exit codes of pveceph
cannot be trusted.

- **release** is a check for the beginning of a playbook, before Proxmox VE is installed. It refuses a release of Ceph that the Proxmox VE for the
  host's Debian does not offer.
- **install** writes Proxmox's Ceph repository and installs the packages without asking questions. It never changes the release of
  an installed Ceph.
- **init** runs only if there is no configuration yet. Public networks can be added. Other differences are refused, because a second
  ` + "`pveceph init`" + ` would silently rewrite the networks of a running cluster.
- **mon** and **mds** run on one node at a time, **mgr** on all nodes in parallel. An existing daemon that is not running is started.
- **osd** needs a blank disk. A disk that already carries one of this cluster's OSDs is left alone. Anything else on the disk is
  refused, and the error names it, unless ` + "`wipe`" + ` repeats the disk's serial number. The disk is then wiped first (with --allow all), unless it is in
  use; the run wipes no more than ` + "`max_wiped`" + ` disks in all. The plan shows how much data will move to the new OSD, and more than max_moved is refused.
- **pool** never runs ` + "`pool create`" + ` for an existing pool, which would reset it. It sets only what differs, size together with
  min_size. It refuses a min_size of 1, more copies than there are places for, and more placement groups than the OSDs can carry, and
  warns if the loss of one OSD or one host could stop the pool, naming a better rule. Pools whose names begin with a dot are
  Ceph's own (.mgr): the task waits for them and never creates them. The plan shows how much data a change can move, in percent and
  GiB, and more than max_moved is refused.
- **rule** compares the whole rule, because a rule cannot be changed in place. A rule with per_domain above 1 is added to the CRUSH map itself. The
  new map is first tested with crushtool, and set only if nobody has changed the map meanwhile; the old one is kept in /var/backups.
- **clean** waits for the states of the placement groups, not for Ceph's health, which lags by a minute.
- **health** is a gate for everything else: failing health checks, OSDs that are down or out, flags, nodes in maintenance mode. It
  waits for temporary problems, and fails at once if an administrator has set something. **clean** reports the same
  in notes, and never fails because of it.
- **flags** sets and unsets the named flags, and leaves others alone.
- **osd_absent** takes an OSD out, waits until its data is elsewhere, stops it and destroys it. It can be repeated: the fsid distinguishes the
  OSD from a new one with the same number. The unit that activates its volume at boot, which pveceph leaves enabled, is disabled. The task is refused
  if the copies of a pool would have no place, if the other OSDs would be nearly full, if a flag keeps the data from moving, or if more than max_moved would move.
- **weight** changes an OSD's weight in the CRUSH map, its override, or both. The plan shows how much data moves, and more than
  max_moved is refused. So is a CRUSH weight that looks like a share, because that weight is a capacity.
- **reweight** makes a dry run of Ceph's reweight-by-utilization or reweight-by-pg, shows the result, and sets the proposed overrides. Each run takes
  one limited step. Nothing is done while data is moving, while the balancer is on, above max_moved, or if the placement groups
  would not be distributed better.
- **crush** sets the whole CRUSH map from text in crushtool's language. It compares the meaning, so comments, order and rounded
  weights make no difference, and weights stay exact where crushtool's text has lost digits. Before the map is set, crushtool compiles it on the node and
  tests every rule with every pool that uses it, on the present map and on the new one. The plan shows how many copies of which pools move. A map is refused
  if it moves more than max_moved, or if a pool would find too few OSDs. A text that lacks an OSD of the cluster, or names one that no longer exists, is
  outdated and refused. If somebody changes the map after it was read, the task fails and sets nothing, because the text would undo that
  change. The old map is kept in /var/backups and in the run's journal: ` + "`hlplay restore RUN crushmap`" + ` sets it again. Rules and weights of other tasks
  must agree with the text. To add a rule, or to change only a weight or a device class, prefer the other blocks.
- **conf** sets the named settings in a section of /etc/pve/ceph.conf and keeps the rest. Daemons read the file when they start.

This module destroys nothing else.`,
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

// parts returns the blocks that are set, by name.
func (m *Module) parts() map[string]part {
	all := map[string]part{}
	given(all, "release", m.Release)
	given(all, "install", m.Install)
	given(all, "init", m.Init)
	given(all, "link", m.Link)
	given(all, "mon", m.Mon)
	given(all, "mgr", m.Mgr)
	given(all, "mds", m.MDS)
	given(all, "disks", m.Disks)
	given(all, "osd", m.OSD)
	given(all, "rule", m.Rule)
	given(all, "pool", m.Pool)
	given(all, "fs", m.FS)
	given(all, "clean", m.Clean)
	given(all, "health", m.Health)
	given(all, "flags", m.Flags)
	given(all, "osd_absent", m.OSDAbsent)
	given(all, "weight", m.Weight)
	given(all, "reweight", m.Reweight)
	given(all, "crush", m.Crush)
	given(all, "conf", m.Conf)
	return all
}

// given adds a block that is not nil.
func given[T any, P interface {
	*T
	part
}](all map[string]part, name string, block P) {
	if block != nil {
		all[name] = block
	}
}

// part returns the one block that is set.
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
		Want: "exactly one of release, install, init, link, mon, mgr, mds, disks, osd, rule, pool, fs, clean, health, flags, osd_absent, weight, reweight, crush, conf"}
}

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	p, err := m.part()
	if err != nil {
		return err
	}
	return p.validate()
}

// Scope implements modules.Scoped.
func (m *Module) Scope() modules.Scope {
	p, err := m.part()
	if err != nil {
		return modules.EachHost
	}
	return p.scope()
}

// OnlyReads reports whether the part only waits or checks.
func (m *Module) OnlyReads() bool {
	p, err := m.part()
	if err != nil {
		return false
	}
	reader, ok := p.(interface{ onlyReads() bool })
	return ok && reader.onlyReads()
}

// MayRead implements modules.Forecaster.
func (m *Module) MayRead(h modules.Host) {
	p, err := m.part()
	if err != nil {
		return
	}
	if m.Install != nil {
		m.Install.want(h)
		return
	}
	if f, ok := p.(interface{ mayRead(modules.Host) }); ok {
		wantSurvey(h)
		pve.Clusters.Want(h, "")
		f.mayRead(h)
	}
}

// Plan plans the part.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	p, err := m.part()
	if err != nil {
		return modules.Plan{}, err
	}
	return p.plan(ctx, h)
}
