package machine

import (
	"context"
	"io"
	"os"
	"sync"
	"time"
)

// limit is what timeout(1) allows the processes under it. They are held to what they take themselves, not to
// what the lab's clock shows: another node may move that by minutes in the midst of a cat. Waiting
// for input is no part of a simulation, as it may come from outside of it: it is measured on the wall.
type limit struct {
	mu    sync.Mutex
	left  time.Duration // of the lab's time
	waits time.Duration // of the wall's, for input
	end   func()
	outer *limit
}

// spend takes d off the limit, or what is left of it, and off those around it. over is the one that is used up.
func (l *limit) spend(d time.Duration) (granted time.Duration, over *limit) {
	granted = d
	for at := l; at != nil; at = at.outer {
		at.mu.Lock()
		if at.left <= granted {
			granted, over = max(at.left, 0), at
		}
		at.mu.Unlock()
	}
	for at := l; at != nil; at = at.outer {
		at.mu.Lock()
		at.left -= granted
		at.mu.Unlock()
	}
	return granted, over
}

// wait bounds a wait for input; it returns what is to be called when the wait is over.
func (l *limit) wait() func() {
	var timers []*time.Timer
	began := time.Now()
	for at := l; at != nil; at = at.outer {
		at.mu.Lock()
		timers = append(timers, time.AfterFunc(at.waits, at.end))
		at.mu.Unlock()
	}
	return func() {
		waited := time.Since(began)
		for _, t := range timers {
			t.Stop()
		}
		for at := l; at != nil; at = at.outer {
			at.mu.Lock()
			at.waits -= waited
			at.mu.Unlock()
		}
	}
}

// interruptible is a pipe whose reads end when the reading program is killed; the pipe itself
// stays usable for whoever shares it. It does not embed the file, whose own WriteTo would take io.Copy past it.
type interruptible struct {
	file  *os.File
	ctx   context.Context
	limit *limit
}

func (r interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	done := make(chan struct{})
	stop := context.AfterFunc(r.ctx, func() {
		_ = r.file.SetReadDeadline(time.Unix(1, 0)) // a file that has no deadlines does not block for long
		close(done)
	})
	over := r.limit.wait()
	n, err := r.file.Read(p)
	over()
	if !stop() {
		<-done
		_ = r.file.SetReadDeadline(time.Time{}) // as above
	}
	return n, err
}

type noInput struct{}

func (noInput) Read([]byte) (int, error) { return 0, io.EOF }
