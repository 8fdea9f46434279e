package run

import (
	"context"
	"fmt"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// steps carries out the steps of an item's plan, or predicts them in check mode. Nothing is begun after a
// step that failed.
//
// Steps that are one command each travel in one flight, and with the last of them what will be read when
// they are done: what verifies them, and what the items and tasks behind them read. A host decides by exit
// codes whether it goes on with the next; a command that nobody trusts that much travels alone.
func (t *turn) steps(ctx context.Context, s *slot, h *host, it *itemPlan, rest []*itemPlan, seen *sight, o *outcome) error {
	plan := it.plan
	steps := plan.Steps
	if it.secret {
		steps = make([]modules.Step, len(plan.Steps))
		for i, step := range plan.Steps {
			step.Diff = veiled(step.Diff)
			steps[i] = step
		}
	}
	for len(steps) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		on := h
		if steps[0].On != nil {
			on = t.byObserved(steps[0].On)
		}
		if t.options.Check {
			t.predict(s, h, on, steps[0])
			o.end(steps[0])
			steps = steps[1:]
			continue
		}
		commands := together(h, on, steps, seen)
		if len(commands) == 0 {
			t.report(report.Progress{Host: h.Name, Task: s.task.Name, What: steps[0].Summary})
			before, err := t.keep(ctx, s, h, on, s.user(on))
			if err == nil {
				err = t.act(ctx, on, s.user(on), steps[0], seen, before, func() { o.begin(steps[0]) })
			}
			o.unbegun(steps[0], err)
			t.forget(h, on, nil, nil)
			t.changed(h, steps[0])
			if err != nil {
				return err
			}
			o.end(steps[0])
			steps = steps[1:]
			continue
		}
		steps = steps[len(commands):]
		var ride *observe.Ride
		if len(steps) == 0 && on == h {
			ride = h.ride(s, it, rest)
		}
		before, err := t.keep(ctx, s, h, on, s.user(on))
		if err != nil {
			return err
		}
		commands[0].Before = before
		cleared := clears(s, plan, len(steps) == 0 && len(rest) == 0, commands)
		if err := t.flight(ctx, s, h, on, commands, ride, cleared, o); err != nil {
			return err
		}
	}
	return nil
}

// together are the first of some steps as commands that travel in one flight.
func together(h, on *host, steps []modules.Step, seen *sight) []command {
	var all []command
	for _, step := range steps {
		if step.On != steps[0].On {
			break
		}
		c, ok := asCommand(on, step, seen)
		if !ok {
			break
		}
		all = append(all, c)
		if c.suspicious() {
			break
		}
	}
	return all
}

// ride is what is read with the last steps of an item; nil if nothing can be.
func (h *host) ride(s *slot, it *itemPlan, rest []*itemPlan) *observe.Ride {
	pass := h.link.asReader(s.user(h))
	if pass == nil {
		return nil
	}
	var reads []observe.Read
	if it.saw != nil && !it.plan.Repeats {
		reads = append(reads, it.saw.Reads()...)
	}
	for _, next := range rest[:min(len(rest), widestRide)] {
		if next.saw != nil {
			reads = append(reads, next.saw.Reads()...)
		}
	}
	if len(rest) == 0 {
		reads = append(reads, h.ahead.coming(s)...)
	}
	ride := h.observed.Ride(reads, pass)
	if len(ride.Queries()) == 0 {
		return nil
	}
	return ride
}

// flight carries out commands, again while somebody else's lock is in the way of one, and then reads what
// rides with them.
func (t *turn) flight(ctx context.Context, s *slot, h, on *host, commands []command, ride *observe.Ride, cleared []string, o *outcome) (err error) {
	var answers []remote.Answer
	began := 0 // how many of the commands
	session, err := on.link.session(ctx, s.user(on))
	if err != nil {
		return err
	}
	defer func() {
		t.forget(h, on, ride, answers)
		for _, c := range commands[:began] {
			t.changed(h, c.step)
		}
	}()
	progress := func(i int) {
		if i < len(commands) {
			t.report(report.Progress{Host: h.Name, Task: s.task.Name, What: commands[i].step.Summary})
		}
	}
	begin := func(i int) {
		if i == began && i < len(commands) {
			o.begin(commands[i].step)
			commands[i].begun = t.options.Clock.Now()
			began++
		}
	}
	begin(0)
	progress(0)
	var queries []remote.Query
	var where []int
	if ride != nil {
		queries, where = distinct(ride.Queries())
	}
	reads := len(queries)
	var clear []string
	if on.link.isRoot(s.user(on)) && on == h {
		var q remote.Query
		if q, clear = h.keeper.clearing(cleared...); clear != nil {
			queries = append(queries, q)
		}
	}
	pause := time.Second
	for at := 0; ; {
		from, tried := at, t.options.Clock.Now()
		actions := remote.Actions{Then: queries, Ended: func(i int, _ remote.Result) { progress(from + i + 1) }}
		for _, c := range commands[at:] {
			actions.Commands = append(actions.Commands, c.Command)
		}
		var results []remote.Result
		var answered []remote.Answer
		results, answered, err = session.RunAll(ctx, actions)
		on.keeper.took(actions.Commands[0].Before, err)
		again := false
		for _, r := range results {
			begin(at)
			c := commands[at]
			if again = c.patient(tried, r); again {
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
			err = on.keeper.prevented(err)
			o.unbegun(commands[min(at, len(commands)-1)].step, err)
			return fmt.Errorf("%s: %w", commands[min(at, len(commands)-1)].step.Summary, err)
		case !again:
			if len(answered) != len(queries) {
				return nil
			}
			for _, at := range where {
				answers = append(answers, answered[at])
			}
			if clear != nil && answered[reads].Exit == 0 {
				h.keeper.told(clear)
			}
			return nil
		}
		if err := t.options.Clock.Sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, 10*time.Second)
	}
}

// forget drops what is remembered of the hosts that a step was carried out for and on, and remembers what
// was read behind it.
func (t *turn) forget(h, on *host, ride *observe.Ride, answers []remote.Answer) {
	if ride != nil {
		ride.Arrive(answers)
	} else {
		h.observed.Forget()
	}
	if on != h {
		on.observed.Forget()
	}
}
