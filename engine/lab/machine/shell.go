package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/afero"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// shell is a running shell. It is the parent of the processes that it starts.
type shell struct {
	c    *Call
	name string // "sh" or "bash", for messages

	mu   sync.Mutex
	read func() // stops the count of the builtin read's waiting time
}

// awaits starts or stops counting the time that the interpreter's builtin read waits for input.
func (s *shell) awaits(input bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read != nil {
		s.read()
		s.read = nil
	}
	if input {
		s.read = s.c.process.limit.wait()
	}
}

func (s *shell) dash() bool { return s.name != "bash" }

// runner returns an interpreter that operates on the machine.
func (s *shell) runner(params []string) (*interp.Runner, error) {
	c := s.c
	stdin := c.Stdin
	if f, ok := stdin.(interruptible); ok {
		stdin = f.file
	}
	if _, ok := stdin.(noInput); ok {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return nil, err
		}
		stdin = null
	}
	r, err := interp.New(
		interp.Dir("/"),
		interp.Env(expand.ListEnviron(withEnv(c.environ, pidVariable+"="+strconv.Itoa(c.process.pid))...)),
		interp.StdIO(stdin, &serialised{w: c.Stdout}, &serialised{w: c.Stderr}),
		interp.CallHandler(s.call),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return s.exec }),
		interp.OpenHandler(s.open),
		interp.StatHandler(s.stat),
		interp.ReadDirHandler2(s.readDir),
		interp.AccessHandler(s.access),
		interp.Params(append([]string{"--"}, params...)...),
	)
	if err != nil {
		return nil, err
	}
	r.Dir = c.Dir
	return r, nil
}

// runText runs a whole script and returns its exit code. As with sh -c and a single line, a syntax error prevents all
// of it from running.
func (s *shell) runText(ctx context.Context, text, dollarZero string, params []string) int {
	script := s.parse(text)
	if script.err != nil {
		return s.syntaxError(dollarZero, script.err)
	}
	r, err := s.runner(params)
	if err != nil {
		return s.c.Errorf("%v", err)
	}
	file := *script.file
	file.Name = dollarZero // becomes $0
	return s.result(ctx, r.Run(ctx, &file))
}

func (s *shell) syntaxError(dollarZero string, err error) int {
	var parse syntax.ParseError
	var lacking unsimulatedError
	if errors.As(err, &lacking) {
		fmt.Fprintf(s.c.Stderr, "%s: %v\n", s.name, lacking)
	} else if errors.As(err, &parse) {
		fmt.Fprintf(s.c.Stderr, "%s: %d: Syntax error: %s\n", dollarZero, parse.Pos.Line(), parse.Text)
	} else {
		fmt.Fprintf(s.c.Stderr, "%s: 1: Syntax error: %v\n", dollarZero, err)
	}
	return 2
}

func (s *shell) result(ctx context.Context, err error) int {
	var status interp.ExitStatus
	switch cause := context.Cause(ctx).(type) {
	case killed:
		return 128 + int(cause.signal)
	}
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case ctx.Err() != nil:
		return 128 + int(syscall.SIGHUP)
	}
	fmt.Fprintf(s.c.Stderr, "%s: %v\n", s.name, err)
	return 2
}

// call is the interpreter's hook for each simple command. It redirects the builtins that the interpreter lacks, or that
// would look at the computer that runs the lab.
func (s *shell) call(ctx context.Context, args []string) ([]string, error) {
	if s.c.process.limit != nil {
		s.awaits(args[0] == "read")
		s.c.Spend(time.Millisecond) // allows timeout(1) to end a loop of builtins
	}
	switch args[0] {
	case "command":
		if len(args) > 1 && (args[1] == "-v" || args[1] == "-V") {
			return append([]string{"__lookup"}, args[1:]...), nil
		}
	case "type":
		return append([]string{"__lookup", "-V"}, args[1:]...), nil
	case "umask", "kill", "ulimit", "hash", "times", "printf":
		return append([]string{"__" + args[0]}, args[1:]...), nil
	case "cd":
		return s.changeDir(ctx, args), nil
	case "test", "[":
		return append([]string{"__test"}, args...), nil
	case "echo":
		if s.dash() {
			return append([]string{"__echo"}, args[1:]...), nil
		}
	case "trap":
		return s.trap(args), nil
	case "eval":
		script := s.parse(strings.Join(args[1:], " "))
		if script.err != nil {
			code := s.syntaxError(s.name, script.err)
			if s.dash() { // eval is a special builtin: its errors end the shell (POSIX 2.8.1)
				return []string{"exit", strconv.Itoa(code)}, nil
			}
			return []string{"__status", "1"}, nil
		}
		return []string{"eval", script.text}, nil
	}
	return args, nil
}

// changeDir adds the options of cd that the interpreter lacks: with -P, links are resolved first.
func (s *shell) changeDir(ctx context.Context, args []string) []string {
	rest, physical := args[1:], false
	for len(rest) > 0 && (rest[0] == "-P" || rest[0] == "-L") {
		physical = rest[0] == "-P"
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0] == "--" {
		rest = rest[1:]
	}
	if physical && len(rest) == 1 && rest[0] != "-" {
		if at, info, err := s.view().resolve(absolute(ctx, rest[0]), true); err == nil && info != nil {
			rest = []string{at}
		}
	}
	return append([]string{"cd"}, rest...)
}

// trap records which signals the script handles without running the actions, and leaves EXIT to the interpreter.
func (s *shell) trap(args []string) []string {
	rest := args[1:]
	if len(rest) > 0 && rest[0] == "--" {
		rest = rest[1:]
	}
	if len(rest) < 2 {
		return args
	}
	action, left := rest[0], []string{"trap", rest[0]}
	p := s.c.process
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.traps == nil {
		p.traps = map[string]bool{}
	}
	for _, name := range rest[1:] {
		name = strings.TrimPrefix(strings.ToUpper(name), "SIG")
		if n, err := strconv.Atoi(name); err == nil {
			name = signalName(syscall.Signal(n))
		}
		switch {
		case name == "0" || name == "EXIT":
			left = append(left, "EXIT")
		case name == "ERR":
			left = append(left, name)
		default:
			p.traps[name] = action != "-"
		}
	}
	if len(left) == 2 {
		return []string{"true"}
	}
	return left
}

func (s *shell) handlerCall(ctx context.Context, args []string) *Call {
	hc := interp.HandlerCtx(ctx)
	child := *s.c
	child.Argv, child.Dir, child.Stdin, child.Stdout, child.Stderr = args, hc.Dir, hc.Stdin, hc.Stdout, hc.Stderr
	environ := []string{}
	hc.Env.Each(func(name string, v expand.Variable) bool {
		if v.Exported && v.Kind == expand.String && name != pidVariable {
			environ = append(environ, name+"="+v.Str)
		}
		return true
	})
	child.environ, child.Env = environ, lookup(environ)
	return &child
}

func (s *shell) exec(ctx context.Context, args []string) error {
	c := s.handlerCall(ctx, args)
	if internal, ok := shellInternals[args[0]]; ok {
		return exitStatus(internal(s, c))
	}
	if _, _, err := s.c.Machine.find(c); err != nil && !s.dash() {
		switch {
		case errno(err) == syscall.ENOENT:
			fmt.Fprintf(c.Stderr, "bash: line 1: %s: No such file or directory\n", args[0])
			return exitStatus(127)
		case err == errNoProgram{}:
			fmt.Fprintf(c.Stderr, "bash: line 1: %s: command not found\n", args[0])
			return exitStatus(127)
		}
		fmt.Fprintf(c.Stderr, "bash: line 1: %s: %s\n", args[0], errText(err))
		return exitStatus(126)
	}
	return exitStatus(s.c.Machine.exec(ctx, c))
}

func exitStatus(code int) error {
	if code == 0 {
		return nil
	}
	return interp.ExitStatus(code)
}

func (s *shell) view() view {
	return view{m: s.c.Machine, cred: s.c.Machine.credentials(s.c.User), by: s.name}
}

func absolute(ctx context.Context, name string) string {
	if path.IsAbs(name) {
		return name
	}
	return interp.HandlerCtx(ctx).Dir + "/" + name
}

func (s *shell) open(ctx context.Context, name string, flag int, perm fs.FileMode) (io.ReadWriteCloser, error) {
	switch name {
	case "/dev/null", "/dev/zero", "/dev/urandom": // the real devices avoid a copying goroutine
		return os.OpenFile(name, flag&^(os.O_CREATE|os.O_TRUNC), perm)
	case "/dev/stdout", "/dev/fd/1", "/dev/stderr", "/dev/fd/2", "/dev/stdin", "/dev/fd/0":
		hc := interp.HandlerCtx(ctx)
		return standard{hc, strings.HasSuffix(name, "err") || strings.HasSuffix(name, "2")}, nil
	case "/dev/tty":
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENXIO}
	}
	f, err := s.view().OpenFile(absolute(ctx, name), flag, perm&^s.c.process.umaskNow())
	if err != nil {
		return nil, &fs.PathError{Op: "cannot open", Path: name, Err: plainError(errText(err))}
	}
	return f, nil
}

func (s *shell) stat(ctx context.Context, name string, follow bool) (fs.FileInfo, error) {
	info, err := s.view().stat("stat", absolute(ctx, name), follow)
	if err != nil {
		return nil, err
	}
	return info, nil
}

func (s *shell) readDir(ctx context.Context, name string) ([]fs.DirEntry, error) {
	infos, err := afero.ReadDir(s.view(), absolute(ctx, name))
	if err != nil {
		return nil, err
	}
	entries := make([]fs.DirEntry, len(infos))
	for i, info := range infos {
		entries[i] = fs.FileInfoToDirEntry(info)
	}
	return entries, nil
}

func (s *shell) access(_ context.Context, name string, mode interp.AccessMode) error {
	v := s.view()
	resolved, info, err := v.existing(name, true)
	if err != nil {
		return err
	}
	if !v.mayAt(resolved, info, fs.FileMode(mode)) {
		return syscall.EACCES
	}
	if mode&interp.AccessExec != 0 && !info.IsDir() && info.Mode().Perm()&0o111 == 0 {
		return syscall.EACCES
	}
	return nil
}

// parse parses a script, or returns it from the cache.
func (s *shell) parse(text string) parsed {
	return scripts.parse(shText{text, s.dash()})
}

// runInput runs commands as they arrive on standard input, printing prompt before each. bash leaves the input after a
// command to the command; dash reads ahead (0.5.12, input.c).
func (s *shell) runInput(ctx context.Context, params []string, prompt string) int {
	r, err := s.runner(params)
	if err != nil {
		return s.c.Errorf("%v", err)
	}
	parser := syntax.NewParser(syntax.Variant(syntax.LangBash))
	fmt.Fprint(s.c.Stdout, prompt)
	code := 0
	input := s.c.Stdin
	if !s.dash() {
		input = oneByte{input}
	}
	for stmts, err := range parser.InteractiveSeq(input) {
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			return s.syntaxError(s.name, err)
		}
		if parser.Incomplete() {
			if prompt != "" {
				fmt.Fprint(s.c.Stdout, "> ")
			}
			continue
		}
		for _, stmt := range stmts {
			rewrite(stmt, s.dash())
			code = s.result(ctx, r.Run(ctx, stmt))
			if r.Exited() || ctx.Err() != nil {
				return code
			}
		}
		fmt.Fprint(s.c.Stdout, prompt)
	}
	return code
}
