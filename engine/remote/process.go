package remote

import (
	"context"
	"io"
)

// process is a command line that runs on a host.
type process interface {
	// Stdin may block until the host accepts what is written. Closing it ends the input.
	Stdin() io.WriteCloser
	Stdout() io.Reader
	Stderr() io.Reader
	// Exited is closed when the process has ended, or when its end can no longer be learned.
	Exited() <-chan struct{}
	// Status returns the exit code, or 128 plus the number of the signal that ended the process. It is valid once
	// Exited is closed. An error means that the status is unknown.
	Status() (int, error)
	// Terminate asks the process to end, as far as the transport supports that.
	Terminate()
	// Close ends the streams without waiting for the process.
	Close()
}

// transport starts command lines on a host. It hides whether the host is reached over SSH or is the controller itself.
type transport interface {
	// start passes a line to the login shell of the connection's user, which may be any shell that supports words and
	// single quotes. It returns when the line has been sent. brief means that the process occupies one of the few
	// sessions until it is closed.
	start(ctx context.Context, line string, brief bool) (process, error)
	// probe returns once it is known whether the connection is up.
	probe()
	// lost returns the error of a lost or closed connection, or nil while it is up.
	lost() error
	done() <-chan struct{}
	stats() Stats
	close() error
}

// signalNumber maps the names of signals in SSH (RFC 4254, section 6.10) to their numbers on Linux.
var signalNumber = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9, "USR1": 10,
	"SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15,
}
