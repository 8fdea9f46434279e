package run

import (
	"context"
	"fmt"
	"slices"
	"time"

	"hlplay/engine/nodestate"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// steps carries out the steps of an item's plan, or predicts them in check mode. Nothing is started after a step that
// failed.
//
// Steps that are one command each share a flight, and the last of them travels with the reads that follow: those that
// verify the steps, and those of the next items and tasks. The host decides by exit code whether to continue with the
// next command. A command whose exit code is not sufficient travels alone.
func (e *execution) steps(ctx context.Context, it *itemPlan, rest []*itemPlan, seen *baseline, o *outcome) error {
	plan := it.plan
	steps := it.visible()
	for len(steps) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		on := e.host
		if steps[0].On != nil {
			on = e.hosts.behind(steps[0].On)
		}
		if e.check {
			e.predict(on, steps[0])
			o.end(steps[0])
			if _, runs := steps[0].Action.(modules.Run); runs {
				o.runs = true
			}
			steps = steps[1:]
			continue
		}
		commands := together(e.host, on, steps, seen)
		e.copy(ctx, on, steps[:max(1, len(commands))])
		if len(commands) == 0 {
			e.report(report.Progress{Host: e.host.Name, Task: e.task.Name, What: steps[0].Summary})
			_, boots := steps[0].Action.(modules.Reboot)
			var reads []observe.Read
			if boots && len(steps) == 1 && on == e.host {
				_, reads = e.along(ctx, it, rest, nil, false)
			}
			before, err := e.keep(ctx, on)
			if err == nil {
				err = e.act(ctx, on, e.task.user(on), steps[0], seen, before, reads, func() { o.begin(steps[0]) })
			}
			o.unbegun(steps[0], err)
			if err != nil || !boots || on != e.host { // what was read since the reboot holds
				e.forget(on, nil, nil)
			}
			e.changed(steps[0], nil)
			if err != nil {
				return err
			}
			o.end(steps[0])
			steps = steps[1:]
			continue
		}
		steps = steps[len(commands):]
		done, err := e.doneAhead(on, it, commands, o)
		if err != nil {
			return err
		}
		var along []*part
		var readback *observe.Readback
		if done == nil && len(steps) == 0 && on == e.host {
			var reads []observe.Read
			pays := e.sendAhead && e.pays(e.host)
			along, reads = e.along(ctx, it, rest, commands, pays)
			readback = e.readback(it, rest, reads, pays && len(along) == 0)
		}
		before, err := e.keep(ctx, on)
		if err != nil {
			e.host.sent.hold(false)
			return err
		}
		commands[0].Before = before
		cleared := clears(e.task, plan, len(steps) == 0 && len(rest) == 0, commands)
		until := awaited(commands)
		if len(steps) > 0 || on != e.host {
			until = nil
		}
		e.copyAhead(ctx, along)
		err = e.flight(ctx, on, commands, until, readback, cleared, done, along, o)
		e.copyAgain(along)
		e.host.sent.hold(false)
		if err != nil {
			return err
		}
	}
	return nil
}

// readback returns what is read with the last steps of an item, or nil if nothing can be. It includes more. last says
// that the next task is to be planned from it, together with those that may be sent with it.
func (e *execution) readback(it *itemPlan, rest []*itemPlan, more []observe.Read, last bool) *observe.Readback {
	pass := e.host.connection.asReader(e.task.user(e.host))
	if pass == nil {
		return nil
	}
	reads := more
	if it.saw != nil && !it.plan.Repeats {
		reads = append(reads, it.saw.Reads()...)
	}
	if last && len(rest) == 0 {
		reads = append(reads, e.host.planner.coming(e.task, e.sharing(e.task))...)
	}
	readback := e.host.observed.Readback(reads, pass)
	if len(readback.Queries()) == 0 {
		return nil
	}
	readback.LendTo(e.hosts.observed())
	return readback
}

// flight carries out commands, repeating one that finds another process's lock or came too early, then the reads that travel with
// them, then the parts of later tasks. If until is not nil, the host waits before the reads until that step has settled. If the host has done
// the commands ahead of their turn, done holds its answers.
func (e *execution) flight(ctx context.Context, on *host, commands []command, until *modules.Step, readback *observe.Readback, cleared []string, done *part, along []*part, o *outcome) (err error) {
	var answers []remote.Answer
	began := 0 // how many of the commands
	var session remote.Session
	if done != nil {
		readback = done.readback
		readback.Renew()
		for i := range commands {
			commands[i].long = done.longs[i]
		}
	} else if session, err = on.connection.session(ctx, e.task.user(on)); err != nil {
		return err
	}
	defer func() {
		e.forget(on, readback, answers)
		for _, c := range commands[:began] {
			e.changed(c.step, readback)
		}
	}()
	told := -1
	progress := func(i int) {
		if i > told && i < len(commands) {
			told = i
			e.report(report.Progress{Host: e.host.Name, Task: e.task.Name, What: commands[i].step.Summary, Detached: done == nil && commands[i].long.ID != ""})
		}
	}
	begin := func(i int) {
		if i == began && i < len(commands) {
			o.begin(commands[i].step)
			commands[i].begun = e.clock.Now()
			began++
		}
	}
	begin(0)
	var queries []remote.Query
	var where []int
	if readback != nil {
		queries, where = distinct(readback.Queries())
	}
	waits := 0
	if until != nil {
		waits = 1
		queries = slices.Insert(queries, 0, awaits(*until))
	}
	reads := len(queries)
	var ended time.Time // when the last command ended
	e.waited = 0
	var clear []string
	switch {
	case done != nil:
		if clear = done.clears; clear != nil {
			queries = append(queries, nodestate.Clear(clear...))
		}
	case on.connection.isRoot(e.task.user(on)) && on == e.host:
		var q remote.Query
		if q, clear = e.host.keeper.clearing(cleared...); clear != nil {
			queries = append(queries, q)
		}
	}
	retry := backoff{time.Second, 10 * time.Second}

	for at, first := 0, true; ; first = false {
		from, tried := at, e.clock.Now()
		actions := remote.Actions{Then: queries, Ended: func(i int, _ remote.Result) {
			progress(from + i + 1)
			if from+i+1 < len(commands) {
				return
			}
			now := report.Progress{Host: e.host.Name, Task: e.task.Name}
			switch {
			case until != nil:
				ended = e.clock.Now()
				e.report(settling(now, *until))
			case commands[from+i].long.ID != "": // what follows in the flight is no part of it
				e.report(now)
			}
		}}
		for i := range commands[at:] {
			if done == nil && (!first || commands[at+i].long.ID == "") {
				e.detach(on, &commands[at+i])
			}
			switch {
			case i > 0:
				commands[at+i].follow(commands[at+i-1])
			case at > 0: // what was right before it has ended
				commands[at].Before = remote.Query{}
			}
			actions.Commands = append(actions.Commands, commands[at+i].Command)
		}
		progress(at)
		var results []remote.Result
		var answered []remote.Answer
		switch {
		case done != nil:
			results, answered, err = done.replay(actions.Ended)
		default:
			for _, p := range along {
				actions.Ahead = append(actions.Ahead, &p.Ahead)
			}
			results, answered, err = session.RunAll(ctx, actions)
			on.sent.add(along)
			along = nil
		}
		on.keeper.took(actions.Commands[0].Before, err)
		if under := at + len(results); under < len(commands) && commands[under].long.ID != "" && unreachable(on, err) {
			var next *command
			if under+1 < len(commands) {
				next = &commands[under+1]
			}
			var r remote.Result
			var ended bool
			if r, ended, err = e.reattach(ctx, on, commands[under], next, err); ended {
				results, done = append(results, r), nil
			}
			if err == nil {
				session, err = on.connection.session(ctx, e.task.user(on))
			}
		}
		again := false
		for _, r := range results {
			begin(at)
			c := commands[at]
			if again = c.patient(tried, r) || done != nil && c.early(r); again {
				break
			}
			last, err := c.judge(r)
			if last != nil {
				o.last = last
			}
			if err != nil {
				o.unbegun(c.step, err)
				return err
			}
			o.end(c.step)
			if a, ok := c.step.Action.(modules.Run); ok && a.Shows {
				o.output = printed(r, longestShown, longestShown)
			}
			at++
		}
		switch {
		case err != nil:
			begin(at)
			if unreachable(on, err) {
				on.keeper.doubt(clear)
			}
			err = on.keeper.prevented(err)
			o.unbegun(commands[min(at, len(commands)-1)].step, err)
			return fmt.Errorf("%s: %w", commands[min(at, len(commands)-1)].step.Summary, err)
		case !again && at < len(commands): // the connection was lost, and the rest has yet to be sent
			continue
		case !again:
			if len(answered) != len(queries) {
				return nil
			}
			for _, at := range where {
				answers = append(answers, answered[waits+at])
			}
			if !ended.IsZero() {
				e.waited = max(1, e.clock.Now().Sub(ended))
			}
			if clear != nil && answered[reads].Exit == 0 {
				e.host.keeper.told(clear)
			}
			return nil
		}
		if err := retry.sleep(ctx, e.clock); err != nil {
			return err
		}
		if done != nil { // the host has tried only once
			done = nil
			if session, err = on.connection.session(ctx, e.task.user(on)); err != nil {
				return err
			}
		}
	}
}
