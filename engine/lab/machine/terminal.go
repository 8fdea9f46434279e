package machine

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// newlines translates line feeds to carriage return and line feed, as a terminal does on output.
type newlines struct{ w io.Writer }

func (n newlines) Write(p []byte) (int, error) {
	if _, err := n.w.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// terminal implements a terminal's line editing: echo, erase, end of file.
type terminal struct {
	in   io.Reader
	out  io.Writer
	feed *os.File
	line []byte
}

func (t *terminal) run() {
	defer t.feed.Close()
	buf := make([]byte, 256)
	for {
		n, err := t.in.Read(buf)
		for _, b := range buf[:n] {
			switch b {
			case '\r', '\n':
				fmt.Fprint(t.out, "\n")
				if _, err := t.feed.Write(append(t.line, '\n')); err != nil {
					return
				}
				t.line = t.line[:0]
			case 0x7f, 0x08:
				if len(t.line) > 0 {
					t.line = t.line[:len(t.line)-1]
					fmt.Fprint(t.out, "\b \b")
				}
			case 0x03:
				t.line = t.line[:0]
				fmt.Fprint(t.out, "^C\n")
			case 0x04:
				if len(t.line) == 0 {
					return
				}
			default:
				t.line = append(t.line, b)
				_, _ = t.out.Write([]byte{b}) // on a lost terminal, the input ends as well
			}
		}
		if err != nil {
			return
		}
	}
}
