package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/lsp"
)

func lspCommand() *cobra.Command {
	f := &inputFlags{}
	cmd := &cobra.Command{
		Use:   "lsp [-i INVENTORY]",
		Short: "Serve an editor: diagnostics, completion, documentation and formatting while you type",
		Long: `Lsp is a language server for playbooks and inventories. An editor starts it and speaks the Language Server Protocol with it over
standard input and output. It connects to no host, and runs no program of an inventory.

  Diagnostics  those of "hlplay validate", also for unsaved text. A file that other playbooks import is checked as
               part of them, and a role as part of the playbooks that use it.
  Completion   blocks, modules and their arguments, values, functions, what follows "facts.", "host.", "var." and "result.",
               handlers in notify, tags and hosts. It also works in text with errors.
  Hover        the documentation of "hlplay doc".
  Definition   of variables, locals, results, handlers, hosts, groups, and files that are imported or named.
  Formatting   as "hlplay fmt".

The inventory is that of -i, or otherwise the one that .hlplay.hcl in the root of the project names. The editor can set others with the
initialization options "inventory" and "extraVars", each a string or a list of strings in the form of -i and -e.

Exit codes: 0 the editor shut the server down or closed the connection; 1 it sent exit without shutdown; 130 a signal ended the server.`,
		Example: `  hlplay lsp
  hlplay lsp -i inventory -e @values.hcl`,
		Args: noArguments,
		// An editor needs the server most while .hlplay.hcl is wrong: its errors are shown as diagnostics.
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := f.languageOptions(nil)
			if err == nil {
				err = lsp.Serve(cmd.Context(), standardStreams{}, lsp.Options{
					Language: f.ofEditor, Inventories: f.inventory, Log: os.Stderr, Version: version(),
				})
			}
			if err == nil && cmd.Context().Err() != nil {
				return context.Cause(cmd.Context())
			}
			return err
		},
	}
	f.add(cmd)
	return cmd
}

// ofEditor returns a playbook's options for an editor, in which nobody can be asked for passphrases.
func (f *inputFlags) ofEditor(ctx context.Context, inv *inventory.Inventory, extra []string) (lang.Options, error) {
	of := *f
	of.extra = append(of.extra[:len(of.extra):len(of.extra)], extra...)
	of.secrets = f.keyring(ctx, true)
	return of.languageOptions(inv)
}

// standardStreams is the connection to the program that started this one.
type standardStreams struct{}

func (standardStreams) Read(p []byte) (int, error)  { return os.Stdin.Read(p) }
func (standardStreams) Write(p []byte) (int, error) { return os.Stdout.Write(p) }
func (standardStreams) Close() error                { return errors.Join(os.Stdin.Close(), os.Stdout.Close()) }
