package machine

import (
	"context"
	"fmt"
	"io"
	"syscall"
)

// detach starts a program as a child of init, so that it outlives the session. It returns its process and a channel
// that receives the exit code.
func (c *Call) detach(child Call) (*process, <-chan int) {
	ctx, p := c.Machine.processes.start(context.WithoutCancel(c.ctx), c.Machine, nil, child.User, []string{"(detached)"})
	child.process, child.ctx = p, ctx
	ended := make(chan int, 1)
	go func() {
		defer c.Machine.processes.finish(p)
		ended <- c.Machine.exec(ctx, &child)
	}()
	return p, ended
}

// runOneshot implements systemd-run(1) for a oneshot service and waits until it ends. Only its type matters: the lab
// never reaches the limits that the other properties set.
func runOneshot(ctx context.Context, c *Call, o options) int {
	oneshot := false
	for _, property := range o.values("p", "property") {
		oneshot = oneshot || property == "Type=oneshot"
	}
	name := o.value("u", "unit")
	switch {
	case !oneshot || name == "":
		return notSimulated(c, "a unit without a name or of another type than oneshot")
	case len(o.rest) == 0:
		return c.Errorf("Command line to execute required.")
	case c.User != "root":
		fmt.Fprintln(c.Stderr, "Failed to start transient service unit: Access denied")
		return 1
	}
	if _, known := c.Machine.units.Get(name); known {
		fmt.Fprintf(c.Stderr, "Failed to start transient service unit: Unit %s was already loaded or has a fragment file.\n", UnitName(name))
		return 1
	}
	environ := []string{"PATH=" + defaultPath, "INVOCATION_ID=" + newUUID()}
	p, ended := c.detach(Call{
		Machine: c.Machine, Argv: o.rest, Dir: "/", User: "root", Env: lookup(environ), environ: environ,
		Stdin: noInput{}, Stdout: io.Discard, Stderr: io.Discard,
	})
	c.Machine.Record("systemd-run", "start "+UnitName(name))
	c.Machine.units.Add(Unit{Name: name, Static: true, Active: true, Stop: func(m *Machine) { m.processes.group(p.pid, syscall.SIGTERM) }})
	over := make(chan int, 1)
	go func() {
		code := <-ended
		c.Machine.units.Remove(name)
		over <- code
	}()
	select {
	case code := <-over:
		if code != 0 {
			fmt.Fprintf(c.Stderr, "Job for %s failed because the control process exited with error code.\n", UnitName(name))
			return 1
		}
		return 0
	case <-ctx.Done():
		return 1
	}
}

// setsid implements setsid(1) without options: the program outlives the session.
func setsid(ctx context.Context, c *Call) int {
	o, ok := c.options("+")
	if !ok || len(o.rest) == 0 {
		return c.Errorf("no command specified")
	}
	child := *c
	child.Argv = o.rest
	if f, ok := c.Stdin.(interruptible); ok {
		child.Stdin = f.file
	}
	_, ended := c.detach(child)
	select {
	case code := <-ended:
		return code
	case <-ctx.Done():
		return 1
	}
}

// outlast waits until a process has ended or, if there is none, until the program is killed.
func (c *Call) outlast(ctx context.Context, pid int) {
	var gone <-chan struct{}
	if pid > 0 {
		p, ok := c.Machine.processes.find(pid)
		if !ok {
			return
		}
		gone = p.gone
	}
	defer c.process.limit.wait()()
	select {
	case <-gone:
	case <-ctx.Done():
	}
}
