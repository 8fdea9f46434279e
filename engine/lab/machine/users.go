package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// edit rewrites a database line by line, one program at a time. change returns the new fields and whether to keep the
// line.
func (c *Call) edit(file string, change func(fields []string) ([]string, bool), add ...string) error {
	c.Machine.databases.Lock()
	defer c.Machine.databases.Unlock()
	v := c.view()
	content, err := afero.ReadFile(v, file)
	if err != nil {
		return err
	}
	info, err := v.Stat(file)
	if err != nil {
		return err
	}
	var out []string
	for _, line := range strings.Split(strings.TrimRight(string(content), "\n"), "\n") {
		if change != nil {
			fields, keep := change(strings.Split(line, ":"))
			if !keep {
				continue
			}
			line = strings.Join(fields, ":")
		}
		out = append(out, line)
	}
	out = append(out, add...)
	return replaceFile(v, file, strings.Join(out, "\n")+"\n", info)
}

// locked prints the error for an unprivileged user who changes a user database.
func (c *Call) locked(file string) int {
	name := path.Base(c.Argv[0])
	fmt.Fprintf(c.Stderr, "%s: Permission denied.\n%s: cannot lock %s; try again later.\n", name, name, file)
	return 1
}

func (c *Call) freeID(system bool, taken func(int) bool) int {
	first, last, step := 1000, 60000, 1
	if system {
		first, last, step = 999, 100, -1
	}
	for n := first; n != last; n += step {
		if !taken(n) {
			return n
		}
	}
	return last
}

func useradd(_ context.Context, c *Call) int {
	o, ok := c.options("mMs:d:u:g:G:c:rUNp:k:e:o", "create-home", "no-create-home", "shell=", "home-dir=", "home=", "uid=", "gid=", "groups=", "comment=", "system", "user-group", "no-user-group", "password=")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		fmt.Fprintln(c.Stderr, "Usage: useradd [options] LOGIN")
		return 2
	}
	name := o.rest[0]
	if c.User != "root" {
		return c.locked("/etc/passwd")
	}
	if _, exists := c.Machine.account(name); exists {
		c.Errorf("user '%s' already exists", name)
		return 9
	}
	system := o.has("r", "system")
	uid := c.freeID(system, func(n int) bool {
		_, u := c.Machine.account(strconv.Itoa(n))
		_, g := c.Machine.group(strconv.Itoa(n))
		return u || g
	})
	if text := o.value("u", "uid"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			c.Errorf("invalid user ID '%s'", text)
			return 3
		}
		if _, taken := c.Machine.account(text); taken {
			c.Errorf("UID %s is not unique", text)
			return 4
		}
		uid = n
	}
	gid := uid
	if text := o.value("g", "gid"); text != "" {
		g, exists := c.Machine.group(text)
		if !exists {
			c.Errorf("group '%s' does not exist", text)
			return 6
		}
		gid = g.gid
	} else if _, exists := c.Machine.group(name); exists {
		c.Errorf("group %s exists - if you want to add this user to that group, use -g.", name)
		return 9
	} else if err := c.edit("/etc/group", nil, fmt.Sprintf("%s:x:%d:", name, gid)); err != nil {
		return c.Errorf("%s", errText(err))
	}
	home := cmp.Or(o.value("d", "home-dir", "home"), "/home/"+name)
	sh := cmp.Or(o.value("s", "shell"), "/bin/sh")
	line := fmt.Sprintf("%s:x:%d:%d:%s:%s:%s", name, uid, gid, o.value("c", "comment"), home, sh)
	if err := c.edit("/etc/passwd", nil, line); err != nil {
		return c.Errorf("%s", errText(err))
	}
	if err := c.edit("/etc/shadow", nil, fmt.Sprintf("%s:%s:20000:0:99999:7:::", name, cmp.Or(o.value("p", "password"), "!"))); err != nil {
		return c.Errorf("%s", errText(err))
	}
	if code := c.join(name, o.value("G", "groups"), true); code != 0 {
		return code
	}
	if v := c.view(); o.has("m", "create-home") {
		if _, err := v.Stat(home); err == nil {
			c.Errorf("warning: the home directory %s already exists.", home)
			c.Errorf("Not copying any file from skel directory into it.")
		} else if err := v.MkdirAll(home, 0o755); err != nil {
			c.Errorf("cannot create directory %s", home)
			return 12
		} else if err := errors.Join(v.Chmod(home, 0o700), v.Chown(home, uid, gid)); err != nil {
			return c.Errorf("%s", errText(err))
		}
	}
	c.Machine.Record("useradd", "add user "+name)
	return 0
}

// join adds a user to groups. Unless add is set, it removes the user from all others.
func (c *Call) join(user, list string, add bool) int {
	if list == "" {
		return 0
	}
	wanted := strings.Split(list, ",")
	for _, g := range wanted {
		if _, ok := c.Machine.group(g); !ok {
			c.Errorf("group '%s' does not exist", g)
			return 6
		}
	}
	err := c.edit("/etc/group", func(f []string) ([]string, bool) {
		if len(f) < 4 {
			return f, true
		}
		members := strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })
		in := slices.Contains(members, user)
		switch want := slices.Contains(wanted, f[0]) || slices.Contains(wanted, f[2]); {
		case want && !in:
			members = append(members, user)
		case !want && in && !add:
			members = slices.DeleteFunc(members, func(m string) bool { return m == user })
		}
		f[3] = strings.Join(members, ",")
		return f, true
	})
	if err != nil {
		return c.Errorf("%s", errText(err))
	}
	return 0
}

func usermod(_ context.Context, c *Call) int {
	o, ok := c.options("aG:s:d:mc:g:u:LUp:", "append", "groups=", "shell=", "home=", "move-home", "comment=", "gid=", "uid=", "lock", "unlock", "password=")
	if !ok {
		return 2
	}
	a, code := c.operandAccount(o)
	if code != 0 {
		return code
	}
	name := a.name
	gid := a.gid
	if text := o.value("g", "gid"); text != "" {
		g, ok := c.Machine.group(text)
		if !ok {
			c.Errorf("group '%s' does not exist", text)
			return 6
		}
		gid = g.gid
	}
	set := func(field *string, names ...string) {
		if o.has(names...) {
			*field = o.value(names...)
		}
	}
	err := c.edit("/etc/passwd", func(f []string) ([]string, bool) {
		if f[0] != name || len(f) < 7 {
			return f, true
		}
		set(&f[2], "u", "uid")
		f[3] = strconv.Itoa(gid)
		set(&f[4], "c", "comment")
		set(&f[5], "d", "home")
		set(&f[6], "s", "shell")
		return f, true
	})
	if err == nil && o.has("p", "password", "L", "lock", "U", "unlock") {
		err = c.edit("/etc/shadow", func(f []string) ([]string, bool) {
			if f[0] == name {
				set(&f[1], "p", "password")
				if o.has("L", "lock") && !strings.HasPrefix(f[1], "!") {
					f[1] = "!" + f[1]
				}
				if o.has("U", "unlock") {
					f[1] = strings.TrimPrefix(f[1], "!")
				}
			}
			return f, true
		})
	}
	if err == nil && o.has("m", "move-home") && o.has("d", "home") && a.home != o.value("d", "home") {
		err = c.view().Rename(a.home, o.value("d", "home"))
	}
	if err != nil {
		return c.Errorf("%s", errText(err))
	}
	if code := c.join(name, o.value("G", "groups"), o.has("a", "append")); code != 0 {
		return code
	}
	c.Machine.Record("usermod", "change user "+name)
	return 0
}

// operandAccount returns the account named by the only operand, if the caller may change it.
func (c *Call) operandAccount(o options) (account, int) {
	if len(o.rest) != 1 {
		fmt.Fprintf(c.Stderr, "Usage: %s [options] LOGIN\n", path.Base(c.Argv[0]))
		return account{}, 2
	}
	a, exists := c.Machine.account(o.rest[0])
	if !exists {
		c.Errorf("user '%s' does not exist", o.rest[0])
		return account{}, 6
	}
	if c.User != "root" {
		return account{}, c.locked("/etc/passwd")
	}
	return a, 0
}

func userdel(_ context.Context, c *Call) int {
	o, ok := c.options("rf", "remove", "force")
	if !ok {
		return 2
	}
	a, code := c.operandAccount(o)
	if code != 0 {
		return code
	}
	name := a.name
	gone := func(f []string) ([]string, bool) { return f, f[0] != name }
	err := errors.Join(c.edit("/etc/passwd", gone), c.edit("/etc/shadow", gone), c.edit("/etc/group", func(f []string) ([]string, bool) {
		if len(f) > 3 {
			members := strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })
			f[3] = strings.Join(slices.DeleteFunc(members, func(m string) bool { return m == name }), ",")
		}
		return f, f[0] != name || f[2] != strconv.Itoa(a.gid)
	}))
	if err != nil {
		return c.Errorf("%s", errText(err))
	}
	c.Machine.Record("userdel", "delete user "+name)
	if o.has("r", "remove") {
		return c.removeHome(a, o.has("f", "force"))
	}
	return 0
}

// removeHome removes the home directory of a removed account with everything in it, unless somebody else owns it.
func (c *Call) removeHome(a account, force bool) int {
	const kept = 12 // E_HOMEDIR
	c.Errorf("%s mail spool (/var/mail/%s) not found", a.name, a.name)
	_, info, err := c.view().resolve(a.home, true)
	if err != nil || info == nil {
		c.Errorf("%s home directory (%s) not found", a.name, a.home)
		return 0
	}
	if uid, _ := owner(info); uid != a.uid && !force {
		c.Errorf("%s not owned by %s, not removing", a.home, a.name)
		return kept
	}
	if at, err := c.view().lstat(a.home); err != nil || !at.IsDir() || c.view().RemoveAll(a.home) != nil {
		c.Errorf("error removing directory %s", a.home)
		return kept
	}
	return 0
}
