package machine

import (
	"container/heap"
	"sync"
	"time"
)

// Clock is the lab's time. All machines of a lab share one.
type Clock interface {
	Now() time.Time
	// After runs fn once the clock has passed d from now.
	After(d time.Duration, fn func())
}

// VirtualClock is a Clock that is moved by hand, and optionally by the wall clock as well. States
// that settle are timers of it, so a test decides when they settle and nothing has to sleep.
// All methods may be called from many goroutines.
type VirtualClock struct {
	mu     sync.Mutex
	now    time.Time
	speed  float64   // lab seconds a second on the wall; zero for a clock that stands
	seen   time.Time // wall time at which now was last brought up to date
	timers timerHeap
	seq    int
}

// NewVirtualClock returns a clock that stands at start until Advance moves it.
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
func (c *VirtualClock) After(d time.Duration, fn func()) {
	c.mu.Lock()
	c.catchUpLocked()
	c.seq++
	heap.Push(&c.timers, &timer{at: c.now.Add(d), seq: c.seq, fn: fn})
	speed := c.speed
	c.mu.Unlock()
	if speed > 0 {
		time.AfterFunc(time.Duration(float64(d)/speed)+time.Microsecond, func() { c.Advance(0) })
	}
}

// Advance moves the clock by d. What falls due on the way runs in the order of its time, seeing
// the clock stand at that time; equal times run in the order in which they were asked for.
func (c *VirtualClock) Advance(d time.Duration) {
	c.mu.Lock()
	c.catchUpLocked()
	target := c.now.Add(d)
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
