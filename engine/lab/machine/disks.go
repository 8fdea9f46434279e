package machine

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path"
	"strings"
)

// Disks are the machine's block devices, the system disk first. The pointers stay valid; whoever
// changes what they point to does it with ChangeDisk.
func (m *Machine) Disks() []*Disk {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]*Disk(nil), m.disks...)
}

// Disk finds a disk or a partition by its path: /dev/sdb, /dev/sdb1, or a link below /dev/disk.
func (m *Machine) Disk(device string) (*Disk, bool) {
	resolved, _, err := view{m: m}.resolve(device, true)
	if err != nil {
		return nil, false
	}
	name := path.Base(resolved)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.disks {
		if d.Name == name {
			return d, true
		}
		for i := range d.Partitions {
			if d.Partitions[i].Name == name {
				return &d.Partitions[i], true
			}
		}
	}
	return nil, false
}

// ChangeDisk changes a disk found by its path, and the device nodes and links with it.
func (m *Machine) ChangeDisk(device string, change func(d *Disk)) error {
	d, ok := m.Disk(device)
	if !ok {
		return fmt.Errorf("%s: no such device", device)
	}
	m.mu.Lock()
	change(d)
	m.mu.Unlock()
	m.linkDisks()
	return nil
}

// AddDisk plugs a disk in.
func (m *Machine) AddDisk(d Disk) {
	m.mu.Lock()
	m.disks = append(m.disks, m.complete(d))
	m.mu.Unlock()
	m.linkDisks()
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

// linkDisks makes the nodes and links below /dev and /sys/block as udev does.
func (m *Machine) linkDisks() {
	t := m.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, dir := range []string{"by-id", "by-path", "by-partuuid", "by-uuid"} {
		if err := t.drop("/dev/disk/" + dir); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.mkdirAll("/dev/disk/"+dir, 0o755)
		}
	}
	for i, d := range m.disks {
		t.block(d.Name, 8, i*16)
		bus := "ata"
		switch {
		case strings.HasPrefix(d.Name, "nvme"):
			bus = "nvme"
		case strings.HasPrefix(d.Name, "vd"):
			bus = "virtio"
		}
		id := bus + "-" + strings.ReplaceAll(d.Model, " ", "_") + "_" + d.Serial
		if bus == "virtio" {
			id = "virtio-" + d.Serial
		}
		ids := []string{id, "wwn-" + d.WWN}
		for _, id := range ids {
			t.link("/dev/disk/by-id/"+id, "../../"+d.Name)
		}
		t.link(fmt.Sprintf("/dev/disk/by-path/pci-0000:00:1f.2-ata-%d", i+1), "../../"+d.Name)
		if d.UUID != "" {
			t.link("/dev/disk/by-uuid/"+d.UUID, "../../"+d.Name)
		}
		sys := "/sys/block/" + d.Name
		rotational := "0\n"
		if d.Rotational {
			rotational = "1\n"
		}
		t.file(sys+"/queue/rotational", 0o644, rotational)
		t.file(sys+"/size", 0o444, fmt.Sprintf("%d\n", d.Size/512))
		t.file(sys+"/ro", 0o444, "0\n")
		t.file(sys+"/removable", 0o444, "0\n")
		t.file(sys+"/device/model", 0o444, d.Model+"\n")
		t.file(sys+"/device/vendor", 0o444, "ATA     \n")
		for n, p := range d.Partitions {
			t.block(p.Name, 8, i*16+n+1)
			for _, id := range ids {
				t.link(fmt.Sprintf("/dev/disk/by-id/%s-part%d", id, n+1), "../../"+p.Name)
			}
			t.link("/dev/disk/by-partuuid/"+p.PartUUID, "../../"+p.Name)
			if p.UUID != "" {
				t.link("/dev/disk/by-uuid/"+p.UUID, "../../"+p.Name)
			}
		}
	}
}

func (t *tree) block(name string, major, minor int) {
	n := t.file("/dev/"+name, fs.ModeDevice|0o660, "")
	n.gid = 6
	n.dev = &device{major, minor}
}
