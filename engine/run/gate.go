package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"hlplay/engine/report"
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

// grace is how long a lock is retried without --wait: a run that has just ended takes a moment to release it.
const grace = 3 * time.Second

// await waits until no other run holds a host's lock. It then forgets what was read before.
func (b *batch) await(ctx context.Context, h *host) (waited bool, err error) {
	if err := h.keeper.look(ctx); err != nil {
		return false, nil // the host's own task reports it
	}
	begun := b.clock.Now()
	pause := grace / 6
	for {
		if l, is := h.keeper.occupied(); is {
			waited = true
			if err = b.outlast(ctx, h, l); err != nil {
				break
			}
			begun, pause = b.clock.Now(), grace/6
			continue
		}
		err = h.keeper.locked()
		tried := b.clock.Now()
		if err == nil || tried.Sub(begun) >= max(grace, b.options.Wait) {
			break
		}
		waited = true
		if b.options.Wait > 0 {
			what := strings.TrimSuffix(err.Error(), "; nothing was started there")
			b.report(report.Progress{Host: h.Name, What: "the other run to end: " + what, Awaits: true, Limit: b.options.Wait})
		}
		if sleepErr := b.clock.Sleep(ctx, pause); sleepErr != nil {
			return waited, sleepErr
		}
		pause = min(2*pause, 5*time.Second)
		if lookErr := h.keeper.lookAgain(ctx); lookErr != nil {
			return waited, lookErr
		}
	}
	var locked *lockedError
	if waited && !errors.As(err, &locked) {
		b.report(report.Progress{Host: h.Name})
		h.forgetAll()
		b.outdated(h)
	}
	return waited, err
}

// outdated drops plans that were made from a host before the run waited for it.
func (b *batch) outdated(h *host) {
	h.planner.invalidate()
	for _, reader := range b.hosts.all() {
		reader.planner.peerChanged(h.observed)
	}
}
