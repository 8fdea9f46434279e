package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

const bootIDFile = "/proc/sys/kernel/random/boot_id"

// reboot restarts a host, verifies by the kernel's boot ID that it did, and waits until it is ready.
func (e *execution) reboot(ctx context.Context, h *host, a modules.Reboot, keep remote.Query, begin func()) error {
	limit := a.Limit
	if limit == 0 {
		limit = 10 * time.Minute
	}
	before, err := bootID(ctx, h)
	if err != nil {
		return fmt.Errorf("reboot: cannot read the boot ID, so a reboot could not be verified: %w", err)
	}
	session, err := h.connection.session(ctx, h.connection.readsAs())
	if err != nil {
		return err
	}
	begin()
	// The response may get lost when the host goes down: only a clear refusal counts.
	result, err := session.Run(ctx, remote.Command{Argv: []string{"systemctl", "reboot"}, Limit: 30 * time.Second, Before: keep})
	if err == nil && result.Exit != 0 && result.Exit <= 128 && result.Limit == 0 {
		return &commandError{summary: "reboot", argv: []string{"systemctl", "reboot"}, result: result}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	begun := e.clock.Now()
	h.connection.drop()
	h.keeper.took(remote.Query{}, errRebooted)
	var last error
	tried := begun
	for retry := (backoff{2 * time.Second, 15 * time.Second}); tried.Sub(begun) < limit; {
		e.report(report.Progress{Host: h.Name, What: "the host to come back from its reboot", Awaits: true, Limit: limit})
		if err := retry.sleep(ctx, e.clock); err != nil {
			return err
		}
		tried = e.clock.Now()
		if _, last = h.connection.reopen(ctx); last != nil {
			continue
		}
		after, err := bootID(ctx, h)
		if err == nil && after != before {
			h.observed.ForgetAll()
			return e.readied(ctx, h, a.Ready, limit-e.clock.Now().Sub(begun))
		}
		last = err
		if err == nil {
			last = errors.New("it answers, but has not rebooted yet")
		}
		h.connection.drop()
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

func bootID(ctx context.Context, h *host) (string, error) {
	answers, err := h.connection.Ask(ctx, []remote.Query{{Script: "cat " + bootIDFile}})
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(answers[0].Stdout))
	if answers[0].Exit != 0 || id == "" {
		return "", fmt.Errorf("%s: %s", bootIDFile, firstLine(answers[0].Stderr))
	}
	return id, nil
}
