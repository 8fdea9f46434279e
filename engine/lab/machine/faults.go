package machine

import (
	"sync"
	"time"
)

// faults are the faults that tests inject.
type faults struct {
	mu       sync.Mutex
	refuse   bool
	aptUntil time.Time
	aptBy    string
}

// CutConnections closes all open connections, as a broken link or a killed sshd does.
func (m *Machine) CutConnections() { m.server.drop() }

// RefuseLogins makes the machine refuse every key, or stop doing so.
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

// HoldAptLock makes a process called by hold dpkg's frontend lock for d from now on.
func (m *Machine) HoldAptLock(by string, d time.Duration) {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	m.faults.aptBy, m.faults.aptUntil = by, m.clock.Now().Add(d)
}

// aptLock returns who holds the lock and for how long.
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
