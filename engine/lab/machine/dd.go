package machine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

func dd(_ context.Context, c *Call) int {
	operands := map[string]string{"if": "-", "bs": "512"}
	for _, arg := range c.Argv[1:] {
		key, value, ok := strings.Cut(arg, "=")
		switch key {
		case "if", "of", "bs", "count", "status", "conv", "iflag", "oflag", "seek", "skip":
		default:
			ok = false
		}
		if !ok {
			return notSimulated(c, arg)
		}
		operands[key] = value
	}
	block, valid := size(operands["bs"])
	if !valid || block <= 0 {
		return c.Errorf("invalid number: ‘%s’", operands["bs"])
	}
	count := int64(-1)
	if text := operands["count"]; text != "" {
		if count, valid = size(text); !valid {
			return c.Errorf("invalid number: ‘%s’", text)
		}
	}
	if at := operands["if"]; strings.Contains(","+operands["iflag"]+",", ",nofollow,") {
		if info, _, err := c.view().LstatIfPossible(c.Path(at)); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return c.Errorf("failed to open '%s': %s", at, errText(syscall.ELOOP))
		}
	}
	in, err := c.input(operands["if"])
	if err != nil {
		return c.Errorf("failed to open '%s': %s", operands["if"], errText(err))
	}
	defer in.Close()
	var out io.Writer = c.Stdout
	if of := operands["of"]; of != "" {
		if d, ok := c.Machine.Disk(c.Path(of)); ok {
			if c.User != "root" {
				return c.Errorf("failed to open '%s': Permission denied", of)
			}
			if err := c.Machine.ChangeDisk(c.Path(of), func(d *Disk) { d.Use, d.UUID, d.Partitions, d.unread, d.Volumes = "", "", nil, nil, nil }); err != nil {
				return c.Errorf("%v", err)
			}
			c.Machine.Record("dd", "wipe /dev/"+d.Name)
			out = io.Discard
			if count < 0 {
				return c.Errorf("error writing '%s': No space left on device", of)
			}
		} else {
			f, err := c.view().OpenFile(c.Path(of), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666&^c.process.umaskNow())
			if err != nil {
				return c.Errorf("failed to open '%s': %s", of, errText(err))
			}
			defer f.Close()
			out = f
		}
	}
	var r io.Reader = in
	if skip, ok := size(cmp.Or(operands["skip"], "0")); ok && skip > 0 {
		if _, err := io.CopyN(io.Discard, r, skip*block); err != nil && err != io.EOF {
			return c.Errorf("error reading '%s': %s", operands["if"], errText(err))
		}
	}
	if count >= 0 {
		r = io.LimitReader(r, count*block)
	}
	n, err := io.Copy(struct{ io.Writer }{out}, r)
	if operands["status"] != "none" {
		fmt.Fprintf(c.Stderr, "%d+%d records in\n%d+%d records out\n", n/block, min(n%block, 1), n/block, min(n%block, 1))
		if operands["status"] != "noxfer" {
			fmt.Fprintf(c.Stderr, "%d bytes copied, 0.001 s, 1.0 GB/s\n", n)
		}
	}
	if err != nil {
		return c.Errorf("error writing '%s': %s", cmp.Or(operands["of"], "standard output"), errText(err))
	}
	return 0
}

func cmpProgram(_ context.Context, c *Call) int {
	o, ok := c.options("s", "silent", "quiet")
	if !ok || len(o.rest) != 2 {
		return 2
	}
	var contents [2][]byte
	for i, name := range o.rest {
		f, err := c.input(name)
		if err != nil {
			c.Errorf("%s: %s", name, errText(err))
			return 2
		}
		contents[i], err = io.ReadAll(f)
		_ = f.Close() // opened for reading only
		if err != nil {
			c.Errorf("%s: %s", name, errText(err))
			return 2
		}
	}
	a, b := contents[0], contents[1]
	line := 1
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] != b[i] {
			if !o.has("s", "silent", "quiet") {
				c.printf("%s %s differ: char %d, line %d\n", o.rest[0], o.rest[1], i+1, line)
			}
			return 1
		}
		if a[i] == '\n' {
			line++
		}
	}
	if len(a) != len(b) {
		if !o.has("s", "silent", "quiet") {
			short := o.rest[0]
			if len(b) < len(a) {
				short = o.rest[1]
			}
			c.Errorf("EOF on %s after byte %d", short, min(len(a), len(b)))
		}
		return 1
	}
	return 0
}
