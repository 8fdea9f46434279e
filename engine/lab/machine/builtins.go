package machine

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// shellInternals are the shell builtins that the interpreter lacks, or would answer with facts about the computer that
// runs the lab. shell.call redirects to them. The map is filled by init: one of them can start units, and units can
// start shells.
var shellInternals map[string]func(s *shell, c *Call) int

func init() {
	shellInternals = map[string]func(s *shell, c *Call) int{
		"__lookup": lookupBuiltin,
		"__umask":  umaskBuiltin,
		"__kill":   func(_ *shell, c *Call) int { return kill(c) },
		"__ulimit": func(_ *shell, c *Call) int { fmt.Fprintln(c.Stdout, "unlimited"); return 0 },
		"__hash":   func(*shell, *Call) int { return 0 },
		"__times":  func(_ *shell, c *Call) int { fmt.Fprint(c.Stdout, "0m0.0s 0m0.0s\n0m0.0s 0m0.0s\n"); return 0 },
		"__echo":   echoBuiltin,
		"__printf": printfBuiltin,
		"__open":   openBuiltin,
		"__test":   testBuiltin,
		"__status": func(_ *shell, c *Call) int { code, _ := strconv.Atoi(c.Argv[1]); return code },
	}
}

func lookupBuiltin(s *shell, c *Call) int {
	verbose, code := false, 0
	for _, name := range c.Argv[1:] {
		switch name {
		case "-v":
			continue
		case "-V":
			verbose = true
			continue
		}
		if interp.IsBuiltin(name) {
			if verbose {
				c.printf("%s is a shell builtin\n", name)
			} else {
				c.printf("%s\n", name)
			}
			continue
		}
		file, err := s.which(c, name)
		switch {
		case err != nil && verbose:
			c.printf("%s: not found\n", name)
			code = 127
		case err != nil:
			code = 127
		case verbose:
			c.printf("%s is %s\n", name, file)
		default:
			c.printf("%s\n", file)
		}
	}
	return code
}

// which returns the path at which a program is found in PATH, without resolving links.
func (s *shell) which(c *Call, name string) (string, error) { return c.Machine.which(c, name) }

// openBuiltin implements "exec 3<>FILE" and the like by opening and closing FILE. With /dev/tcp/HOST/PORT, bash tries a
// TCP connection.
func openBuiltin(s *shell, c *Call) int {
	op, file := c.Argv[1], c.Argv[2]
	complain := func(err error) int {
		fmt.Fprintf(c.Stderr, "%s: line 1: %s: %s\n", s.name, file, errText(err))
		return 1
	}
	if rest, ok := strings.CutPrefix(file, "/dev/tcp/"); ok && !s.dash() {
		host, port, _ := strings.Cut(rest, "/")
		if err := c.connect(host, port); err != nil {
			fmt.Fprintf(c.Stderr, "bash: connect: %v\nbash: line 1: %s: %v\n", err, file, err)
			return 1
		}
		return 0
	}
	flag := map[string]int{"<": os.O_RDONLY, ">": os.O_WRONLY | os.O_CREATE | os.O_TRUNC, ">>": os.O_WRONLY | os.O_CREATE | os.O_APPEND, "<>": os.O_RDWR | os.O_CREATE}[op]
	f, err := s.view().OpenFile(c.Path(file), flag, 0o666&^s.c.process.umaskNow())
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return complain(err)
	}
	return 0
}

func umaskBuiltin(s *shell, c *Call) int {
	p := s.c.process
	if len(c.Argv) == 1 {
		c.printf("%04o\n", p.umaskNow())
		return 0
	}
	mask, err := strconv.ParseUint(c.Argv[1], 8, 32)
	if err != nil {
		fmt.Fprintf(c.Stderr, "%s: 1: umask: Illegal mode: %s\n", s.name, c.Argv[1])
		return 2
	}
	p.mu.Lock()
	p.umask = fs.FileMode(mask) & 0o777
	p.mu.Unlock()
	return 0
}

// echoBuiltin implements dash's echo, which always interprets backslash escapes.
func echoBuiltin(_ *shell, c *Call) int {
	args := c.Argv[1:]
	end := "\n"
	if len(args) > 0 && args[0] == "-n" {
		args, end = args[1:], ""
	}
	text, stop := unescape(strings.Join(args, " "))
	if stop {
		end = ""
	}
	fmt.Fprint(c.Stdout, text+end)
	return 0
}

// printfBuiltin implements printf. Unlike the interpreter's own, it fails if its output cannot be written.
func printfBuiltin(s *shell, c *Call) int {
	if len(c.Argv) < 2 {
		fmt.Fprintf(c.Stderr, "%s: 1: printf: usage: printf format [arg ...]\n", s.name)
		return 2
	}
	format, args := c.Argv[1], c.Argv[2:]
	for {
		text, taken, err := expand.Format(&expand.Config{}, format, args) // a nil Config is shared by all shells
		if err != nil {
			fmt.Fprintf(c.Stderr, "%s: 1: printf: %v\n", s.name, err)
			return 1
		}
		if _, err := io.WriteString(c.Stdout, text); err != nil {
			fmt.Fprintf(c.Stderr, "%s: 1: printf: I/O error\n", s.name)
			return 1
		}
		args = args[taken:]
		if taken == 0 || len(args) == 0 {
			return 0
		}
	}
}

// unescape interprets the backslash escapes of echo; stop reports whether "\c" ended the output.
func unescape(s string) (text string, stop bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'a':
			b.WriteByte('\a')
		case 'b':
			b.WriteByte('\b')
		case 'c':
			return b.String(), true
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'v':
			b.WriteByte('\v')
		case '\\':
			b.WriteByte('\\')
		case '0':
			n, digits := 0, 0
			for digits < 3 && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '7' {
				n = n*8 + int(s[i+1]-'0')
				i++
				digits++
			}
			b.WriteByte(byte(n))
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String(), false
}
