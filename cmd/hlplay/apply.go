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
		Short: "Carry out a plan, and stop at the first difference",
		Long: `Apply runs the playbook of a plan with the plan's arguments. Every task is planned again and must result in the same steps.
Apply stops at the first task that would do anything else, more or less, and says what differs. A task whose steps were
uncertain may do what --allow permits. A plan that destroys something is refused unless --allow names destroy.

Apply refuses if the playbook, the inventory or a file that they read has changed since. Values of -e that may be secret are not in
the plan: give them again with -e, or hlplay asks for them.

` + riskClasses() + `

Exit codes: those of hlplay run; 2 also if the hosts have changed since the plan was made.`,
		Example: `  hlplay apply cluster.plan
  hlplay apply cluster.plan --allow command,restart`,
		Args: onePlan,
		RunE: func(cmd *cobra.Command, args []string) error { return f.apply(cmd.Context(), args[0]) },
	}
	f.keyFlags.add(cmd)
	cmd.Flags().StringArrayVarP(&f.extra, "extra-vars", "e", nil, "set a `name=value` that the plan leaves out because it may be secret (repeatable)")
	f.outputFlags.add(cmd)
	f.journalFlags.add(cmd)
	f.addForks(cmd)
	f.addAllow(cmd)
	f.reportFlags.add(cmd)
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
	allowed, err := f.allowed(true)
	if err != nil {
		return err
	}
	if err := p.Refused(allowed); err != nil {
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
		return fmt.Errorf("since the plan was made:\n  %s\nthe plan was approved for the earlier state: make a new one with hlplay plan", strings.Join(differences, "\n  "))
	}
	if err := f.validate(pb); err != nil {
		return err
	}
	f.follow = p
	return f.carryOut(ctx, pb, inv)
}
