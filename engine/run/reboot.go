package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// reboot restarts a host, verifies by the kernel's boot ID that it did, and waits until it is ready. reads are read when it is back.
func (e *execution) reboot(ctx context.Context, h *host, a modules.Reboot, keep remote.Query, reads []observe.Read, begin func()) error {
	limit := a.Limit
	if limit == 0 {
		limit = 10 * time.Minute
	}
	known, _ := h.observed.Known(observe.Kernels.Key(""))
	kernel, _ := known.(observe.Kernel)
	before, heard, err := e.restart(ctx, h, kernel.BootID, keep, begin)
	if err != nil {
		return err
	}
	begun := e.clock.Now()
	h.connection.drop()
	h.keeper.took(remote.Query{}, errRebooted)
	var last error
	tried := begun
	first := backoff{2 * time.Second, 15 * time.Second}
	for retry := first; tried.Sub(begun) < limit; {
		e.report(report.Progress{Host: h.Name, What: "the host to come back from its reboot", Awaits: true, Limit: limit})
		if err := retry.sleep(ctx, e.clock); err != nil {
			return err
		}
		tried = e.clock.Now()
		if _, last = h.connection.reopen(ctx); last != nil {
			continue
		}
		after, err := bootID(ctx, h, reads)
		if err == nil && after != before {
			return e.readied(ctx, h, a.Ready, limit-e.clock.Now().Sub(begun))
		}
		last = err
		if err == nil {
			last = errors.New("it answers, but has not rebooted yet")
			if !heard && tried.Sub(begun) >= inhibited && e.staysUp(ctx, h) {
				e.report(report.Note{Text: h.Name + ": the connection was lost while the host was told to reboot, and it does not shut down; it is told again"})
				if keep.Script == "" {
					keep = h.keeper.before(nil)
				}
				switch again, _, err := e.restart(ctx, h, before, keep, func() {}); {
				case err == nil:
					before, heard, begun, retry = again, true, e.clock.Now(), first
					tried = begun
				case !unreachable(h, err): // otherwise it was not told, because it goes down after all
					return err
				}
			}
		}
		h.connection.drop()
		h.keeper.took(remote.Query{}, errRebooted)
	}
	reason := fmt.Sprintf("did not come back within %s of its reboot", limit)
	if last != nil {
		reason += "; at the last try: " + last.Error()
	}
	return &remote.UnreachableError{
		Host: h.Name, Address: h.Address, Err: last, Reason: reason,
		Hint: "look at its console: a new kernel may have renamed the network interface; then run again",
	}
}

// restart tells a host to reboot and returns its boot ID before that, which is known if the host does not say it. It calls
// begin when the host may start to. heard is false if the connection was lost before the host said that it would.
func (e *execution) restart(ctx context.Context, h *host, known string, keep remote.Query, begin func()) (before string, heard bool, err error) {
	session, err := h.connection.session(ctx, h.connection.readsAs())
	if err != nil {
		return "", false, err
	}
	restart := remote.Command{Argv: []string{"systemctl", "reboot"}, Limit: 30 * time.Second}
	results, _, err := session.RunAll(ctx, remote.Actions{
		Commands: []remote.Command{{Argv: []string{"cat", observe.BootIDFile}, Limit: 30 * time.Second, Before: keep}, restart},
		Ended: func(i int, r remote.Result) {
			if i == 0 && r.Exit == 0 {
				begin()
			}
		},
	})
	switch {
	case len(results) > 0:
		if before, err = observe.ParseBootID(results[0].Exit, results[0].Stdout, results[0].Stderr); err != nil {
			return "", false, fmt.Errorf("reboot: cannot read the boot ID, so a reboot could not be verified: %w", err)
		}
	case unreachable(h, err): // it may have gone down before its answers were sent
		begin()
		if before = known; before == "" {
			return "", false, err
		}
	default:
		return "", false, h.keeper.prevented(err)
	}
	// The response may get lost when the host goes down: only a clear refusal counts.
	if len(results) == 2 {
		r := results[1]
		switch {
		case r.Exit != 0 && bytes.Contains(r.Stderr, []byte(goingDown)):
			e.report(report.Note{Text: h.Name + ": a shutdown is in progress there already; hlplay waits for the host to come back from it"})
		case r.Exit != 0 && r.Exit <= 128 && r.Limit == 0:
			return "", false, &commandError{summary: "reboot", argv: restart.Argv, result: r}
		}
	}
	return before, len(results) == 2, ctx.Err()
}

// goingDown is what systemd-logind says to all who want a host to shut down while it is about to (org.freedesktop.login1(5)).
// Somebody else has told it to, or this run or the one before did, and something delays it (systemd-inhibit(1)).
const goingDown = "already a shutdown or sleep operation in progress"

// inhibited is how long a host that was told to reboot may show no sign of it: a program may delay that by 5 s
// (InhibitDelayMaxSec in logind.conf(5)), and by 30 s with Debian's unattended-upgrades. Telling it again does no harm.
const inhibited = 15 * time.Second

// staysUp reports whether systemd says that the host is not shutting down.
func (e *execution) staysUp(ctx context.Context, h *host) bool {
	session, err := h.connection.session(ctx, h.connection.readsAs())
	if err != nil {
		return false
	}
	answers, err := session.Ask(ctx, []remote.Query{remote.Argv(30*time.Second, "systemctl", "is-system-running")})
	if err != nil {
		return false
	}
	switch strings.TrimSpace(string(answers[0].Stdout)) { // systemctl(1); "stopping", "offline" and "unknown" are the others
	case "initializing", "starting", "running", "degraded", "maintenance":
		return true
	}
	return false
}

// readied waits until a host that has rebooted is ready, for as long as is left.
func (e *execution) readied(ctx context.Context, h *host, ready []modules.Proof, left time.Duration) error {
	if len(ready) == 0 {
		return nil
	}
	began := e.clock.Now()
	bounded, cancel := withTimeout(ctx, e.clock, max(left, time.Second), errUnready)
	defer cancel()
	for _, proof := range ready {
		for retry := (backoff{time.Second, 10 * time.Second}); ; {
			e.report(report.Progress{Host: h.Name, What: proof.Summary, Awaits: true, Limit: left})
			err := e.ready(bounded, h, proof)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if retry.sleep(bounded, e.clock) != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				return fmt.Errorf("it has rebooted, but was not ready %s later: %w", e.clock.Now().Sub(began).Round(time.Second), err)
			}
		}
	}
	h.observed.ForgetAll()
	return nil
}

// errUnready ends the waiting for a host to get ready.
var errUnready = errors.New("the time for the reboot has run out")

// ready runs a proof on a host that has rebooted. If the connection is lost, it connects again for the next try: a host whose
// network is still being set up may cut connections.
func (e *execution) ready(ctx context.Context, h *host, proof modules.Proof) error {
	session, err := h.connection.session(ctx, h.connection.readsAs())
	lost := err != nil
	if err == nil {
		err = try(ctx, session, proof)
		lost = unreachable(h, err)
	}
	if lost {
		if _, failed := h.connection.reopen(ctx); failed == nil {
			h.keeper.took(remote.Query{}, errReconnected)
		}
	}
	return err
}

// errRebooted ends the acting shells of a host that was rebooted.
var errRebooted = errors.New("the host was rebooted")

// bootID returns the host's boot ID, read together with reads. Everything that was known before is forgotten.
func bootID(ctx context.Context, h *host, reads []observe.Read) (id string, err error) {
	h.observed.ForgetAll()
	done := make(chan struct{})
	h.observed.Go(ctx, func(ctx context.Context) {
		defer close(done)
		h.observed.Want(reads)
		id, err = observe.BootIDs.Observe(ctx, h.observed, "")
	})
	<-done
	return id, err
}
