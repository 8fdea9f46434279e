package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"hlplay/engine/report"
)

// endings are the signals that ask a program to end. Closing a terminal sends SIGHUP, after which cleaning up is still
// necessary.
var endings = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP}

// signaled is the cause of a context that was ended by a signal.
type signaled struct{ signal os.Signal }

func (s signaled) Error() string { return "interrupted by " + s.name() }

// Is makes the error match context.Canceled.
func (s signaled) Is(target error) bool { return target == context.Canceled }

func (s signaled) name() string {
	names := map[os.Signal]string{
		os.Interrupt: "SIGINT", syscall.SIGTERM: "SIGTERM", syscall.SIGQUIT: "SIGQUIT", syscall.SIGHUP: "SIGHUP",
	}
	return names[s.signal]
}

// interrupts ends the program in two steps. The first signal ends a context, so that work under it can clean up. A
// second one from the keyboard ends the program at once.
type interrupts struct {
	signals chan os.Signal
	cancel  context.CancelCauseFunc
	exit    func(code int)
	stderr  io.Writer

	mu   sync.Mutex
	run  *report.Underway
	out  report.Reporter // writes to the terminal
	over chan struct{}   // closed when the run has ended
	// asking waits for an open question on the terminal.
	asking sync.WaitGroup
}

type interruptsKey struct{}

// interruptible returns a context that ends with a signal, until stop is called. A signal that was ignored when the
// program started, as under nohup, stays ignored.
func interruptible(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	i := &interrupts{signals: make(chan os.Signal, 4), cancel: cancel, exit: exitAtOnce, stderr: os.Stderr}
	caught := slices.DeleteFunc(slices.Clone(endings), signal.Ignored)
	signal.Notify(i.signals, caught...)
	go i.watch()
	return context.WithValue(ctx, interruptsKey{}, i), func() {
		signal.Stop(i.signals)
		cancel(nil)
	}
}

// exitAtOnce ends the program after turning echo on again.
func exitAtOnce(code int) {
	typing.end()
	os.Exit(code)
}

// tells makes an interruption print what the context's run is doing, until stop is called.
func tells(ctx context.Context, run *report.Underway, out report.Reporter) (stop func()) {
	i, ok := ctx.Value(interruptsKey{}).(*interrupts)
	if !ok {
		return func() {}
	}
	i.mu.Lock()
	i.run, i.out, i.over = run, out, make(chan struct{})
	i.mu.Unlock()
	return sync.OnceFunc(func() {
		i.mu.Lock()
		close(i.over)
		i.run, i.out = nil, nil
		i.mu.Unlock()
		i.asking.Wait()
	})
}

// errUnread is the cause of a run that ended because its output is no longer read.
var errUnread = fmt.Errorf("its output is no longer read: %w", context.Canceled)

// readership writes to a file until nobody reads it any more, and then calls gone. SIGPIPE would kill the program in
// the middle of a task.
type readership struct {
	file *os.File
	gone func()
}

// read returns a writer that calls fn once nobody reads the file any more.
func read(f *os.File, fn func()) *readership {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // ignoring it would be inherited by child processes
	return &readership{f, fn}
}

func (r *readership) Write(p []byte) (int, error) {
	n, err := r.file.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		r.gone()
	}
	return n, err
}

// watch ends the context, and then the program. Closing a terminal may send SIGHUP more than once, and timeout(1) sends
// SIGTERM twice; neither means that the user is impatient.
func (i *interrupts) watch() {
	first := true
	for got := range i.signals {
		switch {
		case first:
			first = false
			i.interrupt(signaled{got})
		case got == os.Interrupt, got == syscall.SIGQUIT:
			i.say("stopped at once by " + signaled{got}.name() + i.left())
			i.exit(exitInterrupted)
			return
		}
	}
}

// interrupt ends the context. After Ctrl-C the user is asked what to do with long commands. After other signals, and without
// a terminal, they are left running.
func (i *interrupts) interrupt(by signaled) {
	bound, detached, running := i.underWay()
	var tty *os.File
	if by.signal == os.Interrupt && len(detached) > 0 {
		tty = terminalToAskOn()
	}
	text := by.name() + ": nothing more is started"
	if len(bound) > 0 {
		text += "; running, and asked to end:" + indented(bound)
	}
	switch {
	case tty != nil:
		asked := &interruption{signaled: by, chosen: make(chan struct{})}
		i.asking.Add(1)
		i.cancel(asked)
		go func() {
			defer i.asking.Done()
			defer tty.Close()
			i.ask(tty, asked, text+"; long commands are running:"+indented(detached))
		}()
		return
	case len(detached) > 0:
		text += "; left running, and the next run waits for it:" + indented(detached)
	}
	i.cancel(by)
	if !running {
		return
	}
	if len(bound)+len(detached) > 0 {
		text += "\nCtrl-C again quits at once and leaves everything as it is"
	}
	i.say(text)
}

// left says what is left behind when the program ends.
func (i *interrupts) left() string {
	switch bound, detached, running := i.underWay(); {
	case !running:
		return ""
	case len(bound)+len(detached) == 0:
		return "; nothing was running"
	default:
		text := ";"
		if len(bound) > 0 {
			text += " this was running and may continue on the host:" + indented(bound)
		}
		if len(detached) > 0 {
			text += " this is left running, and the next run waits for it:" + indented(detached)
		}
		return text + "\nrun again to converge: steps that are done are not repeated"
	}
}

// indented puts each line on an indented line of its own.
func indented(lines []string) string { return "\n  " + strings.Join(lines, "\n  ") }

// underWay returns what the hosts are doing, one line each (see report.Underway.Lines). running reports whether there
// is a run.
func (i *interrupts) underWay() (bound, detached []string, running bool) {
	i.mu.Lock()
	run := i.run
	i.mu.Unlock()
	if run == nil || !run.Running() {
		return nil, nil, false
	}
	bound, detached = run.Lines()
	return bound, detached, true
}

// say prints next to the live lines, or over them if the terminal does not accept output: nothing waits for it.
func (i *interrupts) say(text string) {
	if text == "" {
		return
	}
	i.mu.Lock()
	out := i.out
	i.mu.Unlock()
	var once sync.Once
	said := make(chan struct{})
	write := func() {
		once.Do(func() {
			fmt.Fprintln(i.stderr, "hlplay:", text)
			close(said)
		})
	}
	go report.Suspend(out, write)
	select {
	case <-said:
	case <-time.After(time.Second):
		write()
	}
}
