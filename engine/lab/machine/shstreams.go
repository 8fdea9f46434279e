package machine

import (
	"io"
	"sync"

	"mvdan.cc/sh/v3/interp"
)

// serialised serialises the writes of a pipeline's commands to one stream.
type serialised struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *serialised) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// standard is one of the shell's standard streams, opened by name.
type standard struct {
	hc     interp.HandlerContext
	stderr bool
}

func (s standard) Write(p []byte) (int, error) {
	if s.stderr {
		return s.hc.Stderr.Write(p)
	}
	return s.hc.Stdout.Write(p)
}

func (s standard) Close() error { return nil }

func (s standard) Read(p []byte) (int, error) { return s.hc.Stdin.Read(p) }

// oneByte keeps the parser from reading beyond the current command.
type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) {
	if len(p) > 1 {
		p = p[:1]
	}
	return r.Reader.Read(p)
}
