package observe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/pattern"
	"hlplay/engine/remote"
)

// User is an account as reported by the name service switch. The zero value is an account that does not exist.
type User struct {
	Name string
	// UID and GID are -1 where check mode predicts an account whose ids it cannot know.
	UID, GID int
	// Comment is the GECOS field.
	Comment, Home, Shell string
	// Group is the name of the primary group; empty if GID has no name.
	Group string
	// Groups holds the sorted names of the groups that list the user as a member.
	Groups []string
}

// Exists reports whether the account exists.
func (u User) Exists() bool { return u.Name != "" }

// Group is a group as reported by the name service switch. The zero value is a group that does not exist.
type Group struct {
	Name string
	// GID is -1 where check mode predicts a group whose id it cannot know.
	GID     int
	Members []string
}

// Exists reports whether the group exists.
func (g Group) Exists() bool { return g.Name != "" }

// accountPattern matches the names that Debian's adduser(8) accepts, which are more than useradd(8) accepts. A number
// would be looked up as an id.
var accountPattern = pattern.New(`^[A-Za-z_][A-Za-z0-9_.-]*\$?$`)

// CheckAccountName returns an error if name cannot be the name of a user or group that is to be created.
func CheckAccountName(name string) error {
	if !accountPattern.MatchString(name) || len(name) > 32 {
		return fmt.Errorf("%q is not the name of a user or group: letters, digits, '_', '.' and '-', not beginning with a digit, at most 32", name)
	}
	return nil
}

// foreignPattern matches names that a host may get from other sources: names in a domain contain spaces, backslashes
// and '@'. A leading '-' would be taken for an option, and a number for an ID.
var foreignPattern = pattern.New(`^[^-\s:,[:cntrl:]]([^:,[:cntrl:]]*[^\s:,[:cntrl:]])?$`)

// CheckKnownName returns an error if name cannot be the name of an existing user or group.
func CheckKnownName(name string) error {
	if _, err := strconv.ParseUint(name, 10, 64); err == nil || !foreignPattern.MatchString(name) || len(name) > 256 {
		return fmt.Errorf("%q is not the name of a user or group: not a number, no ':', ',' nor control characters, no '-' or blank at the beginning, no blank at the end", name)
	}
	return nil
}

type actingUser struct{}

// WithUser returns a context in which a task acts as the given user. The empty name is the account that reads the host.
func WithUser(ctx context.Context, user string) context.Context {
	return context.WithValue(ctx, actingUser{}, user)
}

// ActingUser returns the user set by WithUser. The host may know the account under another name: see Whoami.
func ActingUser(ctx context.Context) string {
	user, _ := ctx.Value(actingUser{}).(string)
	return user
}

type environment struct{}

// WithEnvironment returns a context with additional environment variables for the commands with which the playbook's
// author reads, as for those that a task starts.
func WithEnvironment(ctx context.Context, env map[string]string) context.Context {
	if len(env) == 0 {
		return ctx
	}
	return context.WithValue(ctx, environment{}, env)
}

// ActingEnvironment returns own merged over the environment set by WithEnvironment. It is nil if both are empty.
func ActingEnvironment(ctx context.Context, own map[string]string) map[string]string {
	env, _ := ctx.Value(environment{}).(map[string]string)
	if len(env) == 0 {
		return own
	}
	all := maps.Clone(env)
	maps.Copy(all, own)
	return all
}

// isActing reports whether account is the name of the account that a task acts as.
func isActing(ctx context.Context, h *Host, account string) (bool, error) {
	user := ActingUser(ctx)
	if user == "" || user == "root" {
		return user == account, nil
	}
	who, err := Whoami.Observe(ctx, h, user)
	return who == account, err
}

// Whoami observes the name of the account that commands run as, for a user returned by ActingUser.
var Whoami = &Kind[string]{
	Name: "whoami", What: "the account of the acting user",
	Lasting: true,
	Ask: func(names []string) []remote.Query {
		queries := make([]remote.Query, len(names))
		for i, name := range names {
			queries[i] = remote.Query{Script: `id -un`, User: name, Inline: true}
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, string, error)) {
		for i, name := range names {
			a := answers[i]
			err := a.Err
			if err == nil && a.Exit != 0 {
				err = fmt.Errorf("id -un: %s: %s", remote.Ending(a.Exit), LastLine(a.Stderr))
			}
			tell(name, strings.TrimSuffix(string(a.Stdout), "\n"), err)
		}
	},
}

var errNotRoot = errors.New("only root may read /etc/shadow: set become = true")

func accountNames(names []string) []string {
	var valid []string
	for _, name := range names {
		if CheckKnownName(name) == nil {
			valid = append(valid, name)
		}
	}
	return valid
}

// Users observes accounts by name.
var Users = &Kind[User]{
	Complete: func(expected, found User) User {
		if expected.UID < 0 {
			expected.UID = found.UID
		}
		if expected.GID < 0 {
			expected.GID = found.GID
		}
		return expected
	},
	Holds: holdsUsers,
	Name:  "user", What: "the account %s",
	Ask: func(names []string) []remote.Query {
		valid := accountNames(names)
		if len(valid) == 0 {
			return nil
		}
		return []remote.Query{{Script: `getent passwd "$@"`, Args: valid, Inline: true}, {Script: `getent group`, Inline: true}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, User, error)) {
		parseAccounts(names, answers, tell, func() map[string]User {
			return parseUsers(string(answers[0].Stdout), parseGroups(string(answers[1].Stdout)))
		})
	},
}

// Groups observes groups by name.
var Groups = &Kind[Group]{
	Complete: func(expected, found Group) Group {
		if expected.GID < 0 {
			expected.GID = found.GID
		}
		return expected
	},
	Holds: holdsGroups,
	Name:  "group", What: "the group %s",
	Ask: func(names []string) []remote.Query {
		valid := accountNames(names)
		if len(valid) == 0 {
			return nil
		}
		return []remote.Query{{Script: `getent group "$@"`, Args: valid, Inline: true}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Group, error)) {
		parseAccounts(names, answers, tell, func() map[string]Group {
			byName := map[string]Group{}
			for _, g := range parseGroups(string(answers[0].Stdout)) {
				byName[g.Name] = g
			}
			return byName
		})
	},
}

// Passwords observes the password fields of /etc/shadow by user name: a crypt(5) hash, possibly preceded by "!" or "*";
// a "!" or "*" alone if no password works; or "" if there is no account. Reading them requires root. They are secrets:
// modules must only compare them and never show them.
var Passwords = &Kind[string]{
	Name: "password", What: "the password of %s",
	Ask: func(names []string) []remote.Query {
		valid := accountNames(names)
		if len(valid) == 0 {
			return nil
		}
		return []remote.Query{{Script: `if [ ! -r /etc/shadow ]; then exit 13; fi; getent shadow "$@"`, Args: valid}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, string, error)) {
		if len(answers) > 0 && answers[0].Exit == exitDenied {
			for _, name := range names {
				tell(name, "", errNotRoot)
			}
			return
		}
		parseAccounts(names, answers, tell, func() map[string]string {
			hashes := map[string]string{}
			for line := range strings.Lines(string(answers[0].Stdout)) {
				if fields := strings.Split(line, ":"); len(fields) >= 2 {
					hashes[fields[0]] = fields[1]
				}
			}
			return hashes
		})
	},
}

// parseAccounts reports, for each valid name, what parse found. getent exits with status 2 if it did not find all of
// the names, which is an observation; any other failure is an error.
func parseAccounts[T any](names []string, answers []remote.Answer, tell func(string, T, error), parse func() map[string]T) {
	var zero T
	var found map[string]T
	for _, name := range names {
		if err := CheckKnownName(name); err != nil {
			tell(name, zero, err)
			continue
		}
		if failed := slices.IndexFunc(answers, func(a remote.Answer) bool { return a.Exit != 0 && a.Exit != 2 }); failed >= 0 {
			a := answers[failed]
			tell(name, zero, fmt.Errorf("getent: %s: %s", remote.Ending(a.Exit), LastLine(a.Stderr)))
			continue
		}
		if found == nil {
			found = parse()
		}
		tell(name, found[name], nil)
	}
}

// parseGroups parses lines of group(5) and ignores others.
func parseGroups(out string) []Group {
	var groups []Group
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(fields) != 4 || fields[0] == "" {
			continue
		}
		gid, err := strconv.Atoi(fields[2])
		if err != nil {
			continue
		}
		g := Group{Name: fields[0], GID: gid}
		if fields[3] != "" {
			g.Members = strings.Split(fields[3], ",")
		}
		groups = append(groups, g)
	}
	return groups
}

// parseUsers parses lines of passwd(5) and combines them with the groups.
func parseUsers(out string, groups []Group) map[string]User {
	users := map[string]User{}
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(fields) != 7 || fields[0] == "" {
			continue
		}
		uid, uidErr := strconv.Atoi(fields[2])
		gid, gidErr := strconv.Atoi(fields[3])
		if uidErr != nil || gidErr != nil {
			continue
		}
		u := User{Name: fields[0], UID: uid, GID: gid, Comment: fields[4], Home: fields[5], Shell: fields[6]}
		for _, g := range groups {
			if g.GID == gid && u.Group == "" {
				u.Group = g.Name
			}
			if slices.Contains(g.Members, u.Name) {
				u.Groups = append(u.Groups, g.Name)
			}
		}
		slices.Sort(u.Groups)
		u.Groups = slices.Compact(u.Groups)
		users[u.Name] = u
	}
	return users
}
