package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"hlplay/engine/inventory"
)

func validateCommand() *cobra.Command {
	f := &inputFlags{}
	cmd := &cobra.Command{
		Use:   "validate PLAYBOOK [-i INVENTORY]",
		Short: "Check a playbook, and an inventory, without connecting to anything",
		Args:  onePlaybook,
		RunE: func(_ *cobra.Command, args []string) error {
			var inv *inventory.Inventory
			if f.inventory != "" {
				var err error
				if inv, err = f.loadInventory(); err != nil {
					return err
				}
			}
			pb, err := f.loadPlaybook(args[0], inv)
			if err != nil {
				return err
			}
			tasks := 0
			for _, play := range pb.Plays {
				tasks += len(play.AllTasks())
			}
			fmt.Printf("%s is valid: %d plays, %d tasks, %d variables\n", pb.Path, len(pb.Plays), tasks, len(pb.Variables))
			return nil
		},
	}
	f.add(cmd)
	return cmd
}
