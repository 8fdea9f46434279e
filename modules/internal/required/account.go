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
	return fmt.Errorf("%s: there is no %s: make it in a task before this one, with %s, or install the package that brings it", argument, what, module)
}
