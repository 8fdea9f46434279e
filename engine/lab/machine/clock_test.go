package machine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Concurrent sleepers wake up as they would on separate hosts, not one after another.
func TestSleepersShareTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		c := NewVirtualClock(start)
		var all sync.WaitGroup
		woke := make([][]time.Duration, 3)
		for i := range woke {
			all.Go(func() {
				for range 3 {
					if err := c.Sleep(t.Context(), time.Duration(i+1)*10*time.Second); err != nil {
						t.Error(err)
					}
					woke[i] = append(woke[i], c.Now().Sub(start))
				}
			})
		}
		all.Wait()
		for i, times := range woke {
			for j, at := range times {
				if want := time.Duration(i+1) * time.Duration(j+1) * 10 * time.Second; at != want {
					t.Errorf("sleeper %d woke the %d. time after %s, want %s", i, j+1, at, want)
				}
			}
		}
	})
}

// A sleeper wakes up on time even if the clock is moved while it is falling asleep. (It once did not: it hung until the
// command's timeout of 15 minutes, and blocked all others.)
func TestFallingAsleepWhileTheClockMoves(t *testing.T) {
	c := NewVirtualClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	ctx, end := context.WithCancel(t.Context())
	var moving, sleeping sync.WaitGroup
	for range 4 {
		moving.Go(func() {
			for ctx.Err() == nil {
				c.Advance(time.Nanosecond)
			}
		})
	}
	for range 16 {
		sleeping.Go(func() {
			for range 50 {
				if err := c.Sleep(ctx, time.Hour); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sleeping.Wait()
	end()
	moving.Wait()
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		c := NewVirtualClock(start)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
		if now := c.Now(); !now.Equal(start) {
			t.Errorf("the clock moved to %s", now)
		}
		// Sleepers do not wait for one that was canceled.
		ctx, cancel = context.WithCancel(t.Context())
		left := make(chan error)
		go func() { left <- c.Sleep(ctx, time.Second) }()
		synctest.Wait()
		cancel()
		<-left
		if err := c.Sleep(t.Context(), time.Minute); err != nil || !c.Now().Equal(start.Add(time.Minute)) {
			t.Errorf("error %v at %s, want none, a minute later", err, c.Now())
		}
	})
}

// timeout(1) counts the time that the command itself takes: another node may move the clock meanwhile.
func TestTimeoutCountsTheCommandsOwnTime(t *testing.T) {
	m := bare(t)
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, result := io.Pipe()
	var errs bytes.Buffer
	environ := []string{"PATH=" + defaultPath}
	c := &Call{Machine: m, Argv: []string{"timeout", "5", "sh", "-c", "echo ready; cat; sleep 4; echo slept"}, Dir: "/", User: "root", Env: lookup(environ), environ: environ,
		Stdin: in, Stdout: result, Stderr: &errs, ctx: t.Context()}
	ended := make(chan int, 1)
	go func() {
		ended <- m.exec(t.Context(), c)
		result.Close()
	}()
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	m.clock.(*VirtualClock).Advance(time.Hour)
	if _, err := io.WriteString(feed, "input\n"); err != nil {
		t.Fatal(err)
	}
	feed.Close()
	if text, _ := io.ReadAll(out); string(text) != "input\nslept\n" {
		t.Errorf("it printed %q %q", text, errs.String())
	}
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestTimeoutsWithin(t *testing.T) {
	line := "timeout 100 sh -c 'timeout 5 sleep 50; echo $?; timeout 200 sleep 90; echo $?; sleep 6; echo late'; echo $?"
	if out, errs, code := run(t, bare(t), "root", line); out != "124\n0\n124\n" || errs != "" || code != 0 {
		t.Errorf("got %q %q %d", out, errs, code)
	}
}

// Waiting for input is timed by the wall clock, because input comes from outside the lab.
func TestTimeoutWithoutInput(t *testing.T) {
	for _, command := range []string{"cat", "sh -c 'read line'", "sh -c 'sleep 0; cat'"} {
		m := bare(t)
		in, feed, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		environ := []string{"PATH=" + defaultPath}
		c := &Call{Machine: m, Argv: []string{"sh", "-c", "timeout 0.01 " + command}, Dir: "/", User: "root", Env: lookup(environ), environ: environ,
			Stdin: in, Stdout: io.Discard, Stderr: io.Discard, ctx: t.Context()}
		if code := m.exec(t.Context(), c); code != 124 {
			t.Errorf("%s: exit code %d, want 124", command, code)
		}
		feed.Close()
		in.Close()
	}
}

// TestClockTimerPanic checks that a panic in a timer ends neither the lab, nor the program that moves the clock, nor other timers.
func TestClockTimerPanic(t *testing.T) {
	for name, pass := range map[string]func(*VirtualClock){
		"a program moves the clock": func(c *VirtualClock) { c.Advance(3 * time.Second) },
		"one sleeps":                func(c *VirtualClock) { _ = c.Sleep(t.Context(), 3*time.Second) },
	} {
		c := NewVirtualClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		later := make(chan struct{})
		c.After(time.Second, func() { panic("a defect of the lab") })
		c.After(2*time.Second, func() { close(later) })
		pass(c)
		select {
		case <-later:
		default:
			t.Errorf("%s: what comes after the panic was not done", name)
		}
	}
}

// A clock that stands still runs no timer until it is let run again.
func TestClockSpeed(t *testing.T) {
	c := NewRunningClock(120)
	c.SetSpeed(0)
	began, due := c.Now(), make(chan struct{})
	c.After(time.Second, func() { close(due) })
	c.Advance(time.Second / 2)
	if passed := c.Now().Sub(began); passed != time.Second/2 {
		t.Errorf("%s have passed while it stood still, want half a second", passed)
	}
	c.SetSpeed(1000)
	<-due
	if passed := c.Now().Sub(began); passed < time.Second {
		t.Errorf("the timer of a second ran after %s", passed)
	}
}

// A machine that was told to reboot comes back, whether the clock is stopped before that, while it goes down or while it
// boots. The clock moves no further than that.
func TestRebootWhileClockIsStopped(t *testing.T) {
	for name, passed := range map[string]time.Duration{"before": 0, "going down": downDelay / 2, "booting": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := NewRunningClock(1e-6)
				m := bare(t, func(config *Config) { config.Clock = c })
				began, before := c.Now(), m.BootID()
				if passed == 0 {
					c.SetSpeed(0)
				}
				if _, stderr, code := run(t, m, "root", "systemctl reboot"); code != 0 {
					t.Fatal(stderr)
				}
				c.Advance(passed)
				c.SetSpeed(0)
				time.Sleep(time.Minute)
				if m.BootID() == before {
					t.Error("it has not rebooted")
				}
				if took := c.Now().Sub(began); took > time.Minute {
					t.Errorf("the clock was moved by %s", took)
				}
			})
		})
	}
}
