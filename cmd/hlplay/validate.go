package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func validateCommand() *cobra.Command {
	f := &inputFlags{}
	cmd := &cobra.Command{
		Use:   "validate PLAYBOOK [-i INVENTORY]",
		Short: "Check a playbook, and an inventory, without connecting to anything",
		Args:  onePlaybook,
		RunE: func(cmd *cobra.Command, args []string) error {
			pb, _, err := f.load(cmd.Context(), args[0], false, selectFlags{})
			if err != nil {
				return err
			}
			tasks := 0
			for _, play := range pb.Plays {
				tasks += len(play.AllTasks())
			}
			fmt.Printf("%s is valid: %s, %s, %s\n", pb.Path, count(len(pb.Plays), "play"), count(tasks, "task"), count(len(pb.Variables), "variable"))
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
