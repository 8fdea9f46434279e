package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// prompter returns a function that asks on the terminal, one question at a time, without echo.
func prompter(suspend func(func())) func(ctx context.Context, prompt string) (string, error) {
	var mu sync.Mutex
	return func(ctx context.Context, prompt string) (answer string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err := ctx.Err(); err != nil {
			return "", err
		}
		tty, err := openTerminal()
		if err != nil {
			return "", err
		}
		defer tty.Close()
		suspend(func() {
			fmt.Fprint(tty, prompt)
			answer, err = readSecret(ctx, tty)
			fmt.Fprintln(tty)
		})
		return answer, err
	}
}

// openTerminal opens hlplay's terminal, even if input and output are redirected.
func openTerminal() (*os.File, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, errors.New("there is no terminal to ask for a password on: run hlplay in one, or use a key without a passphrase, or a password file")
	}
	return tty, nil
}

// remarker returns a function that prints each remark once, outside of the report.
func remarker(suspend func(func())) func(string) {
	var said sync.Map
	return func(text string) {
		if _, known := said.LoadOrStore(text, true); !known {
			suspend(func() { fmt.Fprintln(os.Stderr, "hlplay:", text) })
		}
	}
}

// readLine reads a line and trims it. It also returns when the context ends; input after that is not read.
func readLine(ctx context.Context, tty *os.File) (string, error) {
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(tty).ReadString('\n')
		read <- line{strings.TrimSpace(text), err}
	}()
	select {
	case l := <-read:
		return l.text, l.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// readSecret reads a line without echo. If the context ends first, it restores the terminal.
func readSecret(ctx context.Context, tty *os.File) (string, error) {
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	type line struct {
		text []byte
		err  error
	}
	// Only a complete line ends the read, so it may outlive tty. As it has its own descriptor, it cannot affect a file
	// that is later opened with tty's number.
	own, err := unix.FcntlInt(tty.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	read := make(chan line, 1)
	go func() {
		defer unix.Close(own)
		b, err := term.ReadPassword(own)
		read <- line{b, err}
	}()
	select {
	case l := <-read:
		return string(l.text), l.err
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(fd, state))
	}
}
