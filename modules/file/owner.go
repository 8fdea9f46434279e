package file

import (
	"context"
	"fmt"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/apt"
)

// checkOwners refuses an owner or a group that the host does not have, before anything is written; check
// mode then says it, too. An account that a package may bring is not known before it is installed.
func (f *File) checkOwners(ctx context.Context, h modules.Host) error {
	named := func(name string) bool { return name != "" && name != "root" }
	if named(f.Group) {
		observe.Groups.Want(h, f.Group)
	}
	if named(f.Owner) {
		account, err := observe.Users.Observe(ctx, h, f.Owner)
		if err != nil {
			return err
		}
		if !account.Exists() {
			return missing(h, "owner", observe.Users.Key(f.Owner), "account "+f.Owner)
		}
	}
	if named(f.Group) {
		group, err := observe.Groups.Observe(ctx, h, f.Group)
		if err != nil {
			return err
		}
		if group.Name == "" {
			return missing(h, "group", observe.Groups.Key(f.Group), "group "+f.Group)
		}
	}
	return nil
}

func missing(h modules.Host, argument string, key observe.Key, what string) error {
	if apt.Coming(h) {
		return &observe.UnknownError{Host: h.Name(), Key: key, What: "the " + what, Because: "a package that an earlier task installs may bring it"}
	}
	return fmt.Errorf("%s: there is no %s: make it in a task before this one, with user, or install the package that brings it", argument, what)
}
