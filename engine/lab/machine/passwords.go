package machine

import (
	"context"
	"io"
	"strings"
)

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
