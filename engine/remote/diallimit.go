package remote

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// DialLimiter keeps the dials of a run from flooding one sshd, such as that of a shared ProxyJump host: from ten connections
// on that have not logged in yet, sshd drops some at random (MaxStartups 10:30:100, sshd_config(5)). The zero value is
// ready to use.
type DialLimiter struct {
	mu      sync.Mutex
	targets map[string]*dialTarget
}

// dialsPerTarget is the number of concurrent dials to one sshd. It leaves room for other clients.
const dialsPerTarget = 8

// stagger is the maximum delay of a dial to an sshd that others dial as well, so that they do not start simultaneously.
const stagger = 20 * time.Millisecond

// dialTarget is an address that is being dialled.
type dialTarget struct {
	slots chan struct{}
	users int // guarded by DialLimiter.mu
	// dead is closed, with why set, when a dial was not answered, so that the others need not find out one after
	// another.
	dead chan struct{}
	why  error
}

// acquire waits for a place at an address. release gives it back and is passed the error of the dial. acquire returns the
// error of another dial that got no answer, or of the context.
func (l *DialLimiter) acquire(ctx context.Context, address string) (release func(error), err error) {
	d, alone := l.join(address)
	select {
	case d.slots <- struct{}{}:
		select {
		case <-d.dead:
			<-d.slots
			l.part(address, d)
			return nil, d.why
		default:
		}
	case <-d.dead:
		l.part(address, d)
		return nil, d.why
	case <-ctx.Done():
		l.part(address, d)
		return nil, context.Cause(ctx)
	}
	release = func(err error) {
		l.mu.Lock()
		if errors.Is(err, errDialTimeout) && d.why == nil {
			d.why = err
			close(d.dead)
		}
		l.mu.Unlock()
		<-d.slots
		l.part(address, d)
	}
	if alone {
		return release, nil
	}
	select {
	case <-time.After(rand.N(stagger)):
		return release, nil
	case <-ctx.Done():
		release(nil)
		return nil, context.Cause(ctx)
	}
}

// join counts another dial to an address. alone reports whether it is the only one.
func (l *DialLimiter) join(address string) (d *dialTarget, alone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.targets == nil {
		l.targets = map[string]*dialTarget{}
	}
	if d = l.targets[address]; d == nil {
		d = &dialTarget{slots: make(chan struct{}, dialsPerTarget), dead: make(chan struct{})}
		l.targets[address] = d
	}
	d.users++
	return d, d.users == 1
}

func (l *DialLimiter) part(address string, d *dialTarget) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.users--; d.users == 0 {
		delete(l.targets, address)
	}
}
