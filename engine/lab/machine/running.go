package machine

import (
	"context"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func processPrograms() map[string]Program {
	shells := map[string]Program{"dash": shProgram, "bash": shProgram, "timeout": timeout, "env": env, "nohup": transparent, "setsid": transparent, "nice": transparent,
		"ionice": transparent, "stdbuf": transparent, "xargs": xargs, "sudo": sudo, "sleep": sleep, "kill": func(_ context.Context, c *Call) int { return kill(c) },
		"pkill": pkill, "pgrep": pkill, "ps": ps, "date": date, "printenv": printenv, "logger": logger, "su": su, "/usr/sbin/runuser": su, "id": id, "whoami": whoami,
		"hostname": hostname, "true": func(context.Context, *Call) int { return 0 }, "mountpoint": mountpoint, "mount": mountProgram, "df": df, "flock": flock, "tty": tty}
	return shells
}

// accept is a program that has nothing to do in a simulation but to succeed.
func accept(record, output string) Program {
	return func(_ context.Context, c *Call) int {
		c.printf("%s", output)
		if record != "" {
			c.Machine.Record(path.Base(c.Argv[0]), record)
		}
		return 0
	}
}

func duration(text string) (time.Duration, bool) {
	if text == "infinity" || text == "inf" {
		return 1 << 62, true
	}
	unit := time.Second
	for suffix, u := range map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour} {
		if n, ok := strings.CutSuffix(text, suffix); ok {
			text, unit = n, u
			break
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	return time.Duration(f * float64(unit)), err == nil && f >= 0
}

func sleep(ctx context.Context, c *Call) int {
	var total time.Duration
	for _, arg := range c.Argv[1:] {
		d, ok := duration(arg)
		if !ok {
			return c.Errorf("invalid time interval ‘%s’\nTry 'sleep --help' for more information.", arg)
		}
		total += d
	}
	if total >= 1<<61 && c.process.limit == nil {
		<-ctx.Done()
		return 1
	}
	c.Spend(total)
	return 0
}

// timeout ends its command when that has taken its time.
func timeout(ctx context.Context, c *Call) int {
	o, ok := c.options("+k:s:v", "kill-after=", "signal=", "preserve-status", "foreground", "verbose")
	if !ok {
		return 125
	}
	if len(o.rest) < 2 {
		c.Errorf("missing operand\nTry 'timeout --help' for more information.")
		return 125
	}
	allowed, valid := duration(o.rest[0])
	if !valid {
		c.Errorf("invalid time interval ‘%s’", o.rest[0])
		return 125
	}
	signal := syscall.SIGTERM
	if name := o.value("s", "signal"); name != "" {
		if signal, ok = parseSignal(name); !ok {
			c.Errorf("‘%s’: invalid signal", name)
			return 125
		}
	}
	if allowed == 0 {
		return c.Run(o.rest[1:]...)
	}
	inner, end := context.WithCancelCause(ctx)
	defer end(nil)
	expired := fmt.Errorf("timeout after %s", allowed)
	c.process.limit = &limit{left: allowed, waits: allowed, end: func() { end(expired) }, outer: c.process.limit}
	signalName := "TERM"
	if signal == syscall.SIGKILL {
		signalName = "KILL"
	}
	child := *c
	child.Argv = o.rest[1:]
	child.Env = lookup(child.environ)
	code := c.Machine.exec(inner, &child)
	if context.Cause(inner) == expired && ctx.Err() == nil {
		if o.has("v", "verbose") {
			fmt.Fprintf(c.Stderr, "timeout: sending signal %s to command '%s'\n", signalName, o.rest[1])
		}
		if o.has("preserve-status") {
			return 128 + int(signal)
		}
		if signal == syscall.SIGKILL {
			return 137
		}
		return 124
	}
	return code
}

func env(_ context.Context, c *Call) int {
	o, ok := c.options("+iu:C:0", "ignore-environment", "unset=", "chdir=", "null")
	if !ok {
		return 125
	}
	environ := c.environ
	if o.has("i", "ignore-environment") {
		environ = nil
	}
	var kept []string
	for _, e := range environ {
		key, _, _ := strings.Cut(e, "=")
		drop := false
		for _, u := range o.values("u", "unset") {
			drop = drop || u == key
		}
		if !drop {
			kept = append(kept, e)
		}
	}
	rest := o.rest
	for len(rest) > 0 && strings.Contains(rest[0], "=") {
		kept, rest = withEnv(kept, rest[0]), rest[1:]
	}
	if len(rest) == 0 {
		end := "\n"
		if o.has("0", "null") {
			end = "\x00"
		}
		for _, e := range kept {
			c.printf("%s%s", e, end)
		}
		return 0
	}
	child := *c
	if dir := o.value("C", "chdir"); dir != "" {
		child.Dir = c.Path(dir)
	}
	if _, _, err := c.Machine.find(&Call{Machine: c.Machine, Argv: rest, Dir: child.Dir, User: c.User, Env: lookup(kept)}); err != nil {
		c.Errorf("‘%s’: No such file or directory", rest[0])
		return 127
	}
	return child.run(c.User, kept, c.Stdin, rest)
}

func printenv(_ context.Context, c *Call) int {
	if len(c.Argv) == 1 {
		for _, e := range c.environ {
			c.printf("%s\n", e)
		}
		return 0
	}
	code := 0
	for _, name := range c.Argv[1:] {
		found := false
		for _, e := range c.environ {
			if key, value, _ := strings.Cut(e, "="); key == name {
				c.printf("%s\n", value)
				found = true
			}
		}
		if !found {
			code = 1
		}
	}
	return code
}

// transparent runs the command that follows its options: what it changes about it is nothing that
// the lab has.
func transparent(_ context.Context, c *Call) int {
	o, ok := c.options("+n:c:wfi:o:e:", "wait", "fork", "ctty")
	if !ok {
		return 125
	}
	if len(o.rest) == 0 {
		return c.Errorf("missing operand")
	}
	return c.Run(o.rest...)
}

func xargs(_ context.Context, c *Call) int {
	o, ok := c.options("+0rn:I:d:P:t", "null", "no-run-if-empty", "max-args=", "delimiter=", "max-procs=")
	if !ok {
		return 2
	}
	content, err := io.ReadAll(c.Stdin)
	if err != nil {
		return c.Errorf("read error: %s", errText(err))
	}
	var items []string
	switch {
	case o.has("0", "null"):
		items = strings.FieldsFunc(string(content), func(r rune) bool { return r == 0 })
	case o.has("I"):
		for line := range strings.Lines(string(content)) {
			items = append(items, strings.TrimSpace(line))
		}
	case o.has("d", "delimiter"):
		text, _ := unescape(o.value("d", "delimiter"))
		items = strings.Split(strings.TrimSuffix(string(content), text), text)
	default:
		items = strings.Fields(string(content))
	}
	command := o.rest
	if len(command) == 0 {
		command = []string{"echo"}
	}
	if len(items) == 0 && (o.has("r", "no-run-if-empty") || o.has("I")) {
		return 0
	}
	per := max(len(items), 1)
	if text := o.value("n", "max-args"); text != "" {
		if per, err = strconv.Atoi(text); err != nil || per < 1 {
			return c.Errorf("invalid number \"%s\" for -n option", text)
		}
	}
	if o.has("I") {
		per = 1
	}
	code := 0
	for first := true; first || len(items) > 0; first = false {
		batch := items[:min(per, len(items))]
		items = items[len(batch):]
		argv := append(append([]string{}, command...), batch...)
		if token := o.value("I"); token != "" {
			argv = nil
			for _, word := range command {
				argv = append(argv, strings.ReplaceAll(word, token, batch[0]))
			}
		}
		switch got := c.run(c.User, c.environ, noInput{}, argv); {
		case got == 127, got == 126:
			return got
		case got == 255:
			return 124
		case got != 0:
			code = 123
		}
	}
	return code
}

func pkill(_ context.Context, c *Call) int {
	signal := syscall.SIGTERM
	var args []string
	for _, arg := range c.Argv[1:] {
		if len(arg) > 1 && arg[0] == '-' {
			if s, ok := parseSignal(arg[1:]); ok && path.Base(c.Argv[0]) == "pkill" {
				signal = s
				continue
			}
		}
		args = append(args, arg)
	}
	o, ok := c.parse(args, "P:fxu:lan", "parent=", "full", "exact", "signal=")
	if !ok {
		return 2
	}
	if name := o.value("signal"); name != "" {
		if signal, ok = parseSignal(name); !ok {
			return c.Errorf("Unknown signal \"%s\".", name)
		}
	}
	code := 1
	for _, p := range c.Machine.processes.list() {
		if p == c.process {
			continue
		}
		text := path.Base(p.argv[0])
		if o.has("f", "full") {
			text = strings.Join(p.argv, " ")
		}
		matches := len(o.rest) == 0 || strings.Contains(text, o.rest[0])
		if o.has("x", "exact") && len(o.rest) > 0 {
			matches = text == o.rest[0]
		}
		if parent := o.value("P", "parent"); parent != "" && parent != strconv.Itoa(p.ppid) {
			matches = false
		}
		if u := o.value("u"); u != "" && u != p.user {
			matches = false
		}
		if !matches {
			continue
		}
		if path.Base(c.Argv[0]) == "pgrep" {
			c.printf("%d\n", p.pid)
			code = 0
			continue
		}
		if c.User != "root" && p.user != c.User {
			c.Errorf("killing pid %d failed: Operation not permitted", p.pid)
			continue
		}
		p.signal(signal)
		code = 0
	}
	return code
}

func ps(_ context.Context, c *Call) int {
	c.printf("    PID COMMAND\n")
	for _, p := range c.Machine.processes.list() {
		c.printf("%7d %s\n", p.pid, strings.Join(p.argv, " "))
	}
	return 0
}

func logger(_ context.Context, c *Call) int {
	_, ok := c.options("t:p:i", "tag=", "priority=")
	if !ok {
		return 2
	}
	return 0
}

func tty(_ context.Context, c *Call) int {
	c.printf("not a tty\n")
	return 1
}

// flock runs a command; the simulated programs take their own locks.
func flock(_ context.Context, c *Call) int {
	o, ok := c.options("+xsnw:", "exclusive", "nonblock", "wait=", "timeout=")
	if !ok {
		return 2
	}
	if len(o.rest) < 2 {
		return c.Errorf("requires a file and a command")
	}
	rest := o.rest[1:]
	if rest[0] == "-c" {
		rest = append([]string{"sh", "-c"}, rest[1:]...)
	}
	return c.Run(rest...)
}

var dateVerbs = map[byte]string{'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'e': "_2",
	'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'z': "-0700", 'Z': "MST", 'N': "000000000", 'D': "01/02/06", 'p': "PM", 'I': "03"}

func date(_ context.Context, c *Call) int {
	o, ok := c.options("ud:I::R", "utc", "date=", "iso-8601?")
	if !ok {
		return 2
	}
	now := c.Machine.clock.Now().UTC()
	if text := o.value("d", "date"); text != "" {
		seconds, err := strconv.ParseInt(strings.TrimPrefix(text, "@"), 10, 64)
		if err != nil || text[0] != '@' {
			return notSimulated(c, "-d "+text)
		}
		now = time.Unix(seconds, 0).UTC()
	}
	format := "+%a %b %e %H:%M:%S %Z %Y"
	switch {
	case len(o.rest) > 0:
		format = o.rest[0]
	case o.has("I", "iso-8601"):
		format = map[string]string{"": "+%F", "seconds": "+%FT%T+00:00"}[o.value("I", "iso-8601")]
	}
	if !strings.HasPrefix(format, "+") {
		return c.Errorf("cannot set date: Operation not permitted")
	}
	var b strings.Builder
	for i := 1; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch layout, known := dateVerbs[format[i]]; {
		case format[i] == 's':
			fmt.Fprint(&b, now.Unix())
		case format[i] == 'N':
			fmt.Fprintf(&b, "%09d", now.Nanosecond())
		case format[i] == '%':
			b.WriteByte('%')
		case format[i] == 'n':
			b.WriteByte('\n')
		case known:
			b.WriteString(now.Format(layout))
		default:
			return notSimulated(c, "%"+format[i:i+1])
		}
	}
	c.printf("%s\n", b.String())
	return 0
}
