// Command hlplay turns bare Debian hosts into a highly available Proxmox VE + Ceph cluster and keeps it that way. Its
// playbooks are HCL; see README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hlplay/engine/lang"
	"hlplay/engine/report"
)

// The exit codes, as documented in README.md.
const (
	exitOK          = 0
	exitInput       = 1 // invalid input; nothing was touched
	exitFailed      = 2 // a task failed
	exitUnreachable = 3 // a host was unreachable
	exitChanged     = 4 // with --exit-on-change: something was changed or would be
	exitInterrupted = 130
)

func main() {
	collectLate()
	code := Main()
	if unfulfilled.Load() {
		code = exitDefect
	}
	os.Exit(code)
}

// Main runs the command line and returns the exit code. The script tests call it in their own process.
func Main() int {
	ctx, stop := interruptible(context.Background())
	defer stop()
	err := root().ExecuteContext(ctx)
	var code *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		if code.err != nil {
			complain(code.err)
		}
		return code.code
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "hlplay: interrupted")
		return exitInterrupted
	default:
		complain(err)
		return exitInput
	}
}

// complain prints a problem to standard error. Text from a host can neither move the terminal's cursor nor hide anything.
func complain(problem any) {
	fmt.Fprintln(os.Stderr, "hlplay:", report.Printable(fmt.Sprint(problem)))
}

// exitError ends the program with an exit code. err is nil if there is nothing left to print.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hlplay",
		Short: "Bare Debian hosts to a highly available Proxmox VE + Ceph cluster, from a playbook",
		Long: `hlplay runs HCL playbooks on Debian hosts over SSH. The hosts need nothing but sshd and a POSIX shell.
It looks first and changes only what differs. --check shows what would change, and --rehearse runs the
same playbook on simulated nodes on this machine.`,
		Version:           version(),
		Args:              knownCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: projectDefaults,
		SilenceErrors:     true,
		SilenceUsage:      true,
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var unknown *pflag.NotExistError
		if !errors.As(err, &unknown) {
			return err
		}
		if len(unknown.GetSpecifiedName()) == 1 {
			return fmt.Errorf("%w; `%s --help` lists the flags", err, cmd.CommandPath())
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		return fmt.Errorf("%w%s", err, lang.Suggestion("--"+unknown.GetSpecifiedName(), names, "`"+cmd.CommandPath()+" --help` lists them"))
	})
	cmd.SetHelpCommand(helpCommand())
	cmd.AddCommand(
		runCommand(), planCommand(), showCommand(), applyCommand(), driftCommand(), rehearseCommand(), validateCommand(), explainCommand(), doCommand(), fmtCommand(), consoleCommand(), lspCommand(),
		inventoryCommand(), factsCommand(), statusCommand(), preflightCommand(), verifyCommand(), proveCommand(),
		historyCommand(), resumeCommand(), restoreCommand(),
		rolesCommand(), secretCommand(), docCommand(), labCommand(),
	)
	for _, command := range further {
		cmd.AddCommand(command())
	}
	complete(cmd)
	return cmd
}

// further returns commands that only builds with a certain tag have.
var further []func() *cobra.Command

// helpCommand is cobra's, except that an unknown command is an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, _ := cmd.Root().Find(args) // rest is what it did not find
			switch {
			case len(rest) > 0 && of.HasAvailableSubCommands():
				return knownCommand(of, rest)
			case len(rest) > 0:
				return fmt.Errorf("%s has no command %q", of.CommandPath(), rest[0])
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
	}
}

// knownCommand rejects a word that is not a command.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return fmt.Errorf("unknown command %q%s", args[0], lang.Suggestion(args[0], names, "there are "+strings.Join(names, ", ")))
}
