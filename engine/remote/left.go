package remote

import (
	"context"
	"errors"
	"fmt"
)

// LeftError says that a command was left running on its host, because who waited for it was interrupted.
type LeftError struct {
	// Host is the name in the inventory, Program what runs there.
	Host, Program string
	Err           error
}

func (e *LeftError) Error() string {
	return fmt.Sprintf("%s: %s was left running on the host: %s", e.Host, e.Program, e.Err)
}

func (e *LeftError) Unwrap() error { return e.Err }

// UnstartedError says that a command was not started, because who wanted it was interrupted before.
type UnstartedError struct {
	Host, Program string
	Err           error
}

func (e *UnstartedError) Error() string {
	return fmt.Sprintf("%s: %s was not started: %s", e.Host, e.Program, e.Err)
}

func (e *UnstartedError) Unwrap() error { return e.Err }

// Choice is what becomes of commands with Via that are under way when whoever waits for them is interrupted.
type Choice int

// The choices. Whichever it is, no command behind them is started.
const (
	Leave Choice = iota // they are left running
	Await               // they are waited for
	Stop                // they are stopped, as other commands are
)

// Interruption is the cause of a context that a person has ended, who may be asked for a Choice. Until it is made, the commands
// go on and are waited for. With another cause they are left running.
type Interruption interface {
	error
	// Chosen is closed when the choice is made.
	Chosen() <-chan struct{}
	// Choice returns it.
	Choice() Choice
}

// detached reports whether an interruption was what ended the context, and the command would go on without its connection.
func detached(ctx context.Context, c *Command) bool {
	return c != nil && c.Via.Script != "" && errors.Is(context.Cause(ctx), context.Canceled)
}

// chosen returns a channel that is closed when the choice of a context that has ended is made, and what then returns it.
func chosen(ctx context.Context) (<-chan struct{}, func() Choice) {
	if i := Interruption(nil); errors.As(context.Cause(ctx), &i) {
		return i.Chosen(), i.Choice
	}
	now := make(chan struct{})
	close(now)
	return now, func() Choice { return Leave }
}

// leaves reports whether a command that was given up is left running.
func leaves(ctx context.Context, c *Command) bool {
	_, choice := chosen(ctx)
	return detached(ctx, c) && choice() != Stop
}
