// Package group manages groups of users.
package group

import (
	"context"
	"fmt"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/accounts"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "group",
	Summary: "A group of users, with an id of its own",
	Doc: `Membership is managed by the module user. The id of an existing group is not changed, because its files would be left behind, and
a user's primary group is not removed.`,
	Example: `task "who may read the backups" {
  group {
    name   = "backup-readers"
    system = true
  }
}`,
	Result: result{},
	Local:  true,
	New:    func() modules.Module { return &group{} },
}

// group holds the module's arguments.
type group struct {
	Name   string `hcl:"name" doc:"Name of the group."`
	State  string `hcl:"state,optional" default:"present" enum:"present,absent" doc:"Whether the group exists."`
	GID    *int   `hcl:"gid,optional" doc:"Numeric id; by default a free one. It is not changed for a group that exists."`
	System bool   `hcl:"system,optional" doc:"Take the id of a new group from the system's range."`
}

type result struct {
	Name string `cty:"name" doc:"Name of the group."`
	GID  *int   `cty:"gid" doc:"Numeric id; null if the group is absent, or is yet to be created."`
}

const absent = "absent"

// highestID is the highest id that is not reserved: (gid_t)-1 means none.
const highestID = 1<<32 - 2

// Validate rejects names and ids that a group cannot have.
func (m *group) Validate() error {
	if err := observe.CheckAccountName(m.Name); err != nil {
		return &modules.ArgumentError{Argument: "name", Problem: err.Error()}
	}
	switch {
	case m.GID != nil && (*m.GID < 0 || *m.GID > highestID):
		return &modules.ArgumentError{Argument: "gid", Problem: fmt.Sprintf("%d is not an id", *m.GID), Want: fmt.Sprintf("expected a number from 0 to %d", highestID)}
	case m.State == absent && m.Name == "root":
		return &modules.ArgumentError{Argument: "state", Problem: "group root is never removed"}
	case m.State == absent && m.GID != nil:
		return &modules.ArgumentError{Argument: "gid", Problem: "an absent group has no id", Want: "leave it out"}
	}
	return nil
}

// Want announces what Plan reads.
func (m *group) Want(h modules.Host) {
	if observe.CheckAccountName(m.Name) == nil {
		observe.Groups.Want(h, m.Name)
	}
}

// Plan compares the group with what it should be.
func (m *group) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	now, err := observe.Groups.Observe(ctx, h, m.Name)
	if err != nil {
		return modules.Plan{}, err
	}
	plan := modules.Plan{}
	data := result{Name: m.Name}
	switch {
	case m.State == absent && now.Exists():
		if err := m.checkMembers(ctx, h, now.GID); err != nil {
			return modules.Plan{}, err
		}
		plan.Steps = []modules.Step{m.remove()}
	case m.State == absent:
		if err := observe.Groups.MayAppear(h, m.Name); err != nil {
			return modules.Plan{}, err
		}
	case !now.Exists():
		if err := m.checkID(ctx, h); err != nil {
			return modules.Plan{}, err
		}
		plan.Steps = []modules.Step{accounts.AddGroup(m.Name, m.GID, m.System)}
		data.GID = m.GID
	case m.GID != nil && now.GID >= 0 && now.GID != *m.GID:
		return modules.Plan{}, fmt.Errorf("group %s has id %d, not %d: not changed, because the group's files would keep the old id; change it by hand (groupmod --gid %d %s, and chgrp for its files)", m.Name, now.GID, *m.GID, *m.GID, m.Name)
	case now.GID >= 0:
		data.GID = &now.GID
	}
	plan.Data = modules.Data(data)
	return plan, nil
}

// checkMembers returns an error if the group is the primary group of an account, which groupdel(8) would refuse to
// remove.
func (m *group) checkMembers(ctx context.Context, h modules.Host, gid int) error {
	users, err := accounts.WithID(ctx, h, accounts.Passwd, accounts.PrimaryGroup, gid)
	if err != nil || len(users) == 0 {
		return err
	}
	return fmt.Errorf("%s is the primary group of %s and is not removed; remove that account first, or give it another primary group, with user", m.Name, strings.Join(users, ", "))
}

// checkID returns an error if another group has the id, which groupadd(8) would refuse.
func (m *group) checkID(ctx context.Context, h modules.Host) error {
	if m.GID == nil {
		return nil
	}
	groups, err := accounts.WithID(ctx, h, accounts.Group, accounts.ID, *m.GID)
	if err != nil || len(groups) == 0 {
		return err
	}
	return fmt.Errorf("gid: group %s already has id %d; choose another id, or leave it out", strings.Join(groups, ", "), *m.GID)
}

func (m *group) remove() modules.Step {
	because := "the group " + m.Name + " is about to be removed"
	return modules.Step{
		Summary: "remove group " + m.Name,
		Action:  modules.Run{Argv: []string{"groupdel", m.Name}, Brief: true, Explain: explain(m.Name)},
		Expect:  append(accounts.Files(because), observe.Groups.Expect(m.Name, observe.Group{})),
		Risk:    modules.Destroys, // members and files keep only its number
		Exact:   true,
	}
}

// explain adds what to do if groupdel(8) refuses.
func explain(name string) func(int, []byte, []byte) error {
	return func(exit int, _, stderr []byte) error {
		if exit != 8 {
			return nil
		}
		return fmt.Errorf("%s; remove that user first, or give it another primary group", strings.TrimSpace(string(stderr)))
	}
}
