package machine

import (
	"context"
	"io"
	"path"
	"strconv"
	"strings"
)

// accept returns a program whose only job in a simulation is to succeed.
func accept(record, output string) Program {
	return func(_ context.Context, c *Call) int {
		c.printf("%s", output)
		if record != "" {
			c.Machine.Record(path.Base(c.Argv[0]), record)
		}
		return 0
	}
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

// transparent runs a command and ignores its own options, which set what the lab does not have.
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
