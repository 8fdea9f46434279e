package machine

import (
	"context"
	"io/fs"
	"sync"
	"syscall"
	"time"
)

// process is one running program of a machine.
type process struct {
	pid, ppid int
	user      string
	argv      []string
	started   time.Time
	end       context.CancelCauseFunc

	mu    sync.Mutex
	traps map[string]bool // signals that a shell handles or ignores
	umask fs.FileMode
	// limit is timeout(1)'s, nil for none.
	limit *limit
}

// killed is the cause of a process's end by a signal.
type killed struct{ signal syscall.Signal }

func (k killed) Error() string { return "killed by signal " + k.signal.String() }

func (p *process) umaskNow() fs.FileMode {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.umask
}

// signal sends a signal; zero only asks whether the process is there.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	trapped := p.traps[signalName(s)]
	p.mu.Unlock()
	if s != 0 && (s == syscall.SIGKILL || !trapped) {
		p.end(killed{s})
	}
}
