package machine

import (
	"maps"
	"path"
	"sync"
)

// starts counts the programs that a machine has started, by name. Tests use it to measure what reading and acting cost.
type starts struct {
	mu     sync.Mutex
	byName map[string]int
	watch  func(argv []string)
}

func (s *starts) count(file string, argv []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watch != nil {
		s.watch(argv)
	}
	if s.byName == nil {
		s.byName = map[string]int{}
	}
	s.byName[path.Base(file)]++
}

// Starts returns how often each program was started since the last call, without shell builtins.
func (m *Machine) Starts() map[string]int {
	m.starts.mu.Lock()
	defer m.starts.mu.Unlock()
	counted := maps.Clone(m.starts.byName)
	clear(m.starts.byName)
	return counted
}

// WatchStarts calls watch with the arguments of every program that starts, as a process list would show them. It
// replaces an earlier watch; nil removes it.
func (m *Machine) WatchStarts(watch func(argv []string)) {
	m.starts.mu.Lock()
	defer m.starts.mu.Unlock()
	m.starts.watch = watch
}
