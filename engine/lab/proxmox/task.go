package proxmox

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// task runs fn as a PVE worker: its output goes to standard output, its error to standard error with newlines folded,
// and the node keeps a log. It reports whether fn succeeded, which does not always determine the program's exit code.
func (c *Command) task(kind, id string, fn func(out io.Writer) error) bool {
	c.changed = true
	var number int
	c.World.update(func(s *State) {
		n := s.node(c.Node.Name())
		n.Tasks++
		number = n.Tasks
	})
	start := c.World.clock.Now()
	upid := fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%s:%s:root@pam:", c.Node.Name(), 1000+number, start.Unix()&0xffffffff, start.Unix(), kind, id)
	var log bytes.Buffer
	err := fn(io.MultiWriter(c.Stdout, &log))
	status := "OK"
	if err != nil {
		status = strings.ReplaceAll(strings.TrimRight(err.Error(), "\n"), "\n", " ")
		fmt.Fprintf(&log, "TASK ERROR: %s\n", status)
		fmt.Fprintf(c.Stderr, "%s\n", status)
	} else {
		log.WriteString("TASK OK\n")
	}
	hex := fmt.Sprintf("%X", start.Unix())
	_ = c.Node.WriteFile("/var/log/pve/tasks/"+hex[len(hex)-1:]+"/"+upid, log.Bytes(), 0o640) // a task does not fail if its log cannot be written
	index, _ := c.Node.ReadFile("/var/log/pve/tasks/index")
	index = append(index, fmt.Sprintf("%s %08X %s\n", upid, c.World.clock.Now().Unix(), status)...)
	_ = c.Node.WriteFile("/var/log/pve/tasks/index", index, 0o640)
	return err == nil
}
