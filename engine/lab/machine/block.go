package machine

import (
	"cmp"
	"strings"
)

// block is a disk, a partition or a logical volume as lsblk sees it.
type block struct {
	disk, part, volume *Disk
	array              *raid // whose device this is
	number             string
}

func (b block) self() *Disk {
	if b.volume != nil {
		return b.volume
	}
	if b.part != nil {
		return b.part
	}
	return b.disk
}

// value returns the value of a column as in lsblk's JSON: a string, a number, a bool, a list or nil.
func (b block) value(column string, bytes bool) (any, bool) {
	d := b.self()
	text := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	whole := func(s string) any {
		if b.part != nil || b.volume != nil {
			return nil
		}
		return text(s)
	}
	transport := "sata"
	if strings.HasPrefix(b.disk.Name, "nvme") {
		transport = "nvme"
	}
	mounts := []any{nil}
	if d.Mountpoint != "" {
		mounts = []any{d.Mountpoint}
	}
	table := ""
	if len(b.disk.Partitions) > 0 {
		table = "gpt"
	}
	partOf := any(nil)
	partUUID := any(nil)
	if b.volume != nil {
		switch column {
		case "KNAME":
			return "dm-" + strings.TrimPrefix(b.number, "252:"), true
		case "PATH":
			return "/dev/mapper/" + d.Name, true
		case "TYPE":
			return "lvm", true
		case "WWN", "PTTYPE", "PARTUUID", "PARTTYPE", "PARTLABEL":
			return nil, true
		case "PKNAME":
			if b.part != nil {
				return b.part.Name, true
			}
			return b.disk.Name, true
		}
	} else if b.array != nil {
		switch column {
		case "TYPE":
			return "raid" + b.array.level, true
		case "MODEL", "SERIAL", "WWN", "VENDOR", "TRAN", "STATE", "PKNAME":
			return nil, true
		}
	} else if b.part != nil {
		partOf, partUUID = b.disk.Name, text(b.part.PartUUID)
	}
	switch column {
	case "NAME", "KNAME":
		return d.Name, true
	case "PATH":
		return "/dev/" + d.Name, true
	case "MAJ:MIN":
		return b.number, true
	case "TYPE":
		if b.part != nil {
			return "part", true
		}
		return "disk", true
	case "SIZE":
		if bytes {
			return d.Size, true
		}
		return strings.Replace(human(d.Size), ".0", "", 1), true
	case "RO", "RM", "HOTPLUG":
		return false, true
	case "ROTA":
		return b.disk.Rotational, true
	case "MODEL":
		return whole(b.disk.Model), true
	case "SERIAL":
		return whole(b.disk.Serial), true
	case "WWN":
		return text(b.disk.WWN), true
	case "VENDOR":
		return whole("ATA     "), true
	case "TRAN":
		return whole(transport), true
	case "STATE":
		return whole("running"), true
	case "FSTYPE":
		return text(d.Use), true
	case "UUID":
		return text(d.UUID), true
	case "PTTYPE":
		return text(table), true
	case "PARTUUID":
		return partUUID, true
	case "PARTLABEL":
		return text(d.PartLabel), true
	case "PKNAME":
		return partOf, true
	case "MOUNTPOINT":
		return text(d.Mountpoint), true
	case "MOUNTPOINTS":
		return mounts, true
	case "FSVER", "LABEL":
		return nil, true
	case "PARTTYPE":
		if b.part == nil {
			return nil, true
		}
		return cmp.Or(d.PartType, "0fc63daf-8483-4772-8e79-3d69d8477de4"), true
	case "DISC-GRAN":
		return "0", true
	}
	return nil, false
}
