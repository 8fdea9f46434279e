package machine

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
)

// gzipProgram decompresses its input: gzip -dc. Nothing else is simulated.
func gzipProgram(_ context.Context, c *Call) int {
	o, ok := c.options("cd", "decompress", "uncompress", "stdout", "to-stdout")
	if !ok {
		return 2
	}
	if len(o.rest) > 0 || !o.has("d", "decompress", "uncompress") {
		return notSimulated(c, "anything but decompressing the input")
	}
	complain := func(what string) int { // as gzip 1.12 does
		fmt.Fprintln(c.Stderr)
		return c.Errorf("stdin: %s", what)
	}
	r, err := gzip.NewReader(c.Stdin)
	if err == nil {
		_, err = io.Copy(c.Stdout, r)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return complain("unexpected end of file")
	case errors.Is(err, gzip.ErrHeader):
		return complain("not in gzip format")
	}
	return c.ended(err)
}
