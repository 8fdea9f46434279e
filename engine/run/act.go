package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// command is a step as one command, so that several can travel together.
type command struct {
	step modules.Step
	remote.Command
	// judge says what it means how the command ended. The result that it returns is what `register` sees.
	judge func(remote.Result) (*remote.Result, error)
	// begun is when it was first run.
	begun time.Time
}

// asCommand makes one command of a step, which replaces only what was seen; ok is false for a step that takes more than that.
func asCommand(h *host, step modules.Step, seen *sight) (c command, ok bool) {
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
			return nil, nil // its output is of no interest to `register`
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
		c.Command = remote.Command{Argv: a.Argv, Env: a.Env, Dir: a.Dir, Stdin: a.Stdin, Limit: a.Limit, OK: a.OK}
		c.judge = func(r remote.Result) (*remote.Result, error) { return &r, judgeRun(step.Summary, a, r) }
		return c, true
	}
	return c, false
}

// suspicious says whether more than its exit code decides whether a command has succeeded: what is behind
// it waits for the controller's verdict.
func (c command) suspicious() bool {
	a, ok := c.step.Action.(modules.Run)
	return ok && a.Suspect != nil
}

func remoteFile(a modules.WriteFile) remote.File {
	return remote.File{Path: a.Path, Content: a.Content, Source: a.Source, Mode: a.Mode, Owner: a.Owner, Group: a.Group}
}

// judgeRun says whether a command of a module has succeeded.
func judgeRun(summary string, a modules.Run, result remote.Result) error {
	if result.Exit == 0 && a.OK == nil || slices.Contains(a.OK, result.Exit) {
		if a.Suspect != nil {
			if err := a.Suspect(result.Stdout, result.Stderr); err != nil {
				return fmt.Errorf("%s: %w", summary, err)
			}
		}
		return nil
	}
	if a.Explain != nil {
		if err := a.Explain(result.Exit, result.Stdout, result.Stderr); err != nil {
			return fmt.Errorf("%s: %w", summary, err)
		}
	}
	return &commandError{summary: summary, argv: a.Argv, result: result}
}

// patient says whether a command that was tried at a time and ended so is to be run again, while somebody
// else's lock is in the way. What was tried before the time was over does not count: there is always a try after.
func (c command) patient(tried time.Time, result remote.Result) bool {
	a, ok := c.step.Action.(modules.Run)
	if !ok || result.Exit == 0 && a.OK == nil || slices.Contains(a.OK, result.Exit) {
		return false
	}
	return tried.Sub(c.begun) < a.Patience && matchesAny(result, a.Retry)
}

// act carries out a step that is not one command; begin is called when the host may begin with it.
func (t *turn) act(ctx context.Context, h *host, user string, step modules.Step, seen *sight, before remote.Query, begin func()) error {
	switch a := step.Action.(type) {
	case modules.Wait:
		begin()
		return nil
	case modules.Reboot:
		return t.reboot(ctx, h, a, before, begin)
	case modules.Remove:
		return fmt.Errorf("%s: refused to remove %q", step.Summary, a.Path)
	case modules.WriteFile:
		session, err := h.link.session(ctx, user)
		if err != nil {
			return err
		}
		begin()
		f := remoteFile(a)
		f.Over, f.Before = seen.over(h, a), before
		if err := session.WriteFile(ctx, f); err != nil {
			return fmt.Errorf("%s: %w", step.Summary, h.keeper.prevented(err))
		}
		return nil
	}
	return fmt.Errorf("%s: %T is not an action that the engine knows", step.Summary, step.Action)
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	if len(line) == 0 {
		return "failed without a message"
	}
	return string(line)
}

func matchesAny(result remote.Result, texts []string) bool {
	for _, text := range texts {
		if strings.Contains(string(result.Stderr), text) || strings.Contains(string(result.Stdout), text) {
			return true
		}
	}
	return false
}

const bootIDFile = "/proc/sys/kernel/random/boot_id"

// reboot restarts a host and proves by the kernel's boot id that it did.
func (t *turn) reboot(ctx context.Context, h *host, a modules.Reboot, keep remote.Query, begin func()) error {
	limit := a.Limit
	if limit == 0 {
		limit = 10 * time.Minute
	}
	before, err := bootID(ctx, h)
	if err != nil {
		return fmt.Errorf("reboot: the boot id cannot be read beforehand, so a reboot could not be proven: %w", err)
	}
	session, err := h.link.session(ctx, h.link.readsAs())
	if err != nil {
		return err
	}
	begin()
	// The answer may get lost with the host: only a clear refusal counts.
	result, err := session.Run(ctx, remote.Command{Argv: []string{"systemctl", "reboot"}, Limit: 30 * time.Second, Before: keep})
	if err == nil && result.Exit != 0 && result.Exit <= 128 && result.Limit == 0 {
		return &commandError{summary: "reboot", argv: []string{"systemctl", "reboot"}, result: result}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	begun := t.options.Clock.Now()
	h.link.drop()
	h.keeper.took(remote.Query{}, errRebooted)
	var last error
	tried := begun
	for pause := 2 * time.Second; tried.Sub(begun) < limit; pause = min(pause*3/2, 15*time.Second) {
		t.report(report.Progress{Host: h.Name, What: "the host to come back from its reboot", Awaits: true, Limit: limit})
		if err := t.options.Clock.Sleep(ctx, pause); err != nil {
			return err
		}
		tried = t.options.Clock.Now()
		if _, last = h.link.reopen(ctx); last != nil {
			continue
		}
		after, err := bootID(ctx, h)
		if err == nil && after != before {
			h.observed.ForgetAll()
			return nil
		}
		last = err
		if err == nil {
			last = errors.New("it answers, but has not rebooted yet")
		}
		h.link.drop()
	}
	reason := fmt.Sprintf("did not come back within %s of its reboot", limit)
	if last != nil {
		reason += "; at the last try: " + last.Error()
	}
	return &remote.UnreachableError{
		Host: h.Name, Address: h.Address, Err: last, Reason: reason,
		Hint: "look at its console: a new kernel can have renamed the network interface; then run again",
	}
}

// errRebooted is how the acting shells of a host that was rebooted ended.
var errRebooted = errors.New("the host was rebooted")

func bootID(ctx context.Context, h *host) (string, error) {
	answers, err := h.link.Ask(ctx, []remote.Query{{Script: "cat " + bootIDFile}})
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(answers[0].Stdout))
	if answers[0].Exit != 0 || id == "" {
		return "", fmt.Errorf("%s: %s", bootIDFile, firstLine(answers[0].Stderr))
	}
	return id, nil
}
