package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"hlplay/engine/report"
)

// driftFlags are the flags of `hlplay drift`.
type driftFlags struct {
	runFlags
	asJSON bool
}

func driftCommand() *cobra.Command {
	f := &driftFlags{}
	cmd := &cobra.Command{
		Use:   "drift PLAYBOOK -i INVENTORY",
		Short: "Report how hosts differ from a playbook, for mail or monitoring",
		Long: `Drift runs a playbook in check mode and prints what differs: a summary line that begins with OK, DRIFT or UNKNOWN, then
each task that would change something on a host, and what it would change. Nothing is changed.

Exit codes: 0 all hosts are as declared; 1 bad input; 2 a task failed; 3 a host was unreachable; 4 a host differs;
130 interrupted.`,
		Example: `  hlplay drift playbooks/cluster.hcl -i inventory
  hlplay drift playbooks/cluster.hcl -i inventory --json
  hlplay drift playbooks/cluster.hcl -i inventory --diff >drift.txt || mail -s drift root <drift.txt`,
		Args: onePlaybook,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args[0]) },
	}
	f.inputFlags.add(cmd)
	f.selectFlags.add(cmd)
	f.connectFlags.add(cmd)
	f.addBecome(cmd)
	f.addForks(cmd)
	cmd.Flags().BoolVarP(&f.diff, "diff", "D", false, "show the diffs of files and settings")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func (f *driftFlags) run(ctx context.Context, path string) error {
	f.check, f.exitOnChange, f.journal, f.keep = true, true, noJournal, 1
	f.shown = report.NewDrift(os.Stdout, f.asJSON, report.Options{Diff: f.diff})
	return f.runFlags.run(ctx, path)
}
