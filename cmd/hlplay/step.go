package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"hlplay/engine/plan"
	"hlplay/engine/report"
	"hlplay/engine/run"
)

// stepper returns a function that asks on the terminal, task by task, whether to continue (--step).
func (f *runFlags) stepper(out report.Reporter, r *report.Redactor) func(context.Context, []run.Proposal) (run.Answer, error) {
	return func(ctx context.Context, proposals []run.Proposal) (answer run.Answer, err error) {
		tty, err := openTerminal()
		if err != nil {
			return run.Leave, err
		}
		defer tty.Close()
		report.Suspend(out, func() {
			fmt.Fprint(tty, plan.Question(r, proposals, f.diff))
			for {
				fmt.Fprint(tty, "Carry this out? yes (y), no (n), or all that follows without asking (a): ")
				text, readErr := readLine(ctx, tty)
				switch {
				case ctx.Err() != nil:
					fmt.Fprintln(tty)
					err = ctx.Err()
					return
				case readErr != nil:
					err = fmt.Errorf("no answer was given on the terminal (%w), so it was not started", readErr)
					return
				}
				var ok bool
				if answer, ok = answers[strings.ToLower(text)]; ok {
					return
				}
			}
		})
		return answer, err
	}
}

var answers = map[string]run.Answer{
	"y": run.Carry, "yes": run.Carry, "n": run.Leave, "no": run.Leave, "a": run.CarryAll, "all": run.CarryAll,
}

// validateAsk rejects asking about changes that would not be carried out.
func (f *runFlags) validateAsk() error {
	if f.ask && f.check {
		return errors.New("--ask shows what --check shows, and then asks whether to carry it out: leave one of them out")
	}
	return nil
}

// validateStep rejects questions that nobody could answer.
func (f *runFlags) validateStep() error {
	switch {
	case !f.step:
		return nil
	case f.check:
		return errors.New("--step has nothing to ask about with --check, which changes nothing: leave one of them out")
	case f.ask:
		return errors.New("--ask shows everything and asks once, --step asks task by task: leave one of them out")
	}
	tty, err := openTerminal()
	if err != nil {
		return errors.New("--step: there is no terminal to ask on: make a plan with hlplay plan, and apply it")
	}
	return tty.Close()
}
