package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"hlplay/engine/remote"
	"hlplay/engine/report"
)

// interruption is a Ctrl-C after which the user is asked what to do with long commands: see remote.Interruption.
type interruption struct {
	signaled

	once   sync.Once
	chosen chan struct{}
	choice remote.Choice
}

func (i *interruption) Chosen() <-chan struct{} { return i.chosen }

func (i *interruption) Choice() remote.Choice {
	<-i.chosen
	return i.choice
}

func (i *interruption) choose(c remote.Choice) {
	i.once.Do(func() {
		i.choice = c
		close(i.chosen)
	})
}

// terminalToAskOn opens hlplay's terminal, or returns nil if hlplay is not in its foreground.
func terminalToAskOn() *os.File {
	tty, err := openTerminal()
	if err != nil {
		return nil
	}
	if !foreground(tty) {
		tty.Close()
		return nil
	}
	return tty
}

// foreground reports whether this process may change a terminal. A background process that does is stopped.
func foreground(tty *os.File) bool {
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

const question = "wait for their end (w), stop them (s), or leave them running (l)? Ctrl-C again quits at once and leaves them running: "

// ask asks until there is an answer, or until the commands, and so the run, have ended.
func (i *interrupts) ask(tty *os.File, asked *interruption, text string) {
	i.mu.Lock()
	out, over := i.out, i.over
	i.mu.Unlock()
	defer asked.choose(remote.Leave)
	report.Suspend(out, func() {
		fmt.Fprintf(tty, "hlplay: %s\n%s", text, question)
		answers := make(chan string)
		go lines(tty, answers, asked.chosen)
		for {
			select {
			case <-over:
				fmt.Fprintln(tty, "\nhlplay: the commands have ended")
				return
			case answer, more := <-answers:
				choice, ok := choices[strings.ToLower(strings.TrimSpace(answer))]
				switch {
				case ok:
					asked.choose(choice)
					return
				case !more:
					return
				}
				fmt.Fprint(tty, question)
			}
		}
	})
}

var choices = map[string]remote.Choice{
	"w": remote.Await, "wait": remote.Await, "s": remote.Stop, "stop": remote.Stop, "l": remote.Leave, "leave": remote.Leave,
}

// lines sends the lines of a terminal until the choice is made.
func lines(tty *os.File, to chan<- string, chosen <-chan struct{}) {
	defer close(to)
	for s := bufio.NewScanner(tty); s.Scan(); {
		select {
		case to <- s.Text():
		case <-chosen:
			return
		}
	}
}
