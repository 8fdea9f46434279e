package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

func userPrograms() map[string]Program {
	return map[string]Program{"getent": getent, "/usr/sbin/useradd": useradd, "/usr/sbin/usermod": usermod, "/usr/sbin/userdel": userdel, "/usr/sbin/groupadd": groupadd,
		"/usr/sbin/groupdel": groupdel, "/usr/sbin/chpasswd": chpasswd, "passwd": passwd, "gpasswd": gpasswd, "groups": groupsProgram, "/usr/sbin/visudo": accept("", "")}
}

func id(_ context.Context, c *Call) int {
	o, ok := c.options("ugnGr", "user", "group", "name", "groups", "real")
	if !ok {
		return 2
	}
	user := c.User
	if len(o.rest) > 0 {
		user = o.rest[0]
	}
	a, found := c.Machine.account(user)
	if !found {
		return c.Errorf("‘%s’: no such user", user)
	}
	name := o.has("n", "name")
	own := c.Machine.groupName(a.gid)
	groups := c.Machine.memberships(a)
	pick := func(n int, text string) string {
		if name {
			return text
		}
		return strconv.Itoa(n)
	}
	switch {
	case o.has("u", "user"):
		c.printf("%s\n", pick(a.uid, a.name))
	case o.has("g", "group"):
		c.printf("%s\n", pick(a.gid, own))
	case o.has("G", "groups"):
		var all []string
		for _, g := range groups {
			all = append(all, pick(g.gid, g.name))
		}
		c.printf("%s\n", strings.Join(all, " "))
	default:
		var all []string
		for _, g := range groups {
			all = append(all, fmt.Sprintf("%d(%s)", g.gid, g.name))
		}
		c.printf("uid=%d(%s) gid=%d(%s) groups=%s\n", a.uid, a.name, a.gid, own, strings.Join(all, ","))
	}
	return 0
}

func whoami(_ context.Context, c *Call) int {
	c.printf("%s\n", c.User)
	return 0
}

func groupsProgram(ctx context.Context, c *Call) int {
	user := c.User
	prefix := ""
	if len(c.Argv) > 1 {
		user = c.Argv[1]
		prefix = user + " : "
	}
	a, ok := c.Machine.account(user)
	if !ok {
		return c.Errorf("‘%s’: no such user", user)
	}
	var names []string
	for _, g := range c.Machine.memberships(a) {
		names = append(names, g.name)
	}
	c.printf("%s%s\n", prefix, strings.Join(names, " "))
	return 0
}

func getent(_ context.Context, c *Call) int {
	o, ok := c.options("s:")
	if !ok {
		return 2
	}
	if len(o.rest) == 0 {
		return c.Errorf("wrong number of arguments")
	}
	database, keys := o.rest[0], o.rest[1:]
	file := map[string]string{"passwd": "/etc/passwd", "group": "/etc/group", "shadow": "/etc/shadow"}[database]
	if file != "" {
		if database == "shadow" && c.User != "root" {
			return 2
		}
		lines := c.Machine.lines(file)
		if len(keys) == 0 {
			for _, line := range lines {
				c.printf("%s\n", line)
			}
			return 0
		}
		code := 0
		for _, key := range keys {
			found := false
			for _, line := range lines {
				f := strings.Split(line, ":")
				if f[0] == key || len(f) > 2 && database != "shadow" && f[2] == key {
					c.printf("%s\n", line)
					found = true
					break
				}
			}
			if !found {
				code = 2
			}
		}
		return code
	}
	code := 0
	switch database {
	case "hosts", "ahosts", "ahostsv4", "ahostsv6":
	default:
		fmt.Fprintf(c.Stderr, "Unknown database: %s\nTry `getent --help' or `getent --usage' for more information.\n", database)
		return 1
	}
	if len(keys) == 0 {
		for _, line := range c.Machine.hosts() {
			c.printf("%-15s %s\n", line.addr, strings.Join(line.names, " "))
		}
		return 0
	}
	for _, key := range keys {
		found := 0
		for _, a := range c.Machine.Resolve(key) {
			if database == "ahostsv4" && !a.Is4() || database == "ahostsv6" && !a.Is6() {
				continue
			}
			if database != "hosts" {
				for i, kind := range []string{"STREAM", "DGRAM", "RAW"} {
					name := ""
					if i == 0 && found == 0 {
						name = " " + key
					}
					c.printf("%-15s %s%s\n", a, kind, name)
				}
				found++
				continue
			}
			names := key
			for _, line := range c.Machine.hosts() {
				if line.addr == a && (slices.Contains(line.names, key) || key == a.String()) {
					names = strings.Join(line.names, " ")
				}
			}
			c.printf("%-15s %s\n", a, names)
			found++
			break
		}
		if found == 0 {
			code = 2
		}
	}
	return code
}

// edit rewrites a database file line by line; change returns the new line and whether to keep it.
func (c *Call) edit(file string, change func(fields []string) ([]string, bool), add ...string) error {
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

// locked says why user databases cannot be changed by an unprivileged user.
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
	home := cmpOr(o.value("d", "home-dir", "home"), "/home/"+name)
	sh := cmpOr(o.value("s", "shell"), "/bin/sh")
	line := fmt.Sprintf("%s:x:%d:%d:%s:%s:%s", name, uid, gid, o.value("c", "comment"), home, sh)
	if err := c.edit("/etc/passwd", nil, line); err != nil {
		return c.Errorf("%s", errText(err))
	}
	if err := c.edit("/etc/shadow", nil, fmt.Sprintf("%s:%s:20000:0:99999:7:::", name, cmpOr(o.value("p", "password"), "!"))); err != nil {
		return c.Errorf("%s", errText(err))
	}
	if code := c.join(name, o.value("G", "groups"), true); code != 0 {
		return code
	}
	if o.has("m", "create-home") {
		v := c.view()
		if err := v.MkdirAll(home, 0o755); err != nil {
			c.Errorf("cannot create directory %s", home)
			return 12
		}
		if err := errors.Join(v.Chmod(home, 0o700), v.Chown(home, uid, gid)); err != nil {
			return c.Errorf("%s", errText(err))
		}
	}
	c.Machine.Record("useradd", "add user "+name)
	return 0
}

// join puts a user into groups; without add it leaves the others.
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
	if len(o.rest) != 1 {
		fmt.Fprintln(c.Stderr, "Usage: usermod [options] LOGIN")
		return 2
	}
	name := o.rest[0]
	a, exists := c.Machine.account(name)
	if !exists {
		c.Errorf("user '%s' does not exist", name)
		return 6
	}
	if c.User != "root" {
		return c.locked("/etc/passwd")
	}
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

func userdel(_ context.Context, c *Call) int {
	o, ok := c.options("rf", "remove", "force")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		fmt.Fprintln(c.Stderr, "Usage: userdel [options] LOGIN")
		return 2
	}
	name := o.rest[0]
	a, exists := c.Machine.account(name)
	if !exists {
		c.Errorf("user '%s' does not exist", name)
		return 6
	}
	if c.User != "root" {
		return c.locked("/etc/passwd")
	}
	gone := func(f []string) ([]string, bool) { return f, f[0] != name }
	err := errors.Join(c.edit("/etc/passwd", gone), c.edit("/etc/shadow", gone), c.edit("/etc/group", func(f []string) ([]string, bool) {
		if len(f) > 3 {
			members := strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })
			f[3] = strings.Join(slices.DeleteFunc(members, func(m string) bool { return m == name }), ",")
		}
		return f, f[0] != name || f[2] != strconv.Itoa(a.gid)
	}))
	if err == nil && o.has("r", "remove") {
		err = c.view().RemoveAll(a.home)
	}
	if err != nil {
		return c.Errorf("%s", errText(err))
	}
	c.Machine.Record("userdel", "delete user "+name)
	return 0
}

func groupadd(_ context.Context, c *Call) int {
	o, ok := c.options("g:rf", "gid=", "system", "force")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		fmt.Fprintln(c.Stderr, "Usage: groupadd [options] GROUP")
		return 2
	}
	name := o.rest[0]
	if _, exists := c.Machine.group(name); exists {
		if o.has("f", "force") {
			return 0
		}
		c.Errorf("group '%s' already exists", name)
		return 9
	}
	if c.User != "root" {
		return c.locked("/etc/group")
	}
	gid := cmpOr(o.value("g", "gid"), strconv.Itoa(c.freeID(o.has("r", "system"), func(n int) bool { _, taken := c.Machine.group(strconv.Itoa(n)); return taken })))
	if err := c.edit("/etc/group", nil, name+":x:"+gid+":"); err != nil {
		return c.Errorf("%s", errText(err))
	}
	c.Machine.Record("groupadd", "add group "+name)
	return 0
}

func groupdel(_ context.Context, c *Call) int {
	if len(c.Argv) != 2 {
		return notSimulated(c, strings.Join(c.Argv[1:], " "))
	}
	name := c.Argv[1]
	if _, exists := c.Machine.group(name); !exists {
		c.Errorf("group '%s' does not exist", name)
		return 6
	}
	if c.User != "root" {
		return c.locked("/etc/group")
	}
	if err := c.edit("/etc/group", func(f []string) ([]string, bool) { return f, f[0] != name }); err != nil {
		return c.Errorf("%s", errText(err))
	}
	c.Machine.Record("groupdel", "delete group "+name)
	return 0
}

func gpasswd(_ context.Context, c *Call) int {
	o, ok := c.options("a:d:M:", "add=", "delete=", "members=")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		return c.Errorf("usage: gpasswd [option] GROUP")
	}
	name := o.rest[0]
	if _, exists := c.Machine.group(name); !exists {
		c.Errorf("group '%s' does not exist in /etc/group", name)
		return 3
	}
	if c.User != "root" {
		return c.Errorf("Permission denied.")
	}
	err := c.edit("/etc/group", func(f []string) ([]string, bool) {
		if f[0] != name || len(f) < 4 {
			return f, true
		}
		members := strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })
		if user := o.value("a", "add"); user != "" && !slices.Contains(members, user) {
			members = append(members, user)
		}
		if user := o.value("d", "delete"); user != "" {
			members = slices.DeleteFunc(members, func(m string) bool { return m == user })
		}
		if o.has("M", "members") {
			members = strings.Split(o.value("M", "members"), ",")
		}
		f[3] = strings.Join(members, ",")
		return f, true
	})
	if err != nil {
		return c.Errorf("%s", errText(err))
	}
	return 0
}

func chpasswd(_ context.Context, c *Call) int {
	o, ok := c.options("ec:", "encrypted", "crypt-method=")
	if !ok {
		return 2
	}
	if c.User != "root" {
		return c.locked("/etc/shadow")
	}
	content, err := io.ReadAll(c.Stdin)
	if err != nil {
		return c.Errorf("%s", errText(err))
	}
	for number, line := range strings.Split(strings.TrimRight(string(content), "\n"), "\n") {
		user, password, has := strings.Cut(line, ":")
		if _, exists := c.Machine.account(user); !exists || !has {
			return c.Errorf("line %d: user '%s' does not exist\nchpasswd: error detected, changes ignored", number+1, user)
		}
		if !o.has("e", "encrypted") {
			password = "$y$j9T$lab$" + sum([]byte(password))
		}
		found := false
		err := c.edit("/etc/shadow", func(f []string) ([]string, bool) {
			if f[0] == user && len(f) > 1 {
				f[1], found = password, true
			}
			return f, true
		})
		if err == nil && !found {
			err = c.edit("/etc/shadow", nil, user+":"+password+":20000:0:99999:7:::")
		}
		if err != nil {
			return c.Errorf("%s", errText(err))
		}
		c.Machine.Record("chpasswd", "set password of "+user)
	}
	return 0
}

func passwd(_ context.Context, c *Call) int {
	o, ok := c.options("ludS", "lock", "unlock", "delete", "status")
	if !ok {
		return 2
	}
	user := c.User
	if len(o.rest) > 0 {
		user = o.rest[0]
	}
	if _, exists := c.Machine.account(user); !exists {
		return c.Errorf("user '%s' does not exist", user)
	}
	hash := ""
	for _, line := range c.Machine.lines("/etc/shadow") {
		if f := strings.Split(line, ":"); f[0] == user && len(f) > 1 {
			hash = f[1]
		}
	}
	switch {
	case o.has("S", "status"):
		state := "P"
		switch {
		case hash == "":
			state = "NP"
		case strings.HasPrefix(hash, "!") || strings.HasPrefix(hash, "*"):
			state = "L"
		}
		c.printf("%s %s 2024-10-04 0 99999 7 -1\n", user, state)
		return 0
	case o.has("l", "lock"):
		return c.Run("usermod", "-L", user)
	case o.has("u", "unlock"):
		return c.Run("usermod", "-U", user)
	case o.has("d", "delete"):
		return c.Run("usermod", "-p", "", user)
	}
	return c.Errorf("Authentication token manipulation error\npasswd: password unchanged")
}

// su switches the user; only root does it without a password.
func su(_ context.Context, c *Call) int {
	o, ok := c.options("+lc:s:u:", "login", "command=", "shell=", "user=")
	if !ok {
		return 2
	}
	if c.User != "root" {
		return c.Errorf("Authentication failure")
	}
	user, rest := o.value("u", "user"), o.rest
	if user == "" {
		user = "root"
		if len(rest) > 0 && rest[0] == "-" {
			rest = rest[1:]
		}
		if len(rest) > 0 {
			user, rest = rest[0], rest[1:]
		}
		p, ok := c.parse(rest, "+c:s:l", "command=")
		if !ok {
			return 2
		}
		o.given, rest = append(o.given, p.given...), p.rest
	}
	a, exists := c.Machine.account(user)
	if !exists {
		return c.Errorf("user %s does not exist or the user entry does not contain all the required fields", user)
	}
	environ := withEnv(c.environ, "USER="+user, "LOGNAME="+user, "HOME="+a.home)
	if command := o.value("c", "command"); command != "" {
		return c.run(user, environ, c.Stdin, []string{cmpOr(o.value("s", "shell"), a.shell), "-c", command})
	}
	if len(rest) == 0 {
		return c.run(user, environ, c.Stdin, []string{a.shell})
	}
	return c.run(user, environ, c.Stdin, rest)
}

// sudo knows who may without a password (NOPASSWD in /etc/sudoers.d) and who with one (the group
// sudo); what a rule limits beyond that is not simulated.
func sudo(_ context.Context, c *Call) int {
	o, ok := c.options("+nSHEku:g:p:iK", "non-interactive", "stdin", "user=", "prompt=", "set-home", "preserve-env?", "reset-timestamp", "login")
	if !ok {
		return 2
	}
	target := cmpOr(o.value("u", "user"), "root")
	target = strings.TrimPrefix(target, "#")
	a, exists := c.Machine.account(target)
	if !exists {
		return c.Errorf("unknown user %s", target)
	}
	if o.has("k", "K", "reset-timestamp") && len(o.rest) == 0 {
		return 0
	}
	if code := c.sudoAllowed(o); code != 0 {
		return code
	}
	rest := o.rest
	for len(rest) > 0 && strings.Contains(rest[0], "=") && !strings.Contains(strings.SplitN(rest[0], "=", 2)[0], "/") {
		rest = rest[1:] // variables are set by env_reset's rules: dropped
	}
	if len(rest) == 0 {
		if !o.has("i", "login") {
			fmt.Fprintln(c.Stderr, "usage: sudo -h | -K | -k | -V")
			return 1
		}
		rest = []string{a.shell}
	}
	environ := []string{"PATH=" + defaultPath, "HOME=" + a.home, "USER=" + a.name, "LOGNAME=" + a.name, "SHELL=" + a.shell, "SUDO_USER=" + c.User, "TERM=" + cmpOr(c.Env("TERM"), "unknown"),
		"SUDO_COMMAND=" + strings.Join(rest, " ")}
	for _, e := range c.environ {
		if name, _, _ := strings.Cut(e, "="); name == "LANG" || strings.HasPrefix(name, "LC_") {
			environ = append(environ, e)
		}
	}
	if _, _, err := c.Machine.find(&Call{Machine: c.Machine, Argv: rest, Dir: c.Dir, User: a.name, Env: lookup(environ)}); err != nil {
		return c.Errorf("%s: command not found", rest[0])
	}
	stdin := c.Stdin
	if f, ok := stdin.(interruptible); ok {
		stdin = f.File
	}
	return c.run(a.name, environ, stdin, rest)
}

func (c *Call) sudoAllowed(o options) int {
	a, ok := c.Machine.account(c.User)
	if ok && a.uid == 0 {
		return 0
	}
	allowed, free := false, false
	files := []string{"/etc/sudoers"}
	if entries, err := afero.ReadDir(c.Machine.FS(), "/etc/sudoers.d"); err == nil {
		for _, e := range entries {
			if !e.IsDir() && !strings.Contains(e.Name(), ".") && !strings.HasSuffix(e.Name(), "~") {
				files = append(files, "/etc/sudoers.d/"+e.Name())
			}
		}
	}
	var groups []string
	for _, g := range c.Machine.memberships(a) {
		groups = append(groups, "%"+g.name)
	}
	for _, file := range files {
		for _, line := range c.Machine.lines(file) {
			f := strings.Fields(line)
			if len(f) < 2 || f[0] != c.User && f[0] != "ALL" && !slices.Contains(groups, f[0]) || !strings.Contains(f[1], "=") {
				continue
			}
			allowed, free = true, strings.Contains(line, "NOPASSWD:") // the last rule that matches counts
		}
	}
	switch {
	case allowed && free:
		return 0
	case !allowed:
		fmt.Fprintf(c.Stderr, "%s is not in the sudoers file.\n", c.User)
		return 1
	case o.has("n", "non-interactive"):
		return c.Errorf("a password is required")
	case !o.has("S", "stdin"):
		return c.Errorf("a terminal is required to read the password; either use the -S option to read from standard input or configure an askpass helper\nsudo: a password is required")
	}
	password := ""
	for _, u := range c.Machine.users {
		if u.Name == c.User {
			password = u.Password
		}
	}
	prompt := fmt.Sprintf("[sudo] password for %s: ", c.User)
	if o.has("p", "prompt") {
		prompt = strings.NewReplacer("%p", c.User, "%u", c.User, "%U", cmpOr(o.value("u", "user"), "root"), "%h", c.Machine.Name(), "%%", "%").Replace(o.value("p", "prompt"))
	}
	for try := 1; try <= 3; try++ {
		fmt.Fprint(c.Stderr, prompt)
		line, err := readLine(c.Stdin)
		if err != nil && line == "" {
			if try > 1 {
				return c.Errorf("no password was provided\nsudo: %d incorrect password attempts", try-1)
			}
			return c.Errorf("no password was provided\nsudo: a password is required")
		}
		if password != "" && line == password {
			return 0
		}
		fmt.Fprintln(c.Stderr, "Sorry, try again.")
	}
	return c.Errorf("3 incorrect password attempts")
}

// readLine reads one line and nothing beyond it.
func readLine(r io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for {
		n, err := r.Read(b[:])
		if n == 1 && b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[:n]...)
		if err != nil {
			return string(line), err
		}
	}
}
