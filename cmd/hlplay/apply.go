package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hlplay/engine/journal"
	"hlplay/engine/plan"
)

func applyCommand() *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Carry out a plan, and stop where it is no longer true",
		Long: `Apply runs the playbook of a plan with the arguments of that plan. Each task is decided anew: it does what the plan has for it, and
nothing else. At the first task that would do something else, less or more, nothing more is begun, and what differs is said. A task whose steps
could not be told beforehand does what --allow allows.

It refuses if the playbook, the inventory or a file that they read has changed since. Values of -e that may be secrets are not in the
plan: they are asked for, or given with -e.

` + classes() + `

Exit codes: as those of hlplay run; 2 also if the plan is no longer true.`,
		Example: `  hlplay apply cluster.plan
  hlplay apply cluster.plan --allow command,restart`,
		Args: onePlan,
		RunE: func(cmd *cobra.Command, args []string) error { return f.apply(cmd.Context(), args[0]) },
	}
	f.keyFlags.add(cmd)
	cmd.Flags().StringArrayVarP(&f.extra, "extra-vars", "e", nil, "give a `name=value` that is not in the plan, because it may be a secret (repeatable)")
	f.outputFlags.add(cmd)
	f.journalFlags.add(cmd)
	f.addForks(cmd)
	f.addAllow(cmd)
	f.startGiven = func() bool { return f.startAt != "" }
	return cmd
}

func (f *runFlags) apply(ctx context.Context, file string) error {
	p, err := plan.Read(file)
	if err != nil {
		return err
	}
	if err := errors.Join(f.validateJournal(), f.validateForks()); err != nil {
		return err
	}
	f.take(p.Run.Arguments)
	if f.extra, err = f.values(ctx, p.Run.Arguments.Values); err != nil {
		return err
	}
	pb, inv, err := f.load(ctx, p.Run.Playbook, true, f.selectFlags)
	if err != nil {
		return err
	}
	if differences := journal.Differences(p.Run.Sources, journal.Sources(pb, inv)); len(differences) > 0 {
		return fmt.Errorf("since the plan was made:\n  %s\nit was approved for what stood there then: make a new one with hlplay plan", strings.Join(differences, "\n  "))
	}
	if err := f.validate(pb); err != nil {
		return err
	}
	f.follow = p
	return f.carryOut(ctx, pb, inv)
}
