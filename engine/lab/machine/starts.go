package machine

import (
	"maps"
	"path"
	"sync"
)

// starts counts the programs that a machine has started, by name: the price of reading and acting.
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

// Starts returns how often each program was started since the last call, not counting shell builtins.
func (m *Machine) Starts() map[string]int {
	m.starts.mu.Lock()
	defer m.starts.mu.Unlock()
	counted := maps.Clone(m.starts.byName)
	clear(m.starts.byName)
	return counted
}
