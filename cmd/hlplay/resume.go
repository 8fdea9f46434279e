package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"hlplay/engine/inventory"
	"hlplay/engine/journal"
	"hlplay/engine/lang"
)

// resumeFlags are the flags of `hlplay resume`.
type resumeFlags struct {
	runFlags
	changed bool
}

func resumeCommand() *cobra.Command {
	f := &resumeFlags{}
	cmd := &cobra.Command{
		Use:   "resume [RUN]",
		Short: "Continue an interrupted run at the first task that is not done",
		Long: `Resume runs the playbook of a recorded run again, with the same inventory, limits, tags and variables, starting at the
first task that is not known to be done on all its hosts. RUN is the start of an ID that hlplay history lists, or "last" (the
default). Results registered by earlier tasks are restored. If a later task needs a result that was not recorded, because it holds a
secret or is large, the run starts at the task that registers it.

Passwords, and values of -e that may be secret, are not recorded: give them again with -e, or hlplay asks for them.

Resume refuses if the playbook, the inventory or a file that they read has changed; --changed resumes anyway.`,
		Example: `  hlplay resume
  hlplay resume 20261128-0903 --check --diff
  hlplay resume last -e token=…`,
		Args: oneRun,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), word(args)) },
	}
	cmd.Flags().StringArrayVarP(&f.extra, "extra-vars", "e", nil, "set a `name=value` that was not recorded because it may be secret (repeatable)")
	f.keyFlags.add(cmd)
	f.outputFlags.add(cmd)
	f.journalFlags.add(cmd)
	f.addMode(cmd)
	cmd.Flags().BoolVar(&f.changed, "changed", false, "resume even if the playbook or the inventory has changed")
	cmd.ValidArgsFunction = f.completeRuns
	f.startGiven = func() bool { return f.startAt != "" }
	return cmd
}

// word returns the run that the arguments name, or the last one.
func word(args []string) string {
	if len(args) == 0 {
		return "last"
	}
	return args[0]
}

func (f *resumeFlags) run(ctx context.Context, run string) error {
	if err := f.validateJournal(); err != nil {
		return err
	}
	record, err := f.broken(run)
	if err != nil {
		return err
	}
	a := record.Run.Arguments
	if f.extra, err = f.values(ctx, a.Values); err != nil {
		return err
	}
	f.take(a)
	f.resumes, f.counted = record.ID, journal.Counted(record)
	pb, inv, err := f.load(ctx, record.Run.Playbook, true, f.selectFlags)
	if err != nil {
		return err
	}
	if err := f.same(record, pb, inv); err != nil {
		return err
	}
	if at, ok := record.Unfinished(); ok {
		recorded := journal.At(f.journal).Results(record)
		start, results, err := journal.Start(pb, at, a, recorded)
		if err != nil {
			return err
		}
		f.startAt, f.known, f.earlier = start, recorded.Known, recorded.Of
		for _, t := range journal.Forgotten(pb, start, a, recorded) {
			fmt.Fprintf(os.Stderr, "hlplay: note: the result of task %q was not recorded: later tasks that ask whether it changed something see it as skipped\n", t.Name)
		}
		fmt.Fprintf(os.Stderr, "hlplay: continuing run %s at task %q%s\n", record.ID, start, because(at, start, results))
	}
	if err := f.validate(pb); err != nil {
		return err
	}
	return f.carryOut(ctx, pb, inv)
}

// take sets the flags of a run from recorded arguments, except for values.
func (f *runFlags) take(a journal.Arguments) {
	f.inventory, f.limits, f.tags, f.skipTags, f.startAt = a.Inventory, a.Limits, a.Tags, a.SkipTags, a.StartAt
	f.ignoreUndeclared = a.IgnoreUndeclared
	f.knownHosts, f.sshConfig, f.acceptNew, f.askPassword, f.askSudo = a.KnownHosts, a.SSHConfig, a.AcceptNew, a.AskPassword, a.AskSudo
	f.passwordFile, f.sudoPasswordFile, f.inputFlags.become, f.inputFlags.becomeUser = a.PasswordFile, a.SudoPasswordFile, a.Become, a.BecomeUser
}

// because says why a run starts at a task before the first unfinished one.
func because(at journal.Point, start string, results []string) string {
	if start == at.Name {
		return ""
	}
	return fmt.Sprintf(": later tasks read result %s; %s is not done", strings.Join(results, ", "), at)
}

// broken reads a run that did not end successfully.
func (f *resumeFlags) broken(run string) (*journal.Record, error) {
	store, record, err := f.find(run)
	if err != nil {
		return nil, err
	}
	if record.Run.Restores != "" {
		return nil, fmt.Errorf("run %s restored a file, and cannot be resumed: see hlplay restore", record.ID)
	}
	if record.Run.AdHoc {
		return nil, fmt.Errorf("run %s was a task of hlplay do, and cannot be resumed: give the task again", record.ID)
	}
	switch record.State {
	case journal.OK:
		return nil, fmt.Errorf("run %s of %s is done: there is nothing to resume%s", record.ID, record.Run.Playbook, f.another(store))
	case journal.Running:
		return nil, fmt.Errorf("run %s of %s, which %s started, is still running", record.ID, record.Run.Playbook, record.Run.By)
	}
	return record, nil
}

// another names the last run that could be resumed.
func (f *resumeFlags) another(store journal.Store) string {
	all, err := store.IDs()
	if err != nil {
		return ""
	}
	for _, id := range all {
		if g, err := store.Glance(id); err == nil && g.State != journal.OK && g.State != journal.Running {
			return fmt.Sprintf("; the last one that is not done is %s, of %s: hlplay resume %s%s", id, g.Run.Playbook, id, f.elsewhere())
		}
	}
	return ""
}

// values returns the values from the command line. It asks for those that were not recorded and are not given again.
func (f *runFlags) values(ctx context.Context, recorded []journal.Value) ([]string, error) {
	given, file := map[string]bool{}, false
	for _, e := range f.extra {
		if inline(e) {
			values, err := lang.InlineValues(e)
			if err != nil {
				return nil, err
			}
			for name := range values {
				given[name] = true
			}
			continue
		}
		name, _, _ := strings.Cut(e, "=")
		given[strings.TrimSpace(name)] = true
		file = file || strings.HasPrefix(e, "@")
	}
	ask := prompter(func(fn func()) { fn() })
	var all []string
	for _, v := range recorded {
		switch {
		case v.File != "" && !v.Secret:
			all = append(all, "@"+v.File)
		case v.File != "" && !file:
			return nil, fmt.Errorf("the run was given -e @%s, which cannot be read again: give its values with -e", v.File)
		case v.File != "", given[v.Name]:
		case v.JSON:
			all = append(all, fmt.Sprintf("{%q: %s}", v.Name, v.Text))
		case !v.Secret:
			all = append(all, v.Name+"="+v.Text)
		case os.Getenv(lang.EnvironmentPrefix+v.Name) != "": // it is given again
		default:
			text, err := ask(ctx, fmt.Sprintf("Value of variable %s, which was not recorded: ", v.Name))
			if err != nil {
				return nil, fmt.Errorf("the run was given -e %s=…, which was not recorded, because it may be a secret: give it again (%w)", v.Name, err)
			}
			all = append(all, v.Name+"="+text)
		}
	}
	return append(all, f.extra...), nil
}

// same returns an error if the playbook or inventory differs from that of the run.
func (f *resumeFlags) same(record *journal.Record, pb *lang.Playbook, inv *inventory.Inventory) error {
	differences := journal.Differences(record.Run.Sources, journal.Sources(pb, inv))
	if len(differences) == 0 {
		return nil
	}
	said := "since run " + record.ID + " started:\n  " + strings.Join(differences, "\n  ")
	if f.changed {
		fmt.Fprintln(os.Stderr, "hlplay: note:", said)
		return nil
	}
	return fmt.Errorf("%s\nthe tasks that are done were done by the earlier version: run the playbook from the start, or continue with hlplay resume %s --changed%s", said, record.ID, f.elsewhere())
}
