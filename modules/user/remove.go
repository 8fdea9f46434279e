package user

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/required"
)

// remove plans to remove the account.
func (u *User) remove(ctx context.Context, h modules.Host, now observe.User) ([]modules.Step, error) {
	argv, summary := []string{"userdel"}, "remove account "+u.Name
	expect := []observe.Expectation{observe.Users.Expect(u.Name, observe.User{}), observe.Passwords.Expect(u.Name, "")}
	because := "an earlier task removes account " + u.Name
	for _, group := range append(slices.Clone(now.Groups), now.Group) {
		expect = append(expect, observe.Groups.Unknown(group, because))
	}
	if u.RemoveHome {
		if err := u.removableHome(ctx, h, now); err != nil {
			return nil, err
		}
		argv, summary = append(argv, "--remove"), summary+" and "+now.Home
		expect = append(expect, observe.Placed(h, now.Home, observe.File{})...)
		expect = append(expect, observe.Expectation{
			Match: func(k observe.Key) bool {
				return k.Kind == observe.Files.Name && strings.HasPrefix(k.Name, now.Home+"/")
			},
			Unknown: because,
		})
	}
	return []modules.Step{{
		Risk:    modules.Destroys,
		Summary: summary,
		Action:  modules.Run{Argv: append(argv, u.Name), Brief: true, Explain: explain("userdel")},
		Expect:  expect,
	}}, nil
}

// removableHome returns an error if the home of an account must not be removed. If the home belongs to another user,
// userdel(8) removes only the account, and fails. If it contains the homes of other accounts, userdel removes them too.
func (u *User) removableHome(ctx context.Context, h modules.Host, now observe.User) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("remove_home: home directory %s of %s on %s %s: nothing was removed; leave out remove_home", now.Home, u.Name, h.Name(), fmt.Sprintf(format, args...))
	}
	home, err := observe.Files.Observe(ctx, h, now.Home)
	switch {
	case err != nil:
		return err
	case observe.IsSystemDirectory(now.Home):
		return refuse("is a system directory")
	case !home.Exists():
		return nil
	case home.Type != observe.Directory:
		return refuse("is a %s, not a directory", home.Type)
	case home.Owner != u.Name:
		return refuse("belongs to %s", home.Owner)
	}
	// userdel(8) checks the directory and then removes it, by name both times.
	if err := required.Settled(ctx, h, now.Home, "and therefore what userdel would remove", "leave out remove_home"); err != nil {
		return err
	}
	accounts, _, err := observe.Text(ctx, h, "/etc/passwd")
	if observe.IsUnknown(err) { // an earlier task changes accounts
		return nil
	} else if err != nil {
		return err
	}
	for line := range strings.Lines(accounts) {
		f := strings.Split(line, ":")
		if len(f) > 5 && f[0] != u.Name && strings.HasPrefix(f[5]+"/", now.Home+"/") {
			return refuse("contains that of %s, %s", f[0], f[5])
		}
	}
	return nil
}
