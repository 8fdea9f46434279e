package raid

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/blank"
	"hlplay/modules/internal/uuid"
)

// signature is lsblk's name for an array's superblock on its members.
const signature = "linux_raid_member"

// state is the observed state of the host.
type state struct {
	*raid
	host    modules.Host
	devices []observe.BlockDevice
	arrays  []array
	// uuid is the array's UUID. That of a new array is derived from the host and the name, so that check mode knows it.
	uuid string
	// listed is the UUID that mdadm.conf has for the name, or "" if it has none.
	listed string
	// node is the name to use for a running array in mdadm commands.
	node string
}

// plan returns the steps on the disks.
func (s *state) plan() (modules.Plan, error) {
	disks, missing, err := blank.Find(s.host, s.devices, s.Disks, "disk", "part")
	if err != nil {
		return modules.Plan{}, err
	}
	s.uuid = uuid.Derived("raid", s.host.Name(), s.Name)
	switch d, found, err := s.find(); {
	case err != nil:
		return modules.Plan{}, err
	case found:
		return s.existing(d, disks, missing)
	}
	if len(missing) > 0 {
		return modules.Plan{}, fmt.Errorf("%s has no disk %s; it has: %s", s.host.Name(), strings.Join(missing, ", "), blank.List(s.devices))
	}
	if id := disks[0].Device.UUID; disks[0].Device.Filesystem == signature && !slices.ContainsFunc(disks, func(t blank.Target) bool {
		return t.Device.Filesystem != signature || t.Device.UUID != id || len(t.Device.Children) > 0
	}) && !slices.Contains(s.Wipe, disks[0].Serial) {
		s.uuid = id
		return s.assemble(disks), nil
	}
	return s.create(disks)
}

// find returns the array: the one with the right name, or one whose members have the UUID that mdadm.conf lists or that it
// was created with. A running array may lack its name: it is /dev/md127 if the initramfs started it without mdadm.conf, or
// if it was created under another host name.
func (s *state) find() (found observe.BlockDevice, ok bool, err error) {
	for _, top := range s.devices {
		top.Walk(func(d observe.BlockDevice) {
			for _, child := range d.Children {
				ours := d.Filesystem == signature && d.UUID != "" && (d.UUID == s.uuid || d.UUID == s.listed)
				if !isArray(child) || !ours && !slices.Contains(child.Links, device(s.Name)) {
					continue
				}
				if ok && child.Name != found.Name {
					err = fmt.Errorf("%s on %s could be %s or %s: compare mdadm --detail of both with %s, and rename one of the arrays", device(s.Name), s.host.Name(), found.Path, child.Path, confFile)
				}
				found, ok = child, true
			}
		})
	}
	return found, ok && err == nil, err
}

// node returns the name to use for an array in mdadm commands: /dev/md/NAME if udev has made that link, or else the kernel's
// name.
func node(name string, md observe.BlockDevice) string {
	if slices.Contains(md.Links, device(name)) {
		return device(name)
	}
	return md.Path
}

func isArray(d observe.BlockDevice) bool { return strings.HasPrefix(d.Type, "raid") }

func (s *state) array(name string) (array, bool) {
	at := slices.IndexFunc(s.arrays, func(a array) bool { return a.Name == name })
	if at < 0 {
		return array{}, false
	}
	return s.arrays[at], true
}

// guard wipes the disks that may be wiped, and rejects others that are not blank.
func (s *state) guard(disks []blank.Target) ([]modules.Step, error) {
	var steps []modules.Step
	for _, t := range disks {
		if err := t.Eligible(s.host, s.Wipe...); err != nil {
			return nil, err
		}
	}
	for _, t := range disks {
		if !t.Device.Blank() {
			var wiped modules.Step
			wiped, s.devices = t.Wipe(s.devices)
			steps = append(steps, wiped)
		}
	}
	return steps, nil
}

// create plans to create the array.
func (s *state) create(disks []blank.Target) (modules.Plan, error) {
	steps, err := s.guard(disks)
	if err != nil {
		return modules.Plan{}, err
	}
	argv := []string{"mdadm", "--create", device(s.Name), "--run", "--metadata=1.2", "--name=" + s.Name, "--uuid=" + mdForm(s.uuid),
		"--level=" + s.Level, "--bitmap=internal", "--raid-devices=" + strconv.Itoa(len(disks))}
	a := array{Name: s.free(), Level: "raid" + s.Level, State: "active", Disks: len(disks), Sync: "resync"}
	smallest := disks[0].Device.Size
	rotates := false
	for i, t := range disks {
		argv = append(argv, t.Path())
		a.Members = append(a.Members, member{Device: t.Device.Name, Slot: i})
		smallest = min(smallest, t.Device.Size)
		rotates = rotates || t.Device.Rotational
	}
	md := observe.BlockDevice{Name: a.Name, Path: "/dev/" + a.Name, Type: a.Level, Size: s.capacity(smallest, len(disks)), Rotational: rotates, Links: []string{device(s.Name)}}
	return modules.Plan{Steps: append(steps, modules.Step{
		Summary: fmt.Sprintf("create RAID %s %s of %d disks: %s", s.Level, device(s.Name), len(disks), blank.Names(disks)),
		Action:  modules.Run{Argv: blank.Guarded(disks, argv...), Limit: 5 * time.Minute},
		Expect:  s.expect(a, s.joined(s.devices, md, disks)),
		Settle:  blank.Settle,
		Exact:   true,
	})}, nil
}

// assemble plans to start an existing array.
func (s *state) assemble(disks []blank.Target) modules.Plan {
	argv := []string{"mdadm", "--assemble", device(s.Name), "--uuid=" + mdForm(s.uuid)}
	a := array{Name: s.free(), Level: "raid" + s.Level, State: "active", Disks: len(disks), Sync: "idle"}
	smallest := disks[0].Device.Size
	for i, t := range disks {
		argv = append(argv, t.Path())
		a.Members = append(a.Members, member{Device: t.Device.Name, Slot: i})
		smallest = min(smallest, t.Device.Size)
	}
	return modules.Plan{Partial: true, Steps: []modules.Step{{
		Summary: fmt.Sprintf("start the existing RAID on %s as %s", blank.Names(disks), device(s.Name)),
		Action:  modules.Run{Argv: argv, Limit: 5 * time.Minute},
		Expect: append(s.expect(a, nil), observe.Expectation{
			Match: func(k observe.Key) bool { return k == observe.Disks.Key("") }, Unknown: "what is on " + device(s.Name) + " shows when it is started",
		}),
		Settle: blank.Settle,
	}}}
}

// free returns the name that the kernel will give the next array: the highest one that is free.
func (s *state) free() string {
	for n := 127; ; n-- {
		name := fmt.Sprintf("md%d", n)
		if _, taken := s.array(name); !taken {
			return name
		}
	}
}

// reserved is the space that mdadm reserves at the beginning of a member for its superblock, bitmap and later reshapes.
// The rest of a member is used in multiples of chunk. Both are mdadm's defaults for disks of 128 GiB or more.
const (
	reserved = 129 << 20
	chunk    = 512 << 10
)

// capacity returns the usable size in bytes of an array of n disks.
func (s *state) capacity(smallest int64, n int) int64 {
	share := (smallest - reserved) / chunk * chunk
	switch s.Level {
	case "1":
		return share
	case "5":
		return share * int64(n-1)
	case "6":
		return share * int64(n-2)
	}
	return share * int64(n) / 2
}

// joined returns the devices once the disks are members of the array.
func (s *state) joined(devices []observe.BlockDevice, md observe.BlockDevice, disks []blank.Target) []observe.BlockDevice {
	return observe.ChangeDevices(devices, among(disks), func(d *observe.BlockDevice) {
		d.Filesystem, d.UUID, d.Children = signature, s.uuid, []observe.BlockDevice{md}
	})
}

func among(disks []blank.Target) func(observe.BlockDevice) bool {
	return func(d observe.BlockDevice) bool {
		return slices.ContainsFunc(disks, func(t blank.Target) bool { return t.Device.Name == d.Name })
	}
}

// expect returns the expectations for the given array and, unless nil, the given devices.
func (s *state) expect(a array, devices []observe.BlockDevice) []observe.Expectation {
	all := slices.DeleteFunc(slices.Clone(s.arrays), func(other array) bool { return other.Name == a.Name })
	all = append(all, a)
	slices.SortFunc(all, func(a, b array) int { return strings.Compare(a.Name, b.Name) })
	expect := []observe.Expectation{arrays.Expect("", all)}
	if devices != nil {
		expect = append(expect, observe.Disks.Expect("", devices))
	}
	return expect
}
