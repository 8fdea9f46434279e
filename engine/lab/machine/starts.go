package machine

import (
	"maps"
	"path"
	"sync"
)

// starts counts the programs that a machine has started, by name: what reading and acting cost it.
type starts struct {
	mu     sync.Mutex
	byName map[string]int
}

func (s *starts) count(file string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName == nil {
		s.byName = map[string]int{}
	}
	s.byName[path.Base(file)]++
}

// Starts is how often each program was started since the last call, the shell's own built-in commands not
// among them.
func (m *Machine) Starts() map[string]int {
	m.starts.mu.Lock()
	defer m.starts.mu.Unlock()
	counted := maps.Clone(m.starts.byName)
	clear(m.starts.byName)
	return counted
}
