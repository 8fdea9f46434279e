package machine

import (
	"sync"
	"time"
)

// faults are what goes wrong on demand.
type faults struct {
	mu       sync.Mutex
	dropIn   int // commands until the connection drops; zero means never
	refuse   bool
	aptUntil time.Time
	aptBy    string
}

// DropConnection drops the connection that brings the n-th command from now on, counted from 1,
// while that command runs.
func (m *Machine) DropConnection(n int) {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	m.faults.dropIn = n
}

// CutConnections closes the connections that stand now, as a cut link or a killed sshd does.
func (m *Machine) CutConnections() { m.server.drop() }

// RefuseLogins makes the machine refuse every key, or stop doing so.
func (m *Machine) RefuseLogins(refuse bool) {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	m.faults.refuse = refuse
}

// FillDisk leaves free bytes on the root file system; what is written beyond fails with ENOSPC.
// A negative number is a disk without end again.
func (m *Machine) FillDisk(free int64) {
	m.tree.mu.Lock()
	defer m.tree.mu.Unlock()
	m.tree.free = free
}

// HoldAptLock has another process, of the name by, hold dpkg's frontend lock for d from now.
func (m *Machine) HoldAptLock(by string, d time.Duration) {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	m.faults.aptBy, m.faults.aptUntil = by, m.clock.Now().Add(d)
}

// aptLock is who holds the lock and for how long from now.
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

// command counts one command and reports whether its connection is to drop.
func (f *faults) command() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dropIn == 0 {
		return false
	}
	f.dropIn--
	return f.dropIn == 0
}
