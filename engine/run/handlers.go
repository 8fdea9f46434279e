package run

import (
	"fmt"
	"sort"
	"strings"

	"hlplay/engine/report"
)

// handlerKey is a handler that was notified on a host.
type handlerKey struct{ play, handler, host string }

// notify remembers the handlers of a task that changed something.
func (r *runner) notify(s *slot, h *host, uncertain bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range s.task.Notify {
		key := handlerKey{s.play.Name, name, h.Name}
		// A handler that surely runs is not made doubtful by another task.
		if already, ok := r.handlers[key]; !ok || already {
			r.handlers[key] = uncertain
		}
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
			if _, ok := t.runner.handlers[key]; ok && !h.unreachable {
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
	t.mu.Lock()
	was := map[*host]bool{}
	doubtful := map[*host]bool{}
	for _, h := range hosts {
		was[h], h.failed = h.failed, false
		key := handlerKey{s.play.Name, s.task.Name, h.Name}
		doubtful[h] = t.runner.handlers[key]
		delete(t.runner.handlers, key)
	}
	t.mu.Unlock()
	var sure []*host
	for _, h := range hosts {
		if doubtful[h] {
			t.finish(s, h, outcome{status: report.Uncertain, message: "it is not known whether a task notifies it"})
			continue
		}
		sure = append(sure, h)
	}
	if len(sure) > 0 {
		t.task(s, sure)
	}
	t.mu.Lock()
	for h, failed := range was {
		h.failed = h.failed || failed
	}
	t.mu.Unlock()
}

// reportLostHandlers names the handlers that were notified and could not run: their hosts were lost,
// or the run was interrupted. The next run will not notify them again.
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
		"; run them by hand, for the next run will find their tasks done and not notify them"})
}
