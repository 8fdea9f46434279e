package machine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
)

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

// timeout ends its command when the command has used up its time.
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
