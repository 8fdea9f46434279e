package machine

import (
	"context"
	"path"
	"strconv"
	"strings"
	"syscall"
)

func pkill(_ context.Context, c *Call) int {
	signal := syscall.SIGTERM
	var args []string
	for _, arg := range c.Argv[1:] {
		if len(arg) > 1 && arg[0] == '-' {
			if s, ok := parseSignal(arg[1:]); ok && path.Base(c.Argv[0]) == "pkill" {
				signal = s
				continue
			}
		}
		args = append(args, arg)
	}
	o, ok := c.parse(args, "P:fxu:lan", "parent=", "full", "exact", "signal=")
	if !ok {
		return 2
	}
	if name := o.value("signal"); name != "" {
		if signal, ok = parseSignal(name); !ok {
			return c.Errorf("Unknown signal \"%s\".", name)
		}
	}
	code := 1
	for _, p := range c.Machine.processes.list() {
		if p == c.process {
			continue
		}
		text := path.Base(p.argv[0])
		if o.has("f", "full") {
			text = strings.Join(p.argv, " ")
		}
		matches := len(o.rest) == 0 || strings.Contains(text, o.rest[0])
		if o.has("x", "exact") && len(o.rest) > 0 {
			matches = text == o.rest[0]
		}
		if parent := o.value("P", "parent"); parent != "" && parent != strconv.Itoa(p.ppid) {
			matches = false
		}
		if u := o.value("u"); u != "" && u != p.user {
			matches = false
		}
		if !matches {
			continue
		}
		if path.Base(c.Argv[0]) == "pgrep" {
			c.printf("%d\n", p.pid)
			code = 0
			continue
		}
		if c.User != "root" && p.user != c.User {
			c.Errorf("killing pid %d failed: Operation not permitted", p.pid)
			continue
		}
		p.signal(signal)
		code = 0
	}
	return code
}

func ps(_ context.Context, c *Call) int {
	c.printf("    PID COMMAND\n")
	for _, p := range c.Machine.processes.list() {
		c.printf("%7d %s\n", p.pid, strings.Join(p.argv, " "))
	}
	return 0
}

func logger(_ context.Context, c *Call) int {
	_, ok := c.options("t:p:i", "tag=", "priority=")
	if !ok {
		return 2
	}
	return 0
}
