package remote

import (
	"context"
	"fmt"
	"strings"
)

// BecomeError reports that the login user could not become another user: sudo is missing, does not allow it, or wants a
// password that is unknown or wrong.
type BecomeError struct {
	// Host is the name in the inventory, User the user to become, Login the login user.
	Host, User, Login string
	// Reason is one sentence. Hint says what the user can do.
	Reason, Hint string
}

func (e *BecomeError) Error() string {
	s := fmt.Sprintf("%s: %s cannot become %s: %s", e.Host, e.Login, e.User, e.Reason)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// asRoot switches from root to a user. It falls back to runuser(1) of util-linux, because a bare Debian installed with a
// root password has no sudo. Unlike sudo, runuser needs an explicit shell for users who have none.
const asRoot = `command -v sudo >/dev/null 2>&1 && exec sudo -n -H -u "$1" -- sh -c "$2"; exec runuser -s /bin/sh -c "$2" "$1"`

// spawn starts a shell as the session's user. script is boot or sourced, which determines what must be written to the
// shell's standard input. brief is as in transport.start.
func (s *session) spawn(ctx context.Context, script string, brief bool) (*spawned, error) {
	line, prompt, hello, err := s.line(script)
	if err != nil {
		return nil, err
	}
	var p process
	if script == boot {
		p = s.takePrepared(ctx)
	}
	if p == nil {
		p, err = s.conn.transport.start(ctx, line, brief)
	}
	if err != nil {
		return nil, s.unstarted(ctx, err)
	}
	sp := s.attend(p, nonce())
	if prompt != "" {
		if err := s.answerPrompt(ctx, sp, prompt, hello); err != nil {
			sp.Close()
			return nil, err
		}
	}
	return sp, nil
}

// unstarted explains why a shell could not be started.
func (s *session) unstarted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		if lost := s.conn.gone(); lost != nil {
			return lost
		}
	}
	return fmt.Errorf("%s: %w", s.conn.name, err)
}

// attend returns a process that was started and whose first words follow a nonce.
func (s *session) attend(p process, nonce string) *spawned {
	sp := &spawned{process: p, nonce: nonce}
	sp.out, sp.errs = newSkipper(p.Stdout(), nonce), newSkipper(p.Stderr(), nonce)
	sp.watch(s.conn.startLimit)
	return sp
}

// line returns the line with which the login shell starts a shell of the session's user that runs a script. If sudo may
// ask for a password, prompt is its prompt, and hello is what the shell prints on standard error once it runs.
func (s *session) line(script string) (line, prompt, hello string, err error) {
	if s.user == "" {
		if script == sourced { // the login shell itself can do that
			return script, "", "", nil
		}
		return "exec sh -c '" + script + "'", "", "", nil
	}
	user, err := quote(s.user)
	if err != nil || strings.HasPrefix(s.user, "-") {
		return "", "", "", fmt.Errorf("%s: %q is not the name of a user", s.conn.name, s.user)
	}
	if s.conn.login == "root" {
		return "exec sh -c '" + asRoot + "' sh " + user + " '" + script + "'", "", "", nil
	}
	if !s.conn.askSudo {
		return "exec sudo -n -H -u " + user + " -- sh -c '" + script + "'", "", "", nil
	}
	// They are random, so that no lecture or PAM message can be mistaken for them.
	prompt, hello = "hlplay-"+nonce(), nonce()
	return "exec sudo -S -p " + prompt + " -H -u " + user + " -- sh -c 'echo " + hello + " >&2; " + script + "'", prompt, hello, nil
}

// answerPrompt gives sudo the password if it asks for one, and waits until the shell runs. Anything sent earlier would
// be read as the password.
func (s *session) answerPrompt(ctx context.Context, p *spawned, prompt, hello string) error {
	texts := [][]byte{[]byte(hello + "\n"), []byte(prompt)}
	tried := false
	for {
		asked, err := wait(ctx, p.late, func() (int, error) { return p.errs.until(texts...) })
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("%s: %w", s.conn.name, err)
			}
			return s.explain(p, err)
		}
		if asked == 0 {
			return nil
		}
		if tried {
			return &BecomeError{
				Host: s.conn.name, User: s.user, Login: s.conn.login,
				Reason: "sudo does not accept the password", Hint: "run again and give the password of " + s.conn.login,
			}
		}
		tried = true
		p.timer.Stop() // a person is typing
		password, err := s.conn.ask.ask(ctx, sudoPassword, "sudo password: ")
		if err != nil {
			return &BecomeError{
				Host: s.conn.name, User: s.user, Login: s.conn.login,
				Reason: "sudo wants a password: " + err.Error(),
			}
		}
		p.timer.Reset(s.conn.startLimit)
		if _, err := wait(ctx, p.late, func() (int, error) { return p.Stdin().Write([]byte(password + "\n")) }); err != nil {
			return s.explain(p, errNoMark)
		}
	}
}

// wait calls fn. If the context ends or late is closed, it returns without stopping fn.
func wait[T any](ctx context.Context, late <-chan struct{}, fn func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := fn()
		done <- result{value, err}
	}()
	var zero T
	select {
	case r := <-done:
		return r.value, r.err
	case <-late:
		return zero, errNoWord
	case <-ctx.Done():
		return zero, context.Cause(ctx)
	}
}

// refused explains, from what was printed instead, why the user's shell did not start.
func (s *session) refused(complaint string) error {
	e := &BecomeError{Host: s.conn.name, User: s.user, Login: s.conn.login, Reason: orNothing(complaint)}
	switch {
	case strings.Contains(complaint, "a password is required"), strings.Contains(complaint, "a terminal is required"):
		e.Reason = "sudo wants a password"
		e.Hint = "let hlplay ask for the sudo password, or allow " + s.conn.login + " to use sudo without one (NOPASSWD)"
	case strings.Contains(complaint, "not in the sudoers file"), strings.Contains(complaint, "is not allowed to"), strings.Contains(complaint, "may not run sudo"):
		e.Reason = "sudo does not allow it (" + complaint + ")"
		e.Hint = "add " + s.conn.login + " to the sudoers of the host"
	case strings.Contains(complaint, "sudo") && (strings.Contains(complaint, "not found") || strings.Contains(complaint, "Unknown command")):
		e.Reason = "sudo is not installed on the host"
		e.Hint = "log in as root, or install sudo"
	case strings.Contains(complaint, "unknown user"), strings.Contains(complaint, "does not exist"):
		e.Reason = "there is no such user (" + complaint + ")"
	}
	return e
}
