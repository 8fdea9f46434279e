package user

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/accounts"
	"hlplay/modules/internal/required"
)

// checkHost returns an error for what useradd(8) would refuse, and for a missing shell: useradd and usermod(8) accept
// it, but the account could not log in.
func (u *User) checkHost(ctx context.Context, h modules.Host, now observe.User) error {
	if u.Shell != "" {
		if err := required.Program(ctx, h, u.Shell, "shell: to log in, "+u.Name); err != nil {
			return err
		}
	}
	if now.Exists() {
		return nil
	}
	if err := u.checkOwnGroup(ctx, h); err != nil || u.UID == nil {
		return err
	}
	users, err := accounts.WithID(ctx, h, accounts.Passwd, accounts.ID, *u.UID)
	if err != nil || len(users) == 0 {
		return err
	}
	return fmt.Errorf("uid: account %s already has id %d; choose another id, or leave it out", strings.Join(users, ", "), *u.UID)
}

// checkOwnGroup returns an error if a new account cannot have a group of its own, because a group of that name exists or
// is created first for the argument groups: useradd(8) would refuse.
func (u *User) checkOwnGroup(ctx context.Context, h modules.Host) error {
	if u.Group != "" {
		return nil
	}
	if slices.Contains(u.Groups, u.Name) {
		return fmt.Errorf("groups: the new account gets a group %s of its own: leave that out of groups, or set group = %[1]q", u.Name)
	}
	group, err := observe.Groups.Observe(ctx, h, u.Name)
	if err != nil || !group.Exists() {
		return err
	}
	return fmt.Errorf("group: there is a group %s already, and useradd does not give it to a new account of that name unless asked: set group = %[1]q", u.Name)
}
