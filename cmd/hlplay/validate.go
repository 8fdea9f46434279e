package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"hlplay/engine/plural"
)

func validateCommand() *cobra.Command {
	f := &inputFlags{}
	cmd := &cobra.Command{
		Use:   "validate PLAYBOOK [-i INVENTORY]",
		Short: "Check a playbook and an inventory without connecting to anything",
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
			fmt.Printf("%s is valid: %s, %s, %s\n", pb.Path, plural.Of(len(pb.Plays), "play"), plural.Of(tasks, "task"), plural.Of(len(pb.Variables), "variable"))
			return nil
		},
	}
	f.add(cmd)
	return cmd
}
