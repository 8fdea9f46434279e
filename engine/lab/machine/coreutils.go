package machine

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// viaShell runs the shell builtin with the program's name.
func viaShell(ctx context.Context, c *Call) int {
	s := &shell{c: c, name: "bash"}
	return s.runText(ctx, `"$@"`, "bash", c.Argv)
}

func testProgram(ctx context.Context, c *Call) int {
	c.Argv[0] = path.Base(c.Argv[0])
	return viaShell(ctx, c)
}
func printfProgram(ctx context.Context, c *Call) int { c.Argv[0] = "printf"; return viaShell(ctx, c) }
func echoProgram(ctx context.Context, c *Call) int   { c.Argv[0] = "echo"; return viaShell(ctx, c) }

func cat(_ context.Context, c *Call) int {
	o, ok := c.options("unAevE", "show-all", "number")
	if !ok {
		return 2
	}
	if o.has("A", "e", "v", "E", "show-all") {
		return notSimulated(c, "-A, -e, -v and -E")
	}
	if len(o.rest) == 0 {
		o.rest = []string{"-"}
	}
	code, line := 0, 0
	for _, name := range o.rest {
		f, err := c.input(name)
		if err != nil {
			code = c.Errorf("%s: %s", name, errText(err))
			continue
		}
		if !o.has("n", "number") {
			_, err = io.Copy(c.Stdout, f)
		} else {
			var content []byte
			content, err = io.ReadAll(f)
			for text := range strings.Lines(string(content)) {
				line++
				c.printf("%6d\t%s", line, text)
			}
		}
		_ = f.Close() // opened for reading only
		if err != nil {
			return c.ended(err)
		}
	}
	return code
}

// size parses sizes such as "10", "1K", "2M" and "1kB".
func size(text string) (int64, bool) {
	unit := int64(1)
	for suffix, factor := range map[string]int64{"kB": 1000, "K": 1 << 10, "KiB": 1 << 10, "k": 1 << 10, "M": 1 << 20, "MB": 1e6, "MiB": 1 << 20, "G": 1 << 30, "b": 512} {
		if number, ok := strings.CutSuffix(text, suffix); ok && number != "" && digit(number[len(number)-1]) {
			text, unit = number, factor
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n * unit, err == nil
}

// legacyCount rewrites head -20 as head -n 20.
func legacyCount(args []string) []string {
	if len(args) > 1 && len(args[1]) > 1 && args[1][0] == '-' && digit(args[1][1]) {
		return append([]string{args[0], "-n", args[1][1:]}, args[2:]...)
	}
	return args
}

func head(_ context.Context, c *Call) int {
	c.Argv = legacyCount(c.Argv)
	o, ok := c.options("c:n:vqz", "bytes=", "lines=", "verbose", "quiet", "silent")
	if !ok {
		return 2
	}
	byBytes := o.has("c", "bytes")
	text := cmp.Or(o.value("c", "bytes"), o.value("n", "lines"), "10")
	count, valid := size(text)
	if !valid {
		kind := "lines"
		if byBytes {
			kind = "bytes"
		}
		return c.Errorf("invalid number of %s: ‘%s’", kind, text)
	}
	if len(o.rest) == 0 {
		o.rest = []string{"-"}
	}
	headers := (len(o.rest) > 1 || o.has("v", "verbose")) && !o.has("q", "quiet", "silent")
	code, printed := 0, false
	for _, name := range o.rest {
		f, err := c.input(name)
		if errors.Is(err, syscall.EISDIR) {
			if headers {
				c.header(name, &printed)
			}
			code = c.Errorf("error reading '%s': Is a directory", name)
			continue
		}
		if err != nil {
			code = c.Errorf("cannot open '%s' for reading: %s", name, errText(err))
			continue
		}
		if headers {
			c.header(name, &printed)
		}
		switch {
		case byBytes && count >= 0:
			// Read no more than count bytes: the next reader of a pipe gets the rest.
			_, err = io.CopyBuffer(struct{ io.Writer }{c.Stdout}, struct{ io.Reader }{io.LimitReader(f, count)}, make([]byte, min(count+1, 64<<10)))
		case byBytes || count < 0:
			var content []byte
			content, err = io.ReadAll(f)
			if byBytes {
				content = content[:max(0, int64(len(content))+count)]
			} else {
				lines := strings.SplitAfter(string(content), "\n")
				if lines[len(lines)-1] == "" {
					lines = lines[:len(lines)-1]
				}
				content = []byte(strings.Join(lines[:max(0, len(lines)+int(count))], ""))
			}
			if err == nil {
				_, err = c.Stdout.Write(content)
			}
		default:
			err = copyLines(c.Stdout, f, count)
		}
		_ = f.Close() // opened for reading only
		if err != nil {
			return c.ended(err)
		}
	}
	return code
}

func (c *Call) header(name string, printed *bool) {
	if name == "-" {
		name = "standard input"
	}
	if *printed {
		c.printf("\n")
	}
	*printed = true
	c.printf("==> %s <==\n", name)
}

func copyLines(w io.Writer, r io.Reader, count int64) error {
	buf := make([]byte, 4096)
	for count > 0 {
		n, err := r.Read(buf)
		out := buf[:n]
		for i, b := range out {
			if b == '\n' {
				if count--; count == 0 {
					out = out[:i+1]
					break
				}
			}
		}
		if _, werr := w.Write(out); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func tail(ctx context.Context, c *Call) int {
	c.Argv = legacyCount(c.Argv)
	o, ok := c.options("c:n:vqfs:", "bytes=", "lines=", "quiet", "verbose", "follow", "pid=", "sleep-interval=")
	if !ok {
		return 2
	}
	text := cmp.Or(o.value("c", "bytes"), o.value("n", "lines"), "10")
	fromStart := strings.HasPrefix(text, "+")
	count, valid := size(strings.TrimLeft(text, "+-"))
	if !valid {
		return c.Errorf("invalid number of lines: ‘%s’", text)
	}
	if len(o.rest) == 0 {
		o.rest = []string{"-"}
	}
	code, printed := 0, false
	for _, name := range o.rest {
		f, err := c.input(name)
		if err != nil {
			code = c.Errorf("cannot open '%s' for reading: %s", name, errText(err))
			continue
		}
		content, err := io.ReadAll(f)
		_ = f.Close() // opened for reading only
		if err != nil {
			return c.ended(err)
		}
		if (len(o.rest) > 1 || o.has("v", "verbose")) && !o.has("q", "quiet") {
			c.header(name, &printed)
		}
		var parts []string
		if o.has("c", "bytes") {
			for i := range content {
				parts = append(parts, string(content[i:i+1]))
			}
		} else if parts = strings.SplitAfter(string(content), "\n"); parts[len(parts)-1] == "" {
			parts = parts[:len(parts)-1]
		}
		from := max(0, len(parts)-int(count))
		if fromStart {
			from = min(max(int(count)-1, 0), len(parts))
		}
		if _, err := io.WriteString(c.Stdout, strings.Join(parts[from:], "")); err != nil {
			return c.ended(err)
		}
	}
	if o.has("f", "follow") { // in the lab, a followed file does not grow
		pid, _ := strconv.Atoi(o.value("pid"))
		c.outlast(ctx, pid)
	}
	return code
}

func syncProgram(_ context.Context, c *Call) int {
	o, ok := c.options("df", "data", "file-system")
	if !ok {
		return 2
	}
	code := 0
	for _, name := range o.rest {
		if _, err := c.view().Stat(c.Path(name)); err != nil {
			code = c.Errorf("error opening '%s': %s", name, errText(err))
		}
	}
	return code
}

func tee(_ context.Context, c *Call) int {
	o, ok := c.options("ai", "append")
	if !ok {
		return 2
	}
	flag := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if o.has("a", "append") {
		flag = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	writers := []io.Writer{c.Stdout}
	code := 0
	for _, name := range o.rest {
		f, err := c.view().OpenFile(c.Path(name), flag, 0o666&^c.process.umaskNow())
		if err != nil {
			code = c.Errorf("%s: %s", name, errText(err))
			continue
		}
		defer f.Close()
		writers = append(writers, f)
	}
	if _, err := io.Copy(io.MultiWriter(writers...), c.Stdin); err != nil {
		return c.ended(err)
	}
	return code
}

func basename(_ context.Context, c *Call) int {
	o, ok := c.options("+as:", "multiple", "suffix=")
	if !ok {
		return 2
	}
	names := o.rest
	suffix := o.value("s", "suffix")
	if !o.has("a", "s", "multiple", "suffix") && len(names) == 2 {
		names, suffix = names[:1], names[1]
	}
	for _, name := range names {
		b := path.Base(name)
		if b != suffix {
			b = strings.TrimSuffix(b, suffix)
		}
		c.printf("%s\n", b)
	}
	return 0
}

func dirname(_ context.Context, c *Call) int {
	for _, name := range c.Argv[1:] {
		c.printf("%s\n", path.Dir(strings.TrimRight(name, "/")+map[bool]string{true: "/", false: ""}[strings.Trim(name, "/") == ""]))
	}
	return 0
}

func pwd(_ context.Context, c *Call) int {
	c.printf("%s\n", c.Dir)
	return 0
}

func which(_ context.Context, c *Call) int {
	code := 0
	for _, name := range c.Argv[1:] {
		file, err := c.Machine.which(c, name)
		if err != nil {
			code = 1
			continue
		}
		c.printf("%s\n", file)
	}
	return code
}
