package run

import (
	"fmt"
	"sort"
	"strings"

	"hlplay/engine/report"
)

// handlerKey is a handler that was notified on a host.
type handlerKey struct{ play, handler, host string }

// notice is how sure it is that a handler is to run on a host. The surest of its tasks decides.
type notice int

const (
	// missed is of a task that failed and yet may have made its change: to act on it would be
	// rash, but the next run can find the task done and not notify again, so a person must know.
	missed notice = 1 + iota
	// doubtful is of a task of which check mode cannot know whether it changes anything.
	doubtful
	// due is of a task that changed something.
	due
)

// notify remembers the handlers of a task.
func (r *runner) notify(s *slot, h *host, n notice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range s.task.Notify {
		key := handlerKey{s.play.Name, name, h.Name}
		r.handlers[key] = max(n, r.handlers[key])
	}
}

// handlers runs what was notified, in the order in which the play declares the handlers, once each. A
// host that failed after it notified runs them too: the next run would find its task done and never
// notify again.
func (t *turn) handlers() {
	for _, task := range t.play.Handlers {
		var hosts []*host
		t.mu.Lock()
		for _, h := range t.batch {
			key := handlerKey{t.play.Name, task.Name, h.Name}
			if t.runner.handlers[key] >= doubtful && !h.unreachable {
				hosts = append(hosts, h)
			}
		}
		t.mu.Unlock()
		if len(hosts) == 0 || t.ctx.Err() != nil {
			continue
		}
		s := t.slots[task]
		t.handler(s, hosts)
	}
}

// handler runs one handler on the hosts that notified it. Failed hosts stay failed whatever it does.
func (t *turn) handler(s *slot, hosts []*host) {
	var sure, unsure []*host
	t.mu.Lock()
	for _, h := range hosts {
		key := handlerKey{s.play.Name, s.task.Name, h.Name}
		if t.runner.handlers[key] == due {
			sure = append(sure, h)
		} else {
			unsure = append(unsure, h)
		}
		delete(t.runner.handlers, key)
	}
	t.mu.Unlock()
	for _, h := range unsure {
		t.finish(s, h, outcome{status: report.Uncertain, message: "it is not known whether a task notifies it"})
	}
	if len(sure) > 0 {
		t.despite(sure, func() { t.task(s, sure) })
	}
}

// reportLostHandlers names the handlers that were notified and could not run: their hosts were lost,
// or the run was interrupted. The next run may not notify them again.
func (r *runner) reportLostHandlers() {
	r.mu.Lock()
	byHandler := map[string][]string{}
	for key := range r.handlers {
		byHandler[key.handler] = append(byHandler[key.handler], key.host)
	}
	r.mu.Unlock()
	var lost []string
	for name, hosts := range byHandler {
		sort.Strings(hosts)
		lost = append(lost, fmt.Sprintf("%q on %s", name, strings.Join(hosts, ", ")))
	}
	if len(lost) == 0 {
		return
	}
	sort.Strings(lost)
	r.report(report.Note{Text: "notified but not run: " + strings.Join(lost, "; ") +
		"; run them by hand, for the next run may find their tasks done and not notify them"})
}
