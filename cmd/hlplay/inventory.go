package main

import (
	"os"

	"github.com/spf13/cobra"

	"hlplay/engine/report"
)

func inventoryCommand() *cobra.Command {
	f := &inputFlags{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "inventory -i INVENTORY",
		Short: "Print the hosts, groups and variables of an inventory",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			inv, err := f.loadInventory()
			if err != nil {
				return err
			}
			if !asJSON {
				return inv.Tree(os.Stdout)
			}
			b, err := inv.JSON()
			if err != nil {
				return err
			}
			_, err = os.Stdout.Write(append(report.EscapeUnseen(b), '\n'))
			return err
		},
	}
	f.addInventory(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
