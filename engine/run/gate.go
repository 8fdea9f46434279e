package run

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// gate holds the hosts of a task until all are ready to change something: if another run holds the lock of one of them,
// none starts.
type gate struct {
	batch *batch
	hosts []*host
	task  *task
	// delegates are additional hosts that the task changes: see delegation.
	delegates []*host
	arrived   sync.WaitGroup
	once      sync.Once
	// locked are the hosts whose lock another run holds. waited reports whether a lock was waited for.
	locked map[*host]error
	waited bool
}

// gate returns the gate of a task, or nil if its hosts have already passed one or nothing is changed.
func (b *batch) gate(t *task, hosts []*host) *gate {
	if b.check {
		return nil
	}
	g := &gate{batch: b, task: t, hosts: hosts, locked: map[*host]error{}}
	for _, h := range hosts {
		for _, to := range b.hosts.delegates(t, h) {
			if !slices.Contains(g.changed(), to) {
				g.delegates = append(g.delegates, to)
			}
		}
	}
	if !slices.ContainsFunc(g.changed(), func(h *host) bool { return !h.admitted }) {
		return nil
	}
	g.arrived.Add(len(hosts))
	return g
}

// changed returns the hosts that the task may change.
func (g *gate) changed() []*host { return slices.Concat(g.hosts, g.delegates) }

// arrive returns the function to call when a host has done its first reads, or is lost.
func (g *gate) arrive() func() {
	if g == nil {
		return func() {}
	}
	return sync.OnceFunc(g.arrived.Done)
}

// pass waits until all hosts have arrived. It returns nil if the host may start. If again is set, the host has to
// decide again.
func (g *gate) pass(ctx context.Context, h *host) (again bool, err error) {
	if g == nil {
		return false, nil
	}
	g.arrived.Wait()
	g.once.Do(func() { g.open(ctx) })
	if len(g.locked) > 0 && g.locked[h] == nil {
		return false, &shutError{g.locked}
	}
	return g.waited, g.locked[h]
}

// open checks the locks of all hosts, and waits up to the permitted time for those that other runs hold.
func (g *gate) open(ctx context.Context) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, h := range g.changed() {
		if !h.observed.Connected() {
			continue
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			waited, err := g.batch.await(ctx, h)
			mu.Lock()
			defer mu.Unlock()
			if g.waited = g.waited || waited; err != nil {
				g.locked[h] = err
			}
		}()
	}
	wg.Wait()
	for _, h := range g.changed() {
		h.admitted = len(g.locked) == 0
	}
}

// shut returns, after a task, why the run must end, or "". Locked hosts have then failed, even if they had nothing to
// do.
func (g *gate) shut() string {
	if g == nil || len(g.locked) == 0 {
		return ""
	}
	for _, h := range g.hosts {
		needed := append(g.batch.hosts.delegates(g.task, h), h)
		if slices.ContainsFunc(needed, func(h *host) bool { return g.locked[h] != nil }) {
			h.fail()
		}
	}
	return (&shutError{g.locked}).Error()
}

// shutError reports that a host did not start because others are locked.
type shutError struct{ locked map[*host]error }

func (e *shutError) Error() string {
	var hosts []string
	why := ""
	for h, err := range e.locked {
		hosts = append(hosts, h.Name)
		if line := h.Name + ": " + err.Error(); why == "" || line < why {
			why = line
		}
	}
	if len(hosts) > 1 {
		why += fmt.Sprintf(" (and %d more hosts)", len(hosts)-1)
	}
	return "the run stops before it changes anything else: " + why
}
