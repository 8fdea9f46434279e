package run

import (
	"hlplay/engine/nodestate"
	"hlplay/engine/report"
)

// handlers runs the notified handlers, once each, in the order in which the play declares them. A host that failed
// after notifying a handler runs it too: the next run would find the task done and not notify again.
func (b *batch) handlers() {
	if b.shut {
		return
	}
	b.takeOver()
	for _, declared := range b.play.Handlers {
		if b.ctx.Err() != nil {
			return
		}
		t := b.tasks[declared]
		var sure []*host
		for _, h := range reachable(b.members) {
			switch b.notifications.take(t, h) {
			case due:
				sure = append(sure, h)
			case doubtful:
				b.finish(t, h, outcome{status: report.Uncertain, message: "whether a task notifies it is unknown"})
			}
		}
		if len(sure) > 0 { // failed hosts stay failed whatever the handler does
			despite(sure, func() { b.task(t, sure) })
		}
	}
}

// takeOver notifies the play's handlers that earlier runs have left due on the batch's hosts, and says why. It does not
// connect to hosts on which no task was selected.
func (b *batch) takeOver() {
	declared := map[string]*task{}
	for _, t := range b.play.Handlers {
		declared[nodestate.Name(b.play.Name, t.Name)] = b.tasks[t]
	}
	if len(declared) == 0 {
		return
	}
	for _, h := range reachable(b.members) {
		if !h.reached || h.keeper.look(b.ctx) != nil {
			continue
		}
		for _, d := range h.keeper.overdue() {
			if t := declared[d.ID]; t != nil && b.notifications.takeOver(t, h) {
				d.Play, d.Handler = b.play.Name, t.Name
				b.report(report.Note{Text: h.Name + ": " + d.String()})
			}
		}
	}
}
