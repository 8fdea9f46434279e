package remote

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// Crowd keeps the dials of a run from flooding one sshd, such as that of a shared ProxyJump host: from ten connections
// on that have not logged in yet, sshd drops some at random (MaxStartups 10:30:100, sshd_config(5)). The zero value is
// ready to use.
type Crowd struct {
	mu    sync.Mutex
	doors map[string]*door
}

// atOneDoor is the number of concurrent dials to one sshd. It leaves room for other clients.
const atOneDoor = 8

// stagger is the maximum delay of a dial to an sshd that others dial as well, so that they do not start simultaneously.
const stagger = 20 * time.Millisecond

// door is an address that is being dialled.
type door struct {
	places chan struct{}
	users  int // guarded by Crowd.mu
	// dead is closed, with why set, when a dial was not answered, so that the others need not find out one after
	// another.
	dead chan struct{}
	why  error
}

// enter waits for a place at an address. leave gives it back and is passed the error of the dial. enter returns the
// error of another dial that got no answer, or of the context.
func (c *Crowd) enter(ctx context.Context, address string) (leave func(error), err error) {
	d, alone := c.approach(address)
	select {
	case d.places <- struct{}{}:
		select {
		case <-d.dead:
			<-d.places
			c.depart(address, d)
			return nil, d.why
		default:
		}
	case <-d.dead:
		c.depart(address, d)
		return nil, d.why
	case <-ctx.Done():
		c.depart(address, d)
		return nil, context.Cause(ctx)
	}
	leave = func(err error) {
		c.mu.Lock()
		if errors.Is(err, errDialTimeout) && d.why == nil {
			d.why = err
			close(d.dead)
		}
		c.mu.Unlock()
		<-d.places
		c.depart(address, d)
	}
	if alone {
		return leave, nil
	}
	select {
	case <-time.After(rand.N(stagger)):
		return leave, nil
	case <-ctx.Done():
		leave(nil)
		return nil, context.Cause(ctx)
	}
}

// approach counts another dial to an address. alone reports whether it is the only one.
func (c *Crowd) approach(address string) (d *door, alone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.doors == nil {
		c.doors = map[string]*door{}
	}
	if d = c.doors[address]; d == nil {
		d = &door{places: make(chan struct{}, atOneDoor), dead: make(chan struct{})}
		c.doors[address] = d
	}
	d.users++
	return d, d.users == 1
}

func (c *Crowd) depart(address string, d *door) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.users--; d.users == 0 {
		delete(c.doors, address)
	}
}
