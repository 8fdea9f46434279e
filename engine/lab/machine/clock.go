package machine

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"
)

// Clock is the lab's time. All machines of a lab share one.
type Clock interface {
	Now() time.Time
	// After runs fn once the clock has passed d from now.
	After(d time.Duration, fn func())
	// Sleep lets d pass. It returns the context's error if that ends before.
	Sleep(ctx context.Context, d time.Duration) error
}

// VirtualClock is a Clock that is moved by hand, by those who sleep, and optionally by the wall clock as
// well. States that settle are timers of it, so a test decides when they settle and nothing has to wait.
// All methods may be called from many goroutines.
type VirtualClock struct {
	mu     sync.Mutex
	now    time.Time
	speed  float64   // lab seconds a second on the wall; zero for a clock that stands
	seen   time.Time // wall time at which now was last brought up to date
	timers timerHeap
	seq    int
	// sleepers are the moments for which somebody sleeps, and how many do.
	sleepers map[time.Time]int
	// joined counts those who came to sleep so far.
	joined int
}

// Grace is the wall-clock time that those who still work have to come to sleep too before the clock moves for
// those who do. Who comes later sleeps longer, by the lab's clock, than he would on real hosts; no state
// settles otherwise for it.
const Grace = 2 * time.Millisecond

// NewVirtualClock returns a clock that stands at start until Advance or a sleeper moves it.
func NewVirtualClock(start time.Time) *VirtualClock {
	return &VirtualClock{now: start}
}

// NewRunningClock returns a clock that starts now and runs speed times as fast as the wall clock.
// Advance lets it jump ahead on top of that, so a simulated installation takes its time in the lab
// only.
func NewRunningClock(speed float64) *VirtualClock {
	now := time.Now()
	return &VirtualClock{now: now, speed: speed, seen: now}
}

// Now is the lab's time.
func (c *VirtualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.catchUpLocked()
	return c.now
}

func (c *VirtualClock) catchUpLocked() {
	if c.speed == 0 {
		return
	}
	wall := time.Now()
	c.now = c.now.Add(time.Duration(float64(wall.Sub(c.seen)) * c.speed))
	c.seen = wall
}

// After runs fn once the clock has passed d from now: within the Advance that reaches the moment,
// or in a goroutine of its own when a running clock reaches it by itself. A duration of zero or
// less is due with the next Advance.
func (c *VirtualClock) After(d time.Duration, fn func()) { c.AfterFunc(d, fn) }

// AfterFunc is After for a function that need not run any more once stop is called.
func (c *VirtualClock) AfterFunc(d time.Duration, fn func()) (stop func()) {
	c.mu.Lock()
	c.catchUpLocked()
	c.seq++
	t := &timer{at: c.now.Add(d), seq: c.seq, fn: fn}
	heap.Push(&c.timers, t)
	speed := c.speed
	c.mu.Unlock()
	if speed > 0 {
		time.AfterFunc(time.Duration(float64(d)/speed)+time.Microsecond, func() { c.Advance(0) })
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if i := slices.Index(c.timers, t); i >= 0 {
			heap.Remove(&c.timers, i)
		}
	}
}

// Advance moves the clock by d. What falls due on the way runs in the order of its time, seeing
// the clock stand at that time; equal times run in the order in which they were asked for.
func (c *VirtualClock) Advance(d time.Duration) {
	c.mu.Lock()
	c.catchUpLocked()
	target := c.now.Add(d)
	c.mu.Unlock()
	c.advanceTo(target)
}

func (c *VirtualClock) advanceTo(target time.Time) {
	c.mu.Lock()
	for len(c.timers) > 0 && !c.timers[0].at.After(target) {
		t := heap.Pop(&c.timers).(*timer)
		if t.at.After(c.now) {
			c.now = t.at
		}
		c.mu.Unlock()
		t.fn()
		c.mu.Lock()
	}
	if target.After(c.now) {
		c.now = target
	}
	c.mu.Unlock()
}

// Sleep lets d pass. Who sleep at the same time do so together: the clock moves to the earliest of the
// moments that they sleep for, once nobody has joined them for Grace. It does not ask what else is going on:
// input that is still to come may be for a program that would sleep next, or may never come.
func (c *VirtualClock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	woken := make(chan struct{})
	c.mu.Lock()
	c.catchUpLocked()
	until := c.now.Add(d)
	if c.sleepers == nil {
		c.sleepers = map[time.Time]int{}
	}
	c.sleepers[until]++
	c.joined++
	seen := c.joined
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.sleepers[until]--; c.sleepers[until] == 0 {
			delete(c.sleepers, until)
		}
	}()
	c.After(d, func() { close(woken) })
	timer := time.NewTimer(Grace)
	defer timer.Stop()
	for {
		select {
		case <-woken:
			return ctx.Err()
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			seen = c.move(until, seen)
			timer.Reset(Grace)
		}
	}
}

// move brings the clock to the moment for which a sleeper sleeps, if that is the earliest and nobody has joined
// since so many had; it returns how many have by now.
func (c *VirtualClock) move(until time.Time, seen int) int {
	c.mu.Lock()
	joined, earliest := c.joined, true
	for other := range c.sleepers {
		earliest = earliest && !other.Before(until)
	}
	c.mu.Unlock()
	if joined == seen && earliest {
		c.advanceTo(until)
	}
	return joined
}

type timer struct {
	at  time.Time
	seq int
	fn  func()
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].seq < h[j].seq
	}
	return h[i].at.Before(h[j].at)
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(*timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
