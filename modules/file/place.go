package file

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/required"
)

// parents plans to create the missing directories above a path, or returns an error.
func (f *File) parents(ctx context.Context, h modules.Host, name string) ([]modules.Step, error) {
	observe.Files.Want(h, ancestors(name)...)
	var missing []string
	for _, dir := range ancestors(name) {
		if f.coming[dir] {
			break
		}
		at, now, err := observe.Follow(ctx, h, dir)
		if err != nil {
			return nil, err
		}
		if now.Type == observe.Directory {
			break
		}
		switch {
		case now.Exists():
			return nil, fmt.Errorf("%s cannot be created: %s is a %s, not a directory", name, at, now.Type)
		case at != dir:
			return nil, fmt.Errorf("%s cannot be created: %s is a symbolic link to %s, which does not exist", name, dir, at)
		}
		missing = append(missing, dir)
	}
	if len(missing) == 0 {
		return nil, nil
	}
	if !f.MakeParents {
		return nil, fmt.Errorf("the directory %s does not exist; set make_parents = true to create it", missing[0])
	}
	owner, group, err := required.Actor(ctx, h)
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
		if i > 0 { // a new directory contains only the next one
			expect = append(expect, observe.Dirs.Expect(dir, observe.Listing{Exists: true, Entries: []string{path.Base(missing[i-1])}}))
		}
	}
	return []modules.Step{{
		Summary: "create directory " + missing[0],
		Action:  modules.MakeDir{Path: missing[0], Mode: 0o755},
		Expect:  expect,
	}}, nil
}

// made completes a file as it will be created: with the given mode and ownership, else with those that it already has,
// else with those of the acting user, except that the group comes from a directory with the setgid bit.
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
	owner, group, err := required.Actor(ctx, h)
	if file.Owner == "" {
		file.Owner = owner
	}
	if file.Group == "" {
		file.Group = group
	}
	return file, err
}

// Bits of a mode, as in chmod(1). A directory with setgid passes on its group.
const (
	setuid = 0o4000
	setgid = 0o2000
)

// inheritedGroup returns the group that something created at a path inherits from the nearest existing directory above
// it, if that directory has the setgid bit (inode(7)), and "" otherwise.
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

// inClusterFS reports whether a path is in /etc/pve, the mount of Proxmox VE's cluster file system. That file system
// does not store modes and owners (pmxcfs(8)): everything belongs to root:www-data, and only root can read what is
// private.
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

// checkClusterFS rejects attributes that the cluster file system would ignore.
func (f *File) checkClusterFS(at string) error {
	if !inClusterFS(at) || f.mode() == 0 && f.Owner == "" && f.Group == "" {
		return nil
	}
	return fmt.Errorf("%s is in the cluster file system, which sets mode and ownership itself; leave out mode, owner and group", at)
}
