package machine

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"
)

// Clock is the lab's time, shared by all of its machines.
type Clock interface {
	Now() time.Time
	// After runs fn when the clock has advanced by d.
	After(d time.Duration, fn func())
	// Pass is like After, for what takes its time whatever else happens, such as a boot: it moves a clock that was stopped.
	Pass(d time.Duration, fn func())
	// Sleep returns when the clock has advanced by d, or earlier with the context's error when ctx ends.
	Sleep(ctx context.Context, d time.Duration) error
}

// VirtualClock is a Clock that is moved by Advance, by sleepers and, optionally, along with the wall clock. Anything
// that takes time to settle is a timer on it, so that a test decides when it settles and never waits. Its methods are
// safe for concurrent use.
type VirtualClock struct {
	mu     sync.Mutex
	now    time.Time
	speed  float64   // how many times faster than the wall clock it runs; zero if it stands still
	halted bool      // SetSpeed has stopped it
	seen   time.Time // the wall-clock time of the last update of now
	timers timerHeap
	seq    int
	// sleepers counts the sleepers by the time at which they wake up.
	sleepers map[time.Time]int
	// joined counts the calls of Sleep so far.
	joined int
}

// Grace is how long, on the wall clock, the clock waits for other running programs to start sleeping before it moves
// on. A program that needs longer sleeps longer, by the lab's clock, than on a real host; nothing settles differently
// because of that.
const Grace = 2 * time.Millisecond

// NewVirtualClock returns a clock that stands at start until Advance or a sleeper moves it.
func NewVirtualClock(start time.Time) *VirtualClock {
	return &VirtualClock{now: start}
}

// NewRunningClock returns a clock that starts at the current time and runs speed times as fast as the wall clock.
// Advance moves it further ahead, so that a simulated installation takes time in the lab only.
func NewRunningClock(speed float64) *VirtualClock {
	now := time.Now()
	return &VirtualClock{now: now, speed: speed, seen: now}
}

// SetSpeed changes how many times faster than the wall clock the clock runs from now on. At zero it stands still, so that only
// Advance, sleepers and what Pass waits for move it.
func (c *VirtualClock) SetSpeed(speed float64) {
	c.mu.Lock()
	c.catchUpLocked()
	c.speed, c.seen, c.halted = speed, time.Now(), speed == 0
	now := c.now
	var waits []time.Duration
	for _, t := range c.timers {
		waits = append(waits, t.at.Sub(now))
		if t.passes && c.halted {
			go c.moveBy(t.at.Sub(now))
		}
	}
	c.mu.Unlock()
	for _, d := range waits { // those that were set before are due at another time of the wall clock
		c.arm(d)
	}
}

// Now returns the lab's time.
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

// After runs fn when the clock has advanced by d: in the call to Advance that reaches that time, or in a new goroutine
// if a running clock reaches it. If d is not positive, fn runs with the next Advance.
func (c *VirtualClock) After(d time.Duration, fn func()) { c.AfterFunc(d, fn) }

// Pass implements Clock. A clock that SetSpeed has stopped is moved as a sleeper moves it; nothing else would.
func (c *VirtualClock) Pass(d time.Duration, fn func()) {
	c.mu.Lock()
	c.catchUpLocked()
	c.setLocked(d, fn).passes = true
	halted := c.halted
	c.mu.Unlock()
	c.arm(d)
	if halted {
		go c.moveBy(d)
	}
}

// moveBy moves the clock by d, together with the sleepers.
func (c *VirtualClock) moveBy(d time.Duration) {
	_ = c.Sleep(context.Background(), max(d, 1)) // nothing ends it before
}

// AfterFunc is like After, and returns a function that cancels the call.
func (c *VirtualClock) AfterFunc(d time.Duration, fn func()) (stop func()) {
	c.mu.Lock()
	c.catchUpLocked()
	t := c.setLocked(d, fn)
	c.mu.Unlock()
	c.arm(d)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if i := slices.Index(c.timers, t); i >= 0 {
			heap.Remove(&c.timers, i)
		}
	}
}

// run calls the timer's function. If it panics, which is a defect of the lab, only what that function still had to do is
// lost. Otherwise the panic would end the whole lab, or the program that happened to move the clock.
func (t *timer) run() {
	defer func() {
		if p := recover(); p != nil {
			Defect("", "what it does later", p)
		}
	}()
	t.fn()
}

func (c *VirtualClock) setLocked(d time.Duration, fn func()) *timer {
	c.seq++
	t := &timer{at: c.now.Add(d), seq: c.seq, fn: fn}
	heap.Push(&c.timers, t)
	return t
}

// arm makes a running clock check its timers after d.
func (c *VirtualClock) arm(d time.Duration) {
	c.mu.Lock()
	speed := c.speed
	c.mu.Unlock()
	if speed > 0 {
		time.AfterFunc(time.Duration(float64(d)/speed)+time.Microsecond, func() { c.Advance(0) })
	}
}

// Advance moves the clock by d. Timers that are due run in the order of their times, with the clock at each of these
// times; timers for the same time run in the order in which they were set.
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
		t.run()
		c.mu.Lock()
	}
	if target.After(c.now) {
		c.now = target
	}
	c.mu.Unlock()
}

// Sleep returns when the clock has advanced by d. Concurrent sleepers share the time: once none has joined for Grace,
// the clock moves to the earliest time at which one of them wakes up. Sleep ignores whatever else is going on: pending
// input may be for a program that is about to sleep, or may never arrive.
func (c *VirtualClock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	woken := make(chan struct{})
	c.mu.Lock()
	c.catchUpLocked()
	// The timer is set for exactly the time under which the sleeper is counted. If the clock could move between the
	// two, no sleeper would move it as far as the timer, and all of them would wait forever.
	until := c.setLocked(d, func() { close(woken) }).at
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
	c.arm(d)
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

// move sets the clock to the time at which a sleeper wakes up, if no other wakes up earlier and none has joined since
// seen was read. It returns the new count.
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
	at     time.Time
	seq    int
	fn     func()
	passes bool // see Pass
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
