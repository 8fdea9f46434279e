package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/inventory"
	"hlplay/engine/journal"
	"hlplay/engine/lab"
	"hlplay/engine/lang"
	"hlplay/engine/plan"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/engine/run"
	"hlplay/modules/registry"
)

// runFlags are the flags of `hlplay run`.
type runFlags struct {
	inputFlags
	connectFlags
	outputFlags
	selectFlags
	journalFlags
	reportFlags
	check, rehearse bool
	wait            time.Duration
	forks           int
	// exitOnChange makes a run that changed something, or a check that would, end with exitChanged.
	exitOnChange bool
	lists        listFlags
	// resumes is the ID of the run that this one resumes, and restores the ID of the run whose copy it restores. Both may be
	// empty.
	resumes, restores string
	// earlier, if not nil, returns what the tasks before the first one have registered in the resumed run.
	earlier func(host, play, task string) (cty.Value, bool)
	// counted holds what the resumed run has added to numbers that are limited for the whole run.
	counted map[string][]string
	// reached, if not nil, connects to hosts.
	reached func(context.Context, *inventory.Host) (remote.Conn, error)
	// shown, if not nil, replaces the reporter of outputFlags.
	shown report.Reporter
	// allow lists the risk classes that may be carried out. Empty means all but the one that destroys.
	allow string
	// stage is the lab with the simulated nodes of a rehearsal.
	stage *lab.Lab
	// ask makes the run show what would change, and ask before carrying it out.
	ask bool
	// step makes the run ask before each task.
	step bool
	// foresee, if not nil, is called at the start of a check. follow is the plan that the run must not go beyond.
	foresee func(journal.Run)
	follow  *plan.Plan
	// archive, if not nil, wraps the archive, to see what is about to be copied. It may stop the run.
	archive func(a run.Archive, stop func(error)) run.Archive
}

func runCommand() *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run PLAYBOOK -i INVENTORY",
		Short: "Run a playbook",
		Long: `Run checks the playbook and the inventory, connects to the hosts, looks at them, and changes what differs.

Exit codes: 0 success; 1 bad input, nothing was touched; 2 a task failed; 3 a host was unreachable;
4 with --exit-on-change, something was changed or, with --check, would change; 130 interrupted.`,
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
	f.addBecome(cmd)
	f.journalFlags.add(cmd)
	f.addMode(cmd)
	cmd.Flags().BoolVar(&f.rehearse, "rehearse", false, "use simulated nodes, one for each host of the inventory")
	cmd.Flags().BoolVar(&f.exitOnChange, "exit-on-change", false, "exit with code 4 if anything was changed or, with --check, would change or is uncertain")
	cmd.Flags().BoolVar(&f.ask, "ask", false, "show what would change, ask, and carry out exactly that")
	cmd.Flags().BoolVar(&f.step, "step", false, "ask before each task that has something to change: yes, no, or all that follows")
	f.lists.add(cmd)
	return cmd
}

// addMode adds the flags about how a run proceeds.
func (f *runFlags) addMode(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.check, "check", "C", false, "show what would change, and change nothing")
	cmd.Flags().DurationVar(&f.wait, "wait", 0, "wait at most `DURATION` for another run that is changing a host; without a value, an hour")
	f.addForks(cmd)
	f.addAllow(cmd)
	f.reportFlags.add(cmd)
	cmd.Flags().Lookup("wait").NoOptDefVal = "1h"
}

// validateForks rejects negative numbers of hosts. Zero stands for the default.
func (f *runFlags) validateForks() error {
	if f.forks < 0 {
		return fmt.Errorf("--forks %d: expected a number of hosts of at least 1", f.forks)
	}
	return nil
}

func (f *runFlags) addForks(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.forks, "forks", 0, "work on at most `N` hosts at a time (default: change all, read ahead on 64)")
}

func (f *runFlags) run(ctx context.Context, path string) error {
	pb, inv, err := f.load(ctx, path, true, f.selectFlags)
	if err != nil {
		return err
	}
	if err := errors.Join(f.validate(pb), f.validateJournal(), f.validateForks(), f.validateAsk(), f.validateStep()); err != nil {
		return err
	}
	if f.lists.asked() {
		return f.lists.list(pb, inv, f.selectFlags)
	}
	if f.rehearse {
		stage, err := lab.Start(ctx, inv, lab.Options{})
		if err != nil {
			return err
		}
		defer stage.Close()
		f.stage, inv, f.rehearsal = stage, stage.Inventory(), len(inv.Hosts)
	}
	if f.ask {
		if err := f.agree(ctx, pb, inv); err != nil || f.follow == nil {
			return err
		}
	}
	return f.carryOut(ctx, pb, inv)
}

// carryOut runs a playbook that has been loaded and checked.
func (f *runFlags) carryOut(ctx context.Context, pb *lang.Playbook, inv *inventory.Inventory) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := f.shown
	if out == nil {
		var err error
		if out, err = f.reporter(os.Stdout, read(os.Stdout, func() { cancel(errUnread) })); err != nil {
			return err
		}
	}
	allowed, err := f.allowed(f.follow != nil)
	if err != nil {
		return err
	}
	o := f.options()
	o.Wait, o.Earlier, o.Counted, o.Forks = f.wait, f.earlier, f.counted, f.forks
	if f.stage != nil {
		o.Clock = f.stage.Clock()
	}
	o.Check, o.Rehearse = f.check, f.rehearse
	o.Redactor = report.NewRedactor()
	f.secrets.Hear(o.Redactor.Add)
	underway := &report.Underway{}
	recorded := &journal.Writer{Redactor: o.Redactor}
	files, err := f.open(func() time.Time {
		if o.Clock != nil { // for simulated nodes
			return o.Clock.Now()
		}
		return time.Now()
	})
	if err != nil {
		return err
	}
	defer discard(files)
	told := append([]report.Reporter{underway, recorded, out}, files...)
	var approval *plan.Approval
	var refusals *plan.Refusals
	switch {
	case f.follow != nil:
		approval = f.follow.Approve(o.Redactor, allowed, cancel)
		o.Approve, o.SendAhead = approval.Approve, false // the first difference anywhere stops the run
		told = append(told, approval.Watch())
	case (f.check || f.rehearse) && f.allow == "":
		refusals = plan.NewRefusals(allowed, o.Redactor)
		o.Approve = refusals.Approve
	default:
		o.Approve = allowed.Approve
	}
	if f.step {
		o.Ask = f.stepper(out, o.Redactor)
	}
	o.Reporter = report.Redact(report.Tee(told...), o.Redactor)
	o.Prepare = f.prepare
	if f.foresee != nil {
		o.Prepare = func(hosts []*inventory.Host) ([]string, error) {
			notes, err := f.prepare(hosts)
			if err != nil {
				return notes, err
			}
			record, err := f.record(pb, inv, o.Redactor)
			f.foresee(record)
			return notes, err
		}
	}
	if !f.rehearse && !f.check {
		o.Prepare = f.recording(recorded, pb, inv, o.Redactor)
		o.Archive, o.Modules = recorded, registry.All()
		if f.archive != nil {
			o.Archive = f.archive(o.Archive, cancel)
		}
	}
	if o.Connect = f.reached; o.Connect == nil {
		o.Connect = f.connect(func(fn func()) { report.Suspend(out, fn) })
	}
	ended := tells(ctx, underway, out)
	recap, err := run.Run(ctx, pb, inv, o)
	ended()
	if closeErr := report.Tee(append(files, out)...).Close(); closeErr != nil && err == nil {
		err = closeErr
	}
	if errors.Is(context.Cause(ctx), errUnread) {
		fmt.Fprintln(os.Stderr, "hlplay: the run was stopped: its output is no longer read")
	}
	if refusals != nil && f.shown == nil {
		if text := refusals.Text(); text != "" {
			fmt.Fprintln(os.Stderr, "hlplay: note:", text)
		}
	}
	if closeErr := recorded.Close(); closeErr != nil {
		fmt.Fprintln(os.Stderr, "hlplay:", closeErr)
	}
	if stopped := (*stoppedError)(nil); errors.As(context.Cause(ctx), &stopped) {
		return &exitError{code: exitFailed, err: stopped}
	}
	if approval != nil {
		if differs := approval.Stopped(); differs != nil {
			return &exitError{code: exitFailed, err: fmt.Errorf("stopped, because the run no longer follows the plan: %w", differs)}
		}
	}
	err = verdict(ctx, recap, err)
	if err == nil && approval != nil {
		if left := approval.Left(); left != nil {
			return &exitError{code: exitFailed, err: left}
		}
	}
	if err != nil {
		f.wayOn(recorded.ID())
	}
	if err == nil && f.exitOnChange && recap.Differs() {
		return &exitError{code: exitChanged}
	}
	return err
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
