package main

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// echo is whether the terminal that hlplay runs in shows what is typed on it.
type echo struct {
	mu     sync.Mutex
	hidden *os.File // the terminal, while it does not
	over   bool
}

// typing is that of this process.
var typing echo

// still has the terminal show nothing of what is typed, and show it again. Where hlplay is in the background, or the terminal
// shows nothing anyway, it stays as it is. What is typed is not lost: whoever reads next gets it.
func (e *echo) still(still bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case still && e.hidden == nil && !e.over:
		tty, err := openTerminal()
		if err != nil {
			return
		}
		if !foreground(tty) || !setEcho(tty, false) {
			tty.Close()
			return
		}
		e.hidden = tty
	case !still && e.hidden != nil:
		if foreground(e.hidden) { // else it is the shell's by now
			setEcho(e.hidden, true)
		}
		e.hidden.Close()
		e.hidden = nil
	}
}

// end gives the terminal back for good.
func (e *echo) end() {
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
	e.still(false)
}

// foreground reports whether this process may change a terminal: one in the background would be stopped for it.
func foreground(tty *os.File) bool {
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// setEcho reports whether the terminal was otherwise, and could be set.
func setEcho(tty *os.File, on bool) bool {
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil || on == (state.Lflag&unix.ECHO != 0) {
		return false
	}
	state.Lflag ^= unix.ECHO
	return unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, state) == nil
}
