package pveceph

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// OSDAbsent removes an OSD.
type OSDAbsent struct {
	ID       int           `hcl:"id" doc:"Number of the OSD."`
	FSID     string        `hcl:"fsid" doc:"The OSD's UUID, which ceph osd dump prints at the end of its line. A new OSD with the same number has another UUID, and is left alone."`
	Wipe     bool          `hcl:"wipe,optional" default:"false" doc:"Wipe its volume, so that its disk is blank afterwards. Leave it false for a disk that has failed."`
	Timeout  time.Duration `hcl:"timeout,optional" default:"12h" doc:"Maximum time to wait until its data is elsewhere."`
	MaxMoved string        `hcl:"max_moved,optional" doc:"How much of the data of its device class may move away, as a percentage. The default is 50%, but less than 1 GiB may always move."`
}

// pveceph destroys an OSD on the OSD's own node; other nodes have nothing to do.
func (o *OSDAbsent) scope() modules.Scope { return modules.EachHost }

var uuidForm = pattern.New(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func (o *OSDAbsent) validate() error {
	switch {
	case o.ID < 0:
		return &modules.ArgumentError{Argument: "osd_absent.id", Problem: strconv.Itoa(o.ID), Want: "expected 0 or more"}
	case !uuidForm.MatchString(o.FSID):
		return &modules.ArgumentError{Argument: "osd_absent.fsid", Problem: fmt.Sprintf("%q is not a UUID", o.FSID),
			Want: fmt.Sprintf("expected what ceph osd dump prints at the end of the line of osd.%d", o.ID)}
	case o.Timeout <= 0:
		return &modules.ArgumentError{Argument: "osd_absent.timeout", Problem: o.Timeout.String(), Want: "expected a positive duration"}
	case o.MaxMoved == "":
		return nil
	}
	_, err := percentage("osd_absent.max_moved", o.MaxMoved)
	return err
}

func (o *OSDAbsent) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := running(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	if o.Wipe {
		observe.Disks.Want(h, "")
	}
	observe.Units.Want(h, o.atBoot())
	ceph.Healths.Want(h, "")
	ceph.Distributions.Want(h, "")
	ceph.Pools.Want(h, "")
	ceph.CrushRules.Want(h, "")
	osds, err := s.osds(ctx)
	if err != nil {
		return modules.Plan{}, err
	}
	node, at := locate(osds, o.ID)
	switch {
	case at < 0:
		if err := o.elsewhere(ctx, s, osds); err != nil {
			return modules.Plan{}, err
		}
		steps, err := o.forget(ctx, h)
		return s.plan(steps...), err
	case osds[node][at].UUID != o.FSID:
		s.note("%s on %s is not the OSD to remove (its fsid is %s), and is kept", osd(o.ID), node, osds[node][at].UUID)
		return s.plan(), nil
	case node != s.node.Name:
		if !slices.ContainsFunc(h.Peers(), func(peer modules.Host) bool { return peer.Name() == node }) {
			return modules.Plan{}, fmt.Errorf("%s is on %s, which is not a host of the play: an OSD is removed on its own node", osd(o.ID), node)
		}
		return s.plan(), nil
	}
	if err := o.check(ctx, s, osds); err != nil {
		return modules.Plan{}, err
	}
	if err := s.writable(ctx); err != nil {
		return modules.Plan{}, err
	}
	return o.remove(ctx, s, osds[node], at)
}

// locate finds an OSD by its number. at is its index on the node, or -1 if there is none.
func locate(osds map[string][]ceph.OSD, id int) (node string, at int) {
	for name, list := range osds {
		if i := slices.IndexFunc(list, func(o ceph.OSD) bool { return o.ID == id }); i >= 0 {
			return name, i
		}
	}
	return "", -1
}

// elsewhere rejects the OSD if Ceph lists it on a host that is not one of members, the nodes of the cluster.
func (o *OSDAbsent) elsewhere(ctx context.Context, s *state, members map[string][]ceph.OSD) error {
	all, err := ceph.OSDMaps.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	all = maps.Clone(all)
	maps.DeleteFunc(all, func(node string, _ []ceph.OSD) bool { _, member := members[node]; return member })
	node, at := locate(all, o.ID)
	if at < 0 || all[node][at].UUID != o.FSID {
		return nil
	}
	return fmt.Errorf("%s is on %s, which is not a member of the cluster, so pveceph cannot destroy it: mark it out and, once its data is elsewhere (ceph osd safe-to-destroy %d), stop it and run ceph osd purge %d",
		osd(o.ID), orNone(node), o.ID, o.ID)
}

// check rejects a removal that would leave a pool without places for its copies, or that could never finish.
func (o *OSDAbsent) check(ctx context.Context, s *state, osds map[string][]ceph.OSD) error {
	pools, err := ceph.Pools.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	rules, err := ceph.CrushRules.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	health, err := ceph.Healths.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	rest := map[string][]ceph.OSD{}
	for node, list := range osds {
		rest[node] = slices.DeleteFunc(slices.Clone(list), func(one ceph.OSD) bool { return one.ID == o.ID || !one.Up })
	}
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		pool := pools[name]
		if pool.Erasure {
			continue
		}
		if err := fits(name, pool.Size, rules[pool.Rule], rest); err != nil {
			return fmt.Errorf("without %s, the OSDs that are up and in have no room for its copies: %w; add an OSD first", osd(o.ID), err)
		}
	}
	for _, flag := range []string{"norebalance", "nobackfill", "norecover", "pause"} {
		if slices.Contains(health.Flags, flag) {
			return fmt.Errorf("flag %s is set, so the data of %s would never move: %s; ceph osd unset %s", flag, osd(o.ID), flagMeaning[flag], flag)
		}
	}
	return o.room(ctx, s)
}

// room rejects a removal that would make the other OSDs nearly full.
func (o *OSDAbsent) room(ctx context.Context, s *state) error {
	d, err := ceph.Distributions.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	usage, share := d.Usages[d.Weights[o.ID].Class], d.Share(o.ID)
	left := float64(usage.Total) * (1 - share)
	if left <= 0 && usage.Used > 0 {
		return fmt.Errorf("%s is the last OSD of class %s that accepts data, and it contains data: add an OSD first", osd(o.ID), orNone(d.Weights[o.ID].Class))
	}
	if float64(usage.Used) > left*d.Nearfull {
		return fmt.Errorf("without %s the other OSDs of class %s would be %.0f %% full, and Ceph warns at %.0f %%: add an OSD first",
			osd(o.ID), orNone(d.Weights[o.ID].Class), 100*float64(usage.Used)/left, 100*d.Nearfull)
	}
	return nil
}

// leaves rejects a removal that moves more data than max_moved allows.
func (o *OSDAbsent) leaves(ctx context.Context, s *state, d ceph.Distribution) error {
	pools, err := ceph.Pools.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	class := d.Weights[o.ID].Class
	// What OSDs use includes their databases, so no more can move than what the pools hold.
	data := held(pools)
	if data >= 0 {
		data = min(data, classUsed(d, class))
	}
	moved := d.Share(o.ID)
	most, err := mostMoved("osd_absent.max_moved", o.MaxMoved, moved*float64(data))
	if err != nil {
		return err
	}
	if moved > most+1e-9 {
		return fmt.Errorf("about %s of the data of class %s%s would move away from %s, and osd_absent.max_moved is %s: lower its weight in steps first (weight), or raise the limit",
			percent(moved), orNone(class), inBytes(moved, classUsed(d, class)), osd(o.ID), percent(most))
	}
	return nil
}

// remove plans the removal of an OSD, resuming one that was interrupted at any point.
func (o *OSDAbsent) remove(ctx context.Context, s *state, here []ceph.OSD, at int) (modules.Plan, error) {
	d, err := ceph.Distributions.Observe(ctx, s.host, "")
	if err != nil {
		return modules.Plan{}, err
	}
	id, one := strconv.Itoa(o.ID), here[at]
	var steps []modules.Step
	if one.In {
		if err := o.leaves(ctx, s, d); err != nil {
			return modules.Plan{}, err
		}
		steps = append(steps, modules.Step{
			Risk:    modules.MovesData,
			Summary: fmt.Sprintf("take %s out: about %.0f %% of the data of class %s moves to other OSDs%s", osd(o.ID), 100*d.Share(o.ID), orNone(d.Weights[o.ID].Class), inBytes(d.Share(o.ID), classUsed(d, d.Weights[o.ID].Class))),
			Action:  cephCommand("osd", "out", id),
			Expect:  pve.Everywhere(s.host, ceph.Statuses.Unknown("", "the data of "+osd(o.ID)+" moves")),
			Wide:    true,
		})
	}
	steps = append(steps, modules.Step{Summary: fmt.Sprintf("wait until the data of %s is elsewhere, for at most %s", osd(o.ID), o.Timeout), Action: o.wait(), Wide: true})
	unit := ceph.DaemonUnit("osd", id)
	if one.Up || s.runs("osd", id) {
		steps = append(steps, modules.Step{
			Risk:    modules.Restarts,
			Summary: "stop " + unit,
			Action:  modules.Run{Argv: []string{"systemctl", "stop", unit}, Limit: 3 * time.Minute, Brief: true},
			Wide:    true,
		})
	}
	cleanup, what := "0", "destroy "+osd(o.ID)+"; what is on its disk stays"
	if o.Wipe {
		cleanup, what = "1", "destroy "+osd(o.ID)+" and wipe its volume"
	}
	destroy := pveceph(10*time.Minute, "osd", "destroy", id, "--cleanup", cleanup)
	destroy.Retry = append(destroy.Retry, "osd is still running (up == 1)") // the monitors learn a moment later that the OSD has stopped
	left := slices.Delete(slices.Clone(here), at, at+1)
	units := maps.Clone(s.units)
	delete(units, unit)
	expect := []observe.Expectation{ceph.Units.Expect("", units).On(s.host)}
	if o.Wipe {
		b, err := openBay(ctx, s.host, wiping{})
		if err != nil {
			return modules.Plan{}, err
		}
		expect = append(expect, observe.Disks.Expect("", b.wiped(one)).On(s.host))
	}
	steps = append(steps, modules.Step{
		Risk:    modules.Destroys,
		Summary: what,
		Action:  destroy,
		Expect:  append(pve.Everywhere(s.host, ceph.OSDs.Expect(s.node.Name, left), ceph.Distributions.Expect("", d.Without(o.ID))), expect...),
		Settle:  time.Minute,
		Await:   osd(o.ID) + " gone from the OSD map",
		Wide:    true,
	})
	forget, err := o.forget(ctx, s.host)
	if err != nil {
		return modules.Plan{}, err
	}
	return s.plan(append(steps, forget...)...), nil
}

// atBoot returns the name of the unit that activates the OSD's volume at boot.
func (o *OSDAbsent) atBoot() string {
	return fmt.Sprintf("ceph-volume@lvm-%d-%s.service", o.ID, o.FSID)
}

// forget disables the unit that activates the OSD's volume at boot, if it is enabled. ceph-volume enables it, but pveceph osd
// destroy disables only ceph-osd@N (PVE::API2::Ceph::OSD and PVE::Ceph::Services, pve-manager 9.2.11), and a boot
// would wait for the volume for minutes.
func (o *OSDAbsent) forget(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	name := o.atBoot()
	unit, err := observe.Units.Observe(ctx, h, name)
	if err != nil || unit.UnitFileState != "enabled" {
		return nil, err
	}
	unit.UnitFileState = "disabled"
	return []modules.Step{{
		Summary: fmt.Sprintf("disable %s, so that no boot waits for %s", name, osd(o.ID)),
		Action:  modules.Run{Argv: []string{"systemctl", "disable", name}, Limit: time.Minute, Brief: true},
		Expect:  []observe.Expectation{observe.Units.Expect(name, unit)},
	}}, nil
}

// wait waits until Ceph reports that nothing depends on the OSD any more.
func (o *OSDAbsent) wait() modules.Run {
	run := cephCommand("osd", "safe-to-destroy", strconv.Itoa(o.ID))
	run.Retry = []string{"pgs currently mapped to them", "not all PGs are active+clean"}
	run.Patience = o.Timeout
	run.Explain = func(exit int, stdout, stderr []byte) error {
		err := explain(exit, stdout, stderr)
		for _, text := range run.Retry {
			if err != nil && strings.Contains(err.Error(), text) {
				return errors.New("after " + o.Timeout.String() + " the data of " + osd(o.ID) + " is not elsewhere yet; the OSD is kept, but remains out: " + err.Error() + "; run again to continue waiting")
			}
		}
		return err
	}
	return run
}

// wiped returns the host's disks once the volume of an OSD is wiped. A device that only this OSD used is then blank.
func (b *bay) wiped(o ceph.OSD) []observe.BlockDevice {
	alone := &bay{host: b.host, node: b.node, osds: []ceph.OSD{o}}
	return observe.ChangeDevices(b.devices, func(d observe.BlockDevice) bool {
		_, own := alone.volumeOwner(d)
		return own && (d.Type == "disk" || d.Type == "part")
	}, func(d *observe.BlockDevice) { d.Filesystem, d.UUID, d.Children = "", "", nil })
}
