package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/run"
)

// selectFlags say which part of a playbook runs where.
type selectFlags struct {
	limit          string
	limitGiven     func() bool
	tags, skipTags []string
	startAt        string
}

func (f *selectFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.limit, "limit", "l", "", "only hosts that match `PATTERN`; the others are read where needed, never changed")
	f.limitGiven = func() bool { return cmd.Flags().Changed("limit") }
	cmd.Flags().StringSliceVarP(&f.tags, "tags", "t", nil, "only tasks with one of these `TAGS`")
	cmd.Flags().StringSliceVar(&f.skipTags, "skip-tags", nil, "no tasks with one of these `TAGS`")
	cmd.Flags().StringVar(&f.startAt, "start-at-task", "", "begin at the task of that `NAME`")
}

func (f *selectFlags) options() run.Options {
	return run.Options{Limit: f.limit, Tags: f.tags, SkipTags: f.skipTags, StartAt: f.startAt}
}

// validate refuses what would select nothing, or not what was meant: an empty limit, which in a script is
// most likely an empty variable; names that the playbook does not have; tags that leave no task.
func (f *selectFlags) validate(pb *lang.Playbook) error {
	if f.limitGiven() && strings.TrimSpace(f.limit) == "" {
		return errors.New("--limit is empty: name hosts, or leave it out to run on all of them")
	}
	if err := pb.CheckTags("--tags", f.tags); err != nil {
		return err
	}
	if err := pb.CheckTags("--skip-tags", f.skipTags); err != nil {
		return err
	}
	if f.startAt != "" {
		if err := pb.CheckStart(f.startAt, f.tags, f.skipTags); err != nil {
			return err
		}
	}
	if len(f.tags)+len(f.skipTags) > 0 && !slices.ContainsFunc(pb.Plays, func(p *lang.Play) bool { return len(f.tasks(p)) > 0 }) {
		return errors.New("no task is left by --tags and --skip-tags: nothing to do; --list-tags shows what there is")
	}
	return nil
}

// tasks are those of a play that tags select, in order, without handlers.
func (f *selectFlags) tasks(play *lang.Play) []*lang.Task {
	var all []*lang.Task
	for _, t := range play.AllTasks() {
		if !slices.Contains(play.Handlers, t) && lang.Selected(t, f.tags, f.skipTags) {
			all = append(all, t)
		}
	}
	return all
}

// listFlags ask for a list in place of a run.
type listFlags struct {
	tasks, tags, hosts bool
}

func (f *listFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.tasks, "list-tasks", false, "list the tasks that would run, and stop")
	cmd.Flags().BoolVar(&f.tags, "list-tags", false, "list the tags of the playbook, and stop")
	cmd.Flags().BoolVar(&f.hosts, "list-hosts", false, "list the hosts of each play, and stop")
}

func (f *listFlags) asked() bool { return f.tasks || f.tags || f.hosts }

// list prints what was asked for.
func (f *listFlags) list(pb *lang.Playbook, inv *inventory.Inventory, chosen selectFlags) error {
	limit := inv.Hosts
	if chosen.limit != "" {
		var err error
		if limit, err = inv.Match(chosen.limit); err != nil {
			return fmt.Errorf("--limit: %w", err)
		}
	}
	waiting := chosen.startAt != ""
	for _, play := range pb.Plays {
		hosts, err := inv.Match(play.Hosts)
		if err != nil {
			return err
		}
		var lines []string
		for _, h := range hosts {
			if f.hosts && slices.Contains(limit, h) {
				lines = append(lines, "  "+h.Name)
			}
		}
		var run []*lang.Task
		for _, t := range chosen.tasks(play) {
			if waiting = waiting && t.Name != chosen.startAt; !waiting {
				run = append(run, t)
			}
		}
		if f.tasks {
			for _, t := range run {
				lines = append(lines, "  "+t.Name+tagged(t))
			}
			for _, h := range notified(play, run) {
				lines = append(lines, "  handler: "+h.Name+tagged(h))
			}
		}
		if len(lines) > 0 {
			fmt.Printf("%s (%s)\n%s\n", play.Name, play.Hosts, strings.Join(lines, "\n"))
		}
	}
	if f.tags {
		for _, tag := range pb.Tags() {
			fmt.Println(tag)
		}
	}
	return nil
}

func tagged(t *lang.Task) string {
	if len(t.Tags) == 0 {
		return ""
	}
	return "  [" + strings.Join(t.Tags, ", ") + "]"
}

// notified are the handlers of a play that tasks notify, and those that these notify.
func notified(play *lang.Play, tasks []*lang.Task) []*lang.Task {
	names := map[string]bool{}
	var follow func(t *lang.Task)
	follow = func(t *lang.Task) {
		for _, name := range t.Notify {
			if names[name] {
				continue
			}
			names[name] = true
			for _, h := range play.Handlers {
				if h.Name == name {
					follow(h)
				}
			}
		}
	}
	for _, t := range tasks {
		follow(t)
	}
	var all []*lang.Task
	for _, h := range play.Handlers {
		if names[h.Name] {
			all = append(all, h)
		}
	}
	return all
}
