package machine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one running program of a machine.
type process struct {
	pid, ppid int
	user      string
	argv      []string
	started   time.Time
	end       context.CancelCauseFunc

	mu    sync.Mutex
	traps map[string]bool // signals that a shell handles or ignores
	umask fs.FileMode
	// limit is timeout(1)'s, nil for none.
	limit *limit
}

// limit is what timeout(1) allows the processes under it. They are held to what they take themselves, not to
// what the lab's clock shows: another node may move that by minutes in the midst of a cat. Waiting
// for input is no part of a simulation, as it may come from outside of it: it is measured on the wall.
type limit struct {
	mu    sync.Mutex
	left  time.Duration // of the lab's time
	waits time.Duration // of the wall's, for input
	end   func()
	outer *limit
}

// spend takes d off the limit, or what is left of it, and off those around it. over is the one that is used up.
func (l *limit) spend(d time.Duration) (granted time.Duration, over *limit) {
	granted = d
	for at := l; at != nil; at = at.outer {
		at.mu.Lock()
		if at.left <= granted {
			granted, over = max(at.left, 0), at
		}
		at.mu.Unlock()
	}
	for at := l; at != nil; at = at.outer {
		at.mu.Lock()
		at.left -= granted
		at.mu.Unlock()
	}
	return granted, over
}

// wait bounds a wait for input; it returns what is to be called when the wait is over.
func (l *limit) wait() func() {
	var timers []*time.Timer
	began := time.Now()
	for at := l; at != nil; at = at.outer {
		at.mu.Lock()
		timers = append(timers, time.AfterFunc(at.waits, at.end))
		at.mu.Unlock()
	}
	return func() {
		waited := time.Since(began)
		for _, t := range timers {
			t.Stop()
		}
		for at := l; at != nil; at = at.outer {
			at.mu.Lock()
			at.waits -= waited
			at.mu.Unlock()
		}
	}
}

// killed is the cause of a process's end by a signal.
type killed struct{ signal syscall.Signal }

func (k killed) Error() string { return "killed by signal " + k.signal.String() }

// processes are what runs on a machine.
type processes struct {
	mu    sync.Mutex
	next  int
	table map[int]*process
}

func (ps *processes) start(ctx context.Context, m *Machine, parent *process, user string, argv []string) (context.Context, *process) {
	ctx, end := context.WithCancelCause(ctx)
	p := &process{user: user, argv: argv, started: m.clock.Now(), end: end, ppid: 1, umask: 0o022}
	if parent != nil {
		p.ppid, p.umask, p.limit = parent.pid, parent.umaskNow(), parent.limit
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.table == nil {
		ps.table, ps.next = map[int]*process{}, 800
	}
	ps.next++
	p.pid = ps.next
	ps.table[p.pid] = p
	return ctx, p
}

func (p *process) umaskNow() fs.FileMode {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.umask
}

func (ps *processes) finish(p *process) {
	p.end(nil)
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.table, p.pid)
}

func (ps *processes) list() []*process {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var all []*process
	for _, p := range ps.table {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *process) int { return cmp.Compare(a.pid, b.pid) })
	return all
}

func (ps *processes) find(pid int) (*process, bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p, ok := ps.table[pid]
	return p, ok
}

var signalNames = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "KILL": syscall.SIGKILL, "USR1": syscall.SIGUSR1,
	"USR2": syscall.SIGUSR2, "PIPE": syscall.SIGPIPE, "ALRM": syscall.SIGALRM, "TERM": syscall.SIGTERM,
}

func signalName(s syscall.Signal) string {
	for name, signal := range signalNames {
		if signal == s {
			return name
		}
	}
	return fmt.Sprint(int(s))
}

// signal sends a signal; zero only asks whether the process is there.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	trapped := p.traps[signalName(s)]
	p.mu.Unlock()
	if s != 0 && (s == syscall.SIGKILL || !trapped) {
		p.end(killed{s})
	}
}

// group signals a process and all that descends from it, as the terminal and sshd do.
func (ps *processes) group(pid int, s syscall.Signal) {
	for _, p := range ps.list() {
		if p.pid == pid || p.ppid == pid {
			p.signal(s)
		}
		if p.ppid == pid {
			ps.group(p.pid, s)
		}
	}
}

func (ps *processes) killAll() {
	for _, p := range ps.list() {
		p.end(killed{syscall.SIGKILL})
	}
}

// Context ends when the program is killed.
func (c *Call) Context() context.Context { return c.ctx }

// atOnce is what a program may take without giving others the time to take theirs along with it.
const atOnce = 100 * time.Millisecond

// Spend says that the program takes d of the lab's time, and lets it pass. It reports false if the program
// was ended meanwhile; it should then return.
func (c *Call) Spend(d time.Duration) bool {
	var over *limit
	if c.process != nil {
		d, over = c.process.limit.spend(d)
	}
	if clock, ok := c.Machine.clock.(interface{ Advance(time.Duration) }); ok && d < atOnce {
		clock.Advance(d)
	} else if c.Machine.clock.Sleep(c.ctx, d) != nil {
		return false
	}
	if over != nil {
		over.end()
	}
	return c.ctx.Err() == nil
}

// Run starts another program as the same user and waits for it, as a script would.
func (c *Call) Run(argv ...string) int { return c.run(c.User, c.environ, c.Stdin, argv) }

func (c *Call) run(user string, environ []string, stdin io.Reader, argv []string) int {
	child := *c
	child.Argv, child.User, child.environ, child.Stdin = argv, user, environ, stdin
	child.Env = lookup(environ)
	return c.Machine.exec(c.ctx, &child)
}

func lookup(environ []string) func(string) string {
	return func(name string) string {
		for i := len(environ) - 1; i >= 0; i-- {
			if key, value, _ := strings.Cut(environ[i], "="); key == name {
				return value
			}
		}
		return ""
	}
}

func withEnv(environ []string, add ...string) []string {
	out := make([]string, 0, len(environ)+len(add))
	for _, e := range environ {
		key, _, _ := strings.Cut(e, "=")
		replaced := false
		for _, a := range add {
			k, _, _ := strings.Cut(a, "=")
			replaced = replaced || k == key
		}
		if !replaced {
			out = append(out, e)
		}
	}
	return append(out, add...)
}

func (c *Call) view() view {
	return view{m: c.Machine, cred: c.Machine.credentials(c.User), by: path.Base(c.Argv[0])}
}

// Path makes a path absolute by the program's directory.
func (c *Call) Path(name string) string {
	if path.IsAbs(name) || name == "" {
		return name
	}
	return c.Dir + "/" + name
}

// Errorf prints "PROGRAM: message" and a newline to the standard error and returns 1.
func (c *Call) Errorf(format string, args ...any) int {
	fmt.Fprintf(c.Stderr, path.Base(c.Argv[0])+": "+format+"\n", args...)
	return 1
}

func (c *Call) printf(format string, args ...any) { fmt.Fprintf(c.Stdout, format, args...) }

// interruptible is a pipe whose reads end when the reading program is killed; the pipe itself
// stays usable for whoever shares it. It does not embed the file, whose own WriteTo would take io.Copy past it.
type interruptible struct {
	file  *os.File
	ctx   context.Context
	limit *limit
}

func (r interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	done := make(chan struct{})
	stop := context.AfterFunc(r.ctx, func() {
		_ = r.file.SetReadDeadline(time.Unix(1, 0)) // a file that has no deadlines does not block for long
		close(done)
	})
	over := r.limit.wait()
	n, err := r.file.Read(p)
	over()
	if !stop() {
		<-done
		_ = r.file.SetReadDeadline(time.Time{}) // as above
	}
	return n, err
}

type noInput struct{}

func (noInput) Read([]byte) (int, error) { return 0, io.EOF }

// exec finds and runs c.Argv and returns its exit code.
func (m *Machine) exec(ctx context.Context, c *Call) int {
	file, program, err := m.find(c)
	if err != nil {
		return notFound(c, err)
	}
	m.starts.count(file)
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

// errNoProgram says that no file of that name is in PATH.
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

// find returns the file that a name starts, and its program; a nil program means a script.
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

// lookPath finds the executable file, links resolved, that a name stands for.
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
	for dir := range strings.SplitSeq(cmpOr(c.Env("PATH"), defaultPath), ":") {
		resolved, info, err := v.resolve(c.Path(path.Join(dir, name)), true)
		if err == nil && info != nil && !info.IsDir() && info.Mode().Perm()&0o111 != 0 && v.may(info, 1) {
			return resolved, nil
		}
	}
	return "", errNoProgram{}
}

// Install makes a program available: as /usr/bin/NAME, or at the absolute path that is its name.
func (m *Machine) Install(name string, program Program) {
	file := programPath(name)
	m.tree.mu.Lock()
	m.tree.file(m.tree.linkFree(file), 0o755, "\x7fELF simulated program\n")
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
	_ = m.FS().Remove(file) // gone already is as good
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

// linkFree is p with a merged /usr's links resolved.
func (t *tree) linkFree(p string) string { return programPath(p) }
