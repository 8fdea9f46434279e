package run

import (
	"context"
	"time"
)

// Clock is the clock for all waiting. A rehearsal uses the lab's clock, which sleeping advances, so that a wait of
// minutes on real hosts takes no time.
type Clock interface {
	Now() time.Time
	// Sleep returns the context's error as soon as the context ends.
	Sleep(ctx context.Context, d time.Duration) error
	// AfterFunc calls fn, which must not block, after d unless stop is called first.
	AfterFunc(d time.Duration, fn func()) (stop func())
}

// backoff spaces the attempts at something that takes time: each pause is twice the one before, up to most.
type backoff struct{ pause, most time.Duration }

// next returns the next pause.
func (b *backoff) next() time.Duration {
	pause := b.pause
	b.pause = min(2*pause, b.most)
	return pause
}

// sleep sleeps until the next try; the error is that of Clock.Sleep.
func (b *backoff) sleep(ctx context.Context, c Clock) error { return c.Sleep(ctx, b.next()) }

// withTimeout returns a context that ends with cause after d on the clock.
func withTimeout(ctx context.Context, c Clock, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := c.AfterFunc(d, func() { cancel(cause) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// RealClock is the wall clock.
type RealClock struct{}

// Now is time.Now.
func (RealClock) Now() time.Time { return time.Now() }

// Sleep waits for d.
func (RealClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// AfterFunc is time.AfterFunc.
func (RealClock) AfterFunc(d time.Duration, fn func()) (stop func()) {
	t := time.AfterFunc(d, fn)
	return func() { t.Stop() }
}
