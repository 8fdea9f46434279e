package machine

import (
	"context"
	"io"
	"os"
	"sync"
	"time"
)

// limit is the time that timeout(1) allows a process and its children. It counts the time that they take themselves,
// not the movement of the lab's clock, which another node may advance by minutes while cat runs. Time spent waiting for
// input is measured on the wall clock, because input may come from outside the lab.
type limit struct {
	mu    sync.Mutex
	left  time.Duration // lab time
	waits time.Duration // wall-clock time for waiting for input
	end   func()
	outer *limit
}

// spend takes d, or what is left, off the limit and the limits around it. It returns that time and the limit that it
// exhausts, if any.
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

// wait starts counting the time that a read waits for input. The returned function stops it.
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

// interruptible is a pipe whose reads end when the reading process is killed, while others may continue to use the
// pipe. It does not embed the file, because io.Copy would then call the file's WriteTo.
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
		_ = r.file.SetReadDeadline(time.Unix(1, 0)) // files without deadlines do not block for long
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
