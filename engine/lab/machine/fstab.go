package machine

import (
	"slices"
	"strings"

	"github.com/spf13/afero"
)

// fstabEscapes escapes separators as fstab(5) and the kernel do.
var fstabEscapes = strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`, "#", `\043`)

var fstabUnescapes = strings.NewReplacer(`\134`, `\`, `\040`, " ", `\011`, "\t", `\012`, "\n", `\043`, "#")

// mountedDisks returns the disks and partitions that programs have mounted, without those of the system and swap space.
func (m *Machine) mountedDisks() []Disk {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Disk
	disks := slices.Clone(m.disks)
	for _, r := range m.raids {
		disks = append(disks, &r.disk)
	}
	for _, g := range m.volumeGroups {
		for _, v := range g.volumes {
			disks = append(disks, &v.disk)
		}
	}
	for _, d := range disks {
		for _, each := range append([]Disk{*d}, d.Partitions...) {
			if strings.HasPrefix(each.Mountpoint, "/") && each.Mountpoint != "/" {
				all = append(all, each)
			}
		}
	}
	return all
}

// listed returns the fields of each line of fstab.
func (m *Machine) listed() [][]string {
	text, err := afero.ReadFile(m.FS(), "/etc/fstab")
	if err != nil {
		return nil
	}
	var all [][]string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 4 && !strings.HasPrefix(f[0], "#") {
			f[1] = fstabUnescapes.Replace(f[1])
			all = append(all, f)
		}
	}
	return all
}

// source returns the path of the device that the first field of an fstab line refers to, if it exists.
func (m *Machine) source(field string) (string, bool) {
	device := field
	for tag, dir := range map[string]string{"UUID=": "/dev/disk/by-uuid/", "PARTUUID=": "/dev/disk/by-partuuid/"} {
		if id, ok := strings.CutPrefix(field, tag); ok {
			device = dir + id
		}
	}
	_, found := m.Disk(device)
	return device, found
}

// mountAtBoot mounts what fstab lists, and unmounts everything else.
func (m *Machine) mountAtBoot() {
	for _, d := range m.mountedDisks() {
		_ = m.ChangeDisk(m.devicePath(d), func(d *Disk) { d.Mountpoint = "" })
	}
	for _, f := range m.listed() {
		if strings.Contains(f[3], "noauto") || f[1] == "/" || !strings.HasPrefix(f[1], "/") {
			continue
		}
		if device, found := m.source(f[0]); found {
			_ = m.ChangeDisk(device, func(d *Disk) {
				d.Mountpoint, d.ReadOnly, d.mountFlags = f[1], readOnly(f[3], false), mountFlags(f[3], "")
			})
		}
	}
}

// readOnly reports whether a file system mounted with these options is read-only. without is the answer if no option
// decides.
func readOnly(options string, without bool) bool {
	for option := range strings.SplitSeq(options, ",") {
		if option == "ro" || option == "rw" {
			without = option == "ro"
		}
	}
	return without
}

// mountFlags returns the flags of a mount point with these options as the kernel shows them, each preceded by a comma.
// A remount keeps the atime setting unless an option changes it.
func mountFlags(options, before string) string {
	on := map[string]bool{}
	if !strings.Contains(options, "relatime") && !strings.Contains(options, "strictatime") {
		on["noatime"], on["nodiratime"] = strings.Contains(before, ",noatime"), strings.Contains(before, ",nodiratime")
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "exec", "suid", "dev":
			on["no"+option] = false
		case "defaults":
			on["noexec"], on["nosuid"], on["nodev"] = false, false, false
		case "user", "users":
			on["noexec"], on["nosuid"], on["nodev"] = true, true, true
		default:
			on[option] = true
		}
	}
	var shown strings.Builder
	for _, flag := range []string{"nosuid", "nodev", "noexec", "noatime", "nodiratime"} {
		if on[flag] {
			shown.WriteString("," + flag)
		}
	}
	if !on["noatime"] && !on["strictatime"] {
		shown.WriteString(",relatime")
	}
	return shown.String()
}
