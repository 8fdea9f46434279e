package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"hlplay/engine/report"
	"hlplay/engine/run"
)

// factsFlags are the flags of `hlplay facts`.
type factsFlags struct {
	inputFlags
	connectFlags
	rehearse bool
}

func factsCommand() *cobra.Command {
	f := &factsFlags{}
	cmd := &cobra.Command{
		Use:   "facts PATTERN -i INVENTORY [NAME...]",
		Short: "Print the facts of hosts as JSON, all or those named",
		Example: `  hlplay facts pve -i inventory
  hlplay facts pve1 -i inventory disks memory`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no hosts given: name a host, a group or all, as in hlplay facts all -i INVENTORY")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args[0], args[1:]) },
	}
	f.addInventory(cmd)
	cmd.Flags().BoolVar(&f.rehearse, "rehearse", false, "use simulated nodes, one for each host of the inventory")
	f.connectFlags.add(cmd)
	return cmd
}

func (f *factsFlags) run(ctx context.Context, pattern string, names []string) error {
	inv, err := f.loadInventory()
	if err != nil {
		return err
	}
	inv, end, err := f.simulated(ctx, inv, f.rehearse)
	if err != nil {
		return err
	}
	defer end()
	hosts, err := inv.Match(pattern)
	if err != nil {
		return err
	}
	if err := f.prepareAloud(hosts); err != nil {
		return err
	}
	facts, err := run.Facts(ctx, inv, pattern, names, f.connect(func(fn func()) { fn() }))
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write(append(report.EscapeUnseen(facts.JSON), '\n')); err != nil {
		return err
	}
	code := exitOK
	for _, failure := range facts.Failures {
		complain(failure)
		code = exitUnreachable
	}
	if code != exitOK {
		return &exitError{code: code}
	}
	return nil
}
