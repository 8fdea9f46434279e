package run

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"hlplay/engine/lang"
	"hlplay/engine/nodestate"
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
	if t.shut {
		return
	}
	t.takeOver()
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

// takeOver notifies the handlers of the play that earlier runs have left due on the batch's hosts, and says why. A host on which no
// task was selected is not connected to for that.
func (t *turn) takeOver() {
	declared := map[string]*lang.Task{}
	for _, task := range t.play.Handlers {
		declared[nodestate.Name(t.play.Name, task.Name)] = task
	}
	if len(declared) == 0 {
		return
	}
	for _, h := range t.reachable(t.batch) {
		if !h.reached || h.keeper.look(t.ctx) != nil {
			continue
		}
		for _, d := range h.keeper.overdue() {
			task := declared[d.ID]
			if task == nil {
				continue
			}
			key := handlerKey{t.play.Name, task.Name, h.Name}
			t.mu.Lock()
			known := t.runner.overdue[key]
			if !known {
				t.runner.overdue[key] = true
				t.runner.handlers[key] = due
			}
			t.mu.Unlock()
			if !known {
				d.Play, d.Handler = t.play.Name, task.Name
				t.report(report.Note{Text: h.Name + ": " + d.String()})
			}
		}
	}
}

// flushKept tells the nodes what they were not told yet: it goes with what is sent to them otherwise.
func (r *runner) flushKept() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 10*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, h := range r.met() {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_ = h.keeper.flush(ctx) // what is due once too often runs once too often
		}()
	}
	wg.Wait()
}

// reportLostHandlers names the handlers that were notified and could not run: their hosts were lost, or the run was interrupted;
// and what is still due on the hosts.
func (r *runner) reportLostHandlers() {
	r.mu.Lock()
	kept, lost, still := map[string][]string{}, map[string][]string{}, map[string][]string{}
	for key := range r.handlers {
		if r.hosts[key.host].keeper.remembers(nodestate.Name(key.play, key.handler)) {
			kept[key.handler] = append(kept[key.handler], key.host)
		} else {
			lost[key.handler] = append(lost[key.handler], key.host)
		}
	}
	r.mu.Unlock()
	have := map[string]handlerKey{}
	for _, play := range r.playbook.Plays {
		for _, task := range play.Handlers {
			have[nodestate.Name(play.Name, task.Name)] = handlerKey{play: play.Name, handler: task.Name}
		}
	}
	var strange []string
	for _, h := range r.met() {
		for _, d := range h.keeper.all() {
			key, known := have[d.ID]
			key.host = h.Name
			r.mu.Lock()
			_, told := r.handlers[key]
			r.mu.Unlock()
			switch {
			case told:
			case known:
				still[key.handler] = append(still[key.handler], h.Name)
			default:
				strange = append(strange, h.Name+": "+d.String()+"; "+advice(d, r.playbook.Path, h.Name))
			}
		}
	}
	for _, note := range []struct {
		of   map[string][]string
		open string
		end  string
	}{
		{kept, "notified but not run: ", "due from now on: the next run of this playbook runs them"},
		{lost, "notified but not run: ", "run them by hand, for the next run may find their tasks done and not notify them"},
		{still, "still due: ", "the next run of this playbook runs them"},
	} {
		if len(note.of) > 0 && !(r.options.Check && note.open == "still due: ") {
			r.report(report.Note{Text: note.open + onHosts(note.of) + "; " + note.end})
		}
	}
	for _, text := range strange {
		r.report(report.Note{Text: text})
	}
}

// met are the hosts that the run has met, in the inventory's order.
func (r *runner) met() (all []*host) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ih := range r.inventory.Hosts {
		if h := r.hosts[ih.Name]; h != nil {
			all = append(all, h)
		}
	}
	return all
}

// onHosts lists handlers with their hosts.
func onHosts(byHandler map[string][]string) string {
	var all []string
	for name, hosts := range byHandler {
		sort.Strings(hosts)
		all = append(all, fmt.Sprintf("%q on %s", name, strings.Join(hosts, ", ")))
	}
	sort.Strings(all)
	return strings.Join(all, "; ")
}

// advice says what to do about a handler that is due and that the playbook does not have.
func advice(d nodestate.Due, playbook, host string) string {
	how := "run a playbook that has it"
	if d.Playbook != "" && d.Playbook != playbook {
		how = "run " + d.Playbook
	}
	return fmt.Sprintf("this playbook has no such handler: %s, or forget it with hlplay status %s --clear --reason WHY", how, host)
}
