package machine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (m *Machine) debconfAnswer(question string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.debconf[question]
}

// debconfSet reads lines of the form "PACKAGE QUESTION TYPE VALUE".
func debconfSet(_ context.Context, c *Call) int {
	o, ok := c.options("cvu", "checkonly", "unseen", "verbose")
	if !ok {
		return 2
	}
	if c.User != "root" {
		fmt.Fprintln(c.Stderr, "debconf: DbDriver \"passwords\" warning: could not open /var/cache/debconf/passwords.dat: Permission denied")
		return 1
	}
	text, code := c.operandText(o.rest)
	if code != 0 {
		return code
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 3 {
			fmt.Fprintf(c.Stderr, "error: Cannot parse line: %s\n", line)
			code = 1
			continue
		}
		value := ""
		if len(f) > 3 {
			_, value, _ = strings.Cut(line, f[2])
			value = strings.TrimLeft(value, " \t")
		}
		if o.has("c", "checkonly") {
			continue
		}
		c.Machine.mu.Lock()
		c.Machine.debconf[f[1]] = value
		c.Machine.debconf["\x00owner "+f[1]] = f[0]
		c.Machine.mu.Unlock()
		c.Machine.Record("debconf-set-selections", "answer "+f[1])
	}
	return code
}

func debconfShow(_ context.Context, c *Call) int {
	o, ok := c.options("", "db=", "listowners")
	if !ok {
		return 2
	}
	c.Machine.mu.Lock()
	defer c.Machine.mu.Unlock()
	for _, name := range o.rest {
		for _, question := range slices.Sorted(maps.Keys(c.Machine.debconf)) {
			if c.Machine.debconf["\x00owner "+question] == name {
				c.printf("* %s: %s\n", question, c.Machine.debconf[question])
			}
		}
	}
	return 0
}
