package run

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"hlplay/engine/nodestate"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// command is a step that consists of a single command, so that several can share a flight.
type command struct {
	step modules.Step
	remote.Command
	// judge interprets how the command ended. It returns the result that `register` sees.
	judge func(remote.Result) (*remote.Result, error)
	// begun is when the command was first run.
	begun time.Time
	// long is the record of an attempt as a long command. Its ID is empty if the shell runs the command itself.
	long nodestate.Long
}

// asCommand returns a step as a single command, which replaces only what was seen. ok is false if the step needs more
// than one.
func asCommand(h *host, step modules.Step, seen *baseline) (c command, ok bool) {
	c.step = step
	placing := func(path string, do remote.Command) (command, bool) {
		c.Command = do
		c.judge = func(r remote.Result) (*remote.Result, error) {
			if err := remote.Stale(path, r); err != nil {
				return nil, fmt.Errorf("%s: %w", step.Summary, err)
			}
			if r.Exit != 0 {
				return &r, fmt.Errorf("%s: %s", step.Summary, firstLine(r.Stderr))
			}
			return nil, nil // `register` does not need its output
		}
		return c, true
	}
	switch a := step.Action.(type) {
	case modules.WriteFile:
		f := remoteFile(a)
		if !f.Small() {
			return c, false
		}
		f.Over = seen.over(h, a)
		c.Command = f.Command()
		c.judge = func(r remote.Result) (*remote.Result, error) {
			if r.Exit != 0 {
				return nil, fmt.Errorf("%s: %w", step.Summary, f.Failure(h.Name, r))
			}
			return nil, nil
		}
		return c, true
	case modules.SetAttributes:
		return placing(a.Path, remote.SetAttributes(a.Path, a.Mode, a.Owner, a.Group))
	case modules.Remove:
		if a.Recursive && (path.Clean(a.Path) == "/" || !path.IsAbs(a.Path)) {
			return c, false
		}
		return placing(a.Path, remote.Remove(a.Path, a.Recursive, seen.over(h, a)))
	case modules.MakeDir:
		return placing(a.Path, remote.MakeDir(a.Path, a.Mode, a.Owner, a.Group))
	case modules.Link:
		return placing(a.Path, remote.Link(a.Path, a.Target, seen.over(h, a)))
	case modules.Run:
		c.Command = remote.Command{Argv: a.Argv, Env: a.Env, Dir: a.Dir, Stdin: a.Stdin, Limit: a.Limit, OK: a.OK, Brief: a.Brief}
		if a.Underway != 0 {
			c.OK = append(accepted(c.Command), a.Underway)
		}
		c.judge = func(r remote.Result) (*remote.Result, error) {
			if a.Underway != 0 && r.Exit == a.Underway {
				r.Exit = 0
			}
			return &r, judgeRun(step.Summary, a, r)
		}
		return c, true
	}
	return c, false
}

// suspicious reports whether more than the exit code decides whether the command has succeeded. Later commands then
// wait for the controller's verdict.
func (c command) suspicious() bool {
	a, ok := c.step.Action.(modules.Run)
	return ok && a.Suspect != nil
}

// judgeRun reports whether a command of a module has succeeded.
func judgeRun(summary string, a modules.Run, result remote.Result) error {
	if succeeded(a, result) {
		if a.Suspect != nil {
			if err := a.Suspect(result.Stdout, result.Stderr); err != nil {
				return fmt.Errorf("%s: %w", summary, err)
			}
		}
		return nil
	}
	if a.Stale != nil && bytes.Contains(result.Stderr, []byte(a.Stale.Says)) {
		return fmt.Errorf("%s: %w", summary, &remote.StaleError{Path: a.Stale.Path})
	}
	if a.Explain != nil {
		if err := a.Explain(result.Exit, result.Stdout, result.Stderr); err != nil {
			return fmt.Errorf("%s: %w", summary, err)
		}
	}
	return &commandError{summary: summary, argv: a.Argv, result: result}
}

// patient reports whether a command is run again because another process held a lock. tried is when the attempt
// started: after the waiting time there is always one more.
func (c command) patient(tried time.Time, result remote.Result) bool {
	a, ok := c.step.Action.(modules.Run)
	return ok && !succeeded(a, result) && tried.Sub(c.begun) < a.Patience && matchesAny(result, a.Retry)
}

// early reports whether a command has failed that may succeed in its turn, if it was sent ahead.
func (c command) early(result remote.Result) bool {
	a, ok := c.step.Action.(modules.Run)
	return ok && a.Fetches && !succeeded(a, result)
}

// succeeded reports whether a command ended with an exit code after which its host continues.
func succeeded(a modules.Run, result remote.Result) bool {
	return result.Exit == 0 && a.OK == nil || slices.Contains(a.OK, result.Exit)
}

// act carries out a step that is not a single command. It calls begin when the host may start to change.
func (e *execution) act(ctx context.Context, h *host, user string, step modules.Step, seen *baseline, before remote.Query, reads []observe.Read, begin func()) error {
	switch a := step.Action.(type) {
	case modules.Wait:
		begin()
		return nil
	case modules.Reboot:
		return e.reboot(ctx, h, a, before, reads, begin)
	case modules.Remove:
		return fmt.Errorf("%s: refused to remove %q", step.Summary, a.Path)
	case modules.WriteFile:
		session, err := h.connection.session(ctx, user)
		if err != nil {
			return err
		}
		begin()
		f := remoteFile(a)
		f.Over, f.Before = seen.over(h, a), before
		written, err := session.WriteFile(ctx, f)
		if err != nil {
			return fmt.Errorf("%s: %w", step.Summary, h.keeper.prevented(err))
		}
		h.observed.Wrote(a.Path, written)
		return nil
	}
	return fmt.Errorf("%s: the engine has no action %T", step.Summary, step.Action)
}

func remoteFile(a modules.WriteFile) remote.File {
	return remote.File{Path: a.Path, Content: a.Content, Source: a.Source, Mode: a.Mode, Owner: a.Owner, Group: a.Group, OverLink: a.OverLink}
}

func matchesAny(result remote.Result, texts []string) bool {
	for _, text := range texts {
		if strings.Contains(string(result.Stderr), text) || strings.Contains(string(result.Stdout), text) {
			return true
		}
	}
	return false
}

// together returns the first steps as commands that can share a flight.
func together(h, on *host, steps []modules.Step, seen *baseline) []command {
	var all []command
	for _, step := range steps {
		if step.On != steps[0].On {
			break
		}
		c, ok := asCommand(on, step, seen)
		if !ok {
			break
		}
		all = append(all, c)
		if c.suspicious() {
			break
		}
	}
	return all
}

// awaited returns the step of the last command if the host can tell when it has settled, and otherwise nil.
func awaited(commands []command) *modules.Step {
	if last := &commands[len(commands)-1].step; last.Until != nil && last.Settle > 0 {
		return last
	}
	return nil
}

// settling adds to a host's progress that it waits until a step has settled.
func settling(p report.Progress, step modules.Step) report.Progress {
	p.What, p.Awaits, p.Limit = step.Await, true, step.Settle
	return p
}

// clears returns the handlers that are no longer due when the last steps of an item have succeeded: the handler that is
// running, if the exit code alone proves its success.
func clears(t *task, plan modules.Plan, last bool, commands []command) []string {
	if !t.handler || !last || !plan.Repeats || t.Until != nil || slices.ContainsFunc(commands, command.suspicious) {
		return nil
	}
	return []string{nodestate.Name(t.play.Name, t.Name)}
}
