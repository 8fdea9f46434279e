// Package mount implements the module that mounts file systems, now and at boot.
package mount

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/internal/required"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "mount",
	Aliases: []string{"fstab"},
	Summary: "A file system mounted now and at every boot",
	Doc: `Adds a file system to /etc/fstab and mounts it. A device is identified by the UUID of its file system, so that it does not matter
in what order the kernel finds the disks. All other lines of /etc/fstab are kept. The directory is created if it does not exist.

With ` + "`nofail`" + `, the default, a host boots without a file system whose device does not appear; otherwise it waits and ends up in emergency
mode without a network.

Changed options are applied with a remount, as are ` + "`noexec`, `nosuid`, `nodev` and `noatime`" + ` where the mounted file system lacks them.
The task fails if the file system has become read-only because of errors, or if
something else is mounted at the directory. With ` + "`state = \"absent\"`" + ` the file system is unmounted, which fails while it is in use, and
removed from /etc/fstab; the directory stays.`,
	Example: `task "bulk data at /srv/bulk" {
  mount {
    path    = "/srv/bulk"
    source  = "/dev/disk/by-id/ata-WDC_WD80EFZX_VK0EXAMPLE"
    options = ["noatime"]
  }
}`,
	New: func() modules.Module { return &mount{} },
}

type mount struct {
	Path    string   `hcl:"path" doc:"The directory."`
	Source  string   `hcl:"source,optional" doc:"What to mount: a device, UUID=…, tmpfs, SERVER:/DIRECTORY. Required unless state is absent."`
	Type    string   `hcl:"type,optional" doc:"The type of the file system. Required unless source is a device, whose type is detected."`
	Options []string `hcl:"options,optional" doc:"Mount options, such as noatime or subvol=@data."`
	Nofail  bool     `hcl:"nofail,optional" default:"true" doc:"Boot the host without it if it cannot be mounted."`
	State   string   `hcl:"state,optional" default:"mounted" enum:"mounted,absent" doc:"mounted, or absent: unmounted and not listed."`
}

var (
	tagForm    = pattern.New(`^(LABEL|PARTLABEL|PARTUUID|ID)=`)
	optionForm = pattern.New(`^[^\s,#]+$`)
	// kernels matches directories below which the system itself mounts file systems.
	kernels = pattern.New(`^/(dev|proc|run|sys)(/|$)`)
	// binds lists the options with which mount(8) does not mount a file system.
	binds = map[string]bool{"bind": true, "rbind": true, "move": true}
)

func (m *mount) Validate() error {
	switch {
	case !path.IsAbs(m.Path) || path.Clean(m.Path) != m.Path || strings.ContainsAny(m.Path, "\n\t"):
		return &modules.ArgumentError{Argument: "path", Problem: fmt.Sprintf("%q is not the absolute path of a directory", m.Path), Want: "expected a path such as /srv/bulk"}
	case observe.IsSystemDirectory(m.Path) || kernels.MatchString(m.Path):
		return &modules.ArgumentError{Argument: "path", Problem: m.Path + " is part of the system", Want: "expected a directory such as /srv/bulk; nothing can be mounted over a directory that the system uses"}
	case m.State == "absent":
		return nil
	case m.Source == "":
		return &modules.ArgumentError{Argument: "source", Problem: "is missing", Want: "a device, UUID=… or SERVER:/DIRECTORY"}
	case strings.ContainsAny(m.Source, "\n\t"):
		return &modules.ArgumentError{Argument: "source", Problem: "has a line break or a tab in it", Want: "a device, UUID=… or SERVER:/DIRECTORY"}
	case tagForm.MatchString(m.Source):
		return &modules.ArgumentError{Argument: "source", Problem: fmt.Sprintf("%q can refer to another device later", m.Source), Want: "expected the device, or UUID=…"}
	case m.Type == "" && !m.device():
		return &modules.ArgumentError{Argument: "type", Problem: "is missing", Want: "give it, as in \"nfs4\"; it is detected for devices only"}
	case m.Type != "" && !optionForm.MatchString(m.Type):
		return &modules.ArgumentError{Argument: "type", Problem: fmt.Sprintf("%q is not the type of a file system", m.Type), Want: "ext4, xfs, btrfs, nfs4, tmpfs, …"}
	}
	for _, o := range m.Options {
		if !optionForm.MatchString(o) {
			return &modules.ArgumentError{Argument: "options", Problem: fmt.Sprintf("%q is not one option", o), Want: "expected each option as a separate element"}
		}
		if binds[o] {
			return &modules.ArgumentError{Argument: "options", Problem: o + " makes a directory visible in a second place, and the kernel does not report which one", Want: "use a systemd mount unit, written with the module file"}
		}
		if name, _, given := strings.Cut(o, "="); given && (name == "password" || name == "pass" || name == "password2") {
			return &modules.ArgumentError{Argument: "options", Problem: name + " would show in /etc/fstab and in the process list, which every user of the host can read", Want: "write a file that only root can read, with the module file, and name it: credentials=/etc/nas.credentials"}
		}
		if o == "nofail" {
			return &modules.ArgumentError{Argument: "options", Problem: "nofail is a separate argument", Want: "leave it out here"}
		}
	}
	return nil
}

// device reports whether the source is a device, whose UUID has to be looked up.
func (m *mount) device() bool { return strings.HasPrefix(m.Source, "/dev/") }

// Want implements modules.Announcer.
func (m *mount) Want(h modules.Host) {
	observe.Files.Want(h, fstab)
	if m.Path != "" {
		observe.WantReplaceable(h, m.Path)
		observe.Mounts.Want(h, m.Path)
	}
	observe.Disks.Want(h, "")
}

// Plan implements modules.Module.
func (m *mount) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	m.Want(h)
	at, table, err := observe.Follow(ctx, h, fstab)
	if err != nil {
		return modules.Plan{}, err
	}
	if table.Truncated {
		return modules.Plan{}, fmt.Errorf("%s is larger than %d bytes, the limit for a configuration file", at, observe.FileLimit)
	}
	if err := m.plain(ctx, h); err != nil {
		return modules.Plan{}, err
	}
	mounted, err := observe.Mounts.Observe(ctx, h, m.Path)
	if err != nil {
		return modules.Plan{}, err
	}
	devices, err := observe.Disks.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	s := &state{m, h, devices, mounted}
	if m.State == "absent" {
		return s.absent(ctx, string(table.Content))
	}
	return s.present(ctx, string(table.Content))
}

// state is the observed state of the host.
type state struct {
	*mount
	host    modules.Host
	devices []observe.BlockDevice
	mounted observe.Mount
}

func (s *state) present(ctx context.Context, table string) (modules.Plan, error) {
	e, on, err := s.entry()
	if err != nil {
		return modules.Plan{}, err
	}
	asked := s.asked(e)
	if s.mounted.Source != "" && !asked && !s.same(e, on) {
		return modules.Plan{}, fmt.Errorf("%s is mounted at %s on %s, expected %s: unmount it first, or name another directory", s.mounted.Source, s.Path, s.host.Name(), s.Source)
	}
	content, err := e.put(table)
	if err != nil {
		return modules.Plan{}, err
	}
	steps, err := conffile.Write(ctx, s.host, fstab, content, fmt.Sprintf("list %s at %s in %s", e.source, s.Path, fstab))
	if err != nil {
		return modules.Plan{}, err
	}
	changed := len(steps) > 0
	if changed {
		steps = append(steps, conffile.ReloadUnits(fstab))
	}
	if changed || s.mounted.Source == "" {
		if err := s.settled(ctx); err != nil {
			return modules.Plan{}, err
		}
	}
	dir, err := observe.Files.Observe(ctx, s.host, s.Path)
	readOnly := slices.Contains(s.Options, "ro")
	after := observe.Mount{Source: e.source, Type: e.kind, ReadOnly: readOnly, Flags: strings.Join(flags(e.options), ",")}
	switch {
	case err != nil:
		return modules.Plan{}, err
	case asked:
	case s.mounted.ReadOnly && !readOnly && !changed:
		return modules.Plan{}, fmt.Errorf("%s is mounted read-only on %s, but neither the task nor %s asks for that: the kernel does so after errors; see journalctl -k, check the file system, and unmount it, so that it is mounted again",
			s.Path, s.host.Name(), fstab)
	case s.mounted.Source != "" && (changed || readOnly && !s.mounted.ReadOnly || len(lacking(e.options, s.mounted)) > 0):
		// The line in fstab shows the next run that the options are set. If mount(8) is given both a source and a directory, it
		// reads no options from fstab.
		options := remounting(e.options, readOnly, s.mounted)
		after.Source, after.Type = s.mounted.Source, s.mounted.Type
		if !changed { // if fstab changes, this is checked above
			if err := s.settled(ctx); err != nil {
				return modules.Plan{}, err
			}
		}
		argv := []string{"mount", "-o", "remount," + options, s.mounted.Source, s.Path}
		steps = append([]modules.Step{s.step("remount", fmt.Sprintf("remount %s with the options %s", s.Path, options), argv, after)}, steps...)
	case s.mounted.Source != "":
	case dir.Exists() && dir.Type != observe.Directory:
		return modules.Plan{}, fmt.Errorf("%s is a %s on %s: expected a directory, or nothing", s.Path, dir.Type, s.host.Name())
	default:
		if !dir.Exists() {
			steps = append(steps, modules.Step{
				Summary: "create directory " + s.Path,
				Action:  modules.MakeDir{Path: s.Path, Mode: 0o755, Owner: "root", Group: "root"},
				Expect:  observe.Placed(s.host, s.Path, observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
			})
		}
		if on != nil {
			after.Source = on.Path
		}
		steps = append(steps, s.step("mount", fmt.Sprintf("mount %s at %s", s.Source, s.Path), []string{"mount", s.Path}, after))
	}
	return modules.Plan{Steps: steps}, nil
}

// asked reports whether systemd mounts the file system only when the directory is used.
func (s *state) asked(e entry) bool {
	return s.mounted.Type == "autofs" && slices.Contains(strings.Split(e.options, ","), "x-systemd.automount")
}

// plain rejects a path that contains symbolic links: the kernel reports the mount under the resolved directory, so it
// would not be found.
func (m *mount) plain(ctx context.Context, h modules.Host) error {
	for at := m.Path; at != "/"; at = path.Dir(at) {
		f, err := observe.Files.Observe(ctx, h, at)
		if observe.IsUnknown(err) {
			continue
		}
		if err != nil {
			return err
		}
		if f.Type == observe.Symlink {
			return fmt.Errorf("%s on %s is a symbolic link to %s: name the directory that %s leads to, without links", at, h.Name(), f.Target, m.Path)
		}
	}
	return nil
}

// settled rejects a directory that another user could replace: mount(8) would follow a link in its place, and mount over a
// directory of the system or unmount it.
func (s *state) settled(ctx context.Context) error {
	return required.Settled(ctx, s.host, s.Path, "and therefore what mount(8) would mount", "name a directory that only root can replace")
}

// entry returns the desired line of fstab and its device, which is nil if the source is not a known device.
func (s *state) entry() (entry, *observe.BlockDevice, error) {
	e := entry{s.Source, s.Path, s.Type, "defaults", "0", "0"}
	on := s.find()
	switch {
	case s.device() && on == nil:
		return e, nil, fmt.Errorf("%s has no device %s", s.host.Name(), s.Source)
	case s.device() && on.UUID == "":
		return e, nil, fmt.Errorf("%s on %s contains no file system (%s): create one with the module filesystem", s.Source, s.host.Name(), orBlank(on.Use()))
	case s.device() && s.Type != "" && s.Type != on.Filesystem:
		return e, nil, fmt.Errorf("%s on %s contains %s, expected %s", s.Source, s.host.Name(), on.Filesystem, s.Type)
	case s.device():
		e.source, e.kind = "UUID="+on.UUID, on.Filesystem
	}
	options := slices.Clone(s.Options)
	if s.Nofail {
		options = append(options, "nofail")
	}
	if len(options) > 0 {
		e.options = strings.Join(options, ",")
	}
	if e.kind == "ext4" || e.kind == "ext3" || e.kind == "ext2" { // other types are not checked at boot
		e.pass = "2"
	}
	return e, on, nil
}

// find returns the device that the source names.
func (s *state) find() *observe.BlockDevice {
	if uuid, ok := strings.CutPrefix(s.Source, "UUID="); ok {
		var found *observe.BlockDevice
		for _, top := range s.devices {
			top.Walk(func(d observe.BlockDevice) {
				if d.UUID == uuid {
					found = &d
				}
			})
		}
		return found
	}
	if d, ok := observe.FindDevice(s.devices, s.Source); ok {
		return &d
	}
	return nil
}

func orBlank(use string) string {
	if use == "" {
		return "it is blank"
	}
	return use
}

// same reports whether the right file system is mounted.
func (s *state) same(e entry, on *observe.BlockDevice) bool {
	if on == nil {
		return withoutSlash(s.mounted.Source) == withoutSlash(e.source)
	}
	d, ok := observe.FindDevice(s.devices, s.mounted.Source)
	return s.mounted.Source == on.Path || ok && d.UUID == on.UUID
}

// withoutSlash returns a source without trailing slashes, which the helpers for network file systems may drop:
// nas:/export/.
func withoutSlash(source string) string { return strings.TrimRight(source, "/") }

func (s *state) absent(ctx context.Context, table string) (modules.Plan, error) {
	content, err := take(table, s.Path)
	if err != nil {
		return modules.Plan{}, err
	}
	var steps []modules.Step
	if s.mounted.Source != "" {
		if err := s.settled(ctx); err != nil {
			return modules.Plan{}, err
		}
		steps = append(steps, s.step("unmount", fmt.Sprintf("unmount %s from %s", s.mounted.Source, s.Path), []string{"umount", s.Path}, observe.Mount{}))
	}
	if content != table {
		listed, err := conffile.Write(ctx, s.host, fstab, content, fmt.Sprintf("remove %s from %s", s.Path, fstab))
		if err != nil {
			return modules.Plan{}, err
		}
		steps = append(append(steps, listed...), conffile.ReloadUnits(fstab))
	}
	return modules.Plan{Steps: steps}, nil
}

// step returns a step that mounts or unmounts something. What is below the directory then belongs to another file system.
func (s *state) step(what, summary string, argv []string, after observe.Mount) modules.Step {
	step := modules.Step{
		Summary: summary,
		Action:  modules.Run{Argv: argv, Limit: 2 * time.Minute},
		Expect:  []observe.Expectation{observe.Mounts.Expect(s.Path, after)},
		Exact:   true,
	}
	if what == "remount" {
		return step
	}
	devices := mountedAt(s.devices, s.Path, s.mounted.Source, after.Source)
	because := "something else is mounted at " + s.Path
	// What the directory holds is named, since the step that makes it says that it is empty: a new ext4 holds lost+found.
	step.Expect = append(step.Expect, observe.Disks.Expect("", devices), observe.Dirs.Unknown(s.Path, because), observe.Expectation{
		Match: func(k observe.Key) bool {
			return k.Kind != observe.Mounts.Name && strings.Contains(k.Name, s.Path+"/")
		},
		Unknown: because,
	})
	return step
}

// mountedAt returns the devices once one of them is mounted at a directory in place of another.
func mountedAt(devices []observe.BlockDevice, dir, before, after string) []observe.BlockDevice {
	return observe.ChangeDevices(devices, func(d observe.BlockDevice) bool { return d.Path == before || d.Path == after },
		func(d *observe.BlockDevice) {
			if d.Path == after {
				d.Mountpoints = append(slices.Clone(d.Mountpoints), dir)
			} else if d.Mountpoints = without(d.Mountpoints, dir); len(d.Mountpoints) == 0 {
				d.Mountpoints = nil
			}
		})
}

func without(all []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(at string) bool { return at == one })
}
