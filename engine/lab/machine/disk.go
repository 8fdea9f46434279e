package machine

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// Disk is a block device.
type Disk struct {
	// Name is the kernel's name: "sdb", "nvme0n1". An empty Serial becomes the machine's name followed by the disk's.
	Name, Serial, Model, WWN string
	// Size is in bytes; zero means 1 TB.
	Size       int64
	Rotational bool
	// Use is empty for a blank disk, otherwise its signature in the words of lsblk's FSTYPE.
	Use        string
	Partitions []Disk
	// Volumes are the logical volumes on it; only their Name (in device-mapper's spelling), Size and Use matter.
	Volumes    []Disk
	Mountpoint string
	// ReadOnly reports whether it is mounted so that nothing can be written to it.
	ReadOnly bool
	// mountFlags are the flags of its mount point as the kernel shows them, each with a comma before it.
	mountFlags string
	// UUID is the signature's, PartUUID the partition's. PartType is the partition type; empty means a Linux file
	// system. PartLabel is the partition's name.
	UUID, PartUUID, PartType, PartLabel string
	// Start is the first sector of a partition; 0 means after the previous one.
	Start int64
	// share is how many bytes of each member an array uses.
	share int64
}

// clone returns a copy that shares nothing with the disk.
func (d *Disk) clone() Disk {
	c := *d
	c.Partitions, c.Volumes = slices.Clone(d.Partitions), slices.Clone(d.Volumes)
	for i := range c.Partitions {
		c.Partitions[i] = d.Partitions[i].clone()
	}
	return c
}

// complete fills in what a manufacturer would have printed on a disk, the same in every run.
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

func uuidOf(seed uint64) string {
	h := fnv.New128a()
	fmt.Fprint(h, seed)
	return formatUUID([16]byte(h.Sum(nil)))
}

// BIOSBoot is the type of the partition that holds GRUB; it has no signature.
const BIOSBoot = "21686148-6449-6e6f-744e-656564454649"
