package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/afero"
)

// Program implements a program: it runs one Call and returns the exit code.
type Program func(ctx context.Context, c *Call) int

// Call is one execution of a program.
type Call struct {
	Machine        *Machine
	Argv           []string // Argv[0] is the name by which it was started
	Dir            string
	User           string
	Env            func(name string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	ctx     context.Context
	process *process
	environ []string
}

// FS returns the machine's files with the permissions of the call's user. Changes are recorded under the program's
// name.
func (c *Call) FS() afero.Fs { return c.view() }

func (c *Call) view() view {
	return view{m: c.Machine, cred: c.Machine.credentials(c.User), by: path.Base(c.Argv[0])}
}

// Path makes a path absolute, relative to the working directory.
func (c *Call) Path(name string) string {
	if path.IsAbs(name) || name == "" {
		return name
	}
	return c.Dir + "/" + name
}

// Errorf prints "PROGRAM: message" and a newline to standard error and returns 1.
func (c *Call) Errorf(format string, args ...any) int {
	fmt.Fprintf(c.Stderr, path.Base(c.Argv[0])+": "+format+"\n", args...)
	return 1
}

func (c *Call) printf(format string, args ...any) { fmt.Fprintf(c.Stdout, format, args...) }

// input opens an operand for reading; "-" is standard input.
func (c *Call) input(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(c.Stdin), nil
	}
	f, err := c.view().Open(c.Path(name))
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		_ = f.Close() // reading a directory fails; there is nothing to close
		return nil, syscall.EISDIR
	}
	return f, nil
}

// ended turns an error from a standard stream into an exit code.
func (c *Call) ended(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe):
		return 141
	}
	return c.Errorf("write error: %s", errText(err))
}

// operandText returns the content of all operands, or standard input if there are none.
func (c *Call) operandText(names []string) (string, int) {
	if len(names) == 0 {
		names = []string{"-"}
	}
	var b strings.Builder
	code := 0
	for _, name := range names {
		f, err := c.input(name)
		if err == nil {
			_, err = io.Copy(&b, f)
			_ = f.Close() // opened for reading only
		}
		if err != nil {
			code = c.Errorf("%s: %s", name, errText(err))
		}
	}
	return b.String(), code
}

// Run starts another program as the same user and waits for it, as a script would.
func (c *Call) Run(argv ...string) int { return c.run(c.User, c.environ, c.Stdin, argv) }

func (c *Call) run(user string, environ []string, stdin io.Reader, argv []string) int {
	child := *c
	child.Argv, child.User, child.environ, child.Stdin = argv, user, environ, stdin
	child.Env = lookup(environ)
	return c.Machine.exec(c.ctx, &child)
}

// Spend lets d of the lab's time pass, as the program's running time. It returns false if the program was killed
// meanwhile and should return.
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

// atOnce is the running time below which a program does not wait for others to spend theirs.
const atOnce = 100 * time.Millisecond

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
