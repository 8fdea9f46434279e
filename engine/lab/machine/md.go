package machine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// raid is an md array. Its disk holds the contents.
type raid struct {
	disk    Disk
	name    string // in the superblock
	title   string // below /dev/md; empty if it has only the kernel's name
	level   string // "6"
	uuid    string // with hyphens
	slots   int
	members []raidMember
	// action is the current operation, which ends at until.
	action string
	until  time.Time
}

// raidMember is a disk or partition, by the kernel's name, and its slot, or -1 for a spare.
type raidMember struct {
	device          string
	slot            int
	rebuilt         bool
	failed, leaving bool
}

const (
	raidSignature = "linux_raid_member"
	// syncTime is how long it takes to synchronize or reshape an array.
	syncTime = time.Hour
)

// raidNamed returns the array with a kernel name or a name below /dev/md. The caller holds m.mu.
func (m *Machine) raidNamed(name string) *raid {
	for _, r := range m.raids {
		if r.disk.Name == name {
			return r
		}
	}
	return nil
}

// raidOf returns the array that has a member with that name. The caller holds m.mu.
func (m *Machine) raidOf(device string) *raid {
	for _, r := range m.raids {
		if slices.ContainsFunc(r.members, func(member raidMember) bool { return member.device == device }) {
			return r
		}
	}
	return nil
}

// busy returns the current operation, or "idle". It first completes an operation whose time is over.
func (r *raid) busy(now time.Time) string {
	if r.action == "" || now.Before(r.until) {
		return cmp.Or(r.action, "idle")
	}
	if r.action == "reshape" || r.action == "recover" || r.action == "resync" {
		for i := range r.members {
			member := &r.members[i]
			if member.leaving {
				member.leaving, member.failed, member.slot = false, true, -1
			}
			member.rebuilt = member.rebuilt || member.slot >= 0
		}
	}
	r.action = ""
	r.disk.Size = r.capacity()
	return "idle"
}

func (r *raid) start(action string, now time.Time) { r.action, r.until = action, now.Add(syncTime) }

// capacity returns the size of the array when it is idle. All members count as being as large as the first.
func (r *raid) capacity() int64 {
	share := r.disk.share
	switch r.level {
	case "1":
		return share
	case "5":
		return share * int64(r.slots-1)
	case "6":
		return share * int64(r.slots-2)
	}
	return share * int64(r.slots) / 2
}

// degraded returns the number of slots without a rebuilt member.
func (r *raid) degraded() int {
	whole := map[int]bool{}
	for _, member := range r.members {
		if member.slot >= 0 && member.rebuilt && !member.failed {
			whole[member.slot] = true
		}
	}
	return r.slots - len(whole)
}

// tolerates returns how many members an array of this level can lose.
func (r *raid) tolerates() int {
	switch r.level {
	case "5":
		return 1
	case "6":
		return 2
	case "10":
		return 1
	}
	return r.slots - 1
}

// lose marks a member as faulty.
func (r *raid) lose(device string) {
	at := slices.IndexFunc(r.members, func(member raidMember) bool { return member.device == device })
	r.members[at].failed, r.members[at].rebuilt, r.members[at].slot = true, false, -1
}

// vacancy returns the first slot without a working member, or -1 if there is none.
func (r *raid) vacancy() int {
	for slot := range r.slots {
		if !slices.ContainsFunc(r.members, func(member raidMember) bool { return member.slot == slot && !member.failed }) {
			return slot
		}
	}
	return -1
}

// state returns a member's state as in /sys.
func (member raidMember) state() string {
	switch {
	case member.failed:
		return "faulty"
	case member.leaving:
		return "in_sync,want_replacement"
	case member.rebuilt:
		return "in_sync"
	}
	return "spare"
}

// linkRaids creates the entries of arrays in /dev and /sys, as udev and the kernel do. The caller holds the locks of
// the tree and of the machine.
func (m *Machine) linkRaids() {
	t := m.tree
	_ = t.drop("/dev/md") // it may not exist
	for name := range t.lookup("/sys/block").children {
		if strings.HasPrefix(name, "md") {
			_ = t.drop("/sys/block/" + name)
		}
	}
	for _, r := range m.raids {
		name := r.disk.Name
		minor := 0
		fmt.Sscanf(name, "md%d", &minor)
		t.block(name, 9, minor)
		if r.title != "" {
			t.link("/dev/md/"+r.title, "../"+name)
		}
		t.link("/dev/disk/by-id/md-name-"+m.name+":"+r.name, "../../"+name)
		t.link("/dev/disk/by-id/md-uuid-"+mdUUID(r.uuid), "../../"+name)
		if r.disk.UUID != "" {
			t.link("/dev/disk/by-uuid/"+r.disk.UUID, "../../"+name)
		}
		sys := "/sys/block/" + name + "/md/"
		read := func(file string, value func(r *raid) string) {
			t.computed(sys+file, 0o444, func(m *Machine) []byte {
				now := m.clock.Now()
				m.mu.Lock()
				defer m.mu.Unlock()
				r := m.raidNamed(name)
				if r == nil {
					return nil
				}
				r.busy(now)
				return []byte(value(r) + "\n")
			})
		}
		read("level", func(r *raid) string { return "raid" + r.level })
		read("array_state", func(*raid) string { return "clean" })
		read("raid_disks", func(r *raid) string {
			if r.action == "reshape" {
				return fmt.Sprintf("%d (%d)", r.slots, r.slots-1)
			}
			return fmt.Sprint(r.slots)
		})
		read("degraded", func(r *raid) string { return fmt.Sprint(r.degraded()) })
		read("sync_action", func(r *raid) string { return cmp.Or(r.action, "idle") })
		for _, member := range r.members {
			of := func(value func(member raidMember) string) func(r *raid) string {
				return func(r *raid) string {
					for _, now := range r.members {
						if now.device == member.device {
							return value(now)
						}
					}
					return ""
				}
			}
			read("dev-"+member.device+"/state", of(raidMember.state))
			read("dev-"+member.device+"/slot", of(func(member raidMember) string {
				if member.slot < 0 {
					return "none"
				}
				return fmt.Sprint(member.slot)
			}))
		}
	}
}

// mdUUID returns a UUID in mdadm's notation.
func mdUUID(uuid string) string {
	digits := strings.ReplaceAll(uuid, "-", "")
	return digits[:8] + ":" + digits[8:16] + ":" + digits[16:24] + ":" + digits[24:]
}
