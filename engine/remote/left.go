package remote

import (
	"context"
	"errors"
	"fmt"
)

// LeftError reports that a command was left running on its host because its caller was interrupted.
type LeftError struct {
	// Host is the name in the inventory, Program the command that is running.
	Host, Program string
	Err           error

	command *Command
}

func (e *LeftError) Error() string {
	return fmt.Sprintf("%s: %s was left running on the host: %s", e.Host, e.Program, e.Err)
}

func (e *LeftError) Unwrap() error { return e.Err }

// UnstartedError reports that a command was not started because its caller was interrupted first.
type UnstartedError struct {
	Host, Program string
	Err           error
}

func (e *UnstartedError) Error() string {
	return fmt.Sprintf("%s: %s was not started: %s", e.Host, e.Program, e.Err)
}

func (e *UnstartedError) Unwrap() error { return e.Err }

// Choice says what happens to running commands with Via when their caller is interrupted.
type Choice int

// In any case, no later command is started.
const (
	Leave Choice = iota // they are left running
	Await               // they are waited for
	Stop                // they are stopped, like other commands
)

// Interruption is the cause of cancellation of a context that the user has interrupted, and provides the user's Choice.
// Until the choice is made, the commands keep running and are waited for. With any other cause they are left running.
type Interruption interface {
	error
	// Chosen returns a channel that is closed when the choice is made.
	Chosen() <-chan struct{}
	// Choice returns the choice.
	Choice() Choice
}

// detached reports whether an interruption ended the context and the command can continue without its connection.
func detached(ctx context.Context, c *Command) bool {
	return c != nil && c.Via.Script != "" && errors.Is(context.Cause(ctx), context.Canceled)
}

// chosen returns a channel that is closed when the choice for an ended context is made, and a function that then
// returns the choice.
func chosen(ctx context.Context) (<-chan struct{}, func() Choice) {
	if i := Interruption(nil); errors.As(context.Cause(ctx), &i) {
		return i.Chosen(), i.Choice
	}
	now := make(chan struct{})
	close(now)
	return now, func() Choice { return Leave }
}

// left returns the error of an awaited command that was left running, or nil if there is none.
func (s *session) left(ctx context.Context, c *Command) *LeftError {
	if c == nil || !leaves(ctx, c) {
		return nil
	}
	return &LeftError{Host: s.conn.name, Program: c.Argv[0], Err: context.Cause(ctx), command: c}
}

// leaves reports whether an abandoned command is left running.
func leaves(ctx context.Context, c *Command) bool {
	_, choice := chosen(ctx)
	return detached(ctx, c) && choice() != Stop
}
