package pbs

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/pbs"
	"hlplay/modules/internal/pve"
	"hlplay/modules/internal/required"
)

// Datastore is a directory that keeps backups.
type Datastore struct {
	Name       string `hcl:"name" doc:"Name of the datastore."`
	Path       string `hcl:"path" doc:"Directory of the datastore, empty or not existing yet. It cannot be changed later."`
	GCSchedule string `hcl:"gc_schedule,optional" default:"\"daily\"" doc:"When to collect garbage, as a calendar event: daily, sat 03:00."`
	VerifyNew  *bool  `hcl:"verify_new,optional" doc:"Whether to verify each backup right after it is made."`
}

func (d *Datastore) validate() error {
	if err := checkName("datastore.name", d.Name); err != nil {
		return err
	}
	switch {
	case !path.IsAbs(d.Path) || path.Clean(d.Path) != d.Path || d.Path == "/":
		return &modules.ArgumentError{Argument: "datastore.path", Problem: fmt.Sprintf("%q cannot be used as the directory of a datastore", d.Path), Want: "an absolute path, as in /srv/backup/main"}
	case strings.ContainsAny(d.Path, "\n\r\x00"):
		return &modules.ArgumentError{Argument: "datastore.path", Problem: "has a line break"}
	}
	return checkSchedule("datastore.gc_schedule", d.GCSchedule)
}

func checkSchedule(argument, schedule string) error {
	if !pve.IsEvent(schedule) {
		return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%q is not a calendar event", schedule), Want: "as in daily, 02:30 or sat 03:00"}
	}
	return nil
}

func (d *Datastore) plan(ctx context.Context, h modules.Host, have pbs.Server) (modules.Plan, error) {
	notes, err := d.notes(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	plan := modules.Plan{Notes: notes}
	want := map[string]string{"path": d.Path, "gc-schedule": d.GCSchedule}
	if d.VerifyNew != nil {
		want["verify-new"] = strconv.FormatBool(*d.VerifyNew)
	}
	is, exists := have.Datastores[d.Name]
	after := have.Clone()
	after.Datastores[d.Name] = merged(is, want)
	step := modules.Step{Expect: []observe.Expectation{pbs.Servers.Expect("", after)}, Exact: true}
	if exists {
		if !pve.Path.Same(is["path"], d.Path) {
			return modules.Plan{}, fmt.Errorf("datastore.path: datastore %s of %s is in %s, and cannot be moved: choose another name, or set path to that directory", d.Name, h.Name(), is["path"])
		}
		delete(want, "path")
		keys := differing(is, want)
		if len(keys) == 0 {
			return plan, nil
		}
		step.Summary = fmt.Sprintf("change datastore %s: %s", d.Name, strings.Join(keys, ", "))
		step.Action = run(slices.Concat([]string{"datastore", "update", d.Name}, options(want, keys))...)
		step.Diff = &modules.Diff{Subject: "datastore " + d.Name, Before: lines(is), After: lines(after.Datastores[d.Name])}
		plan.Steps = []modules.Step{step}
		return plan, nil
	}
	for other, section := range have.Datastores {
		if pve.Path.Same(section["path"], d.Path) {
			return modules.Plan{}, fmt.Errorf("datastore.path: %s on %s is already the directory of datastore %s", d.Path, h.Name(), other)
		}
	}
	made, err := d.directory(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	delete(want, "path")
	create := run(slices.Concat([]string{"datastore", "create", d.Name, d.Path}, options(want, differing(nil, want)))...)
	// The server creates 65,536 directories, and a second attempt would fail because of them.
	create.Limit, create.Long = 30*time.Minute, true
	step.Summary, step.Action, step.Expect = fmt.Sprintf("create datastore %s in %s", d.Name, d.Path), create, append(step.Expect, made...)
	plan.Steps = []modules.Step{step}
	return plan, nil
}

// directory rejects a directory that is not empty or that another user could replace. It returns the expectations for the
// directory.
func (d *Datastore) directory(ctx context.Context, h modules.Host) ([]observe.Expectation, error) {
	observe.Dirs.Want(h, d.Path)
	// The server creates the directories and changes their owner by name.
	if err := required.Settled(ctx, h, d.Path, "and the server would change its owner to the user backup", "name a directory that only root can replace"); err != nil {
		return nil, fmt.Errorf("datastore.path: %w", err)
	}
	f, err := observe.Files.Observe(ctx, h, d.Path)
	switch {
	case err != nil:
		return nil, err
	case f.Exists() && f.Type != observe.Directory:
		return nil, fmt.Errorf("datastore.path: %s on %s is a %s: name a directory", d.Path, h.Name(), f.Type)
	}
	// The sticky bit protects only existing entries.
	for dir := path.Dir(d.Path); !f.Exists() && dir != "/"; dir = path.Dir(dir) {
		_, above, err := observe.Follow(ctx, h, dir)
		if err != nil {
			return nil, err
		}
		if above.Mode&0o002 != 0 {
			return nil, fmt.Errorf("datastore.path: every user can create %s on %s before the server does: name a directory that only root can replace", d.Path, h.Name())
		}
		if above.Exists() {
			break
		}
	}
	listing, err := observe.Dirs.Observe(ctx, h, d.Path)
	if err != nil {
		return nil, err
	}
	if slices.Contains(listing.Entries, ".chunks") {
		return nil, fmt.Errorf("datastore.path: %s on %s has the chunks of a datastore that the server does not know: import it by hand (proxmox-backup-manager datastore create %s %s --reuse-datastore true, from Proxmox Backup Server 3.3 on), or name an empty directory",
			d.Path, h.Name(), d.Name, d.Path)
	}
	if others := slices.DeleteFunc(slices.Clone(listing.Entries), func(name string) bool { return name == "lost+found" }); len(others) > 0 {
		return nil, fmt.Errorf("datastore.path: %s on %s is not empty (it contains %s): name an empty directory, or one that does not exist", d.Path, h.Name(), others[0])
	}
	mode := f.Mode
	if !f.Exists() {
		mode = 0o755
	}
	listing.Exists, listing.Entries = true, append(slices.Clone(listing.Entries), ".chunks", ".lock")
	slices.Sort(listing.Entries)
	return append(observe.Placed(h, d.Path, observe.File{Type: observe.Directory, Mode: mode, Owner: "backup", Group: "backup"}), observe.Dirs.Expect(d.Path, listing)), nil
}

// notes warns about a datastore that would be lost together with the guests that it has backups of.
func (d *Datastore) notes(ctx context.Context, h modules.Host) ([]string, error) {
	pve.Nodes.Want(h, "")
	at, err := located(ctx, h, d.Path)
	if err != nil {
		return nil, fmt.Errorf("datastore.path: %w", err)
	}
	var above []string // the directory and those above it, the lowest first
	for dir := at; dir != "/"; dir = path.Dir(dir) {
		above = append(above, dir)
	}
	mounts, err := observe.Mounts.ObserveAll(ctx, h, above)
	if err != nil {
		return nil, err
	}
	var notes []string
	for _, dir := range above {
		mount := mounts[dir]
		if mount.Source == "" {
			continue
		}
		on, err := onCeph(ctx, h, mount)
		if err != nil {
			return nil, err
		}
		if on {
			notes = append(notes, fmt.Sprintf("datastore %s: %s is on Ceph (%s at %s): if Ceph fails, guests with disks there are lost together with their backups; use local disks of the server", d.Name, d.Path, mount.Source, dir))
		}
		break
	}
	node, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	if node.Installed {
		notes = append(notes, fmt.Sprintf("datastore %s: %s is a Proxmox VE node: if it is lost, so are the backups of its guests; keep them on a separate host", d.Name, h.Name()))
	}
	return notes, nil
}

// located returns where a directory is: links in its path are followed.
func located(ctx context.Context, h modules.Host, name string) (string, error) {
	for dir := path.Clean(name); dir != "/"; dir = path.Dir(dir) {
		observe.Files.Want(h, dir)
	}
	at := "/"
	for part := range strings.SplitSeq(strings.Trim(path.Clean(name), "/"), "/") {
		var err error
		if at, _, err = observe.Follow(ctx, h, path.Join(at, part)); err != nil {
			return "", err
		}
	}
	return at, nil
}

// onCeph reports whether a mounted file system is CephFS, or on an RBD image, even with LVM or encryption in between.
func onCeph(ctx context.Context, h modules.Host, mount observe.Mount) (bool, error) {
	switch {
	case mount.Type == "ceph", mount.Type == "fuse.ceph-fuse", strings.HasPrefix(mount.Source, "/dev/rbd"):
		return true, nil
	case !strings.HasPrefix(mount.Source, "/dev/mapper/"): // as /proc/self/mounts names volumes
		return false, nil
	}
	disks, err := observe.Disks.Observe(ctx, h, "")
	if err != nil {
		return false, err
	}
	on := false
	for _, disk := range disks {
		if !strings.HasPrefix(disk.Name, "rbd") {
			continue
		}
		disk.Walk(func(volume observe.BlockDevice) { on = on || volume.Path == mount.Source })
	}
	return on, nil
}
