package main

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hlplay/engine/project"
)

// own annotates a flag whose default does not come from the project.
const own = "own default"

// projectDefaults sets the flags that the user has not set to the defaults of the project.
func projectDefaults(cmd *cobra.Command, _ []string) error {
	defaults, file, diags := project.Load(".")
	if err := diagnosed(map[string]*hcl.File{project.File: file}, diags); err != nil {
		return err
	}
	for _, d := range defaults {
		flag := cmd.Flags().Lookup(d.Flag)
		if flag == nil || flag.Changed || hasOwnDefault(flag) {
			continue
		}
		for _, value := range d.Values {
			if err := flag.Value.Set(value); err != nil {
				return fmt.Errorf("%s: --%s: %w", d.Range, d.Flag, err)
			}
		}
	}
	return nil
}

func hasOwnDefault(flag *pflag.Flag) bool {
	_, has := flag.Annotations[own]
	return has
}
