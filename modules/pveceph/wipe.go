package pveceph

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/blank"
	"hlplay/modules/internal/ceph"
)

// wiping says what a playbook allows to be wiped: disks by serial number, and how many of them on a host.
type wiping struct {
	serials []string
	most    int
}

func (w wiping) validate(block string) error {
	for i, serial := range w.serials {
		if strings.TrimSpace(serial) != serial || serial == "" {
			return &modules.ArgumentError{Argument: block + ".wipe", Problem: fmt.Sprintf("%q is not a serial number", serial), Want: "expected one as printed by lsblk -o NAME,SERIAL"}
		}
		if slices.Contains(w.serials[:i], serial) {
			return &modules.ArgumentError{Argument: block + ".wipe", Problem: serial + " is given twice", Want: "expected each serial number once"}
		}
	}
	if w.most < 0 {
		return &modules.ArgumentError{Argument: block + ".max_wiped", Problem: fmt.Sprintf("%d is not a number of disks", w.most), Want: "expected 0 or more"}
	}
	return nil
}

// target returns a device as a target for wiping.
func (b *bay) target(name string, d observe.BlockDevice) blank.Target {
	return blank.Target{Name: name, Device: d, Serial: observe.Above(b.devices, d).Serial}
}

// wipeable returns nil if a device that is not blank may be wiped: it is not in use, carries no OSD of the cluster, and
// the playbook gives its serial number. Volumes of an OSD that the cluster does not know keep the disk open, and are
// removed with ceph-volume.
func (b *bay) wipeable(argument, name string, d observe.BlockDevice, wipe wiping) error {
	t := b.target(name, d)
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s on %s is not blank: %s; %s", argument, name, b.host.Name(), b.describe(d), fmt.Sprintf(format, args...))
	}
	if why := b.inUse(d); why != "" {
		return refuse("%s; name another disk", why)
	}
	if osd := b.foundIn(d); osd != "" {
		return refuse("%s is on it; name another disk", osd)
	}
	repeat := fmt.Sprintf("repeat its serial number, %s, in wipe", t.Serial)
	if t.Serial == "" {
		repeat = "wipe it by hand: it has no serial number to confirm with wipe"
	}
	switch covered := slices.Contains(wipe.serials, t.Serial) && t.Serial != ""; {
	case !covered && (carriesCeph(d) || b.namesVolumes(d)):
		return refuse("find out whose data this is (ceph-volume lvm list, on the node, shows the cluster and the OSD), or name another disk; only if nobody needs it, %s", repeat)
	case !covered:
		return refuse("name another disk or, to destroy what is on it, %s", repeat)
	}
	if doomed := b.doomed(wipe.serials); len(doomed) > wipe.most {
		return unfit("%s: on %s, wipe would wipe %d disks (%s), but max_wiped allows %d: name fewer disks, or raise it",
			argument, b.host.Name(), len(doomed), strings.Join(doomed, ", "), wipe.most)
	}
	return nil
}

// tally counts the disks of the given devices, which are to be wiped, or returns nil if there are none.
func (b *bay) tally(block string, wipe wiping, devices []observe.BlockDevice) *modules.Tally {
	if len(devices) == 0 {
		return nil
	}
	t := &modules.Tally{Of: "disks wiped for OSDs", Run: true}
	for _, d := range devices {
		t.Names = append(t.Names, fmt.Sprintf("%s of %s", b.target("", d).Serial, b.host.Name()))
	}
	t.Judge = func(names []string) (string, error) {
		if len(names) <= wipe.most {
			return "", nil
		}
		return "", unfit("%s.max_wiped: %d disks would be wiped in this run (%s), but %d may be, counted over all hosts and tasks: take serial numbers out of wipe, or raise it",
			block, len(names), strings.Join(names, ", "), wipe.most)
	}
	return t
}

// inUse says why a device that is not blank can never be wiped, or returns "".
func (b *bay) inUse(d observe.BlockDevice) string {
	var mounted, held []string
	ours := false
	d.Walk(func(below observe.BlockDevice) {
		mounted = append(mounted, below.Mountpoints...)
		if below.Name != d.Name && below.Type != "part" {
			held = append(held, below.Type+" "+below.Path)
		}
		_, owned := b.volumeOwner(below)
		ours = ours || owned
	})
	switch {
	case ours:
		return "an OSD of this cluster is on it"
	case d.HoldsSystem():
		return "it contains the system that the host boots and runs from"
	case len(mounted) > 0:
		return fmt.Sprintf("it is in use (%s)", strings.Join(mounted, ", "))
	case d.ReadOnly:
		return "it is read-only"
	case len(held) > 0 && !onlyCeph(d):
		return "it is in use by " + strings.Join(held, ", ")
	case serves(d, b.osds):
		return "it contains databases or logs of OSDs, possibly of this node"
	}
	return ""
}

// foundIn describes the OSD of another node of the cluster that a volume on the device is named after, or returns "".
func (b *bay) foundIn(d observe.BlockDevice) string {
	for name, osds := range b.elsewhere {
		if osd, found := (&bay{osds: osds}).volumeOwner(d); found {
			return fmt.Sprintf("osd.%d of %s", osd.ID, name)
		}
	}
	return ""
}

// onlyCeph reports whether a device is kept open only by volumes of ceph-volume directly on it.
func onlyCeph(d observe.BlockDevice) bool {
	for _, child := range d.Children {
		if child.Type == "part" || len(child.Children) > 0 || !strings.Contains(child.Path, "/ceph--") {
			return false
		}
	}
	return len(d.Children) > 0
}

// serves reports whether a device with databases or logs may belong to OSDs of the node. The names of such volumes do not
// say which OSD they belong to, so it returns true if there are OSDs on the node.
func serves(d observe.BlockDevice, osds []ceph.OSD) bool {
	shares := false
	d.Walk(func(below observe.BlockDevice) {
		shares = shares || strings.Contains(below.Path, "-osd--db--") || strings.Contains(below.Path, "-osd--wal--")
	})
	return shares && len(osds) > 0
}

// doomed returns the disks of the host that are not blank and have one of the serial numbers, and so will be wiped.
func (b *bay) doomed(serials []string) []string {
	var names []string
	for _, d := range b.devices {
		if slices.Contains(serials, d.Serial) && !d.Blank() && !b.holdsOurs(d) {
			names = append(names, stable(d))
		}
	}
	return names
}

// holdsOurs reports whether an OSD of the cluster is on the device or on a part of it.
func (b *bay) holdsOurs(d observe.BlockDevice) bool {
	ours := false
	d.Walk(func(below observe.BlockDevice) {
		_, owned := b.owner(below)
		ours = ours || owned
	})
	return ours
}

// wipe returns the step that wipes a device that may be wiped, and updates the bay's devices.
func (b *bay) wipe(name string, d observe.BlockDevice) modules.Step {
	what := b.describe(d)
	t := b.target(name, d)
	step, after := t.Wipe(b.devices)
	step.Summary = fmt.Sprintf("wipe %s (%s, serial %s): %s", name, d.Path, t.Serial, what)
	if onlyCeph(d) {
		step.Action = modules.Run{Argv: []string{"sh", "-c", zap, "sh", t.Path()}, Limit: 10 * time.Minute}
	}
	b.devices = after
	return step
}

// zap wipes a disk and the volumes that ceph-volume created on it. Without udevadm, udev's records would be stale, and
// pveceph would consider the disk in use.
const zap = `ceph-volume lvm zap --destroy -- "$1" && udevadm trigger --settle -- "$1"`
