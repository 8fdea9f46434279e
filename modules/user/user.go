// Package user manages accounts, their groups, passwords and authorised SSH keys.
package user

import (
	"fmt"
	"path"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
)

// User is the desired state of an account.
type User struct {
	Name    string `hcl:"name" doc:"Name of the account."`
	State   string `hcl:"state,optional" default:"present" enum:"present,absent" doc:"Whether the account exists."`
	UID     *int   `hcl:"uid,optional" doc:"Numeric id. It is not changed for an existing account, whose files would be left behind."`
	Group   string `hcl:"group,optional" doc:"Primary group. By default a new account gets a group of its own."`
	Shell   string `hcl:"shell,optional" doc:"Login shell; Debian's default for a new account is /bin/sh."`
	Home    string `hcl:"home,optional" doc:"Home directory, by default /home/NAME. It is not changed for an existing account."`
	Comment string `hcl:"comment,optional" doc:"Full name or purpose."`
	System  bool   `hcl:"system,optional" doc:"Make a system account: an id from the system's range and no home directory."`

	Groups          []string `hcl:"groups,optional" doc:"Supplementary groups; missing ones are created. Membership in other groups is kept."`
	GroupsExclusive bool     `hcl:"groups_exclusive,optional" doc:"End membership in all supplementary groups that groups does not list."`

	Password string `hcl:"password,optional" doc:"Password as a crypt(5) hash, such as mkpasswd prints ($y$…), or ! for none. It never appears in an argument list."`

	AuthorizedKeys     []string `hcl:"authorized_keys,optional" doc:"Lines of authorized_keys. Other keys are kept."`
	AuthorizedKeyItems []Key    `hcl:"authorized_key,block" doc:"One line of authorized_keys, present or absent."`
	KeysExclusive      bool     `hcl:"keys_exclusive,optional" doc:"Remove all keys that are not listed. Refused for a file in /etc/pve, where the nodes keep theirs."`

	RemoveHome bool `hcl:"remove_home,optional" doc:"With state absent: also remove the home directory and the mail spool. Refused if the home belongs to somebody else, or contains that of another account."`
}

// Key is one line of authorized_keys.
type Key struct {
	Key   string `hcl:"key" doc:"Options, type, key and comment, as in authorized_keys. Type and key identify the line."`
	State string `hcl:"state,optional" default:"present" enum:"present,absent" doc:"Whether the line is present."`
}

const (
	present = "present"
	absent  = "absent"
)

// result is the registered result.
type result struct {
	Name string  `cty:"name" doc:"Name of the account."`
	Home *string `cty:"home" doc:"Home directory; null if the account is absent."`
}

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "user",
	Aliases: []string{"authorized_key"},
	Summary: "An account: groups, shell, password, authorised SSH keys",
	Doc: `Keys are recognised by their type and data: a line with another comment or other options is updated, not added
twice. The file is written through symbolic links: on a member of a Proxmox VE cluster, root's
` + "`authorized_keys`" + ` is a link to ` + "`/etc/pve/priv/authorized_keys`" + `, which all nodes share, and remains one.
A link that the account itself could have made is never followed.

sshd uses keys only if nobody but the account and root can write to them (StrictModes): ` + "`.ssh`" + ` and ` + "`authorized_keys`" + ` are
given to the account if necessary. A note reports a home directory that sshd does not accept.

The account root is never removed.`,
	Example: `task "the operator" {
  user {
    name            = "operator"
    groups          = ["sudo", "adm"]
    shell           = "/bin/bash"
    authorized_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKNyUm1Y3VGt4Z7qPV0oQrkpuWh1x3jWgA6jQGqmjmyD ops@example.org"]
  }
}
`,
	Result: result{},
	Local:  true,
	New:    func() modules.Module { return &User{} },
}

// hashPattern matches the modern form of crypt(5), possibly locked, or no password at all. chpasswd -e would store
// anything else unchanged: a plain-text password in /etc/shadow.
var hashPattern = pattern.New(`^(!{0,2}\$[0-9a-z]+\$[^:\n]+|[!*]{1,2})$`)

// Validate implements modules.Validator.
func (u *User) Validate() error {
	for _, check := range []func() error{u.checkNames, u.checkState, u.checkFields, u.checkKeys} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (u *User) checkNames() error {
	named := []struct{ argument, name string }{{"name", u.Name}}
	if u.Group != "" {
		named = append(named, struct{ argument, name string }{"group", u.Group})
	}
	for _, g := range u.Groups {
		named = append(named, struct{ argument, name string }{"groups", g})
	}
	for _, n := range named {
		if err := observe.CheckAccountName(n.name); err != nil {
			return &modules.ArgumentError{Argument: n.argument, Problem: err.Error()}
		}
	}
	return nil
}

func (u *User) checkState() error {
	switch {
	case u.State != absent && u.RemoveHome:
		return &modules.ArgumentError{Argument: "remove_home", Problem: `it applies only with state = "absent"`}
	case u.State != absent:
		return nil
	case u.Name == "root":
		return &modules.ArgumentError{Argument: "state", Problem: "root is never removed"}
	case len(u.Groups)+len(u.AuthorizedKeys)+len(u.AuthorizedKeyItems) > 0 || u.Password != "":
		return &modules.ArgumentError{Argument: "state", Problem: "an absent account has no groups, keys or password"}
	}
	return nil
}

func (u *User) checkFields() error {
	for argument, p := range map[string]string{"home": u.Home, "shell": u.Shell} {
		if p != "" && (!path.IsAbs(p) || path.Clean(p) != p || strings.ContainsRune(p, ':') || strings.ContainsFunc(p, unicode.IsControl)) {
			return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%q is not a plain absolute path", p), Want: "expected a path such as /srv/app, without a colon, .. or a slash at its end"}
		}
	}
	switch {
	case strings.ContainsRune(u.Comment, ':') || strings.ContainsFunc(u.Comment, unicode.IsControl):
		return &modules.ArgumentError{Argument: "comment", Problem: "it contains ':', a tab or a line break, which useradd refuses and /etc/passwd cannot store"}
	case u.UID != nil && (*u.UID < 0 || *u.UID >= 1<<32-1):
		return &modules.ArgumentError{Argument: "uid", Problem: fmt.Sprintf("%d is not a user id", *u.UID)}
	case u.Password != "" && !hashPattern.MatchString(u.Password):
		return &modules.ArgumentError{Argument: "password", Problem: "it is not a crypt(5) hash", Want: "create one with mkpasswd; a plain-text password would be stored as it is"}
	}
	return nil
}

func (u *User) checkKeys() error {
	seen := map[string]bool{}
	for _, k := range u.keys() {
		argument := "authorized_keys"
		if k.item {
			argument = "authorized_key.key"
		}
		id := keyID(k.line)
		if id == "" || strings.ContainsAny(k.line, "\n\r") {
			return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%.40q… is not a public key", k.line), Want: "expected a line as in a .pub file"}
		}
		if seen[id] {
			return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("the key %.40q… is given twice", k.line)}
		}
		seen[id] = true
	}
	return nil
}

// wantedKey is a desired line of authorized_keys; item is set if it has a block of its own.
type wantedKey struct {
	line, state string
	item        bool
}

func (u *User) keys() []wantedKey {
	var all []wantedKey
	for _, line := range u.AuthorizedKeys {
		all = append(all, wantedKey{line: strings.TrimSpace(line), state: present})
	}
	for _, k := range u.AuthorizedKeyItems {
		all = append(all, wantedKey{line: strings.TrimSpace(k.Key), state: k.State, item: true})
	}
	return all
}

// keyID returns the type and data of the key on a line of authorized_keys, regardless of its comment and options. It
// is empty for comments and lines that are not keys.
func keyID(line string) string {
	if strings.HasPrefix(strings.TrimSpace(line), "#") {
		return ""
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return ""
	}
	return string(key.Marshal())
}
