package pveceph

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/blank"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// OSD is an OSD on a disk of a node.
type OSD struct {
	Device    string   `hcl:"device" doc:"The disk or partition, preferably its by-id path. It must be blank, or listed in wipe."`
	Class     string   `hcl:"class,optional" doc:"Device class (hdd, ssd, nvme, …). By default Ceph chooses it."`
	DBDevice  string   `hcl:"db_device,optional" doc:"A faster device for the database: blank, or already used for databases."`
	DBSize    *float64 `hcl:"db_size,optional" doc:"Size of the database in GiB, at least 1. The default is a tenth of the OSD."`
	WALDevice string   `hcl:"wal_device,optional" doc:"A faster device for the write-ahead log. Not needed with db_device."`
	Encrypted bool     `hcl:"encrypted,optional" default:"false" doc:"Encrypt the OSD with dm-crypt. The monitors keep the keys."`
	Wipe      []string `hcl:"wipe,optional" doc:"Serial numbers of disks that are wiped if they are not blank. A disk that is in use, or that holds the system or an OSD of this cluster, is never wiped."`
	MaxWiped  int      `hcl:"max_wiped,optional" default:"1" doc:"Maximum number of disks that the run may wipe for OSDs, on all hosts together: a task that would exceed it wipes none."`
	MaxMoved  string   `hcl:"max_moved,optional" doc:"How much of the data of its device class may move to a new OSD, as a percentage. The default is 50%, but less than 1 GiB may always move."`
}

func (o *OSD) wiping() wiping { return wiping{o.Wipe, o.MaxWiped} }

// On one host OSDs are created one after another, as items of a task; hosts work in parallel.
func (o *OSD) scope() modules.Scope { return modules.EachHost }

func (o *OSD) validate() error {
	if err := o.wiping().validate("osd"); err != nil {
		return err
	}
	seen := map[string]string{}
	for _, pair := range [][2]string{{"osd.device", o.Device}, {"osd.db_device", o.DBDevice}, {"osd.wal_device", o.WALDevice}} {
		if pair[1] == "" && pair[0] != "osd.device" {
			continue
		}
		if err := blank.CheckDevice(pair[0], pair[1]); err != nil {
			return err
		}
		if other, twice := seen[pair[1]]; twice {
			return &modules.ArgumentError{Argument: pair[0], Problem: "the same device as " + other, Want: "expected a different device for each purpose"}
		}
		seen[pair[1]] = pair[0]
	}
	if o.Class != "" {
		if err := ceph.CheckDeviceClass("osd.class", o.Class); err != nil {
			return err
		}
	}
	if o.MaxMoved != "" {
		if _, err := percentage("osd.max_moved", o.MaxMoved); err != nil {
			return err
		}
	}
	if o.DBSize != nil && (*o.DBSize < 1 || o.DBDevice == "") {
		return &modules.ArgumentError{Argument: "osd.db_size", Problem: "needs db_device, and must be at least 1 GiB", Want: "expected a size in GiB together with db_device"}
	}
	return nil
}

func (o *OSD) mayRead(h modules.Host) {
	wantBay(h)
	observe.Networks.Want(h, "")
	ceph.Holdings.Want(h, "")
}

func (o *OSD) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := running(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	b, err := openBay(ctx, h, o.wiping())
	if err != nil {
		return modules.Plan{}, err
	}
	device, osd, err := b.usable("osd.device", o.Device, o.wiping())
	if err != nil {
		return modules.Plan{}, err
	}
	if osd != nil {
		return o.existing(s, b, device, *osd), nil
	}
	if err := o.checkNetwork(ctx, s); err != nil {
		return modules.Plan{}, err
	}
	var steps []modules.Step
	var wiped []observe.BlockDevice
	used := []observe.BlockDevice{device}
	if !device.Blank() {
		steps, wiped = append(steps, b.wipe(o.Device, device)), append(wiped, device)
	}
	for _, pair := range [][2]string{{"osd.db_device", o.DBDevice}, {"osd.wal_device", o.WALDevice}} {
		if pair[1] == "" {
			continue
		}
		shared, toWipe, err := b.sharable(pair[0], pair[1], device, o.wiping())
		if err != nil {
			return modules.Plan{}, err
		}
		if toWipe {
			steps, wiped = append(steps, b.wipe(pair[1], shared)), append(wiped, shared)
		}
		used = append(used, shared)
	}
	gain, err := o.gains(ctx, s, device)
	if err != nil {
		return modules.Plan{}, err
	}
	plan := s.plan(append(steps, o.create(s, b, used, gain))...)
	plan.Tally = b.tally("osd", o.wiping(), wiped)
	return plan, nil
}

// existing checks an existing OSD.
func (o *OSD) existing(s *state, b *bay, device observe.BlockDevice, osd ceph.OSD) modules.Plan {
	id := cty.UnknownVal(cty.Number)
	if osd.ID >= 0 {
		id = cty.NumberIntVal(int64(osd.ID))
	}
	if o.Class != "" && osd.Class != o.Class && osd.Up {
		s.note("osd.%d has class %s, the task says %s; not changed, because data would move: ceph osd crush rm-device-class osd.%d, then ceph osd crush set-device-class %s osd.%d",
			osd.ID, orNone(osd.Class), o.Class, osd.ID, o.Class, osd.ID)
	}
	if !osd.In && osd.Up {
		s.note("osd.%d is out, so it gets no data; bring it back with ceph osd in %d", osd.ID, osd.ID)
	}
	if serial := b.target(o.Device, device).Serial; serial != "" && slices.Contains(o.Wipe, serial) {
		s.note("osd.device: wipe names the disk of an OSD, %s; remove it from the task, so that nothing is wiped once the OSD is gone", serial)
	}
	var steps []modules.Step
	// A predicted OSD has no number yet, and is running.
	if !osd.Up || osd.ID >= 0 && !s.runs("osd", strconv.Itoa(osd.ID)) {
		up := slices.Clone(b.osds)
		for i := range up {
			if up[i].ID == osd.ID {
				up[i].Up, up[i].In = true, true
			}
		}
		unit := ceph.DaemonUnit("osd", strconv.Itoa(osd.ID))
		steps = append(steps, modules.Step{
			Summary: fmt.Sprintf("start osd.%d, which is down", osd.ID),
			Action:  modules.Run{Argv: []string{"systemctl", "start", unit}, Limit: 2 * time.Minute, Brief: true},
			Expect:  append(pve.Everywhere(s.host, ceph.OSDs.Expect(b.node, up)), s.started(unit)),
			Settle:  settleOSD,
			Await:   fmt.Sprintf("osd.%d up (journalctl -u %s)", osd.ID, unit),
			Until:   ceph.OSDUp(osd.ID),
			Wide:    true,
		})
	}
	plan := s.plan(steps...)
	plan.Data = modules.Data(result{ID: id, Class: &osd.Class})
	return plan
}

// settleOSD limits how long a new OSD may take to be up: it formats, starts, and peers.
const settleOSD = 90 * time.Second

// sharable returns a database or log device, which must be blank, serve OSDs already, or be allowed to be wiped.
func (b *bay) sharable(argument, name string, data observe.BlockDevice, wipe wiping) (found observe.BlockDevice, toWipe bool, err error) {
	d, err := b.find(argument, name)
	if err != nil {
		return d, false, err
	}
	if d.Name == data.Name {
		return d, false, fmt.Errorf("%s: %s is the OSD's own disk %s", argument, name, data.Path)
	}
	volumes, others := 0, 0
	for _, child := range d.Children {
		if strings.Contains(child.Path, "/ceph--") && !strings.Contains(child.Path, "-osd--block--") {
			volumes++
		} else {
			others++
		}
	}
	// A prediction knows neither the volumes nor the UUID that LVM will create.
	predicted := d.Filesystem == "LVM2_member" && d.UUID == "" && len(d.Children) == 0
	if d.Blank() || predicted || volumes > 0 && others == 0 {
		return d, false, nil
	}
	return d, true, b.wipeable(argument, name, d, wipe)
}

// checkNetwork rejects a node without an address for replication, on which no OSD can be created.
func (o *OSD) checkNetwork(ctx context.Context, s *state) error {
	which := "cluster_network"
	text := s.conf.Global(which)
	if text == "" {
		which = "public_network"
		text = s.conf.Global(which)
	}
	all, err := ceph.Networks(text)
	switch {
	case err != nil:
		return fmt.Errorf("/etc/pve/ceph.conf: %s: %w", which, err)
	case len(all) == 0:
		return nil
	case len(all) > 1: // pveceph passes the value to ip(8) as one network (PVE::API2::Ceph::OSD, pve-manager 8)
		return fmt.Errorf("/etc/pve/ceph.conf: %s has several networks, %s, with which pveceph cannot create an OSD: set cluster_network to the one on which OSDs replicate", which, text)
	}
	found, err := addressesInAny(ctx, s.host, text)
	if err != nil || len(found) > 0 {
		return err
	}
	return fmt.Errorf("%s has no address in Ceph's %s %s: give its interface one first", s.host.Name(), which, text)
}

// gains says which share of the data of its class moves to the new OSD, and rejects more than max_moved allows.
// It returns "" if there is no data yet, or if check mode cannot know.
func (o *OSD) gains(ctx context.Context, s *state, device observe.BlockDevice) (string, error) {
	is, err := ceph.ObserveHolding(ctx, s.host)
	if err != nil {
		return "", knowable(err)
	}
	d, pools := is.Distribution, is.Pools
	holds := false
	for _, pool := range pools {
		holds = holds || pool.Stored != 0
	}
	class := o.class(device)
	_, counted := d.Usages[class]
	if !holds || !counted {
		return "", nil
	}
	// Ceph gives a new OSD the weight of its capacity in TiB (osd_crush_initial_weight).
	weight := float64(device.Size) / (1 << 40)
	total := weight
	for _, w := range d.Weights {
		if w.Class == class {
			total += w.Crush * w.Reweight
		}
	}
	moved := weight / total
	// What OSDs use includes their databases, even if they hold no data, so no more can move than what the pools hold.
	data := held(pools)
	if data >= 0 {
		data = min(data, classUsed(d, class))
	}
	most, err := mostMoved("osd.max_moved", o.MaxMoved, moved*float64(data))
	if err != nil {
		return "", err
	}
	if moved > most+1e-9 {
		return "", fmt.Errorf("about %s of the data of class %s%s would move to a new OSD on %s, and osd.max_moved is %s: raise the limit",
			percent(moved), class, inBytes(moved, classUsed(d, class)), o.Device, percent(most))
	}
	return fmt.Sprintf("; about %s of the data of class %s moves to it%s", percent(moved), class, inBytes(moved, classUsed(d, class))), nil
}

// knowable returns nil for what check mode cannot know, and other errors as they are.
func knowable(err error) error {
	if observe.IsUnknown(err) {
		return nil
	}
	return err
}

// create creates the OSD. used lists its disk and the devices for its database and log.
// gain says how much data moves to it.
func (o *OSD) create(s *state, b *bay, used []observe.BlockDevice, gain string) modules.Step {
	device := used[0]
	args := []string{"osd", "create", o.Device}
	if o.Class != "" {
		args = append(args, "--crush-device-class", o.Class)
	}
	if o.DBDevice != "" {
		args = append(args, "--db_dev", o.DBDevice)
	}
	if o.DBSize != nil {
		args = append(args, "--db_dev_size", strconv.FormatFloat(*o.DBSize, 'f', -1, 64))
	}
	if o.WALDevice != "" {
		args = append(args, "--wal_dev", o.WALDevice)
	}
	if o.Encrypted {
		args = append(args, "--encrypted", "1")
	}
	what := o.Class
	if what == "" {
		what = "device class chosen by Ceph"
	}
	osds := append(slices.Clone(b.osds), ceph.OSD{ID: -1, Up: true, In: true, Class: o.class(device), Devices: []string{device.Name}})
	expect := append(pve.Everywhere(s.host, ceph.OSDs.Expect(b.node, osds)), s.linked(nil))
	return modules.Step{
		Risk:    modules.MovesData,
		Summary: fmt.Sprintf("create an OSD on %s (%s, %s, %s)%s", o.Device, device.Path, size(device.Size), what, gain),
		Action:  pveceph(10*time.Minute, args...),
		Expect:  append(expect, observe.Disks.Expect("", b.taken(used)).On(s.host)),
		Settle:  settleOSD,
		Await:   "the new OSD on " + device.Path + " up and in",
		Until:   ceph.OSDServes(b.node, observe.Above(b.devices, device)),
		Wide:    true, Elsewhere: elsewhereOfOSD(b.node),
	}
}

// class returns the device class that the OSD will have. By default Ceph uses hdd for rotating disks and ssd for all others,
// including NVMe (KernelDevice::collect_metadata of Ceph).
func (o *OSD) class(d observe.BlockDevice) string {
	switch {
	case o.Class != "":
		return o.Class
	case d.Rotational:
		return "hdd"
	}
	return "ssd"
}

// taken returns the host's disks once an OSD is on the used ones, whose volumes are then unknown.
func (b *bay) taken(used []observe.BlockDevice) []observe.BlockDevice {
	return observe.ChangeDevices(b.devices, func(d observe.BlockDevice) bool {
		return slices.ContainsFunc(used, func(u observe.BlockDevice) bool { return u.Name == d.Name })
	}, func(d *observe.BlockDevice) { d.Filesystem, d.UUID, d.Children = "LVM2_member", "", nil })
}

// size formats a disk's size in the units of its label.
func size(bytes int64) string {
	switch {
	case bytes >= 1e12:
		return fmt.Sprintf("%.1f TB", float64(bytes)/1e12)
	case bytes >= 1e9:
		return fmt.Sprintf("%.0f GB", float64(bytes)/1e9)
	}
	return fmt.Sprintf("%d bytes", bytes)
}
