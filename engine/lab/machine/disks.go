package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Disks returns the current state of the machine's disks, the system disk first. Use ChangeDisk to change one.
func (m *Machine) Disks() []Disk {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Disk
	for _, d := range m.disks {
		all = append(all, d.clone())
	}
	return all
}

// Disk returns the current state of the disk or partition at a path: /dev/sdb, /dev/sdb1, or a link below /dev/disk.
func (m *Machine) Disk(device string) (Disk, bool) {
	resolved, _, err := view{m: m}.resolve(device, true)
	if err != nil {
		return Disk{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := m.diskNamed(path.Base(resolved)); d != nil {
		return d.clone(), true
	}
	return Disk{}, false
}

// diskNamed returns the disk, partition or array with a kernel name, or nil. The caller holds m.mu.
func (m *Machine) diskNamed(name string) *Disk {
	for _, d := range m.disks {
		if d.Name == name {
			return d
		}
		for i := range d.Partitions {
			if d.Partitions[i].Name == name {
				return &d.Partitions[i]
			}
		}
	}
	if r := m.raidNamed(name); r != nil {
		return &r.disk
	}
	if v := m.mappedVolume(name); v != nil {
		return &v.disk
	}
	return nil
}

// ChangeDisk changes the disk at a path, and its device nodes and links accordingly.
func (m *Machine) ChangeDisk(device string, change func(d *Disk)) error {
	resolved, _, err := view{m: m}.resolve(device, true)
	m.mu.Lock()
	var d *Disk
	if err == nil {
		d = m.diskNamed(path.Base(resolved))
	}
	if d == nil {
		m.mu.Unlock()
		return fmt.Errorf("%s: no such device", device)
	}
	change(d)
	m.mu.Unlock()
	m.linkDisks()
	return nil
}

// detach removes a disk from the machine as if it were pulled out. If it is a member of an array, the array loses it
// but keeps its name.
func (m *Machine) detach(gone *Disk) error {
	m.mu.Lock()
	all := append([]Disk{*gone}, gone.Partitions...)
	if slices.ContainsFunc(all, func(d Disk) bool { return d.Mountpoint != "" || len(d.Volumes) > 0 || len(m.above(d.Name)) > 0 }) {
		m.mu.Unlock()
		return syscall.EOPNOTSUPP // losing the disk of a file system is not simulated
	}
	m.disks = slices.DeleteFunc(m.disks, func(d *Disk) bool { return d == gone })
	for _, d := range all {
		if r := m.raidOf(d.Name); r != nil {
			r.lose(d.Name)
		}
	}
	m.mu.Unlock()
	m.tree.mu.Lock()
	for _, d := range all {
		_ = m.tree.drop("/dev/" + d.Name) // every disk has a node
	}
	_ = m.tree.drop("/sys/block/" + gone.Name)
	m.tree.mu.Unlock()
	m.linkDisks()
	return nil
}

// linkDisks creates the entries in /dev and /sys/block, as udev does.
func (m *Machine) linkDisks() {
	t := m.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, dir := range []string{"by-id", "by-path", "by-partlabel", "by-partuuid", "by-uuid"} {
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
		t.file(sys+"/device/delete", 0o200, "").written = func(m *Machine, _ []byte) error {
			return m.detach(d)
		}
		for n, p := range d.Partitions {
			t.block(p.Name, 8, i*16+n+1)
			for _, id := range ids {
				t.link(fmt.Sprintf("/dev/disk/by-id/%s-part%d", id, n+1), "../../"+p.Name)
			}
			t.link(fmt.Sprintf("/dev/disk/by-path/pci-0000:00:1f.2-ata-%d-part%d", i+1, n+1), "../../"+p.Name)
			t.link("/dev/disk/by-partuuid/"+p.PartUUID, "../../"+p.Name)
			if p.PartLabel != "" {
				t.link("/dev/disk/by-partlabel/"+p.PartLabel, "../../"+p.Name)
			}
			if p.UUID != "" {
				t.link("/dev/disk/by-uuid/"+p.UUID, "../../"+p.Name)
			}
		}
	}
	m.linkRaids()
	m.linkVolumes()
}

// mappedNumbers returns the device numbers of logical volumes by name. As with device mapper, a volume keeps its number
// while it exists, and a new volume gets the lowest free number. The caller holds m.mu.
func (m *Machine) mappedNumbers() map[string]string {
	numbers := map[string]string{}
	taken := map[string]bool{}
	var fresh []string
	for _, d := range m.disks {
		for _, holder := range append([]Disk{*d}, d.Partitions...) {
			for _, v := range holder.Volumes {
				if number, known := m.mapped[v.Name]; known {
					numbers[v.Name] = number
					taken[number] = true
				} else {
					fresh = append(fresh, v.Name)
				}
			}
		}
	}
	for _, name := range m.mapperNames() {
		if number, known := m.mapped[name]; known {
			numbers[name] = number
			taken[number] = true
		} else {
			fresh = append(fresh, name)
		}
	}
	for _, name := range fresh {
		for i := 0; numbers[name] == ""; i++ {
			if number := fmt.Sprintf("252:%d", i); !taken[number] {
				numbers[name] = number
				taken[number] = true
			}
		}
	}
	m.mapped = numbers
	return numbers
}
