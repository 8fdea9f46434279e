package machine

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

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

func parseSignal(name string) (syscall.Signal, bool) {
	if n, err := strconv.Atoi(name); err == nil {
		return syscall.Signal(n), true
	}
	s, ok := signalNames[strings.TrimPrefix(strings.ToUpper(name), "SIG")]
	return s, ok
}

// kill implements the program and the builtin.
func kill(c *Call) int {
	signal, args := syscall.SIGTERM, c.Argv[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name := args[0][1:]
		args = args[1:]
		if name == "-" {
			break
		}
		if name == "s" && len(args) > 0 {
			name, args = args[0], args[1:]
		}
		s, ok := parseSignal(name)
		if !ok {
			return c.Errorf("%s: invalid signal specification", name)
		}
		signal = s
	}
	code := 0
	for _, arg := range args {
		pid, err := strconv.Atoi(arg)
		if err != nil {
			return c.Errorf("failed to parse argument: '%s'", arg)
		}
		p, ok := c.Machine.processes.find(max(pid, -pid))
		switch {
		case !ok:
			fmt.Fprintf(c.Stderr, "kill: (%d) - No such process\n", pid)
			code = 1
		case c.User != "root" && p.user != c.User:
			fmt.Fprintf(c.Stderr, "kill: (%d) - Operation not permitted\n", pid)
			code = 1
		case pid < 0:
			c.Machine.processes.group(-pid, signal)
		default:
			p.signal(signal)
		}
	}
	return code
}
