package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hlplay/engine/lang"
	"hlplay/engine/report"
)

func explainCommand() *cobra.Command {
	f := &inputFlags{}
	cmd := &cobra.Command{
		Use:   "explain PLAYBOOK TASK [-i INVENTORY]",
		Short: "Explain a task: what it does, why, which step of the guides it is, and how it is verified",
		Long: `Explain describes the tasks of a playbook that match TASK: the name of a task, part of a name, or the number of a step of the
guides. It connects to nothing. The reason is the comment above the task.`,
		Example: `  hlplay explain playbooks/cluster.hcl G1.26
  hlplay explain playbooks/cluster.hcl os-prober`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 2 && strings.TrimSpace(args[1]) != "":
				return nil
			case len(args) > 2:
				return fmt.Errorf("expected a playbook and one task, but got %d arguments: put the name of the task in quotes", len(args))
			}
			return errors.New("name a playbook and a task, as in hlplay explain playbooks/cluster.hcl G1.26")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			pb, _, err := f.load(cmd.Context(), args[0], false, selectFlags{})
			if err != nil {
				return err
			}
			found := pb.Find(args[1])
			if len(found) == 0 {
				return fmt.Errorf("%s has no task %q%s", args[0], args[1], lang.Suggestion(args[1], taskNames(pb), "hlplay run --list-tasks lists them"))
			}
			for i, t := range found {
				if i > 0 {
					fmt.Println()
				}
				fmt.Print(report.Printable(pb.Explain(t)))
			}
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

// taskNames returns the names of all tasks and handlers.
func taskNames(pb *lang.Playbook) []string {
	var names []string
	for _, play := range pb.Plays {
		for _, t := range play.AllTasks() {
			names = append(names, t.Name)
		}
	}
	return names
}
