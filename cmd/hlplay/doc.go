package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"hlplay/engine/lang"
	"hlplay/modules/registry"
)

func docCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doc [MODULE]",
		Short: "List the modules, or explain one: arguments, defaults, an example",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				for _, spec := range registry.All() {
					fmt.Printf("%-10s %s\n", spec.Name, spec.Summary)
				}
				return nil
			}
			spec, ok := registry.Find(args[0])
			if !ok {
				var names []string
				for _, s := range registry.All() {
					names = append(names, s.Name)
				}
				return fmt.Errorf("no module %q%s", args[0], lang.Suggestion(args[0], names, "`hlplay doc` lists them"))
			}
			fmt.Print(lang.Describe(spec))
			return nil
		},
	}
}
