package machine

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// Disk is a block device.
type Disk struct {
	// Name is the kernel's name: "sdb", "nvme0n1". If Serial is empty, it is the machine's name followed by the disk's.
	Name, Serial, Model, WWN string
	// Size is in bytes; zero means 1 TB.
	Size       int64
	Rotational bool
	// Use is the signature on the disk, as in lsblk's FSTYPE. It is empty for a blank disk.
	Use        string
	Partitions []Disk
	// unread are the other partitions in the table, about which the kernel does not know yet.
	unread []Disk
	// Volumes are the logical volumes on the disk. Only their Name (as device mapper spells it), Size and Use matter.
	Volumes    []Disk
	Mountpoint string
	// ReadOnly reports whether the disk is mounted read-only.
	ReadOnly bool
	// mountFlags are the flags of its mount point as the kernel shows them, each preceded by a comma.
	mountFlags string
	// UUID is that of the signature, PartUUID that of the partition. PartType is the partition type; empty means a
	// Linux file system. PartLabel is the partition's name.
	UUID, PartUUID, PartType, PartLabel string
	// Start is the first sector of a partition; 0 means after the previous one.
	Start int64
	// share is how many bytes an array uses of each member.
	share int64
}

// clone returns a deep copy.
func (d *Disk) clone() Disk {
	c := *d
	c.Partitions, c.unread, c.Volumes = slices.Clone(d.Partitions), slices.Clone(d.unread), slices.Clone(d.Volumes)
	for i := range c.Partitions {
		c.Partitions[i] = d.Partitions[i].clone()
	}
	return c
}

// complete fills in the properties that the manufacturer sets. They are the same in every run.
func (m *Machine) complete(d Disk) *Disk {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%s", m.name, d.Name)
	sum := h.Sum64()
	if d.Size == 0 {
		d.Size = 1e12
	}
	if d.Serial == "" {
		d.Serial = m.name + d.Name
	}
	if d.Model == "" {
		d.Model = "QEMU HARDDISK"
		if strings.HasPrefix(d.Name, "nvme") {
			d.Model = "QEMU NVMe Ctrl"
		}
	}
	if d.WWN == "" {
		d.WWN = fmt.Sprintf("0x5%015x", sum>>4)
	}
	if d.Use == "partitions" {
		d.Use = ""
		if len(d.Partitions) == 0 {
			d.Partitions = []Disk{{Size: d.Size - 1<<20, Use: "ext4"}}
		}
	}
	for i := range d.Partitions {
		p := &d.Partitions[i]
		if p.Name == "" {
			p.Name = partition(d.Name, i+1)
		}
		if p.PartUUID == "" {
			p.PartUUID = uuidOf(sum + uint64(i) + 1)
		}
		if p.Use != "" && p.UUID == "" {
			p.UUID = uuidOf(sum + uint64(i) + 1001)
		}
	}
	if d.Use != "" && d.UUID == "" {
		d.UUID = uuidOf(sum)
	}
	d.layOut()
	return &d
}

func partition(disk string, n int) string {
	if last := disk[len(disk)-1]; last >= '0' && last <= '9' {
		return fmt.Sprintf("%sp%d", disk, n)
	}
	return fmt.Sprintf("%s%d", disk, n)
}

// BIOSBoot is the type of the partition that contains GRUB. Such a partition has no signature.
const BIOSBoot = "21686148-6449-6e6f-744e-656564454649"
