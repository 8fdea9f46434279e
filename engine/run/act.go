package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// act carries out one step on a host as a user. The result is that of the command it ran, if any.
func (t *turn) act(ctx context.Context, h *host, user string, step modules.Step) (*remote.Result, error) {
	switch a := step.Action.(type) {
	case modules.Wait:
		return nil, nil
	case modules.Reboot:
		return nil, t.reboot(ctx, h, a)
	}
	session, err := h.link.session(ctx, user)
	if err != nil {
		return nil, err
	}
	switch a := step.Action.(type) {
	case modules.WriteFile:
		err := session.WriteFile(ctx, remote.File{Path: a.Path, Content: a.Content, Mode: a.Mode, Owner: a.Owner, Group: a.Group})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.Summary, err)
		}
		return nil, nil
	case modules.SetAttributes:
		return t.script(ctx, session, step, setAttributes, a.Path, mode(a.Mode), owner(a.Owner, a.Group))
	case modules.Remove:
		if a.Recursive && (path.Clean(a.Path) == "/" || !path.IsAbs(a.Path)) {
			return nil, fmt.Errorf("%s: refused to remove %q", step.Summary, a.Path)
		}
		return t.script(ctx, session, step, remove, a.Path, map[bool]string{true: "-r", false: ""}[a.Recursive])
	case modules.MakeDir:
		m := ""
		if a.Mode != 0 {
			m = mode(&a.Mode)
		}
		return t.script(ctx, session, step, makeDir, a.Path, m, owner(a.Owner, a.Group))
	case modules.Link:
		return t.script(ctx, session, step, makeLink, a.Path, a.Target)
	case modules.Run:
		return t.command(ctx, session, step, a)
	}
	return nil, fmt.Errorf("%s: %T is not an action that the engine knows", step.Summary, step.Action)
}

// The actions that are not one command each, as constant scripts over their arguments.
const (
	setAttributes = `p=$1 m=$2 o=$3
[ -z "$o" ] || chown -h -- "$o" "$p" || exit 1
[ -z "$m" ] || [ -h "$p" ] || chmod -- "$m" "$p"`
	remove = `if [ "$2" = -r ]; then rm -rf -- "$1"
elif [ -d "$1" ] && [ ! -h "$1" ]; then rmdir -- "$1"
else rm -f -- "$1"; fi`
	makeDir = `p=$1 m=$2 o=$3
mkdir -p -- "$p" || exit 1
[ -z "$o" ] || chown -- "$o" "$p" || exit 1
[ -z "$m" ] || chmod -- "$m" "$p"`
	makeLink = `t=$1.hlplay-$$
rm -f -- "$t" && ln -s -- "$2" "$t" && mv -T -f -- "$t" "$1" || { rm -f -- "$t"; exit 1; }`
)

func (t *turn) script(ctx context.Context, session remote.Session, step modules.Step, text string, args ...string) (*remote.Result, error) {
	result, err := session.Run(ctx, remote.Command{Argv: append([]string{"sh", "-c", text, "sh"}, args...), Dir: "/"})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", step.Summary, err)
	}
	if result.Exit != 0 {
		return &result, fmt.Errorf("%s: %s", step.Summary, firstLine(result.Stderr))
	}
	return nil, nil // its output is of no interest to `register`
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	if len(line) == 0 {
		return "failed without a message"
	}
	return string(line)
}

// command runs a command, again while somebody else's lock is in the way.
func (t *turn) command(ctx context.Context, session remote.Session, step modules.Step, a modules.Run) (*remote.Result, error) {
	begun := t.options.Clock.Now()
	pause := time.Second
	for {
		result, err := session.Run(ctx, remote.Command{Argv: a.Argv, Env: a.Env, Dir: a.Dir, Stdin: a.Stdin, Limit: a.Limit})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.Summary, err)
		}
		if result.Exit == 0 && a.OK == nil || slices.Contains(a.OK, result.Exit) {
			if a.Suspect != nil {
				if err := a.Suspect(result.Stdout, result.Stderr); err != nil {
					return &result, fmt.Errorf("%s: %w", step.Summary, err)
				}
			}
			return &result, nil
		}
		if t.options.Clock.Now().Sub(begun) < a.Patience && matchesAny(result, a.Retry) {
			if err := t.options.Clock.Sleep(ctx, pause); err != nil {
				return &result, err
			}
			pause = min(2*pause, 10*time.Second)
			continue
		}
		if a.Explain != nil {
			if err := a.Explain(result.Exit, result.Stdout, result.Stderr); err != nil {
				return &result, fmt.Errorf("%s: %w", step.Summary, err)
			}
		}
		return &result, &commandError{summary: step.Summary, argv: a.Argv, result: result}
	}
}

func matchesAny(result remote.Result, texts []string) bool {
	for _, text := range texts {
		if strings.Contains(string(result.Stderr), text) || strings.Contains(string(result.Stdout), text) {
			return true
		}
	}
	return false
}

func mode(m *fs.FileMode) string {
	if m == nil {
		return ""
	}
	return fmt.Sprintf("%04o", uint32(*m))
}

func owner(user, group string) string {
	if group == "" {
		return user
	}
	return user + ":" + group
}

const bootIDFile = "/proc/sys/kernel/random/boot_id"

// reboot restarts a host and proves by the kernel's boot id that it did.
func (t *turn) reboot(ctx context.Context, h *host, a modules.Reboot) error {
	limit := a.Limit
	if limit == 0 {
		limit = 10 * time.Minute
	}
	before, err := bootID(ctx, h)
	if err != nil {
		return fmt.Errorf("reboot: the boot id cannot be read beforehand, so a reboot could not be proven: %w", err)
	}
	session, err := h.link.session(ctx, t.rebooter(h))
	if err != nil {
		return err
	}
	// The answer may get lost with the host: only a clear refusal counts.
	result, err := session.Run(ctx, remote.Command{Argv: []string{"systemctl", "reboot"}, Limit: 30 * time.Second})
	if err == nil && result.Exit != 0 && result.Exit != 255 && result.Exit < 124 {
		return &commandError{summary: "reboot", argv: []string{"systemctl", "reboot"}, result: result}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	begun := t.options.Clock.Now()
	h.link.drop()
	var last error
	for pause := 2 * time.Second; t.options.Clock.Now().Sub(begun) < limit; pause = min(pause*3/2, 15*time.Second) {
		t.report(report.Progress{Host: h.Name, What: "the host to come back from its reboot", Awaits: true, Limit: limit})
		if err := t.options.Clock.Sleep(ctx, pause); err != nil {
			return err
		}
		if _, last = h.link.reopen(ctx); last != nil {
			continue
		}
		after, err := bootID(ctx, h)
		if err == nil && after != before {
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

// rebooter is the user that may reboot.
func (t *turn) rebooter(h *host) string { return t.readers[h.Name] }

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
