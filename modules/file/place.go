package file

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// parents makes the missing directories above a path, or refuses.
func (f *File) parents(ctx context.Context, h modules.Host, name string) ([]modules.Step, error) {
	observe.Files.Want(h, ancestors(name)...)
	var missing []string
	for _, dir := range ancestors(name) {
		at, now, err := observe.Follow(ctx, h, dir)
		if err != nil {
			return nil, err
		}
		if now.Type == observe.Directory {
			break
		}
		if now.Exists() || at != dir {
			return nil, fmt.Errorf("%s cannot be made: %s is a %s, not a directory", name, at, now.Type)
		}
		missing = append(missing, dir)
	}
	if len(missing) == 0 {
		return nil, nil
	}
	if !f.MakeParents {
		return nil, fmt.Errorf("the directory %s does not exist; set make_parents = true to make it", missing[0])
	}
	owner, group, err := actor(ctx, h)
	if err != nil {
		return nil, err
	}
	made := observe.File{Type: observe.Directory, Mode: 0o755, Owner: owner, Group: group}
	if inherited, err := inheritedGroup(ctx, h, name); err != nil {
		return nil, err
	} else if inherited != "" {
		made.Group, made.Mode = inherited, made.Mode|setgid
	}
	var expect []observe.Expectation
	for i, dir := range missing {
		expect = append(expect, observe.Placed(h, dir, made)...)
		if i > 0 { // a new directory holds the next one and nothing else
			expect = append(expect, observe.Dirs.Expect(dir, observe.Listing{Exists: true, Entries: []string{path.Base(missing[i-1])}}))
		}
	}
	return []modules.Step{{
		Summary: "create directory " + missing[0],
		Action:  modules.MakeDir{Path: missing[0], Mode: 0o755},
		Expect:  expect,
	}}, nil
}

// made is a file as it will be once it is made: with the mode and ownership asked for, else those
// that f has already, else those of the acting user, but the group of a directory with the setgid bit.
func (f *File) made(ctx context.Context, h modules.Host, at string, file observe.File) (observe.File, error) {
	if inClusterFS(at) {
		if err := f.checkClusterFS(at); err != nil {
			return file, err
		}
		file.Owner, file.Group, file.Mode = "root", "www-data", clusterMode(at, file.Type)
		return file, nil
	}
	if f.mode() != 0 && file.Type != observe.Symlink {
		file.Mode = f.mode()
	}
	if f.Owner != "" {
		file.Owner = f.Owner
	}
	if f.Group != "" {
		file.Group = f.Group
	}
	if file.Type == observe.Directory || file.Group == "" {
		inherited, err := inheritedGroup(ctx, h, at)
		if err != nil {
			return file, err
		}
		if file.Group == "" {
			file.Group = inherited
		}
		if file.Type == observe.Directory && inherited != "" {
			file.Mode |= setgid
		}
	}
	if file.Owner != "" && file.Group != "" {
		return file, nil
	}
	owner, group, err := actor(ctx, h)
	if file.Owner == "" {
		file.Owner = owner
	}
	if file.Group == "" {
		file.Group = group
	}
	return file, err
}

// setgid is the bit of a directory's mode that hands its group down, as chmod(1) counts it.
const setgid = 0o2000

// inheritedGroup returns the group that what is made at a path gets from the nearest directory above that is there, if that has
// the setgid bit: inode(7). Else it is empty.
func inheritedGroup(ctx context.Context, h modules.Host, name string) (string, error) {
	for _, dir := range ancestors(name) {
		_, above, err := observe.Follow(ctx, h, dir)
		switch {
		case err != nil:
			return "", err
		case above.Type == observe.Directory && above.Mode&setgid != 0:
			return above.Group, nil
		case above.Exists():
			return "", nil
		}
	}
	return "", nil
}

// actor is the acting user and its primary group, to whom new files belong.
func actor(ctx context.Context, h modules.Host) (owner, group string, err error) {
	if observe.ActingUser(ctx) == "root" {
		return "root", "root", nil
	}
	if owner, err = observe.Whoami.Observe(ctx, h, observe.ActingUser(ctx)); err != nil {
		return "", "", err
	}
	if owner == "root" {
		return owner, owner, nil
	}
	user, err := observe.Users.Observe(ctx, h, owner)
	if err != nil {
		return "", "", err
	}
	if !user.Exists() {
		return "", "", fmt.Errorf("the acting user %s has no account", owner)
	}
	return owner, user.Group, nil
}

// inClusterFS reports whether a path is in /etc/pve, the mount of Proxmox VE's cluster file system.
// It keeps no modes and owners of its own (pmxcfs(8)): all belongs to root:www-data, and only root
// reads what is private.
func inClusterFS(at string) bool { return strings.HasPrefix(at, "/etc/pve/") }

func clusterMode(at string, t observe.FileType) fs.FileMode {
	private := strings.HasPrefix(at, "/etc/pve/priv/") || strings.HasPrefix(at, "/etc/pve/nodes/") && strings.Contains(at, "/priv/")
	switch {
	case t == observe.Directory && private:
		return 0o700
	case t == observe.Directory:
		return 0o755
	case t == observe.Symlink:
		return 0o777
	case private:
		return 0o600
	}
	return 0o640
}

// checkClusterFS refuses attributes that the cluster file system would ignore.
func (f *File) checkClusterFS(at string) error {
	if !inClusterFS(at) || f.mode() == 0 && f.Owner == "" && f.Group == "" {
		return nil
	}
	return fmt.Errorf("%s lies in the cluster file system, which decides on mode and ownership itself; leave out mode, owner and group", at)
}
