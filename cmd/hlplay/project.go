package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hlplay/engine/project"
)

// own marks a flag whose default does not come from the project.
const own = "own default"

// environmentDefaults are the flags that have a default in the environment: --known-hosts that in HLPLAY_KNOWN_HOSTS.
var environmentDefaults = []string{"inventory", "known-hosts", "ssh-config", "forks", "vault-password-file", "connection-password-file", "become-password-file"}

// fromEnvironment sets the flags that the user has not set to what the environment says. Several inventories are separated by colons,
// as in PATH. It returns the flags that it has set.
func fromEnvironment(cmd *cobra.Command) (map[string]bool, error) {
	set := map[string]bool{}
	for _, name := range environmentDefaults {
		variable := "HLPLAY_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_")
		flag, text := cmd.Flags().Lookup(name), os.Getenv(variable)
		if text == "" || flag == nil || flag.Changed || hasOwnDefault(flag) || askedInstead(cmd, name) {
			continue
		}
		values := []string{text}
		if name == "inventory" || name == "vault-password-file" {
			values = filepath.SplitList(text)
		}
		for _, value := range values {
			if err := flag.Value.Set(value); err != nil {
				return nil, fmt.Errorf("%s, in the environment: %w", variable, err)
			}
		}
		set[name] = true
	}
	return set, nil
}

// projectDefaults sets the flags that the user has not set to the defaults of the environment or else of the project.
func projectDefaults(cmd *cobra.Command, _ []string) error {
	set, err := fromEnvironment(cmd)
	if err != nil {
		return err
	}
	defaults, file, diags := project.Load(".")
	if err := diagnosed(map[string]*hcl.File{project.File: file}, diags); err != nil {
		return err
	}
	for _, d := range defaults {
		flag := cmd.Flags().Lookup(d.Flag)
		if flag == nil || flag.Changed || set[d.Flag] || hasOwnDefault(flag) {
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

// askedInstead reports whether the command line says to ask for the password that a flag would read from a file.
func askedInstead(cmd *cobra.Command, name string) bool {
	prompt, ok := map[string]string{"connection-password-file": "ask-pass", "become-password-file": "ask-become-pass"}[name]
	if !ok {
		return false
	}
	asked := cmd.Flags().Lookup(prompt)
	return asked != nil && asked.Value.String() == "true"
}

func hasOwnDefault(flag *pflag.Flag) bool {
	_, has := flag.Annotations[own]
	return has
}
