package proxmox

import "bytes"

// The client's file options: ceph -i and -o.

// inputFile returns the content of the file given with -i, or nothing if there is none.
func (c *Command) inputFile(name string) (data string, code int) {
	if name == "" {
		return "", 0
	}
	read, err := c.Node.ReadFile(c.path(name))
	if err != nil {
		return "", c.die(1, "Can't open input file %s: [Errno 2] No such file or directory: '%s'", name, name)
	}
	return string(read), 0
}

// replyTo prints a reply, writing its output to the file given with -o.
func (c *Command) replyTo(name string, r reply, a cephArguments) int {
	if name == "" {
		return c.showReply(r, a)
	}
	var out bytes.Buffer
	stdout := c.Stdout
	c.Stdout = &out
	code := c.showReply(r, a)
	c.Stdout = stdout
	if err := c.Node.WriteFile(c.path(name), out.Bytes(), 0o644); err != nil {
		return c.die(1, "Can't open output file %s: %s", name, err)
	}
	return code
}
