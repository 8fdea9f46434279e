package machine

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/afero"
)

// exec finds and runs c.Argv and returns the exit code.
func (m *Machine) exec(ctx context.Context, c *Call) int {
	file, program, err := m.find(c)
	if err != nil {
		return notFound(c, err)
	}
	m.starts.count(file, c.Argv)
	parent := c.process
	ctx, p := m.processes.start(ctx, m, parent, c.User, c.Argv)
	defer m.processes.finish(p)
	c.ctx, c.process = ctx, p
	if f, ok := c.Stdin.(interruptible); ok {
		c.Stdin = f.file
	}
	switch f := c.Stdin.(type) {
	case *os.File:
		if f == nil {
			c.Stdin = noInput{}
		} else {
			c.Stdin = interruptible{f, ctx, p.limit}
		}
	case nil:
		c.Stdin = noInput{}
	}
	if program == nil {
		program = func(ctx context.Context, c *Call) int { return m.script(ctx, c, file) }
	}
	code := m.contained(ctx, c, program)
	if k, ok := context.Cause(ctx).(killed); ok {
		return 128 + int(k.signal)
	}
	return code
}

// contained runs a program. If the program panics, which is a defect of the lab, only that program ends, as if the
// kernel had killed it, and the stack is logged. Other programs and nodes continue.
func (m *Machine) contained(ctx context.Context, c *Call, program Program) (code int) {
	defer func() {
		if p := recover(); p != nil {
			Defect(m.Name(), c.Argv[0], p)
			fmt.Fprintf(c.Stderr, "%s: Segmentation fault (a bug in the simulated node, not in your playbook: %v)\n", c.Argv[0], p)
			code = 139 // 128 + SIGSEGV
		}
	}()
	return program(ctx, c)
}

// Defect logs a panic in the simulation of a node.
func Defect(node, doing string, panicked any) {
	slog.Error("the simulated node failed", "node", node, "doing", doing, "panic", panicked, "stack", string(debug.Stack()))
}

// errNoProgram reports that no directory in PATH has a file of that name.
type errNoProgram struct{}

func (errNoProgram) Error() string { return "not found" }

func notFound(c *Call, err error) int {
	name := c.Argv[0]
	switch {
	case err == errNoProgram{}:
		fmt.Fprintf(c.Stderr, "%s: 1: %s: not found\n", "sh", name)
		return 127
	case errno(err) == syscall.ENOENT:
		fmt.Fprintf(c.Stderr, "sh: 1: %s: not found\n", name)
		return 127
	}
	fmt.Fprintf(c.Stderr, "sh: 1: %s: %s\n", name, errText(err))
	return 126
}

// find returns the file that a name refers to and the program that it stands for, which is nil for a script.
func (m *Machine) find(c *Call) (string, Program, error) {
	file, err := m.lookPath(c, c.Argv[0])
	if err != nil {
		return "", nil, err
	}
	m.mu.Lock()
	program := m.installed[file]
	m.mu.Unlock()
	if program == nil {
		program = programs[file]
	}
	return file, program, nil
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// lookPath returns the executable that a name refers to, with links resolved.
func (m *Machine) lookPath(c *Call, name string) (string, error) {
	v := view{m: m, cred: m.credentials(c.User)}
	if strings.Contains(name, "/") {
		resolved, info, err := v.resolve(c.Path(name), true)
		switch {
		case err != nil:
			return "", err
		case info == nil:
			return "", syscall.ENOENT
		case info.IsDir() || info.Mode().Perm()&0o111 == 0 || !v.may(info, 1):
			return "", syscall.EACCES
		}
		return resolved, nil
	}
	for dir := range strings.SplitSeq(cmp.Or(c.Env("PATH"), defaultPath), ":") {
		resolved, info, err := v.resolve(c.Path(path.Join(dir, name)), true)
		if err == nil && info != nil && !info.IsDir() && info.Mode().Perm()&0o111 != 0 && v.may(info, 1) {
			return resolved, nil
		}
	}
	return "", errNoProgram{}
}

func (m *Machine) which(c *Call, name string) (string, error) {
	if strings.Contains(name, "/") {
		_, err := m.lookPath(c, name)
		return name, err
	}
	for dir := range strings.SplitSeq(cmp.Or(c.Env("PATH"), defaultPath), ":") {
		if _, err := m.lookPath(c, dir+"/"+name); err == nil {
			return dir + "/" + name, nil
		}
	}
	return "", errNoProgram{}
}

// Install makes a program available at /usr/bin/NAME or, if name is an absolute path, there.
func (m *Machine) Install(name string, program Program) {
	file := programPath(name)
	m.tree.mu.Lock()
	m.tree.file(file, 0o755, "\x7fELF simulated program\n")
	m.tree.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.installed[file] = program
}

// Uninstall removes a program and its file.
func (m *Machine) Uninstall(name string) {
	file := programPath(name)
	m.mu.Lock()
	delete(m.installed, file)
	m.mu.Unlock()
	_ = m.FS().Remove(file) // it may not exist any more
}

func programPath(name string) string {
	if !path.IsAbs(name) {
		return "/usr/bin/" + name
	}
	for _, dir := range []string{"/bin/", "/sbin/", "/lib/"} {
		if strings.HasPrefix(name, dir) {
			return "/usr" + name
		}
	}
	return name
}

// script runs an executable file that starts with #! and a shell.
func (m *Machine) script(ctx context.Context, c *Call, file string) int {
	content, err := afero.ReadFile(c.view(), file)
	if err != nil {
		return notFound(c, err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	interpreter := path.Base(strings.TrimSpace(strings.TrimPrefix(first, "#!")))
	if fields := strings.Fields(strings.TrimPrefix(first, "#!")); len(fields) > 1 && path.Base(fields[0]) == "env" {
		interpreter = fields[1]
	} else if len(fields) > 0 {
		interpreter = path.Base(fields[0])
	}
	switch {
	case !strings.HasPrefix(first, "#!"), interpreter == "sh", interpreter == "dash":
		s := &shell{c: c, name: "sh"}
		return s.runText(ctx, string(content), c.Argv[0], c.Argv[1:])
	case interpreter == "bash":
		s := &shell{c: c, name: "bash"}
		return s.runText(ctx, string(content), c.Argv[0], c.Argv[1:])
	}
	fmt.Fprintf(c.Stderr, "%s: not supported on simulated nodes: scripts for %s\n", c.Argv[0], interpreter)
	return 126
}
