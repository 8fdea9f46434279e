// Package partition implements the module that creates partitions in the free space of disks.
package partition

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/bytesize"
	"hlplay/modules/internal/uuid"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "partition",
	Aliases: []string{"parted"},
	Summary: "A partition in the free space of a disk",
	Doc: `Creates a partition on a disk with a GPT, in the first free space that is large enough, aligned to 1 MiB. The name of
the partition identifies it: if the disk has a partition of that name, nothing is done. The disk may be the one that the host runs from, because
other partitions are never changed, moved, shrunk or removed, and only old signatures in the new one are wiped.

The path of the partition is /dev/disk/by-partlabel/NAME, which ` + "`pveceph { osd {} }`" + ` accepts. A name that another disk of the host
also has is refused, because the path would be ambiguous. An existing partition of another size is left as it is, and a
note says so. Disks with another kind of partition table, or without one, are refused.`,
	Example: `task "a slice of each disk for Ceph" {
  partition {
    disk = "/dev/disk/by-id/nvme-Samsung_SSD_990_PRO_S1EXAMPLE"
    name = "osd-a"
    size = "1TiB"
  }
}`,
	Result: result{},
	New:    func() modules.Module { return &partition{} },
}

type partition struct {
	Disk string `hcl:"disk" doc:"The disk: a path below /dev/disk/by-id if there is one, because other names may change."`
	Name string `hcl:"name" doc:"Name of the partition, at most 36 characters. No other disk of the host may have a partition of that name."`
	Size string `hcl:"size,optional" doc:"Size with a unit: 1TiB, 500GB. It is rounded down to MiB. The default is the largest free space."`
}

// result is what the module registers.
type result struct {
	Path string `cty:"path" doc:"Stable path of the partition: /dev/disk/by-partlabel/NAME."`
}

var nameForm = pattern.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,35}$`)

func (m *partition) Validate() error {
	if !strings.HasPrefix(m.Disk, "/dev/") || strings.ContainsAny(m.Disk, " \t\n") || strings.Contains(m.Disk, "/../") {
		return &modules.ArgumentError{Argument: "disk", Problem: fmt.Sprintf("%q is not the path of a disk", m.Disk), Want: "expected /dev/disk/by-id/…, or /dev/sdb"}
	}
	if !nameForm.MatchString(m.Name) {
		return &modules.ArgumentError{Argument: "name", Problem: fmt.Sprintf("%q cannot be the name of a partition", m.Name),
			Want: "at most 36 letters, digits, dots, underscores and hyphens, as in osd-a"}
	}
	if m.Size != "" {
		if _, err := bytesize.Parse(m.Size); err != nil {
			return &modules.ArgumentError{Argument: "size", Problem: err.Error(), Want: "expected at least 1MiB, as in 1TiB or 500GB"}
		}
	}
	return nil
}

// Want implements modules.Announcer.
func (m *partition) Want(h modules.Host) { observe.Disks.Want(h, "") }

// Plan implements modules.Module.
func (m *partition) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	devices, err := observe.Disks.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	disk, err := m.find(h, devices)
	if err != nil {
		return modules.Plan{}, err
	}
	data := modules.Data(result{Path: byName + m.Name})
	there, elsewhere := m.named(devices, disk)
	switch {
	case len(there)+len(elsewhere) > 1, len(elsewhere) > 0:
		return modules.Plan{}, fmt.Errorf("name: a partition named %[2]s already exists on %[1]s: %[3]s; %[4]s%[2]s would refer to only one of them, so use a name that no other partition has",
			h.Name(), m.Name, strings.Join(append(there, elsewhere...), " and "), byName)
	case len(there) == 1:
		part, _ := observe.FindDevice(devices, there[0])
		return modules.Plan{Data: data, Notes: m.compare(part)}, nil
	}
	if err := m.eligible(h, disk); err != nil {
		return modules.Plan{}, err
	}
	table, err := observe.PartitionTables.Observe(ctx, h, disk.Path)
	if err != nil {
		return modules.Plan{}, err
	}
	if at := slices.IndexFunc(table.Partitions, func(p observe.Partition) bool { return p.Name == m.Name }); at >= 0 {
		// An earlier run ended between the two steps.
		return modules.Plan{Data: data, Steps: []modules.Step{m.tell(devices, disk, table, table.Partitions[at])}}, nil
	}
	free, err := m.place(h, disk, table)
	if err != nil {
		return modules.Plan{}, err
	}
	add, table, added := m.add(h, disk, table, free)
	return modules.Plan{Data: data, Steps: []modules.Step{add, m.tell(devices, disk, table, added)}}, nil
}

const byName = "/dev/disk/by-partlabel/"

// find returns the disk.
func (m *partition) find(h modules.Host, devices []observe.BlockDevice) (observe.BlockDevice, error) {
	disk, ok := observe.FindDevice(devices, m.Disk)
	if ok {
		return disk, nil
	}
	var names []string
	for _, d := range devices {
		name := d.Path
		if len(d.Links) > 0 {
			name = d.Links[0]
		}
		names = append(names, name)
	}
	return disk, fmt.Errorf("disk: %s has no device %s; it has: %s", h.Name(), m.Disk, strings.Join(names, ", "))
}

// named returns the paths of the partitions with that name, on the disk and on others.
func (m *partition) named(devices []observe.BlockDevice, disk observe.BlockDevice) (there, elsewhere []string) {
	for _, top := range devices {
		top.Walk(func(d observe.BlockDevice) {
			switch {
			case d.Type != "part" || d.PartitionName != m.Name:
			case top.Name == disk.Name && !slices.Contains(there, d.Path):
				there = append(there, d.Path)
			case top.Name != disk.Name && !slices.Contains(elsewhere, d.Path):
				elsewhere = append(elsewhere, d.Path)
			}
		})
	}
	return there, elsewhere
}

// compare says how the existing partition differs from the desired one.
func (m *partition) compare(part observe.BlockDevice) []string {
	want, err := bytesize.Parse(m.Size)
	if m.Size == "" || err != nil || part.Size == want>>20<<20 || part.Size == want {
		return nil
	}
	return []string{fmt.Sprintf("%s (%s) has %d MiB, the task specifies %s; not changed, because partitions are not resized", m.Name, part.Path, part.Size>>20, m.Size)}
}

// eligible rejects disks on which no partition may be created.
func (m *partition) eligible(h modules.Host, d observe.BlockDevice) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("disk: %s on %s %s", m.Disk, h.Name(), fmt.Sprintf(format, args...))
	}
	switch {
	case d.Type != "disk":
		return refuse("is of type %s, but only disks can be partitioned", d.Type)
	case d.Volume() != "":
		return refuse("is not a disk of the host (%s)", d.Volume())
	case d.ReadOnly:
		return refuse("is read-only")
	case d.Filesystem != "":
		return refuse("has no partitions: all of it is %s; name another disk", d.Filesystem)
	case d.PartitionTable == "":
		return refuse("has no partition table: give the whole disk to an OSD or, to divide it, create a GPT by hand first")
	case d.PartitionTable != "gpt":
		return refuse("has a %s partition table, where partitions have no names: only disks with a GPT are supported", d.PartitionTable)
	}
	return nil
}

// place returns where the partition goes.
func (m *partition) place(h modules.Host, d observe.BlockDevice, table observe.PartitionTable) (observe.Partition, error) {
	if table.Label != d.PartitionTable {
		return observe.Partition{}, fmt.Errorf("disk: lsblk finds a %s partition table on %s of %s, sfdisk finds %s: check the disk by hand", d.PartitionTable, m.Disk, h.Name(), orNone(table.Label))
	}
	free := table.Free()
	var largest observe.Partition
	for _, f := range free {
		if f.Size > largest.Size {
			largest = f
		}
	}
	if m.Size == "" && largest.Size > 0 {
		return largest, nil
	}
	var want int64
	if m.Size != "" {
		bytes, err := bytesize.Parse(m.Size)
		if err != nil {
			return observe.Partition{}, err
		}
		want = table.Sectors(bytes)
		for _, f := range free {
			if f.Size >= want {
				f.Size = want
				return f, nil
			}
		}
	}
	return observe.Partition{}, fmt.Errorf("disk: %s on %s has no room for %s (%s): the largest free extent is %d MiB. Partitions are not shrunk: use a smaller size, or another disk",
		m.Disk, h.Name(), m.Name, orNone(m.Size), largest.Size*table.SectorSize>>20)
}

// linuxFilesystem is the partition type for general use.
const linuxFilesystem = "0fc63daf-8483-4772-8e79-3d69d8477de4"

// settle limits how long udev may take to see a partition.
const settle = time.Minute

// add returns the step that writes the partition into the table, and the table and the partition after it. sfdisk(8) itself
// fails if the space has been taken meanwhile. --append leaves the other partitions alone, and --no-reread permits a disk
// that is in use. The kernel would refuse to re-read the table of such a disk; --no-tell-kernel does not ask it to.
func (m *partition) add(h modules.Host, disk observe.BlockDevice, table observe.PartitionTable, free observe.Partition) (modules.Step, observe.PartitionTable, observe.Partition) {
	bytes := free.Size * table.SectorSize
	free.Number, free.Name, free.Type, free.UUID = table.Next(), m.Name, strings.ToUpper(linuxFilesystem), strings.ToUpper(uuid.Derived("partition", h.Name(), disk.Serial, disk.Name, m.Name))
	before := list(table)
	table.Partitions = append(slices.Clone(table.Partitions), free)
	slices.SortFunc(table.Partitions, func(a, b observe.Partition) int { return a.Number - b.Number })
	return modules.Step{
		Risk:    modules.Destroys,
		Summary: fmt.Sprintf("add partition %s to %s (%s, %d MiB in free space)", m.Name, m.Disk, child(disk, free, bytes).Path, bytes>>20),
		Action: modules.Run{
			Argv: []string{"sfdisk", "--quiet", "--append", "--no-reread", "--no-tell-kernel", "--lock=yes", "--wipe", "never",
				"--wipe-partitions", "always", stable(disk)},
			Stdin: fmt.Appendf(nil, "start=%d, size=%d, type=%s, uuid=%s, name=%q\n", free.Start, free.Size, free.Type, free.UUID, free.Name),
			Env:   map[string]string{"LC_ALL": "C"}, Limit: 2 * time.Minute, Brief: true,
		},
		Diff:   &modules.Diff{Subject: "partitions of " + disk.Path, Before: before, After: list(table)},
		Expect: []observe.Expectation{observe.PartitionTables.Expect(disk.Path, table)},
		Exact:  true,
	}, table, free
}

// tell returns the step that tells the kernel about the new partition, and about no other. partx(8) can do so on a disk
// in use too, and if udev has been faster.
func (m *partition) tell(devices []observe.BlockDevice, disk observe.BlockDevice, table observe.PartitionTable, added observe.Partition) modules.Step {
	part := child(disk, added, added.Size*table.SectorSize)
	after := observe.ChangeDevices(devices, func(d observe.BlockDevice) bool { return d.Name == disk.Name }, func(d *observe.BlockDevice) {
		d.Children = append(slices.Clone(d.Children), part)
		slices.SortStableFunc(d.Children, func(a, b observe.BlockDevice) int { return len(a.Name) - len(b.Name) })
	})
	return modules.Step{
		Summary: fmt.Sprintf("tell the kernel about %s (%s)", part.Path, m.Name),
		Action:  modules.Run{Argv: []string{"partx", "--update", "--nr", strconv.Itoa(added.Number), stable(disk)}, Limit: time.Minute, Brief: true},
		Expect:  []observe.Expectation{observe.Disks.Expect("", after)},
		Settle:  settle,
		Exact:   true,
	}
}

// stable returns a path of the disk that stays the same when the kernel renames it, if there is one.
func stable(disk observe.BlockDevice) string {
	if ids := disk.ByID(); len(ids) > 0 {
		return ids[0]
	}
	return disk.Path
}

// child returns the new partition as it will be observed. Its links are those of its disk with its number, and those by its
// name and UUID.
func child(disk observe.BlockDevice, p observe.Partition, bytes int64) observe.BlockDevice {
	name := fmt.Sprintf("%s%d", disk.Name, p.Number)
	if last := disk.Name[len(disk.Name)-1]; last >= '0' && last <= '9' {
		name = fmt.Sprintf("%sp%d", disk.Name, p.Number)
	}
	links := []string{byName + p.Name, "/dev/disk/by-partuuid/" + strings.ToLower(p.UUID)}
	for _, link := range disk.Links {
		if strings.HasPrefix(link, "/dev/disk/by-id/") || strings.HasPrefix(link, "/dev/disk/by-path/") {
			links = append(links, fmt.Sprintf("%s-part%d", link, p.Number))
		}
	}
	slices.Sort(links)
	return observe.BlockDevice{
		Name: name, Path: "/dev/" + name, Type: "part", Size: bytes, WWN: disk.WWN, Rotational: disk.Rotational, Removable: disk.Removable,
		PartitionTable: "gpt", PartitionType: strings.ToLower(p.Type), PartitionName: p.Name, Links: links,
	}
}

// list formats a partition table for people.
func list(t observe.PartitionTable) string {
	var b strings.Builder
	for _, p := range t.Partitions {
		fmt.Fprintf(&b, "%d: sectors %d to %d, %d MiB, %s\n", p.Number, p.Start, p.Start+p.Size-1, p.Size*t.SectorSize>>20, orNone(p.Name))
	}
	return b.String()
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
