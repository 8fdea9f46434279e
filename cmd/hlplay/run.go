package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hlplay/engine/inventory"
	"hlplay/engine/lab"
	"hlplay/engine/lang"
	"hlplay/engine/report"
	"hlplay/engine/run"
)

// runFlags are the flags of `hlplay run`.
type runFlags struct {
	inputFlags
	connectFlags
	outputFlags
	selectFlags
	check, rehearse                bool
	listTasks, listTags, listHosts bool
}

// selectFlags say which part of a playbook runs where.
type selectFlags struct {
	limit          string
	tags, skipTags []string
	startAt        string
}

func (f *selectFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.limit, "limit", "l", "", "only hosts that match `PATTERN`; the others are read where needed, never changed")
	cmd.Flags().StringSliceVarP(&f.tags, "tags", "t", nil, "only tasks with one of these `TAGS`")
	cmd.Flags().StringSliceVar(&f.skipTags, "skip-tags", nil, "no tasks with one of these `TAGS`")
	cmd.Flags().StringVar(&f.startAt, "start-at-task", "", "begin at the task of that `NAME`")
}

func (f *selectFlags) options() run.Options {
	return run.Options{Limit: f.limit, Tags: f.tags, SkipTags: f.skipTags, StartAt: f.startAt}
}

// checkTags refuses tags that the playbook does not have.
func (f *selectFlags) checkTags(pb *lang.Playbook) error {
	if err := pb.CheckTags("--tags", f.tags); err != nil {
		return err
	}
	return pb.CheckTags("--skip-tags", f.skipTags)
}

func runCommand() *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run PLAYBOOK -i INVENTORY",
		Short: "Run a playbook",
		Long: `Run checks the playbook and the inventory, connects, reads, and changes what differs.

Exit codes: 0 done; 1 bad input, nothing was touched; 2 a task failed; 3 a host was unreachable;
130 interrupted.`,
		Example: `  hlplay run playbooks/cluster.hcl -i inventory --check --diff
  hlplay run playbooks/cluster.hcl -i inventory
  hlplay run playbooks/cluster.hcl -i inventory --tags ceph --limit pve2`,
		Args: onePlaybook,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args[0]) },
	}
	f.inputFlags.add(cmd)
	f.selectFlags.add(cmd)
	f.outputFlags.add(cmd)
	f.connectFlags.add(cmd)
	cmd.Flags().BoolVarP(&f.check, "check", "C", false, "say what would change, and change nothing")
	cmd.Flags().BoolVar(&f.rehearse, "rehearse", false, "run against simulated nodes, one for each host of the inventory")
	cmd.Flags().BoolVar(&f.listTasks, "list-tasks", false, "list the tasks that would run, and stop")
	cmd.Flags().BoolVar(&f.listTags, "list-tags", false, "list the tags of the playbook, and stop")
	cmd.Flags().BoolVar(&f.listHosts, "list-hosts", false, "list the hosts of each play, and stop")
	return cmd
}

func (f *runFlags) run(ctx context.Context, path string) error {
	inv, err := f.loadInventory()
	if err != nil {
		return err
	}
	pb, err := f.loadPlaybook(path, inv)
	if err != nil {
		return err
	}
	if err := f.checkTags(pb); err != nil {
		return err
	}
	if f.listTasks || f.listTags || f.listHosts {
		return f.list(pb, inv)
	}
	out, err := f.reporter(os.Stdout)
	if err != nil {
		return err
	}
	o := f.options()
	o.Check, o.Rehearse = f.check, f.rehearse
	o.Redactor = report.NewRedactor()
	o.Reporter = report.Redact(out, o.Redactor)
	if f.rehearse {
		stage, err := lab.Start(ctx, inv, lab.Options{})
		if err != nil {
			return err
		}
		defer stage.Close()
		inv, o.Clock, f.rehearsal = stage.Inventory(), stage.Clock(), true
	}
	o.Connect = f.connect(func(fn func()) { report.Suspend(out, fn) })
	recap, err := run.Run(ctx, pb, inv, o)
	if closeErr := out.Close(); closeErr != nil && err == nil {
		err = closeErr
	}
	return verdict(ctx, recap, err)
}

// verdict turns the end of a run into an exit code.
func verdict(ctx context.Context, recap report.Recap, err error) error {
	switch {
	case recap.Interrupted || errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return &exitError{code: exitInterrupted}
	case err != nil:
		return err
	}
	code := exitOK
	for _, c := range recap.Hosts {
		switch {
		case c.Failed > 0:
			code = exitFailed
		case c.Unreachable > 0 && code != exitFailed:
			code = exitUnreachable
		}
	}
	if code == exitOK {
		return nil
	}
	return &exitError{code: code}
}

// list prints what --list-tasks, --list-tags and --list-hosts ask for.
func (f *runFlags) list(pb *lang.Playbook, inv *inventory.Inventory) error {
	limit := inv.Hosts
	if f.limit != "" {
		var err error
		if limit, err = inv.Match(f.limit); err != nil {
			return fmt.Errorf("--limit: %w", err)
		}
	}
	tags := map[string]bool{}
	for _, play := range pb.Plays {
		hosts, err := inv.Match(play.Hosts)
		if err != nil {
			return err
		}
		var lines []string
		for _, h := range hosts {
			if f.listHosts && slices.Contains(limit, h) {
				lines = append(lines, "  "+h.Name)
			}
		}
		for _, t := range play.AllTasks() {
			if !lang.Selected(t, f.tags, f.skipTags) {
				continue
			}
			for _, tag := range t.Tags {
				tags[tag] = true
			}
			if f.listTasks {
				name := t.Name
				if slices.Contains(play.Handlers, t) {
					name = "handler: " + name
				}
				line := "  " + name
				if len(t.Tags) > 0 {
					line += "  [" + strings.Join(t.Tags, ", ") + "]"
				}
				lines = append(lines, line)
			}
		}
		if len(lines) > 0 {
			fmt.Printf("%s (%s)\n%s\n", play.Name, play.Hosts, strings.Join(lines, "\n"))
		}
	}
	if f.listTags {
		fmt.Println(strings.Join(slices.Sorted(maps.Keys(tags)), "\n"))
	}
	return nil
}
