package machine

import (
	"strings"
	"time"
)

// Write is a recorded change of a machine. Tests inspect the record to prove that nothing was written.
type Write struct {
	At   time.Time
	By   string // the program: "cp", "apt-get", "sh"
	What string // "write /etc/hosts", "install chrony", "start ceph-mon@pve1"
	// Paths are the files concerned, if any.
	Paths []string
	// Scratch reports whether all Paths are below /tmp, /var/tmp, /run or /dev.
	Scratch bool
}

// Record records a change: the program that made it, and a line that describes it.
func (m *Machine) Record(by, what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes = append(m.writes, Write{At: m.clock.Now(), By: by, What: what})
}

// recordPath records a change of files, which are the absolute paths in args.
func (m *Machine) recordPath(by, what string, args []any) {
	w := Write{At: m.clock.Now(), By: by, What: what, Scratch: true}
	for _, arg := range args {
		p, ok := arg.(string)
		if !ok || !strings.HasPrefix(p, "/") {
			continue
		}
		w.Paths = append(w.Paths, p)
		w.Scratch = w.Scratch && scratch(p)
	}
	w.Scratch = w.Scratch && len(w.Paths) > 0
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes = append(m.writes, w)
}

func scratch(p string) bool {
	for _, dir := range []string{"/tmp/", "/var/tmp/", "/run/", "/dev/"} {
		if strings.HasPrefix(p, dir) {
			return true
		}
	}
	return false
}

// Writes returns all recorded changes in order, without those of scratch files that were removed later.
func (m *Machine) Writes() []Write {
	m.mu.Lock()
	all := m.writes
	m.mu.Unlock()
	root := view{m: m}
	var left []Write
	for _, w := range all {
		gone := w.Scratch
		for _, p := range w.Paths {
			if _, _, err := root.LstatIfPossible(p); err == nil {
				gone = false
			}
		}
		if !gone {
			left = append(left, w)
		}
	}
	return left
}

// ForgetWrites clears the record.
func (m *Machine) ForgetWrites() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes = nil
}
