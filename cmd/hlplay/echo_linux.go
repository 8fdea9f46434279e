package main

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// echo controls whether hlplay's terminal echoes input.
type echo struct {
	mu     sync.Mutex
	hidden *os.File // the terminal while its echo is off
	over   bool
}

// typing is the echo of this process.
var typing echo

// set turns echo on or off. It does nothing if hlplay is in the background or echo is off anyway. Input is not lost: the
// next reader gets it.
func (e *echo) set(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !on && e.hidden == nil && !e.over:
		tty, err := openTerminal()
		if err != nil {
			return
		}
		if !foreground(tty) || !setEcho(tty, false) {
			tty.Close()
			return
		}
		e.hidden = tty
	case on && e.hidden != nil:
		if foreground(e.hidden) { // otherwise the shell has taken over
			setEcho(e.hidden, true)
		}
		e.hidden.Close()
		e.hidden = nil
	}
}

// end restores the terminal for good.
func (e *echo) end() {
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
	e.set(true)
}

// setEcho turns echo on or off, and reports whether that changed anything.
func setEcho(tty *os.File, on bool) bool {
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil || on == (state.Lflag&unix.ECHO != 0) {
		return false
	}
	state.Lflag ^= unix.ECHO
	return unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, state) == nil
}
