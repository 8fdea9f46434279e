package user

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/accounts"
	"hlplay/modules/internal/required"
)

// Plan implements modules.Module.
func (u *User) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	observe.Groups.Want(h, u.groups()...)
	if u.Group == "" && u.State != absent {
		observe.Groups.Want(h, u.Name)
	}
	if u.Password != "" {
		observe.Passwords.Want(h, u.Name)
	}
	if u.Shell != "" {
		observe.Programs.Want(h, u.Shell)
	}
	now, err := observe.Users.Observe(ctx, h, u.Name)
	if err != nil {
		return modules.Plan{}, err
	}
	if u.State == absent {
		if !now.Exists() {
			return modules.Plan{Data: data(u.Name, "")}, observe.Users.MayAppear(h, u.Name)
		}
		steps, err := u.remove(ctx, h, now)
		return modules.Plan{Steps: steps, Data: data(u.Name, "")}, err
	}
	if err := u.checkHost(ctx, h, now); err != nil {
		return modules.Plan{}, err
	}
	steps, missing, err := u.makeGroups(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	account := now
	var more []modules.Step
	if !now.Exists() {
		more, account, err = u.create(ctx, h)
	} else {
		more, account, err = u.modify(h, now)
	}
	if err != nil {
		return modules.Plan{}, err
	}
	steps = append(steps, more...)
	u.expectMembers(h, steps, account, missing)
	for _, part := range []func(context.Context, modules.Host, observe.User) ([]modules.Step, error){u.setPassword, u.authorize} {
		more, err := part(ctx, h, account)
		if err != nil {
			return modules.Plan{}, err
		}
		steps = append(steps, more...)
	}
	plan := modules.Plan{Steps: steps, Data: data(u.Name, account.Home)}
	note, err := u.homeNote(ctx, h, account)
	if err != nil {
		return modules.Plan{}, err
	}
	if note != "" {
		plan.Notes = append(plan.Notes, note)
	}
	return plan, nil
}

func data(name, home string) cty.Value {
	r := result{Name: name}
	if home != "" {
		r.Home = &home
	}
	return modules.Data(r)
}

// groups returns all groups that must exist.
func (u *User) groups() []string {
	all := slices.Clone(u.Groups)
	if u.Group != "" {
		all = append(all, u.Group)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// makeGroups plans to create missing groups, and returns their names. A primary group with the name of a new account
// is created by useradd itself.
func (u *User) makeGroups(ctx context.Context, h modules.Host) (steps []modules.Step, missing []string, err error) {
	found, err := observe.Groups.ObserveAll(ctx, h, u.groups())
	if err != nil {
		return nil, nil, err
	}
	for _, name := range u.groups() {
		if found[name].Exists() {
			continue
		}
		missing = append(missing, name)
		steps = append(steps, accounts.AddGroup(name, nil, u.System))
	}
	return steps, missing, nil
}

// create plans to create the account, and returns what it will be.
func (u *User) create(ctx context.Context, h modules.Host) ([]modules.Step, observe.User, error) {
	account := observe.User{
		Name: u.Name, UID: -1, GID: -1, Comment: u.Comment, Home: u.Home, Shell: u.Shell, Group: u.Group,
	}
	argv := []string{"useradd"}
	if u.System {
		argv = append(argv, "--system", "--no-create-home")
	} else {
		argv = append(argv, "--create-home")
	}
	if u.UID != nil {
		account.UID = *u.UID
		argv = append(argv, "--uid", strconv.Itoa(*u.UID))
	}
	if u.Group != "" {
		argv = append(argv, "--gid", u.Group)
	} else { // a group of its own, whatever login.defs says
		account.Group = u.Name
		argv = append(argv, "--user-group")
	}
	if account.Home == "" {
		account.Home = "/home/" + u.Name
	}
	argv = append(argv, "--home-dir", account.Home)
	if account.Shell == "" {
		account.Shell = "/bin/sh"
	}
	argv = append(argv, "--shell", account.Shell)
	if u.Comment != "" {
		argv = append(argv, "--comment", u.Comment)
	}
	if len(u.Groups) > 0 {
		account.Groups = sorted(u.Groups)
		argv = append(argv, "--groups", strings.Join(account.Groups, ","))
	}
	expect := []observe.Expectation{
		observe.Users.Expect(u.Name, account),
		observe.Passwords.Expect(u.Name, "!"), // useradd(8): locked until a password is set
	}
	if u.UID != nil {
		expect = append(expect, accounts.Holds(accounts.Passwd, *u.UID, u.Name))
	}
	if u.Group == "" {
		expect = append(expect, observe.Groups.Expect(u.Name, observe.Group{Name: u.Name, GID: -1}))
	}
	if !u.System {
		// useradd(8) creates the directory and changes its owner by name.
		if err := required.Settled(ctx, h, account.Home, "and useradd would give it to "+u.Name, "choose a home in a directory that only root can write to"); err != nil {
			return nil, account, err
		}
		home, err := observe.Files.Observe(ctx, h, account.Home)
		if err != nil {
			return nil, account, err
		}
		if !home.Exists() {
			because := "useradd creates the home directory"
			expect = append(expect, observe.Files.Unknown(account.Home, because), observe.Dirs.Unknown(account.Home, because), observe.Paths.Expect(account.Home, true))
		}
	}
	return []modules.Step{{
		Summary: fmt.Sprintf("create account %s (home %s, shell %s)", u.Name, account.Home, account.Shell),
		Action:  modules.Run{Argv: append(argv, u.Name), Brief: true, Explain: explain("useradd")},
		Expect:  expect,
	}}, account, nil
}

// modify plans to change what differs in an existing account.
func (u *User) modify(h modules.Host, now observe.User) ([]modules.Step, observe.User, error) {
	if u.UID != nil && *u.UID != now.UID && now.UID >= 0 {
		return nil, now, fmt.Errorf("account %s has id %d, not %d; not changed, because its files would keep the old id", u.Name, now.UID, *u.UID)
	}
	if u.Home != "" && u.Home != path.Clean(now.Home) {
		return nil, now, fmt.Errorf("account %s has its home in %s, not in %s; home directories are not moved", u.Name, now.Home, u.Home)
	}
	after := now
	argv := []string{"usermod"}
	var what, before []string
	change := func(flag, name string, field *string, value string) {
		if value == "" || *field == value {
			return
		}
		what = append(what, name+" "+value)
		before = append(before, name+" "+*field)
		*field = value
		argv = append(argv, flag, value)
	}
	change("--gid", "group", &after.Group, u.Group)
	change("--shell", "shell", &after.Shell, u.Shell)
	change("--comment", "comment", &after.Comment, u.Comment)
	if after.Group != now.Group {
		after.GID = -1
	}
	groups := sorted(u.Groups)
	if !u.GroupsExclusive {
		groups = sorted(append(groups, now.Groups...))
	}
	// If the group is the primary one, listing the account as its member adds nothing.
	groups = slices.DeleteFunc(groups, func(g string) bool { return g == after.Group && !slices.Contains(now.Groups, g) })
	if !slices.Equal(groups, sorted(now.Groups)) {
		what = append(what, "groups "+strings.Join(groups, ","))
		before = append(before, "groups "+strings.Join(now.Groups, ","))
		after.Groups = groups
		argv = append(argv, "--groups", strings.Join(groups, ","))
	}
	if len(what) == 0 {
		return nil, now, nil
	}
	return []modules.Step{{
		Summary: fmt.Sprintf("change account %s: %s", u.Name, strings.Join(what, ", ")),
		Action:  modules.Run{Argv: append(argv, u.Name), Brief: true, Explain: explain("usermod")},
		Diff:    &modules.Diff{Subject: "account " + u.Name, Before: strings.Join(before, ", "), After: strings.Join(what, ", ")},
		Expect:  []observe.Expectation{observe.Users.Expect(u.Name, after)},
	}}, after, nil
}

// expectMembers adds to the last step its effect on the groups that the account joins: their new members, if the old
// ones are known.
func (u *User) expectMembers(h modules.Host, steps []modules.Step, account observe.User, missing []string) {
	if len(steps) == 0 {
		return
	}
	last := &steps[len(steps)-1]
	for _, name := range account.Groups {
		group := observe.Group{Name: name, GID: -1}
		if !slices.Contains(missing, name) {
			known, ok := h.Known(observe.Groups.Key(name))
			if !ok {
				continue
			}
			group = known.(observe.Group)
		}
		if !slices.Contains(group.Members, account.Name) {
			group.Members = append(slices.Clone(group.Members), account.Name)
		}
		last.Expect = append(last.Expect, observe.Groups.Expect(name, group))
	}
}

func (u *User) setPassword(ctx context.Context, h modules.Host, account observe.User) ([]modules.Step, error) {
	if u.Password == "" {
		return nil, nil
	}
	now, err := observe.Passwords.Observe(ctx, h, u.Name)
	if err != nil || now == u.Password {
		return nil, err
	}
	return []modules.Step{{
		Summary: "set the password of " + u.Name,
		Action:  modules.Run{Argv: []string{"chpasswd", "--encrypted"}, Stdin: []byte(u.Name + ":" + u.Password + "\n")},
		Expect:  append(accounts.Files("an earlier task sets the password of "+u.Name), observe.Passwords.Expect(u.Name, u.Password)),
		Exact:   true,
	}}, nil
}

// explain describes the exit codes of useradd(8), usermod(8) and userdel(8) that people can do something about.
func explain(program string) func(int, []byte, []byte) error {
	return func(exit int, _, stderr []byte) error {
		message := strings.TrimSpace(string(stderr))
		hint := map[int]string{
			1:  "check whether another program has locked /etc/passwd",
			4:  "the id is taken: choose another uid",
			8:  "the user is logged in or has running processes: end them first",
			9:  "a group of that name already exists: set group = \"…\"",
			10: "/etc/group could not be written: check whether the file system is full or read-only",
			12: "the home directory could not be created: check that its parent exists",
		}[exit]
		if hint == "" {
			return nil
		}
		return fmt.Errorf("%s failed with exit code %d: %s; %s", program, exit, message, hint)
	}
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}
