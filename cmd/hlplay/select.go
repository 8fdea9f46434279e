package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/report"
	"hlplay/engine/run"
)

// sendAhead is the environment variable that controls whether the steps of several tasks are sent together: never if it is "no",
// and even to near hosts without a hand if it is "yes".
const sendAhead = "HLPLAY_SEND_AHEAD"

// sendAheadFrom is the round-trip time from which steps are sent together to a host whose acting shells have no hand. Below it,
// the processes that the host starts to compare cost more than the round trips that are saved.
const sendAheadFrom = 10 * time.Millisecond

// selectFlags select the part of a playbook to run, and the hosts.
type selectFlags struct {
	limits         []string
	tags, skipTags []string
	startAt        string
	startGiven     func() bool
	// known, if not nil, reports whether the result of a task before startAt is available nevertheless.
	known func(*lang.Task) bool
}

func (f *selectFlags) add(cmd *cobra.Command) {
	cmd.Flags().VarP((*limitList)(&f.limits), "limit", "l", "only hosts that match `PATTERN`, or a pattern in @FILE (repeatable, they add up); other hosts are read if needed but never changed")
	cmd.Flags().VarP((*tagList)(&f.tags), "tags", "t", "run only tasks with one of these `TAGS`: a,b (repeatable)")
	cmd.Flags().Var((*tagList)(&f.skipTags), "skip-tags", "skip tasks with one of these `TAGS`: a,b (repeatable)")
	cmd.Flags().StringVar(&f.startAt, "start-at-task", "", "start at the task called `NAME`")
	f.startGiven = func() bool { return cmd.Flags().Changed("start-at-task") }
}

func (f *selectFlags) options() run.Options {
	together := os.Getenv(sendAhead)
	o := run.Options{Limit: f.limit(), Tags: f.tags, SkipTags: f.skipTags, StartAt: f.startAt, SendAhead: together != "no"}
	if together != "yes" {
		o.SendAheadFrom = sendAheadFrom
	}
	if holdExpectations {
		o.Unfulfilled = tellUnfulfilled
	}
	return o
}

// limit joins the limits into one pattern: the union of their terms, with all exclusions and requirements applied.
func (f *selectFlags) limit() string { return strings.Join(f.limits, ",") }

// limitList is a flag whose values are patterns of hosts.
type limitList []string

// Set implements pflag.Value.
func (l *limitList) Set(text string) error {
	patterns, err := inventory.Limit(text)
	*l = append(*l, patterns...)
	return err
}

func (l *limitList) String() string { return strings.Join(*l, ",") }

// Type implements pflag.Value.
func (l *limitList) Type() string { return "pattern" }

// tagList is a flag with comma-separated tags. An empty tag, most likely from an empty variable in a script, is
// rejected, because without tags every task would be selected.
type tagList []string

// Set implements pflag.Value.
func (l *tagList) Set(text string) error {
	for tag := range strings.SplitSeq(text, ",") {
		if tag = strings.TrimSpace(tag); tag == "" {
			return errors.New("a tag is empty: name tags with commas between them, or leave the flag out")
		}
		*l = append(*l, tag)
	}
	return nil
}

func (l *tagList) String() string { return strings.Join(*l, ",") }

// Type implements pflag.Value.
func (l *tagList) Type() string { return "tags" }

// validate rejects what would select nothing or something unintended: an empty limit, most likely from an empty
// variable in a script; names that the playbook does not have; and tags that select no task.
func (f *selectFlags) validate(pb *lang.Playbook) error {
	if slices.ContainsFunc(f.limits, func(limit string) bool { return strings.TrimSpace(limit) == "" }) {
		return errors.New("--limit is empty: name hosts, or leave it out to run on all of them")
	}
	if err := pb.CheckTags("--tags", f.tags); err != nil {
		return err
	}
	if err := pb.CheckTags("--skip-tags", f.skipTags); err != nil {
		return err
	}
	if f.startGiven() {
		if err := pb.CheckStart(f.startAt, f.tags, f.skipTags); err != nil {
			return err
		}
	}
	if err := pb.CheckResults(f.startAt, f.tags, f.skipTags, f.known); err != nil {
		return err
	}
	if len(f.tags)+len(f.skipTags) > 0 && !slices.ContainsFunc(pb.Plays, func(p *lang.Play) bool { return len(f.tasks(p)) > 0 }) {
		return errors.New("no task is left by --tags and --skip-tags: nothing to do; --list-tags shows what there is")
	}
	return nil
}

// tasks returns the tasks of a play that the tags select, in order and without handlers.
func (f *selectFlags) tasks(play *lang.Play) []*lang.Task {
	var all []*lang.Task
	for _, t := range play.AllTasks() {
		if !slices.Contains(play.Handlers, t) && lang.Selected(t, f.tags, f.skipTags) {
			all = append(all, t)
		}
	}
	return all
}

// listFlags ask for a list instead of a run.
type listFlags struct {
	tasks, tags, hosts bool
}

func (f *listFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.tasks, "list-tasks", false, "list the tasks that would run, and exit")
	cmd.Flags().BoolVar(&f.tags, "list-tags", false, "list the tags of the playbook, and exit")
	cmd.Flags().BoolVar(&f.hosts, "list-hosts", false, "list the hosts of each play, and exit")
}

func (f *listFlags) asked() bool { return f.tasks || f.tags || f.hosts }

// list prints the requested list.
func (f *listFlags) list(pb *lang.Playbook, inv *inventory.Inventory, chosen selectFlags) error {
	limit := inv.Hosts
	if len(chosen.limits) > 0 {
		var err error
		if limit, err = inv.Match(chosen.limit()); err != nil {
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
			for _, h := range play.Notified(run) {
				lines = append(lines, "  handler: "+h.Name+tagged(h))
			}
		}
		if len(lines) > 0 {
			fmt.Print(report.Printable(fmt.Sprintf("%s (%s)\n%s\n", play.Name, play.Hosts, strings.Join(lines, "\n"))))
		}
	}
	if f.tags {
		for _, tag := range pb.Tags() {
			fmt.Println(report.OneLine(tag))
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
