package machine

import (
	"context"
	"io/fs"
	"sync"
	"syscall"
	"time"
)

// process is a running program of a machine.
type process struct {
	pid, ppid int
	user      string
	argv      []string
	started   time.Time
	end       context.CancelCauseFunc
	gone      chan struct{} // closed when it has ended

	mu    sync.Mutex
	traps map[string]bool // signals that a shell handles or ignores
	umask fs.FileMode
	// limit is set by timeout(1); nil means none.
	limit *limit
}

// killed is the cause of cancellation of a killed process's context.
type killed struct{ signal syscall.Signal }

func (k killed) Error() string { return "killed by signal " + k.signal.String() }

func (p *process) umaskNow() fs.FileMode {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.umask
}

// signal sends a signal. Zero only tests whether the process exists.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	trapped := p.traps[signalName(s)]
	p.mu.Unlock()
	if s != 0 && (s == syscall.SIGKILL || !trapped) {
		p.end(killed{s})
	}
}
