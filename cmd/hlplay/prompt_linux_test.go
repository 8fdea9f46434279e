package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal returns a new pseudo-terminal: the side that types, and the side from which a program reads.
func terminal(t *testing.T) (keyboard, tty *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return keyboard, tty
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func TestPromptSecret(t *testing.T) {
	keyboard, tty := terminal(t)
	type answer struct {
		text string
		err  error
	}
	read := make(chan answer)
	go func() {
		text, err := readSecret(t.Context(), tty)
		read <- answer{text, err}
	}()
	for echoes(t, tty) { // limited by the test's deadline
	}
	fmt.Fprintln(keyboard, "hunter2")
	if a := <-read; a.text != "hunter2" || a.err != nil {
		t.Errorf("read %q (%v), want what was typed", a.text, a.err)
	}
	if !echoes(t, tty) {
		t.Error("the terminal does not echo any more")
	}
}

// Interrupting a prompt ends it at once and turns the terminal's echo back on.
func TestPromptInterrupted(t *testing.T) {
	_, tty := terminal(t)
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := readSecret(ctx, tty)
		ended <- err
	}()
	for echoes(t, tty) { // limited by the test's deadline
	}
	interrupt()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the prompt ended with %v, want the interruption", err)
	}
	if !echoes(t, tty) {
		t.Error("the terminal does not echo any more")
	}
}

func TestPromptLine(t *testing.T) {
	keyboard, tty := terminal(t)
	fmt.Fprintln(keyboard, " yes ")
	if text, err := readLine(t.Context(), tty); text != "yes" || err != nil {
		t.Errorf("read %q (%v), want what was typed", text, err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if _, err := readLine(ctx, tty); !errors.Is(err, context.Canceled) {
		t.Errorf("the question ended with %v, want the interruption", err)
	}
}

// Input that is typed while echo is off does not show, and is read by the prompt that follows.
func TestPromptHidesTypedAhead(t *testing.T) {
	keyboard, tty := terminal(t)
	if !setEcho(tty, false) || echoes(t, tty) {
		t.Fatal("the terminal still shows what is typed")
	}
	if setEcho(tty, false) {
		t.Error("it was made still twice")
	}
	fmt.Fprintln(keyboard, "hunter2")
	if !setEcho(tty, true) {
		t.Fatal("the terminal is not given back")
	}
	if text, err := readSecret(t.Context(), tty); text != "hunter2" || err != nil {
		t.Errorf("read %q (%v), want what was typed", text, err)
	}
	if !echoes(t, tty) {
		t.Error("the terminal does not echo any more")
	}
}
