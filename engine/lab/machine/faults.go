package machine

import (
	"sync"
	"time"
)

// faults are the faults that a test has injected.
type faults struct {
	mu       sync.Mutex
	refuse   bool
	aptUntil time.Time
	aptBy    string
}

// CutConnections closes all open connections, as if the link broke or sshd were killed.
func (m *Machine) CutConnections() { m.server.drop() }

// RefuseLogins makes the machine reject every key, or stop doing so.
func (m *Machine) RefuseLogins(refuse bool) {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	m.faults.refuse = refuse
}

// FillDisk leaves free bytes on the root file system; further writes fail with ENOSPC. A negative number removes the
// limit.
func (m *Machine) FillDisk(free int64) {
	m.tree.mu.Lock()
	defer m.tree.mu.Unlock()
	m.tree.free = free
}

// HoldAptLock makes a process called by hold dpkg's frontend lock for the next d.
func (m *Machine) HoldAptLock(by string, d time.Duration) {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	m.faults.aptBy, m.faults.aptUntil = by, m.clock.Now().Add(d)
}

// aptLock returns which process holds the lock, and for how much longer.
func (m *Machine) aptLock() (by string, left time.Duration) {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	return m.faults.aptBy, m.faults.aptUntil.Sub(m.clock.Now())
}

func (f *faults) refuses() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refuse
}
