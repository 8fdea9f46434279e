package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"hlplay/engine/hclfile"
	"hlplay/engine/localfile"
)

// programTime limits the time that an inventory program may take for all of its answers. It is a variable for tests.
var programTime = 2 * time.Minute

// mostSaid is how much of a program's standard error is kept, in bytes.
const mostSaid = 4 << 10

// isProgram reports whether Ansible would run an inventory file: it is executable, and is a binary or begins with #!.
func isProgram(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return false
	}
	f, err := localfile.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	begin := make([]byte, 4)
	n, _ := io.ReadFull(f, begin) // a shorter file is not a program
	return bytes.HasPrefix(begin[:n], []byte("#!")) || bytes.HasPrefix(begin[:n], []byte("\x7fELF"))
}

// programs runs inventory programs.
type programs struct {
	inv *Inventory
	// until is the deadline of each program.
	until map[string]time.Time
	// said are warnings from the programs' standard error.
	said []string
}

// run implements ansible.Runner.
func (p *programs) run(path string, args ...string) (answer []byte, program bool, err error) {
	full := path
	if !filepath.IsAbs(path) { // without a slash, it would be searched for in PATH
		dir, err := os.Getwd()
		if err != nil {
			return nil, false, err
		}
		full = dir + "/" + path // run exactly what was checked: the kernel follows links before it resolves ".."
	}
	if !isProgram(full) {
		return nil, false, nil
	}
	name := path + " " + strings.Join(args, " ")
	if err := localfile.MayRun(full, path); err != nil {
		return nil, true, err
	}
	if p.until == nil {
		p.until = map[string]time.Time{}
	}
	if p.until[path].IsZero() {
		p.until[path] = time.Now().Add(programTime)
	}
	ctx, cancel := context.WithDeadline(context.Background(), p.until[path])
	defer cancel()
	cmd := exec.CommandContext(ctx, full, args...)
	out, said := &bounded{most: hclfile.Largest, full: cancel}, &bounded{most: mostSaid}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, said, time.Second
	err = cmd.Run()
	words := strings.TrimSpace(string(said.kept))
	switch {
	case out.over:
		return nil, true, fmt.Errorf("%s: its answer is larger than %d MiB, the limit for an inventory", name, hclfile.Largest>>20)
	case ctx.Err() != nil:
		return nil, true, fmt.Errorf("%s: it did not end within %s", path, programTime)
	case errors.Is(err, exec.ErrWaitDelay):
		return nil, true, fmt.Errorf("%s: it has ended, but a process that it started keeps its output open", name)
	case err != nil && words != "":
		return nil, true, fmt.Errorf("%s: %w; its output: %s", name, err, words)
	case errors.Is(err, os.ErrNotExist): // the interpreter in its first line is missing
		return nil, true, fmt.Errorf("%s: %w (is the program in its first line installed?)", name, err)
	case err != nil:
		return nil, true, fmt.Errorf("%s: %w", name, err)
	case words != "":
		p.said = append(p.said, fmt.Sprintf("%s says: %s", name, words))
	}
	p.inv.Answers[name] = out.kept
	return out.kept, true, nil
}

// bounded is a writer that keeps what fits.
type bounded struct {
	kept []byte
	most int
	full func() // called if something did not fit; may be nil
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	fits := min(len(p), b.most-len(b.kept))
	b.kept = append(b.kept, p[:fits]...)
	if fits < len(p) && !b.over {
		b.over = true
		if b.full != nil {
			b.full()
		}
	}
	return len(p), nil
}
