package required

import (
	"context"
	"fmt"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Account returns an error if the host lacks an account or a group. Either name may be empty, and root always exists.
// userArgument and groupArgument are the arguments that name them.
func Account(ctx context.Context, h modules.Host, userArgument, user, groupArgument, group string) error {
	WantAccount(h, user, group)
	if named(user) {
		account, err := observe.Users.Observe(ctx, h, user)
		if err != nil {
			return err
		}
		if !account.Exists() {
			return missing(h, userArgument, observe.Users.Key(user), "account "+user, "user")
		}
	}
	if named(group) {
		found, err := observe.Groups.Observe(ctx, h, group)
		if err != nil {
			return err
		}
		if !found.Exists() {
			return missing(h, groupArgument, observe.Groups.Key(group), "group "+group, "group")
		}
	}
	return nil
}

// WantAccount announces what Account reads.
func WantAccount(h modules.Host, user, group string) {
	if named(user) {
		observe.Users.Want(h, user)
	}
	if named(group) {
		observe.Groups.Want(h, group)
	}
}

func named(name string) bool { return name != "" && name != "root" }

func missing(h modules.Host, argument string, key observe.Key, what, module string) error {
	if len(Coming(h)) > 0 {
		return unknown(h, key, "the "+what)
	}
	return fmt.Errorf("%s: there is no %s: create it in an earlier task, with %s, or install the package that provides it", argument, what, module)
}

// Actor returns the acting user and its primary group, which own what a task makes.
func Actor(ctx context.Context, h modules.Host) (owner, group string, err error) {
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
