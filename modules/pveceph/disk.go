package pveceph

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/blank"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// bay holds the disks and the OSDs of a node.
type bay struct {
	host    modules.Host
	node    string
	devices []observe.BlockDevice
	osds    []ceph.OSD
	// elsewhere holds the OSDs of the cluster's other nodes. They are read only if something may be wiped.
	elsewhere map[string][]ceph.OSD
}

// wantBay announces what openBay reads.
func wantBay(h modules.Host) {
	observe.Disks.Want(h, "")
	ceph.OSDs.Want(h, h.Name())
}

// openBay reads the bay, even on a host without Ceph.
func openBay(ctx context.Context, h modules.Host, wipe wiping) (*bay, error) {
	wantBay(h)
	node, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	ceph.OSDs.Want(h, node.Name)
	devices, err := observe.Disks.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	osds, err := ceph.OSDs.Observe(ctx, h, node.Name)
	if err != nil {
		return nil, err
	}
	b := &bay{host: h, node: node.Name, devices: devices, osds: osds}
	if len(wipe.serials) == 0 {
		return b, nil
	}
	cluster, err := pve.Clusters.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(cluster.Members)), func(name string) bool { return name == node.Name })
	b.elsewhere, err = ceph.OSDs.ObserveAll(ctx, h, others)
	return b, err
}

// find returns the device with the given name.
func (b *bay) find(argument, name string) (observe.BlockDevice, error) {
	d, ok := observe.FindDevice(b.devices, name)
	if !ok {
		var names []string
		for _, top := range b.devices {
			top.Walk(func(d observe.BlockDevice) {
				switch {
				case d.Blank():
					names = append(names, stable(d)+" (blank)")
				case d.Name == top.Name:
					names = append(names, fmt.Sprintf("%s (%s)", stable(d), b.describe(d)))
				}
			})
		}
		return d, fmt.Errorf("%s: %s has no device %s; it has: %s", argument, b.host.Name(), name, orNone(strings.Join(names, ", ")))
	}
	switch {
	case d.Type != "disk" && d.Type != "part":
		return d, fmt.Errorf("%s: %s on %s is a %s, but Ceph on Proxmox VE uses only disks and partitions", argument, name, b.host.Name(), d.Type)
	case d.Volume() != "":
		return d, fmt.Errorf("%s: %s on %s is not a disk of the host, but a device whose data is kept elsewhere, or not at all (%s): name a disk or a partition", argument, name, b.host.Name(), d.Volume())
	}
	return d, nil
}

// stable returns a persistent name of a device.
func stable(d observe.BlockDevice) string {
	if len(d.Links) > 0 {
		return d.Links[0]
	}
	return d.Path
}

// owner returns the OSD of this cluster whose data is on the device. The name of the logical volume proves it, because it
// contains the OSD's UUID. If the name says nothing (an old or foreign layout), owner relies on what the daemon reported,
// provided that the device carries something of Ceph's.
func (b *bay) owner(d observe.BlockDevice) (ceph.OSD, bool) {
	if osd, found := b.volumeOwner(d); found {
		return osd, true
	}
	if !carriesCeph(d) {
		return ceph.OSD{}, false
	}
	for _, osd := range b.osds {
		if slices.Contains(osd.Devices, d.Name) && !b.namesVolumes(d) {
			return osd, true
		}
	}
	return ceph.OSD{}, false
}

// volumeOwner returns the OSD that a volume on the device is named after. Volumes on partitions belong to the partitions.
func (b *bay) volumeOwner(d observe.BlockDevice) (ceph.OSD, bool) {
	for _, osd := range b.osds {
		// device-mapper doubles the hyphens in the name of a volume.
		volume := "osd--block--" + strings.ReplaceAll(osd.UUID, "-", "--")
		if osd.UUID != "" && (strings.HasSuffix(d.Path, volume) || strings.HasSuffix(d.Name, volume)) {
			return osd, true
		}
	}
	for _, child := range d.Children {
		if child.Type == "part" {
			continue
		}
		if osd, found := b.volumeOwner(child); found {
			return osd, true
		}
	}
	return ceph.OSD{}, false
}

// namesVolumes reports whether the device has a volume named after an OSD, so that the name decides.
func (b *bay) namesVolumes(d observe.BlockDevice) bool {
	named := false
	d.Walk(func(below observe.BlockDevice) { named = named || strings.Contains(below.Path, "-osd--block--") })
	return named
}

// carriesCeph reports whether anything on the device looks like an OSD's data.
func carriesCeph(d observe.BlockDevice) bool {
	carries := false
	d.Walk(func(below observe.BlockDevice) {
		carries = carries || below.Filesystem == "ceph_bluestore" || strings.Contains(below.Path, "/ceph--") ||
			below.Filesystem == "LVM2_member" && below.Name == d.Name
	})
	return carries
}

// describe says what is on a device.
func (b *bay) describe(d observe.BlockDevice) string {
	if osd, ours := b.owner(d); ours {
		return fmt.Sprintf("osd.%d", osd.ID)
	}
	var parts []string
	known := false
	d.Walk(func(below observe.BlockDevice) {
		_, ours := b.volumeOwner(below)
		known = known || ours
	})
	if b.namesVolumes(d) && !known {
		parts = append(parts, "an OSD that this cluster does not know")
	}
	d.Walk(func(below observe.BlockDevice) {
		var what []string
		if osd, ours := b.volumeOwner(below); ours && below.Type == "part" {
			what = append(what, fmt.Sprintf("osd.%d", osd.ID))
		}
		switch {
		case below.Type == "part" && below.PartitionType != "" && below.Filesystem == "" && !below.Blank():
			what = append(what, below.Use())
		case below.Type != "part" && below.PartitionTable != "":
			what = append(what, below.PartitionTable+" partition table")
		}
		if below.Filesystem != "" {
			what = append(what, below.Filesystem)
		}
		if len(below.Mountpoints) > 0 {
			what = append(what, "mounted at "+strings.Join(below.Mountpoints, ", "))
		}
		if below.ReadOnly {
			what = append(what, "read-only")
		}
		if below.Name != d.Name {
			what = append([]string{below.Type + " " + below.Path}, what...)
		}
		if len(what) > 0 {
			parts = append(parts, strings.Join(what, " "))
		}
	})
	if len(parts) == 0 {
		return d.Use()
	}
	return strings.Join(parts, "; ")
}

// usable returns the OSD that a device already carries, or nil if the device is blank or may be wiped. Any other device is
// an error.
func (b *bay) usable(argument, name string, wipe wiping) (observe.BlockDevice, *ceph.OSD, error) {
	d, err := b.find(argument, name)
	if err != nil {
		return d, nil, err
	}
	if osd, ours := b.owner(d); ours {
		return d, &osd, nil
	}
	if !d.Blank() {
		return d, nil, b.wipeable(argument, name, d, wipe)
	}
	for _, osd := range b.osds {
		if osd.ID >= 0 && slices.Contains(osd.Devices, d.Name) {
			return d, nil, fmt.Errorf("%s: %s on %s is blank, but osd.%d last ran on %s: the disk was replaced, or the names have changed; destroy osd.%d, or start it on its disk, first",
				argument, name, b.host.Name(), osd.ID, d.Name, osd.ID)
		}
	}
	return d, nil, nil
}

// Disks checks devices before anything is done to them.
type Disks struct {
	Devices  []string `hcl:"devices" doc:"Paths of the disks, preferably by-id. Each must be blank, carry an OSD of this cluster, or be listed in wipe."`
	Wipe     []string `hcl:"wipe,optional" doc:"Serial numbers of disks that are not blank and may be wiped, as in the tasks that create OSDs."`
	MaxWiped int      `hcl:"max_wiped,optional" default:"1" doc:"Maximum number of disks that the run may wipe for OSDs, on all hosts together."`
}

func (d *Disks) scope() modules.Scope { return modules.EachHost }

func (d *Disks) onlyReads() bool { return true }

func (d *Disks) validate() error {
	seen := map[string]bool{}
	for _, device := range d.Devices {
		if err := blank.CheckDevice("disks.devices", device); err != nil {
			return err
		}
		if seen[device] {
			return &modules.ArgumentError{Argument: "disks.devices", Problem: device + " is given twice", Want: "expected each device once"}
		}
		seen[device] = true
	}
	return d.wiping().validate("disks")
}

func (d *Disks) wiping() wiping { return wiping{d.Wipe, d.MaxWiped} }

func (d *Disks) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if len(d.Devices) == 0 {
		return modules.Plan{}, nil
	}
	b, err := openBay(ctx, h, d.wiping())
	if err != nil {
		return modules.Plan{}, err
	}
	var problems, notes []string
	var wiped []observe.BlockDevice
	real := map[string]string{}
	for _, name := range d.Devices {
		device, osd, err := b.usable("disks.devices", name, d.wiping())
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		if osd == nil && !device.Blank() {
			wiped = append(wiped, device)
		}
		if other, twice := real[device.Name]; twice {
			problems = append(problems, fmt.Sprintf("disks.devices: %s and %s are the same disk of %s", other, name, h.Name()))
		}
		real[device.Name] = name
		if better := stable(device); !strings.HasPrefix(name, "/dev/disk/") && better != device.Path {
			notes = append(notes, fmt.Sprintf("%s may refer to another disk after the next boot; %s always refers to this one", name, better))
		}
	}
	if len(problems) > 0 {
		slices.Sort(problems)
		return modules.Plan{}, fmt.Errorf("%s", strings.Join(problems, "\n"))
	}
	return modules.Plan{Notes: notes, Tally: b.tally("disks", d.wiping(), wiped)}, nil
}
