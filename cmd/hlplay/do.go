package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"hlplay/engine/lang"
	"hlplay/engine/report"
)

// doFlags are the flags of `hlplay do`.
type doFlags struct{ runFlags }

func doCommand() *cobra.Command {
	f := &doFlags{}
	cmd := &cobra.Command{
		Use:   "do PATTERN -i INVENTORY (-- COMMAND... | TASK)",
		Short: "Run a command or a single task on hosts",
		Long: `Do runs a command on the hosts that match a pattern. Output that several hosts agree on is printed once. A command given as
a single argument with spaces is a script for sh.

Instead of a command it accepts the body of a task as in a playbook: a module's block, and any other arguments of a task. Like hlplay
run, it looks first and changes only what differs.

Exit codes: those of hlplay run.`,
		Example: `  hlplay do pve -i inventory -- uptime
  hlplay do pve -i inventory -- 'df -h / | tail -1'
  hlplay do pve -i inventory --check --diff 'service { name = "chrony" state = "restarted" }'
  hlplay do 'pve:!pve1' -i inventory --become 'apt { packages = ["htop"] }'`,
		Args: func(cmd *cobra.Command, args []string) error {
			_, err := adHoc(args, cmd.ArgsLenAtDash())
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			task, err := adHoc(args, cmd.ArgsLenAtDash())
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), task)
		},
	}
	f.inputFlags.add(cmd)
	cmd.Flags().VarP((*limitList)(&f.limits), "limit", "l", "only hosts that match `PATTERN`, or a pattern in @FILE (repeatable, they add up)")
	f.addBecome(cmd)
	f.outputFlags.add(cmd)
	f.connectFlags.add(cmd)
	f.journalFlags.add(cmd)
	f.addMode(cmd)
	cmd.Flags().BoolVar(&f.rehearse, "rehearse", false, "use simulated nodes, one for each host of the inventory")
	f.startGiven = func() bool { return false }
	return cmd
}

// adHoc parses the arguments of `hlplay do`. dash is the number of arguments before "--", or -1.
func adHoc(args []string, dash int) (lang.AdHoc, error) {
	switch {
	case len(args) == 0 || dash == 0:
		return lang.AdHoc{}, errors.New("no hosts given: name a host, a group or all, as in hlplay do all -i INVENTORY -- uptime")
	case len(args) == 1:
		return lang.AdHoc{}, errors.New("nothing to do given: a command after --, as in hlplay do all -i INVENTORY -- uptime, or a task in quotes")
	case dash == 1:
		return lang.AdHoc{Hosts: args[0], Command: args[1:]}, nil
	case dash == -1 && len(args) == 2 && strings.Contains(args[1], "{"):
		return lang.AdHoc{Hosts: args[0], Task: args[1]}, nil
	}
	return lang.AdHoc{}, fmt.Errorf("expected a pattern of hosts and then a command after --, or one task in quotes, but found %s", strings.Join(args[1:], " "))
}

func (f *doFlags) run(ctx context.Context, task lang.AdHoc) error {
	f.source = task.Source()
	if task.Command != nil && !f.check && f.output == "auto" {
		f.shown = report.NewAnswers(os.Stdout, report.Options{Color: !f.noColor && colored(os.Stdout)})
	}
	return f.runFlags.run(ctx, lang.AdHocName)
}
