package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hlplay/engine/nodestate"
	"hlplay/engine/remote"
	"hlplay/engine/report"
)

// grace is how long a lock is retried without --wait: a run that has just ended takes a moment to release it.
const grace = 3 * time.Second

// await waits until no other run holds a host's lock. It then forgets what was read before.
func (b *batch) await(ctx context.Context, h *host) (waited bool, err error) {
	if err := h.keeper.look(ctx); err != nil {
		return false, nil // the host's own task reports it
	}
	begun := b.clock.Now()
	retry := backoff{grace / 6, 5 * time.Second}
	for {
		if l, is := h.keeper.occupied(); is {
			waited = true
			if err = b.outlast(ctx, h, l); err != nil {
				break
			}
			begun, retry.pause = b.clock.Now(), grace/6
			continue
		}
		err = h.keeper.locked()
		tried := b.clock.Now()
		if err == nil || tried.Sub(begun) >= max(grace, b.options.Wait) {
			break
		}
		waited = true
		if b.options.Wait > 0 {
			what := strings.TrimSuffix(err.Error(), "; nothing was started there")
			b.report(report.Progress{Host: h.Name, What: "the other run to end: " + what, Awaits: true, Limit: b.options.Wait})
		}
		if sleepErr := retry.sleep(ctx, b.clock); sleepErr != nil {
			return waited, sleepErr
		}
		if lookErr := h.keeper.lookAgain(ctx); lookErr != nil {
			return waited, lookErr
		}
	}
	var locked *lockedError
	if waited && !errors.As(err, &locked) {
		b.report(report.Progress{Host: h.Name})
		h.forgetAll()
		b.outdated(h)
	}
	return waited, err
}

// lookEvery is how long a host waits for the end of a long command before it is asked again.
const lookEvery = time.Minute

// outlast waits for the end of a long command that an earlier run started, within its limit. Its result is only
// reported: the task is planned from the state of the host afterwards.
func (b *batch) outlast(ctx context.Context, h *host, l nodestate.Long) error {
	longest := time.Duration(l.Limit)*time.Second + time.Minute
	limit := min(longest, max(time.Minute, l.Since.Add(longest).Sub(b.clock.Now()))) // the start time is from another controller's clock
	if l.Limit == 0 {
		limit = remote.DefaultLimit
	}
	b.report(report.Note{Text: fmt.Sprintf("%s: %s; this run waits for it to end", h.Name, l)})
	begun := b.clock.Now()
	for tried := begun; tried.Sub(begun) < limit; tried = b.clock.Now() {
		b.report(report.Progress{Host: h.Name, What: fmt.Sprintf("%q, which an earlier run started, to end", l.What), Awaits: true, Limit: limit})
		// A shell of the earlier run may wait for the command, too, and would go on behind it.
		if _, err := h.connection.Ask(ctx, []remote.Query{l.Withhold(), l.Await(min(lookEvery, limit))}); err != nil {
			return err
		}
		if err := h.keeper.lookAgain(ctx); err != nil {
			return err
		}
		if now := h.keeper.fate(l); now.Fate != nodestate.Alive {
			h.keeper.discard(now)
			b.report(report.Note{Text: fmt.Sprintf("%s: %s", h.Name, now)})
			return nil
		}
		if b.clock.Now().Sub(tried) < time.Second { // the host cannot wait for it
			if err := b.clock.Sleep(ctx, 5*time.Second); err != nil {
				return err
			}
		}
	}
	return &occupiedError{h.Name, l}
}

// occupiedError reports that a long command of an earlier run does not end.
type occupiedError struct {
	host string
	by   nodestate.Long
}

func (e *occupiedError) Error() string {
	return e.by.String() + ", and has not ended; nothing was started"
}

func (e *occupiedError) Hint() string {
	return "find out on the host what it is waiting for, stop it if it is not needed, and run again"
}

// awaitUndo waits until a host has undone a change that an earlier run made and did not prove, because anything read
// before that would be outdated. It reports what the change was. Check mode only reports it.
func (b *batch) awaitUndo(ctx context.Context, h *host) (waited bool, err error) {
	if err := h.keeper.look(ctx); err != nil {
		return false, nil // the host's own task reports it
	}
	var last error
	begun := b.clock.Now()
	retry := backoff{time.Second, 5 * time.Second}
	for {
		u := h.keeper.armed()
		if u == nil {
			break
		}
		if b.check {
			b.report(report.Note{Text: h.Name + ": " + u.String()})
			return false, nil
		}
		if !waited {
			b.report(report.Note{Text: h.Name + ": " + u.String() + "; waiting for that"})
		}
		waited = true
		if b.clock.Now().Sub(begun) > u.Within+untilUndone {
			return waited, fmt.Errorf("%s; the time is up, but the host has not undone it: see %s/undo there, or keep the change with hlplay status %s --clear --reason WHY (%v)", u, nodestate.Dir, h.Name, last)
		}
		b.report(report.Progress{Host: h.Name, What: "the host to undo the unconfirmed change", Awaits: true, Limit: u.Within})
		if err := retry.sleep(ctx, b.clock); err != nil {
			return waited, err
		}
		if last = h.keeper.lookAgain(ctx); last != nil {
			_, last = h.connection.reopen(ctx) // undoing may have cut the connection
		}
	}
	if waited {
		b.report(report.Progress{Host: h.Name})
		h.forgetAll()
		b.outdated(h)
	}
	return waited, nil
}

// outdated drops plans that were made from a host before the run waited for it.
func (b *batch) outdated(h *host) {
	h.planner.invalidate()
	for _, reader := range b.hosts.all() {
		reader.planner.peerChanged(h.observed)
	}
}
