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
