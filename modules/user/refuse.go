package user

import (
	"context"
	"fmt"
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
	if now.Exists() || u.UID == nil {
		return nil
	}
	users, err := accounts.WithID(ctx, h, accounts.Passwd, accounts.ID, *u.UID)
	if err != nil || len(users) == 0 {
		return err
	}
	return fmt.Errorf("uid: account %s already has id %d; choose another id, or leave it out", strings.Join(users, ", "), *u.UID)
}
