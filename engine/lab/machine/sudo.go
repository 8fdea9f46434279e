package machine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/afero"
)

// su runs a command as another user. Only root may do so without a password.
func su(_ context.Context, c *Call) int {
	o, ok := c.options("+lc:s:u:", "login", "command=", "shell=", "user=")
	if !ok {
		return 2
	}
	if c.User != "root" {
		return c.Errorf("Authentication failure")
	}
	user, rest := o.value("u", "user"), o.rest
	login := o.has("l", "login")
	if user == "" {
		user = "root"
		if len(rest) > 0 && rest[0] == "-" {
			login, rest = true, rest[1:]
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
	if login {
		if info, err := c.view().Stat(a.home); err == nil && info.IsDir() {
			c.Dir = a.home
		} else {
			c.Errorf("warning: cannot change directory to %s: No such file or directory", a.home)
		}
	}
	if command := o.value("c", "command"); command != "" {
		return c.run(user, environ, c.Stdin, []string{cmp.Or(o.value("s", "shell"), a.shell), "-c", command})
	}
	if len(rest) == 0 {
		return c.run(user, environ, c.Stdin, []string{a.shell})
	}
	return c.run(user, environ, c.Stdin, rest)
}

// sudo grants access by the user's rules in /etc/sudoers.d, without a password for NOPASSWD. Other parts of a rule are
// not simulated.
func sudo(_ context.Context, c *Call) int {
	o, ok := c.options("+nSHEku:g:p:iK", "non-interactive", "stdin", "user=", "prompt=", "set-home", "preserve-env?", "reset-timestamp", "login")
	if !ok {
		return 2
	}
	target := cmp.Or(o.value("u", "user"), "root")
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
		rest = rest[1:] // drop assignments, as env_reset does
	}
	if len(rest) == 0 {
		if !o.has("i", "login") {
			fmt.Fprintln(c.Stderr, "usage: sudo -h | -K | -k | -V")
			return 1
		}
		rest = []string{a.shell}
	}
	environ := []string{"PATH=" + defaultPath, "HOME=" + a.home, "USER=" + a.name, "LOGNAME=" + a.name, "SHELL=" + a.shell, "SUDO_USER=" + c.User, "TERM=" + cmp.Or(c.Env("TERM"), "unknown"),
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
		stdin = f.file
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
			allowed, free = true, strings.Contains(line, "NOPASSWD:") // the last matching rule counts
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
		prompt = strings.NewReplacer("%p", c.User, "%u", c.User, "%U", cmp.Or(o.value("u", "user"), "root"), "%h", c.Machine.Name(), "%%", "%").Replace(o.value("p", "prompt"))
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

// readLine reads a single line and nothing beyond it.
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
