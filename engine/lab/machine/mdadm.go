package machine

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mdadmCall is a command line of mdadm: a mode, an array, and devices, each with the last option that precedes it.
type mdadmCall struct {
	*Call
	mode    string
	array   string
	options map[string]string
	devices []mdadmDevice
}

type mdadmDevice struct{ does, path string }

// mdadm implements mdadm(8): it creates and manages arrays.
func mdadm(_ context.Context, c *Call) int {
	m := mdadmCall{Call: c, options: map[string]string{}}
	does := ""
	for _, arg := range c.Argv[1:] {
		key, value, valued := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		switch {
		case !strings.HasPrefix(arg, "-"):
			if m.array == "" {
				m.array = arg
			} else {
				m.devices = append(m.devices, mdadmDevice{does, arg})
			}
		case !strings.HasPrefix(arg, "--"):
			return notSimulated(c, arg)
		case slices.Contains([]string{"create", "assemble", "grow", "manage", "stop"}, key) && m.mode == "":
			m.mode = key
		case slices.Contains([]string{"add", "remove", "fail", "replace", "with"}, key) && !valued:
			does = key
		case slices.Contains([]string{"run", "metadata", "name", "uuid", "level", "bitmap", "raid-devices", "scan"}, key):
			m.options[key] = value
		default:
			return notSimulated(c, arg)
		}
	}
	if c.User != "root" {
		return c.Errorf("must be super-user to perform this action")
	}
	switch m.mode {
	case "create":
		return m.create()
	case "assemble":
		return m.assemble()
	case "grow":
		return m.grow()
	case "manage", "":
		return m.manage()
	case "stop":
		return m.stop()
	}
	return notSimulated(c, m.mode)
}

// title returns the array's name below /dev/md, or "" if it has only the kernel's name.
func (m mdadmCall) title() string {
	if kernelArray.MatchString(m.array) {
		return ""
	}
	return strings.TrimPrefix(m.array, "/dev/md/")
}

var kernelArray = regexp.MustCompile(`^/dev/md[0-9]+$`)

// open calls fn with the array, holding the machine's lock, and updates its nodes and links afterwards.
func (m mdadmCall) open(fn func(r *raid) int) int {
	resolved, _, err := m.view().resolve(m.Path(m.array), true)
	if err != nil {
		return m.Errorf("error opening %s: No such file or directory", m.array)
	}
	now := m.Machine.clock.Now()
	m.Machine.mu.Lock()
	r := m.Machine.raidNamed(strings.TrimPrefix(resolved, "/dev/"))
	if r == nil {
		m.Machine.mu.Unlock()
		return m.Errorf("error opening %s: No such file or directory", m.array)
	}
	r.busy(now)
	code := fn(r)
	m.Machine.mu.Unlock()
	m.Machine.linkDisks()
	return code
}

// take returns the named disks, all of which must be unused.
func (m mdadmCall) take(devices []mdadmDevice) ([]Disk, bool) {
	open := map[bool]string{true: "Cannot open", false: "cannot open"}[m.mode == "manage" || m.mode == ""]
	var all []Disk
	for _, device := range devices {
		d, found := m.Machine.Disk(m.Path(device.path))
		if !found {
			m.Errorf("%s %s: No such file or directory", open, device.path)
			return nil, false
		}
		if m.Machine.inUse(d) {
			m.Errorf("%s %s: Device or resource busy", open, device.path)
			return nil, false
		}
		all = append(all, d)
	}
	return all, true
}

// inUse reports whether something uses the device.
func (m *Machine) inUse(d Disk) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := append([]Disk{d}, d.Partitions...)
	return slices.ContainsFunc(all, func(d Disk) bool {
		return d.Mountpoint != "" || len(d.Volumes) > 0 || len(m.above(d.Name)) > 0 || m.raidOf(d.Name) != nil
	})
}

func (m mdadmCall) create() int {
	disks, ok := m.take(m.devices)
	if !ok {
		return 2
	}
	if n, _ := strconv.Atoi(m.options["raid-devices"]); n != len(disks) {
		return m.Errorf("You haven't given enough devices (real or missing) to create this array")
	}
	uuid := m.options["uuid"]
	if uuid == "" {
		uuid = newUUID()
	}
	r := &raid{name: cmp.Or(m.options["name"], m.title()), title: m.title(), level: m.options["level"], uuid: dashed(uuid), slots: len(disks)}
	for i, d := range disks {
		r.members = append(r.members, raidMember{device: d.Name, slot: i, rebuilt: r.level != "5" || i < len(disks)-1})
	}
	r.start(map[bool]string{true: "recover", false: "resync"}[r.level == "5"], m.Machine.clock.Now())
	m.begin(r, disks)
	fmt.Fprintf(m.Stderr, "mdadm: array %s started.\n", m.array)
	return 0
}

// begin adds an array to the machine.
func (m mdadmCall) begin(r *raid, disks []Disk) {
	machine := m.Machine
	machine.mu.Lock()
	n := 127
	for machine.raidNamed(fmt.Sprintf("md%d", n)) != nil {
		n--
	}
	// The space that mdadm reserves on each member; the remainder is rounded down to a multiple of the chunk.
	r.disk = Disk{Name: fmt.Sprintf("md%d", n), share: (disks[0].Size - 129<<20) / (512 << 10) * (512 << 10)}
	for _, d := range disks {
		if member := machine.diskNamed(d.Name); member != nil {
			member.Use, member.UUID, member.Partitions = raidSignature, r.uuid, nil
		}
		r.disk.Rotational = r.disk.Rotational || d.Rotational
	}
	r.disk.Size = r.capacity()
	machine.raids = append(machine.raids, r)
	machine.mu.Unlock()
	machine.linkDisks()
	machine.Record("mdadm", "start /dev/md/"+r.title)
}

// assemble starts an array from its members. The level is that of the stopped array, because disks do not contain
// superblocks here.
func (m mdadmCall) assemble() int {
	disks, ok := m.take(m.devices)
	if !ok {
		return 1
	}
	for _, d := range disks {
		if d.Use != raidSignature {
			return m.Errorf("no RAID superblock on /dev/%s\nmdadm: /dev/%s has no superblock - assembly aborted", d.Name, d.Name)
		}
	}
	m.Machine.mu.Lock()
	at := slices.IndexFunc(m.Machine.stopped, func(r *raid) bool { return r.uuid == disks[0].UUID })
	if at < 0 {
		m.Machine.mu.Unlock()
		return notSimulated(m.Call, "an array that was not made on this machine")
	}
	r := m.Machine.stopped[at]
	m.Machine.stopped = slices.Delete(m.Machine.stopped, at, at+1)
	if r.title = m.title(); r.title == "" {
		r.disk.Name = strings.TrimPrefix(m.array, "/dev/")
	}
	m.Machine.raids = append(m.Machine.raids, r)
	m.Machine.mu.Unlock()
	m.Machine.linkDisks()
	m.Machine.Record("mdadm", "start /dev/md/"+r.title)
	fmt.Fprintf(m.Stderr, "mdadm: %s has been started with %d drives.\n", m.array, len(r.members))
	return 0
}

func (m mdadmCall) stop() int {
	return m.open(func(r *raid) int {
		if r.disk.Mountpoint != "" {
			return m.Errorf("Cannot get exclusive access to %s:Perhaps a running process, mounted filesystem or active volume group?", m.array)
		}
		m.Machine.raids = slices.DeleteFunc(m.Machine.raids, func(other *raid) bool { return other == r })
		m.Machine.stopped = append(m.Machine.stopped, r)
		fmt.Fprintf(m.Stderr, "mdadm: stopped %s\n", m.array)
		return 0
	})
}

func (m mdadmCall) grow() int {
	disks, ok := m.take(m.devices)
	if !ok {
		return 1
	}
	n, err := strconv.Atoi(m.options["raid-devices"])
	if err != nil {
		return notSimulated(m.Call, "a growth but with --raid-devices")
	}
	now := m.Machine.clock.Now()
	return m.open(func(r *raid) int {
		if r.action != "" {
			return m.Errorf("%s is performing resync/recovery and cannot be reshaped", m.array)
		}
		m.enlist(r, disks)
		for i := range r.members {
			if member := &r.members[i]; member.slot < 0 && !member.failed && r.slots < n {
				member.slot = r.slots
				r.slots++
			}
		}
		if r.slots != n {
			return m.Errorf("Need %d spares to avoid degraded array, and only have %d", n-r.slots, len(disks))
		}
		r.start("reshape", now)
		return 0
	})
}

// enlist adds disks to the array as spares. The caller holds m.Machine.mu.
func (m mdadmCall) enlist(r *raid, disks []Disk) {
	for _, d := range disks {
		if member := m.Machine.diskNamed(d.Name); member != nil {
			member.Use, member.UUID = raidSignature, r.uuid
		}
		r.members = append(r.members, raidMember{device: d.Name, slot: -1})
	}
}

func (m mdadmCall) manage() int {
	var fresh []mdadmDevice
	for _, device := range m.devices {
		if device.does == "add" {
			fresh = append(fresh, device)
		}
	}
	disks, ok := m.take(fresh)
	if !ok {
		return 1
	}
	names := map[string]string{}
	for _, device := range m.devices {
		if !strings.Contains(device.path, "/") {
			if device.does != "remove" && device.does != "fail" {
				return m.Errorf("%s only meaningful with -r or -f, not -%c", device.path, map[string]rune{"add": 'a', "replace": 'R', "with": 'W'}[device.does])
			}
			names[device.path] = device.path
		} else if d, found := m.Machine.Disk(m.Path(device.path)); found {
			names[device.path] = d.Name
		} else {
			return m.Errorf("Cannot find %s: No such file or directory", device.path)
		}
	}
	now := m.Machine.clock.Now()
	return m.open(func(r *raid) int {
		m.enlist(r, disks)
		for _, device := range fresh {
			fmt.Fprintf(m.Stderr, "mdadm: added %s\n", device.path)
		}
		var leaving *raidMember
		for _, device := range m.devices {
			if device.does == "add" {
				continue
			}
			at := slices.IndexFunc(r.members, func(member raidMember) bool { return member.device == names[device.path] })
			switch {
			case at >= 0:
			case !strings.Contains(device.path, "/"):
				return m.Errorf("%s does not appear to be a component of %s", device.path, m.array)
			default:
				return m.Errorf("hot remove failed for %s: No such device or address", device.path)
			}
			member := &r.members[at]
			switch device.does {
			case "fail":
				if r.degraded() >= r.tolerates() {
					return m.Errorf("Cannot remove %s from %s, array will be failed.", device.path, m.array)
				}
				r.lose(member.device)
				fmt.Fprintf(m.Stderr, "mdadm: set %s faulty in %s\n", device.path, m.array)
			case "remove":
				if member.slot >= 0 {
					return m.Errorf("hot remove failed for %s: Device or resource busy", device.path)
				}
				r.members = slices.Delete(r.members, at, at+1)
				fmt.Fprintf(m.Stderr, "mdadm: hot removed %s from %s\n", device.path, m.array)
			case "replace":
				member.leaving, leaving = true, member
				fmt.Fprintf(m.Stderr, "mdadm: Marked %s (device %d in %s) for replacement\n", device.path, member.slot, m.array)
			case "with":
				member.slot = leaving.slot
				r.start("recover", now)
				fmt.Fprintf(m.Stderr, "mdadm: Marked %s in %s as replacement for device %d\n", device.path, m.array, member.slot)
			}
		}
		for i := range r.members {
			if slot := r.vacancy(); slot >= 0 && r.members[i].slot < 0 && !r.members[i].failed {
				r.members[i].slot = slot
				r.start("recover", now)
			}
		}
		return 0
	})
}

// dashed returns a UUID with hyphens.
func dashed(uuid string) string {
	digits := strings.NewReplacer(":", "", "-", "").Replace(uuid)
	return digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:]
}

// mdadmPackage returns mdadm's package. Debian 12 checks arrays from cron, Debian 13 with timers.
func mdadmPackage(codename, version string) Package {
	timers := codename != "bookworm"
	files := map[string]string{"/etc/mdadm/mdadm.conf": mdadmConf}
	if !timers {
		files["/etc/cron.d/mdadm"] = "57 0 * * 0 root if [ -x /usr/share/mdadm/checkarray ] && [ $(date +\\%d) -le 7 ]; then /usr/share/mdadm/checkarray --cron --all --idle --quiet; fi\n"
	}
	return Package{Name: "mdadm", Version: version, Programs: map[string]Program{"/usr/sbin/mdadm": mdadm}, Files: files, Units: []Unit{
		{Name: "mdmonitor", Static: true},
		{Name: "mdcheck_start.timer", Enabled: timers, Active: timers},
		{Name: "mdcheck_continue.timer", Enabled: timers, Active: timers},
	}}
}

// mdadmConf is the configuration that the package creates when it is installed.
const mdadmConf = `# mdadm.conf
#
# !NB! Run update-initramfs -u after updating this file.
# !NB! This will ensure that initramfs has an uptodate copy.
#
# Please refer to mdadm.conf(5) for information about this file.
#

# by default (built-in), scan all partitions (/proc/partitions) and all
# containers for MD superblocks. alternatively, specify devices to scan, using
# wildcards if desired.
#DEVICE partitions containers

# automatically tag new arrays as belonging to the local system
HOMEHOST <system>

# instruct the monitoring daemon where to send mail alerts
MAILADDR root

# definitions of existing MD arrays

# This configuration was auto-generated on Mon, 05 Jan 2026 09:00:00 +0000 by mkconf
`
