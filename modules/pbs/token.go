package pbs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/pbs"
	"hlplay/modules/internal/pve"
)

// Token is a user with a token.
type Token struct {
	User      string `hcl:"user" doc:"The user with its realm: pve@pbs. It is created if it does not exist, without a password: nobody can log in with it."`
	Name      string `hcl:"name" doc:"The name of the token. The full ID is USER!NAME: pve@pbs!cluster."`
	Datastore string `hcl:"datastore" doc:"Datastore that the user and the token may use."`
	Role      string `hcl:"role,optional" default:"\"DatastoreBackup\"" enum:"DatastoreBackup,DatastorePowerUser,DatastoreReader,DatastoreAudit" doc:"Their role on it. DatastoreBackup makes and restores the user's own backups; DatastorePowerUser also removes them."`
}

// longestID is the limit of the server for the id of a token (Authid of Proxmox Backup Server).
const longestID = 64

func (t *Token) validate() error {
	if err := pve.CheckForm(pbs.UserID, "token.user", t.User, "a name and a realm, as in pve@pbs"); err != nil {
		return err
	}
	if t.User == "root@pam" {
		return &modules.ArgumentError{Argument: "token.user", Problem: "root@pam has all privileges", Want: "expected a dedicated user, as in pve@pbs"}
	}
	if err := pve.CheckForm(pbs.TokenName, "token.name", t.Name, "letters, digits, dots, hyphens and underscores"); err != nil {
		return err
	}
	if n := len(t.id()); n > longestID {
		return &modules.ArgumentError{Argument: "token.name", Problem: fmt.Sprintf("the id %s has %d characters", t.id(), n), Want: fmt.Sprintf("at most %d", longestID)}
	}
	return checkName("token.datastore", t.Datastore)
}

func (t *Token) id() string { return t.User + "!" + t.Name }

func (t *Token) plan(ctx context.Context, h modules.Host, have pbs.Server) (modules.Plan, error) {
	if err := noDatastore(h, "token.datastore", t.Datastore, have); err != nil {
		return modules.Plan{}, err
	}
	var plan modules.Plan
	now := have
	step := func(summary string, action modules.Action, change func(s *pbs.Server), more ...observe.Expectation) {
		after := now.Clone()
		change(&after)
		plan.Steps = append(plan.Steps, modules.Step{
			Summary: summary, Action: action, Exact: true, Expect: append([]observe.Expectation{pbs.Servers.Expect("", after)}, more...),
		})
		now = after
	}
	if _, exists := have.Accounts[t.User]; !exists {
		step("create user "+t.User, run("user", "create", t.User), func(s *pbs.Server) { s.Accounts[t.User] = map[string]string{} })
	}
	if _, exists := have.Accounts[t.id()]; exists {
		secret, err := pbs.Secret(ctx, h, t.id())
		switch {
		case errors.Is(err, pbs.ErrNoSecret):
			return modules.Plan{}, fmt.Errorf("%w; the server shows it only when the token is generated: remove the token so that a new one is generated (proxmox-backup-manager user delete-token %s %s), or, if you have the secret, set it as password in pvesm and remove this task", err, t.User, t.Name)
		case err != nil && !observe.IsUnknown(err):
			return modules.Plan{}, err
		case err == nil:
			plan.Secrets = []string{secret}
		}
	} else {
		before, err := t.prepare(ctx, h)
		if err != nil {
			return modules.Plan{}, err
		}
		plan.Steps = append(plan.Steps, before...)
		name := pbs.SecretFile(t.id())
		step("generate token "+t.id(), t.generate(), func(s *pbs.Server) { s.Accounts[t.id()] = map[string]string{} },
			append(observe.Placed(h, name, observe.File{Type: observe.Regular, Truncated: true}), observe.Files.Unknown(name, "the secret is known only after the token is generated"))...)
	}
	path := "/datastore/" + t.Datastore
	for _, account := range []string{t.User, t.id()} {
		grant := pbs.Grant{Path: path, Account: account, Role: t.Role}
		if below, ok := have.Grants[grant]; !ok || !below {
			step(fmt.Sprintf("grant %s the role %s on datastore %s", account, t.Role, t.Datastore), run("acl", "update", path, t.Role, "--auth-id", account), func(s *pbs.Server) { s.Grants[grant] = true })
		}
		for _, other := range slices.SortedFunc(maps.Keys(have.Grants), compare) {
			if other.Account == account && other != grant {
				plan.Notes = append(plan.Notes, fmt.Sprintf("%s also has %s on %s, which this task does not specify: if nothing needs it, revoke it (proxmox-backup-manager acl update %s %s --auth-id '%s' --delete true)", account, other.Role, other.Path, other.Path, other.Role, account))
			}
		}
		if on, ok := pve.Truth(have.Accounts[account]["enable"]); ok && !on {
			plan.Notes = append(plan.Notes, fmt.Sprintf("%s is disabled on %s and cannot be used: enable it there if that is not intended", account, h.Name()))
		}
	}
	return plan, nil
}

// compare orders grants by path, then by role.
func compare(a, b pbs.Grant) int {
	return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Role, b.Role))
}

// prepare plans the directory for the secret of a new token, and removes the secret of an earlier token of that name.
func (t *Token) prepare(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	name := pbs.SecretFile(t.id())
	files, err := observe.Files.ObserveAll(ctx, h, []string{name, pbs.SecretDir})
	if err != nil {
		return nil, err
	}
	dir := files[pbs.SecretDir]
	if dir.Exists() && (dir.Type != observe.Directory || dir.Owner != "root" || dir.Mode&0o077 != 0) {
		return nil, fmt.Errorf("%s on %s is a %s with mode %04o and owner %s, expected a directory with mode 0700 owned by root: find out who changed it", pbs.SecretDir, h.Name(), dir.Type, dir.Mode, dir.Owner)
	}
	var steps []modules.Step
	if !dir.Exists() {
		steps = append(steps, modules.Step{
			Summary: "create directory " + pbs.SecretDir,
			Action:  modules.MakeDir{Path: pbs.SecretDir, Mode: 0o700, Owner: "root", Group: "root"},
			Expect:  observe.Placed(h, pbs.SecretDir, observe.File{Type: observe.Directory, Mode: 0o700, Owner: "root", Group: "root"}),
		})
	}
	if files[name].Exists() {
		steps = append(steps, modules.Step{
			Summary: "remove the secret of an earlier token " + t.id(),
			Action:  modules.Remove{Path: name, Lossless: true},
			Expect:  observe.Placed(h, name, observe.File{}),
		})
	}
	return steps, nil
}

// generate returns the command that generates the token. What the server prints goes straight into a new file, and nowhere
// else.
func (t *Token) generate() modules.Run {
	return modules.Run{Argv: []string{"sh", "-c", `umask 077; set -C
: >"$1" || exit 1
set +C
proxmox-backup-manager user generate-token "$2" "$3" >"$1"; rc=$?
[ "$rc" -eq 0 ] || rm -f -- "$1"
exit "$rc"`, "sh", pbs.SecretFile(t.id()), t.User, t.Name}, Dir: "/root", Limit: time.Minute}
}
