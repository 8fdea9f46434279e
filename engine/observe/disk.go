package observe

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/remote"
)

// BlockDevice is a block device as reported by lsblk(8), including what it contains.
type BlockDevice struct {
	// Name is the kernel's name ("sdb", "dm-3") and Path the device node ("/dev/sdb", "/dev/mapper/…").
	Name, Path string
	// Type is "disk", "part", "lvm", "crypt", "raid1", "mpath", "rom", "loop", ….
	Type string
	// Size is in bytes.
	Size int64
	// Model, Serial and WWN are empty if the device does not report them.
	Model, Serial, WWN string
	// Rotational is true for spinning disks, ReadOnly for devices that cannot be written to.
	Rotational, ReadOnly, Removable bool
	// Filesystem is the signature found on the whole device: "ext4", "LVM2_member", "zfs_member", "linux_raid_member",
	// …; empty if there is none.
	Filesystem string
	// UUID is the UUID of the signature, as used to mount file systems; empty if there is none.
	UUID string
	// PartitionTable is "gpt" or "dos", or empty if there is none. For a partition it is the type of the table that
	// contains it.
	PartitionTable string
	// PartitionType is the type of a partition in its table: a GUID, or a code such as "0x83". It is empty for other
	// devices.
	PartitionType string
	// PartitionName is the name of a partition in its table; only GPT has names.
	PartitionName string
	Mountpoints   []string
	// Children holds the partitions of the device and the volumes that hold it open.
	Children []BlockDevice
	// Links holds the stable names of the device below /dev/disk (by-id first, then by-partlabel, by-partuuid and
	// by-path) and those of an array below /dev/md.
	Links []string
}

// reserved describes, by type, the partitions that are in use even without a signature.
var reserved = map[string]string{
	"21686148-6449-6e6f-744e-656564454649": "BIOS boot",
	"c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system",
	"9e1a2d38-c612-4316-aa26-8b49521e5a8b": "PowerPC PReP boot",
	"e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
	"0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "swap",
	"0x5":                                  "extended partition",
	"0xf":                                  "extended partition",
	"0x85":                                 "extended partition",
	"0x82":                                 "swap",
	"0xef":                                 "EFI system",
}

// Use returns what the device is used for, in a word or two. It is empty only for a blank device. Otherwise it is the
// kind of a device that is not one of the host's own disks (see Volume), the file system or other signature,
// "partitions", what a partition is reserved for, the type of the device's first child, "mounted" or "read-only".
func (d BlockDevice) Use() string {
	switch {
	case d.Volume() != "":
		return d.Volume()
	case d.Filesystem != "":
		return d.Filesystem
	case d.PartitionTable != "" && d.Type != "part":
		return "partitions"
	case reserved[strings.ToLower(d.PartitionType)] != "":
		return reserved[strings.ToLower(d.PartitionType)]
	case len(d.Children) > 0:
		if d.Children[0].Type == "part" {
			return "partitions"
		}
		return d.Children[0].Type
	case len(d.Mountpoints) > 0:
		return "mounted"
	case d.ReadOnly:
		return "read-only"
	}
	return ""
}

// volumes lists, by kernel name, the block devices that lsblk calls disks but that are not disks of the host: their
// data is kept elsewhere, or they are gone after the next boot.
var volumes = []struct {
	names *regexp.Regexp
	what  string
}{
	{regexp.MustCompile(`^zd\d`), "ZFS volume"},
	{regexp.MustCompile(`^rbd\d`), "RBD image"},
	{regexp.MustCompile(`^drbd\d`), "DRBD device"},
	{regexp.MustCompile(`^(nbd|rnbd)\d`), "network block device"},
	{regexp.MustCompile(`^ublkb\d`), "ublk device"},
	{regexp.MustCompile(`^etherd!`), "network block device"},
	{regexp.MustCompile(`^bcache\d`), "bcache device"},
	{regexp.MustCompile(`^dm-\d`), "device-mapper volume"},
	{regexp.MustCompile(`^md[_\d]`), "RAID"},
	{regexp.MustCompile(`^(z?ram|nullb)\d`), "RAM disk"},
	{regexp.MustCompile(`^(sr|scd)\d`), "optical drive"},
	{regexp.MustCompile(`^fd\d`), "floppy"},
	{regexp.MustCompile(`^mmcblk\d+(boot\d|rpmb|gp\d)`), "firmware partition"},
	{regexp.MustCompile(`^(mtdblock|ubiblock)\d`), "flash of the firmware"},
}

// Volume describes a device that lsblk calls a disk but that is not a disk of the host, or a partition on such a
// device. It is empty for all others.
func (d BlockDevice) Volume() string {
	if d.Type != "disk" && d.Type != "part" {
		return ""
	}
	for _, v := range volumes {
		if v.names.MatchString(d.Name) {
			return v.what
		}
	}
	return ""
}

// Blank reports whether nothing was found on the device and nothing uses it.
func (d BlockDevice) Blank() bool { return d.Use() == "" }

// HoldsSystem reports whether the host boots or runs from the device or from something on it: a system directory is
// mounted from it, it is used for swap, or the firmware boots from one of its partitions.
func (d BlockDevice) HoldsSystem() bool {
	holds := false
	d.Walk(func(d BlockDevice) {
		for _, at := range d.Mountpoints {
			holds = holds || at == "[SWAP]" || IsSystemDirectory(at)
		}
		use := reserved[strings.ToLower(d.PartitionType)]
		holds = holds || d.Type == "part" && (use == "BIOS boot" || use == "EFI system" || use == "PowerPC PReP boot")
	})
	return holds
}

// IsSystemDirectory reports whether the host cannot run without the directory at path.
func IsSystemDirectory(path string) bool { return slices.Contains(systemDirectories, path) }

var systemDirectories = []string{"/", "/boot", "/boot/efi", "/boot/firmware", "/efi", "/etc", "/usr", "/var"}

// Above returns the device that contains the partition d, or d itself if it is not a partition.
func Above(devices []BlockDevice, d BlockDevice) BlockDevice {
	if d.Type != "part" {
		return d
	}
	above := d
	for _, top := range devices {
		top.Walk(func(parent BlockDevice) {
			if slices.ContainsFunc(parent.Children, func(child BlockDevice) bool { return child.Name == d.Name }) {
				above = parent
			}
		})
	}
	return above
}

// ChangeDevices returns a copy of devices in which change was applied to every matching device, at any depth. It does
// not modify devices.
func ChangeDevices(devices []BlockDevice, match func(BlockDevice) bool, change func(*BlockDevice)) []BlockDevice {
	all := slices.Clone(devices)
	for i := range all {
		if match(all[i]) {
			change(&all[i])
		}
		all[i].Children = ChangeDevices(all[i].Children, match, change)
	}
	return all
}

// ByID returns the links in /dev/disk/by-id that name the device itself. It omits links named after what is written on
// the device: they disappear when the device is wiped, and can lead to any device with a copy of the data.
func (d BlockDevice) ByID() []string {
	return slices.DeleteFunc(slices.Clone(d.Links), func(link string) bool {
		name, ok := strings.CutPrefix(link, byID)
		return !ok || strings.HasPrefix(name, pvLink)
	})
}

// Walk calls fn for the device and for every device below it.
func (d BlockDevice) Walk(fn func(BlockDevice)) {
	fn(d)
	for _, child := range d.Children {
		child.Walk(fn)
	}
}

// FindDevice returns the device with the given path ("/dev/sdb", "/dev/mapper/vg-lv", "/dev/vg/lv"), kernel name, link, or
// name of a link in /dev/disk/by-id.
func FindDevice(devices []BlockDevice, name string) (BlockDevice, bool) {
	var found BlockDevice
	var ok bool
	for _, d := range devices {
		d.Walk(func(d BlockDevice) {
			if ok {
				return
			}
			if name == d.Path || name == d.Name || name == "/dev/"+d.Name ||
				slices.Contains(d.Links, name) || slices.Contains(d.Links, byID+name) || d.called(name) {
				found, ok = d, true
			}
		})
	}
	return found, ok
}

const (
	byID = "/dev/disk/by-id/"
	// pvLink is the prefix of the name of a link in byID to an LVM physical volume. The UUID follows.
	pvLink = "lvm-pv-uuid-"
)

// Disks observes the block devices of a host, under the empty name. The top level holds the disks, sorted by name.
// Floppy drives, loop devices, RAM disks, optical drives and devices without a medium are omitted.
var Disks = &Kind[[]BlockDevice]{
	Complete: completeDevices,
	Name:     "disks", What: "the disks",
	Ask: func([]string) []remote.Query {
		return []remote.Query{
			// Not simply -O: lsblk would look up many columns that nobody reads, and the columns differ between
			// releases.
			{Script: `LC_ALL=C lsblk -J -b -o NAME,KNAME,PATH,TYPE,SIZE,MODEL,SERIAL,WWN,ROTA,RO,RM,FSTYPE,UUID,PTTYPE,PARTTYPE,PARTLABEL,MOUNTPOINTS`},
			{Script: `(for _f in /dev/disk/by-id/* /dev/disk/by-partlabel/* /dev/disk/by-partuuid/* /dev/disk/by-path/* /dev/md/*; do if [ -L "$_f" ]; then printf '%s\0' "$_f"; readlink -z -- "$_f" || printf '\0'; fi; done; exit 0)`},
		}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, []BlockDevice, error)) {
		var disks []BlockDevice
		err := fmt.Errorf("lsblk: %s: %s", remote.Ending(answers[0].Exit), LastLine(answers[0].Stderr))
		// lsblk(8): 64 means that some of the devices were found; if there are none, it prints nothing.
		if exit := answers[0].Exit; exit == 0 || exit == 64 {
			disks, err = parseDisks(answers[0].Stdout, parseDeviceLinks(answers[1].Stdout))
		}
		for _, name := range names {
			tell(name, disks, err)
		}
	},
}

// parseDeviceLinks parses pairs of a link and its target and returns the sorted links by kernel name.
func parseDeviceLinks(out []byte) map[string][]string {
	links := map[string][]string{}
	pairs := nulTerminated(out)
	for len(pairs) >= 2 {
		device := path.Base(pairs[1])
		links[device] = append(links[device], pairs[0])
		pairs = pairs[2:]
	}
	for _, l := range links {
		slices.Sort(l)
	}
	return links
}

// completeDevices fills in what cannot be known beforehand. For a device that is to become an LVM physical volume, this
// is the UUID, which is generated at that time, its logical volumes, and the partition type, which only some tools
// change. For logical volumes it is the kernel's names and the physical volumes that they are on. For an array it is
// the size, because the array reserves part of its members for itself, and any names that udev adds to the expected
// ones.
func completeDevices(expected, found []BlockDevice) []BlockDevice {
	return completeBelow(expected, found, sameVolumes(logicalVolumes(expected), logicalVolumes(found)))
}

// completeBelow is completeDevices for the devices at one level. sameVolumes reports whether the whole tree has the
// same logical volumes.
func completeBelow(expected, found []BlockDevice, sameVolumes bool) []BlockDevice {
	all := slices.Clone(expected)
	for i, e := range all {
		at := slices.IndexFunc(found, func(f BlockDevice) bool { return f.Name == e.Name })
		switch {
		case at < 0:
		case e.Filesystem == "LVM2_member" && (len(e.Children) == 0 || sameVolumes):
			all[i].Children = found[at].Children
		default:
			all[i].Children = completeBelow(e.Children, found[at].Children, sameVolumes)
		}
		if at >= 0 && e.Filesystem == "LVM2_member" && e.UUID == "" {
			all[i].UUID, all[i].PartitionType = found[at].UUID, found[at].PartitionType
			if named := byID + pvLink + found[at].UUID; slices.Contains(found[at].Links, named) && !slices.Contains(e.Links, named) {
				all[i].Links = append(slices.Clone(e.Links), named)
				slices.Sort(all[i].Links)
			}
		}
		if at >= 0 && strings.HasPrefix(e.Type, "raid") && e.Type == found[at].Type {
			all[i].Size = found[at].Size
			if !slices.ContainsFunc(e.Links, func(link string) bool { return !slices.Contains(found[at].Links, link) }) {
				all[i].Links = found[at].Links
			}
		}
	}
	return all
}

// lsblkDevice is one object of lsblk -J. Older releases print numbers and booleans as strings.
type lsblkDevice struct {
	Name        string        `json:"name"`
	KName       string        `json:"kname"`
	Path        string        `json:"path"`
	Type        string        `json:"type"`
	Size        loose         `json:"size"`
	Model       string        `json:"model"`
	Serial      string        `json:"serial"`
	WWN         string        `json:"wwn"`
	Rota        loose         `json:"rota"`
	RO          loose         `json:"ro"`
	RM          loose         `json:"rm"`
	FSType      string        `json:"fstype"`
	UUID        string        `json:"uuid"`
	PTType      string        `json:"pttype"`
	PartType    string        `json:"parttype"`
	PartLabel   string        `json:"partlabel"`
	Mountpoints []string      `json:"mountpoints"`
	Mountpoint  string        `json:"mountpoint"`
	Children    []lsblkDevice `json:"children"`
}

// loose is a JSON number, boolean or string, as text. null is empty.
type loose string

func (l *loose) UnmarshalJSON(b []byte) error {
	if s := string(b); s != "null" {
		*l = loose(strings.Trim(s, `"`))
	}
	return nil
}

func (l loose) truth() bool { return l == "1" || l == "true" }

func parseDisks(out []byte, links map[string][]string) ([]BlockDevice, error) {
	if len(out) == 0 {
		return nil, nil
	}
	var all struct {
		Blockdevices []lsblkDevice `json:"blockdevices"`
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, fmt.Errorf("lsblk printed what is not its JSON: %w", err)
	}
	var disks []BlockDevice
	for _, raw := range all.Blockdevices {
		switch {
		case raw.Type == "loop", raw.Type == "rom", strings.HasPrefix(raw.KName, "zram"),
			strings.HasPrefix(raw.KName, "ram"), strings.HasPrefix(raw.KName, "fd"):
			continue
		}
		d, err := raw.device(links)
		if err != nil {
			return nil, err
		}
		if d.Size == 0 { // a drive without a medium, or an nbd device without a server
			continue
		}
		disks = append(disks, d)
	}
	slices.SortStableFunc(disks, func(a, b BlockDevice) int { return strings.Compare(a.Name, b.Name) })
	return disks, nil
}

func (raw lsblkDevice) device(links map[string][]string) (BlockDevice, error) {
	d := BlockDevice{
		Name: raw.KName, Path: raw.Path, Type: raw.Type,
		Model: strings.TrimSpace(raw.Model), Serial: strings.TrimSpace(raw.Serial), WWN: raw.WWN,
		Rotational: raw.Rota.truth(), ReadOnly: raw.RO.truth(), Removable: raw.RM.truth(),
		Filesystem: raw.FSType, UUID: raw.UUID, PartitionTable: raw.PTType, PartitionType: raw.PartType, PartitionName: raw.PartLabel,
	}
	if d.Name == "" {
		d.Name = raw.Name
	}
	if d.Path == "" {
		d.Path = "/dev/" + d.Name
	}
	d.Links = links[d.Name]
	if raw.Size != "" {
		size, err := strconv.ParseInt(string(raw.Size), 10, 64)
		if err != nil {
			return d, fmt.Errorf("lsblk tells no size in bytes of %s: %q", d.Name, raw.Size)
		}
		d.Size = size
	}
	for _, m := range append(raw.Mountpoints, raw.Mountpoint) {
		if m != "" && !slices.Contains(d.Mountpoints, m) {
			d.Mountpoints = append(d.Mountpoints, m)
		}
	}
	for _, rawChild := range raw.Children {
		child, err := rawChild.device(links)
		if err != nil {
			return d, err
		}
		d.Children = append(d.Children, child)
	}
	return d, nil
}
