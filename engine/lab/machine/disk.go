package machine

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// Disk is a block device.
type Disk struct {
	// Name is the kernel's: "sdb", "nvme0n1". An empty Serial becomes the machine's name and the disk's.
	Name, Serial, Model, WWN string
	// Size is in bytes; zero means 1 TB.
	Size       int64
	Rotational bool
	// Use is empty for a blank disk, or a signature as lsblk's FSTYPE names it.
	Use        string
	Partitions []Disk
	// Volumes are the logical volumes on it; of these only Name (as device-mapper writes it), Size and Use count.
	Volumes    []Disk
	Mountpoint string
	// UUID is that of the signature, PartUUID that of a partition; PartType says what a partition is for,
	// empty means Linux.
	UUID, PartUUID, PartType string
}

// complete fills in what the maker of a disk would have printed on it, the same on every run.
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
	b := h.Sum(nil)
	return fmt.Sprintf("%x-%x-4%x-a%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])[:36]
}

// BIOSBoot is the type of the partition in which GRUB lies; it has no signature.
const BIOSBoot = "21686148-6449-6e6f-744e-656564454649"
