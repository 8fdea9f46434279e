package machine

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"syscall"
)

// processes is the process table of a machine.
type processes struct {
	mu    sync.Mutex
	next  int
	table map[int]*process
}

func (ps *processes) start(ctx context.Context, m *Machine, parent *process, user string, argv []string) (context.Context, *process) {
	ctx, end := context.WithCancelCause(ctx)
	p := &process{user: user, argv: argv, started: m.clock.Now(), end: end, gone: make(chan struct{}), ppid: 1, umask: 0o022}
	if parent != nil {
		p.ppid, p.umask, p.limit = parent.pid, parent.umaskNow(), parent.limit
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.table == nil {
		ps.table, ps.next = map[int]*process{}, 800
	}
	ps.next++
	p.pid = ps.next
	ps.table[p.pid] = p
	return ctx, p
}

func (ps *processes) finish(p *process) {
	p.end(nil)
	close(p.gone)
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.table, p.pid)
}

func (ps *processes) list() []*process {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var all []*process
	for _, p := range ps.table {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *process) int { return cmp.Compare(a.pid, b.pid) })
	return all
}

func (ps *processes) find(pid int) (*process, bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p, ok := ps.table[pid]
	return p, ok
}

// group sends a signal to a process and all of its descendants, as a terminal and sshd do.
func (ps *processes) group(pid int, s syscall.Signal) {
	for _, p := range ps.list() {
		if p.pid == pid || p.ppid == pid {
			p.signal(s)
		}
		if p.ppid == pid {
			ps.group(p.pid, s)
		}
	}
}

func (ps *processes) killAll() {
	for _, p := range ps.list() {
		p.end(killed{syscall.SIGKILL})
	}
}
