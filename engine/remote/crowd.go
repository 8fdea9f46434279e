package remote

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Crowd keeps the dials of a run from flooding one sshd, such as that of a ProxyJump host which all of them
// pass: from the tenth connection on that has not logged in yet it drops some at random (MaxStartups 10:30:100,
// sshd_config(5)). The zero value is ready.
type Crowd struct {
	mu    sync.Mutex
	doors map[string]*door
}

// atOneDoor is how many dials go to one sshd at the same time: others may connect to it too.
const atOneDoor = 8

// stagger is how far apart dials to one sshd begin at most, so that they do not come in step.
const stagger = 20 * time.Millisecond

type door struct {
	places chan struct{}
	users  int
}

// enter waits for a place at an address; leave gives it back.
func (c *Crowd) enter(ctx context.Context, address string) (leave func(), err error) {
	c.mu.Lock()
	if c.doors == nil {
		c.doors = map[string]*door{}
	}
	d := c.doors[address]
	if d == nil {
		d = &door{places: make(chan struct{}, atOneDoor)}
		c.doors[address] = d
	}
	d.users++
	crowded := d.users > 1
	c.mu.Unlock()
	gone := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if d.users--; d.users == 0 {
			delete(c.doors, address)
		}
	}
	select {
	case d.places <- struct{}{}:
	case <-ctx.Done():
		gone()
		return nil, context.Cause(ctx)
	}
	leave = sync.OnceFunc(func() {
		<-d.places
		gone()
	})
	if !crowded {
		return leave, nil
	}
	select {
	case <-time.After(rand.N(stagger)):
		return leave, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
