package proxmox

import (
	"bufio"
	"fmt"
	"strings"
)

// interactive implements ceph without a command: it runs the commands on standard input, one per line, over one
// connection. Errors go to standard error. The exit code is 0 unless the cluster cannot be reached.
func (c *Command) interactive(a cephArguments) int {
	if c.Stdin == nil {
		return 0
	}
	lines := bufio.NewScanner(c.Stdin)
	for lines.Scan() {
		line, problem := parseCeph(strings.Fields(lines.Text()))
		if problem != "" || len(line.words) == 0 {
			continue
		}
		command, args, ok := findCeph(line.words)
		if !ok {
			fmt.Fprintln(c.Stderr, unknownCeph(line.words))
			continue
		}
		r, err := c.ask(command, args, a.timeout)
		switch {
		case err != nil:
			return c.die(1, "%s", err)
		case r.errno != 0:
			fmt.Fprintf(c.Stderr, "Error %s: %s\n", errnoNames[max(r.errno, -r.errno)], r.err)
			continue
		case r.note != "":
			fmt.Fprintln(c.Stderr, r.note)
		}
		text := r.text
		if strings.HasPrefix(a.format, "json") && r.value != nil {
			text = strings.TrimSuffix(canonical(r.value), "\n")
			if a.format == "json-pretty" {
				text = indent(r.value)
			}
		} else if text == "" && !r.plain && r.value != nil {
			text = indent(r.value)
		}
		if text != "" {
			c.printf("%s\n", text)
		}
	}
	return 0
}
