package remote

import (
	"context"
	"io"
)

// process is a command line that runs on a host.
type process interface {
	// Stdin may block until the host takes what is written. Closing it is the end of the input.
	Stdin() io.WriteCloser
	Stdout() io.Reader
	Stderr() io.Reader
	// Exited is closed when the process has ended, or can no longer be heard of.
	Exited() <-chan struct{}
	// Status is the exit code, 128 plus the signal's number if a signal ended the process. Valid
	// once Exited is closed; the error says that the status is not known.
	Status() (int, error)
	// Terminate asks the process to end, as far as the transport can.
	Terminate()
	// Close lets go of the process: its streams end. It does not wait.
	Close()
}

// transport starts command lines on a host. The long-lived shells and the commands are the same
// above it, whether the host is reached over SSH or is the controller itself.
type transport interface {
	// start hands a line to the login shell of the connection's user, which may be any shell that
	// knows words and single quotes. It returns when the line was sent; brief says that the process
	// takes one of the few places for sessions until it is closed.
	start(ctx context.Context, line string, brief bool) (process, error)
	// probe returns when it is known whether the connection stands.
	probe()
	// lost is the error of a connection that was lost or closed, nil while it stands.
	lost() error
	done() <-chan struct{}
	stats() Stats
	close() error
}

// signalNumber is the number of a signal as SSH names it (RFC 4254, section 6.10) on Linux.
var signalNumber = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9, "USR1": 10,
	"SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15,
}
