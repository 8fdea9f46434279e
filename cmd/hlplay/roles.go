package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"hlplay/engine/lang"
	"hlplay/engine/plural"
	"hlplay/engine/roles"
)

func rolesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "roles",
		Short: "Fetch the roles that playbooks import from git, and pin them",
		Long: fmt.Sprintf(`Roles fetches the roles that playbooks import by the address of a git repository, as in

  import "git::https://example.org/ops/roles.git//docker?ref=v1.4" { … }

into %s below the working directory, and pins each revision to a commit and to the hash of its content in the file %s, which
belongs in version control. No other command fetches roles: they use what is there, and only if its content is what the lock file pins.`, roles.Dir, roles.LockFile),
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(rolesInstallCommand(), rolesUpdateCommand(), rolesListCommand(), rolesPruneCommand())
	return cmd
}

// playbooks rejects a command line that does not name a playbook.
func playbooks(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no playbook given: name the files of playbooks, as in %s site.hcl", cmd.CommandPath())
	}
	return nil
}

func rolesInstallCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "install PLAYBOOK...",
		Short: "Fetch what playbooks import, at the commits that are pinned",
		Long: `Install fetches the roles that playbooks, and these roles in turn, import from git. A revision that is pinned is fetched at its
commit, wherever a branch or a tag has moved since; the others are pinned. What is there, with the right content, is not fetched again.

Git uses the keys, the known_hosts and the credential helpers of this user, and asks for nothing.`,
		Example: `  hlplay roles install site.hcl
  hlplay roles install playbooks/*.hcl`,
		Args: playbooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := fetchRoles(cmd.Context(), args, false, (*roles.Fetcher).Save)
			return err
		},
	}
}

func rolesUpdateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "update PLAYBOOK...",
		Short: "Pin what playbooks import to the commits that their branches and tags have now",
		Long: `Update asks each repository that playbooks, and their roles in turn, import for the commit of the branch or tag, fetches it and pins
it. The commits before and after are printed; review what is between them before you commit the lock file.`,
		Example: "  hlplay roles update site.hcl",
		Args:    playbooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := fetchRoles(cmd.Context(), args, true, (*roles.Fetcher).Save)
			return err
		},
	}
}

func rolesPruneCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "prune PLAYBOOK...",
		Short: "Remove what no playbook imports any more",
		Long: `Prune removes the entries of the lock file that none of the playbooks needs, and what was fetched for them. Name all playbooks of the
project.`,
		Example: "  hlplay roles prune playbooks/*.hcl",
		Args:    playbooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			gone, err := fetchRoles(cmd.Context(), args, false, (*roles.Fetcher).Prune)
			for _, pin := range gone {
				fmt.Printf("%s %s is not imported any more\n", pin.Repository, pin.Revision)
			}
			return err
		},
	}
}

// fetchRoles fetches the roles of playbooks and then writes the lock file.
func fetchRoles[T any](ctx context.Context, playbooks []string, anew bool, write func(*roles.Fetcher) (T, error)) (T, error) {
	var none T
	fetcher, err := roles.Fetch(ctx, ".")
	if err != nil {
		return none, lockProblem(err)
	}
	defer fetcher.Close()
	fetcher.Anew = anew
	count := 0
	fetcher.Tell = func(now, was roles.Pin, fetched bool) {
		count++
		switch commit := now.Commit[:12]; {
		case was.Commit != "" && was.Commit != now.Commit:
			fmt.Printf("%s %s: %s → %s\n", now.Repository, now.Revision, was.Commit[:12], commit)
		case fetched:
			fmt.Printf("%s %s: fetched %s\n", now.Repository, now.Revision, commit)
		default:
			fmt.Printf("%s %s: %s is there\n", now.Repository, now.Revision, commit)
		}
	}
	for _, path := range playbooks {
		pb, diags := lang.Follow(path, lang.Options{Roles: fetcher})
		if err := ctx.Err(); err != nil {
			return none, err
		}
		if err := diagnosed(pb.Files, diags); err != nil {
			return none, err
		}
	}
	if count == 0 {
		fmt.Println("no role is imported from git")
	}
	return write(fetcher)
}

// lockProblem prints what is wrong with a lock file, with its source line.
func lockProblem(err error) error {
	var lock *roles.LockError
	if !errors.As(err, &lock) {
		return err
	}
	files := map[string]*hcl.File{}
	if lock.File != nil {
		files[lock.Name] = lock.File
	}
	return diagnosed(files, lock.Diags)
}

func rolesListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List what is pinned, and whether it was fetched",
		Long: `List prints the entries of the lock file, and compares what was fetched with them.

Exit codes: 0 all of them were fetched and unchanged; 1 one is missing or was changed.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return listRoles() },
	}
}

func listRoles() error {
	store := roles.At(".")
	pins, err := store.Pins()
	if err != nil {
		return lockProblem(err)
	}
	if len(pins) == 0 {
		fmt.Printf("%s pins no roles\n", roles.LockFile)
		return nil
	}
	wrong := 0
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, pin := range pins {
		state, err := store.Check(pin)
		if problem := (*roles.Problem)(nil); errors.As(err, &problem) {
			state = problem.Summary
			wrong++
		} else if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", pin.Repository, pin.Revision, pin.Commit[:12], state)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %s cannot be used: run hlplay roles install PLAYBOOK", wrong, plural.Of(len(pins), "pinned revision"))
	}
	return nil
}
