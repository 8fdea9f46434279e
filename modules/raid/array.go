package raid

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/engine/remote"
)

// array is a software RAID as the kernel reports it.
type array struct {
	// Name is the kernel's name, such as "md127".
	Name string
	// Level is in the form that lsblk uses too: "raid6".
	Level string
	// State is "clean", "active" and so on; "inactive" if the array is not running.
	State string
	// Disks is the number of members that it needs, and Degraded how many of them are missing or not yet rebuilt.
	Disks, Degraded int
	// Sync is the current operation: "idle", "resync", "recover", "reshape" or "check".
	Sync    string
	Members []member
}

// member is a device of an array.
type member struct {
	// Device is the kernel's name, such as "sdb".
	Device string
	// Slot is the member's position in the array, or -1 for a spare and for a failed device.
	Slot int
	// Failed is set if the kernel has dropped the device, and Leaving if a spare is replacing it.
	Failed, Leaving bool
}

// vacant returns the number of slots without a member.
func (a array) vacant() int {
	taken := map[int]bool{}
	for _, m := range a.Members {
		if m.Slot >= 0 && !m.Failed {
			taken[m.Slot] = true
		}
	}
	return a.Disks - len(taken)
}

// arrays observes the software RAIDs of a host, sorted by name. Its only name is "".
var arrays = &observe.Kind[[]array]{
	Name: "arrays", What: "the software RAIDs",
	Ask: func([]string) []remote.Query {
		// It is not an error if the host has no arrays, or if they change while they are read. The plan handles an array that only
		// lsblk lists.
		return []remote.Query{{Script: `grep -sH '' /dev/null /sys/block/md*/md/level /sys/block/md*/md/array_state /sys/block/md*/md/raid_disks /sys/block/md*/md/degraded /sys/block/md*/md/sync_action /sys/block/md*/md/dev-*/state /sys/block/md*/md/dev-*/slot; true`, Inline: true}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, []array, error)) {
		all := parseArrays(string(answers[0].Stdout))
		for _, name := range names {
			tell(name, all, nil)
		}
	},
	Complete: complete,
}

var attributeForm = pattern.New(`^/sys/block/([^/:]+)/md/(?:dev-([^/:]+)/)?([a-z_]+):(.*)$`)

// parseArrays parses lines of a path in /sys, a colon, and the file's content.
func parseArrays(text string) []array {
	found := map[string]*array{}
	members := map[string]map[string]*member{}
	for line := range strings.Lines(text) {
		f := attributeForm.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if f == nil {
			continue
		}
		name, device, attribute, value := f[1], strings.ReplaceAll(f[2], "!", "/"), f[3], f[4]
		if found[name] == nil {
			found[name], members[name] = &array{Name: name}, map[string]*member{}
		}
		a := found[name]
		number, _ := strconv.Atoi(value)
		switch {
		case device != "":
			m := members[name][device]
			if m == nil {
				m = &member{Device: path.Base(device), Slot: -1}
				members[name][device] = m
			}
			switch attribute {
			case "slot":
				if slot, err := strconv.Atoi(value); err == nil {
					m.Slot = slot
				}
			case "state":
				states := strings.Split(value, ",")
				m.Failed = slices.Contains(states, "faulty")
				m.Leaving = slices.Contains(states, "want_replacement")
			}
		case attribute == "level":
			a.Level = value
		case attribute == "array_state":
			a.State = value
		case attribute == "raid_disks": // during a reshape, the old number follows: "5 (4)"
			a.Disks, _ = strconv.Atoi(strings.Fields(value + " 0")[0])
		case attribute == "degraded":
			a.Degraded = number
		case attribute == "sync_action":
			a.Sync = value
		}
	}
	var all []array
	for name, a := range found {
		for _, m := range members[name] {
			a.Members = append(a.Members, *m)
		}
		slices.SortFunc(a.Members, func(a, b member) int { return cmp.Compare(a.Device, b.Device) })
		all = append(all, *a)
	}
	slices.SortFunc(all, func(a, b array) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// complete takes from found what only the kernel decides: which member takes which slot, and when an operation starts.
func complete(expected, found []array) []array {
	all := slices.Clone(expected)
	for i := range all {
		at := slices.IndexFunc(found, func(a array) bool { return a.Name == all[i].Name })
		if at < 0 {
			continue
		}
		f := found[at]
		all[i].State, all[i].Degraded, all[i].Sync = f.State, f.Degraded, f.Sync
		all[i].Members = slices.Clone(all[i].Members)
		for j, m := range all[i].Members {
			if at := slices.IndexFunc(f.Members, func(other member) bool { return other.Device == m.Device }); at >= 0 {
				all[i].Members[j].Slot = f.Members[at].Slot
			}
		}
	}
	return all
}
