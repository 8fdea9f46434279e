package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hlplay/engine/lab"
	"hlplay/engine/lang"
	"hlplay/engine/report"
	"hlplay/engine/run"
)

// rehearseFlags are the flags of `hlplay rehearse`.
type rehearseFlags struct {
	inputFlags
	outputFlags
	selectFlags
}

func rehearseCommand() *cobra.Command {
	f := &rehearseFlags{}
	cmd := &cobra.Command{
		Use:   "rehearse PLAYBOOK -i INVENTORY",
		Short: "Check, run and rerun a playbook on simulated nodes, and compare the three",
		Long: `Rehearse starts a simulated node for each host of the inventory and runs the playbook three times:
in check mode, for real, and again. It ends with a verdict: whether check mode predicted exactly what
the run changed, and whether the second run found nothing left to do.`,
		Args: onePlaybook,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args[0]) },
	}
	f.inputFlags.add(cmd)
	f.selectFlags.add(cmd)
	f.outputFlags.add(cmd)
	return cmd
}

func (f *rehearseFlags) run(ctx context.Context, path string) error {
	pb, inv, err := f.load(ctx, path, true, f.selectFlags)
	if err != nil {
		return err
	}
	if err := f.validate(pb); err != nil {
		return err
	}
	stage, err := lab.Start(ctx, inv, lab.Options{})
	if err != nil {
		return err
	}
	defer stage.Close()
	heading := func(text string) {
		if f.output != "json" {
			fmt.Printf("\n━━ %s ━━\n\n", text)
		}
	}

	heading("1 of 3: check mode, what would change")
	predicted, err := f.once(ctx, pb, stage, true)
	if err != nil {
		return err
	}
	heading("2 of 3: the run")
	made, err := f.once(ctx, pb, stage, false)
	if err != nil {
		return err
	}
	heading("3 of 3: the run again")
	again, err := f.once(ctx, pb, stage, false)
	if err != nil {
		return err
	}
	return f.verdict(predicted, made, again)
}

// once runs the playbook and returns the status of each task on each host, by "task on host".
func (f *rehearseFlags) once(ctx context.Context, pb *lang.Playbook, stage *lab.Lab, check bool) (map[string]report.Status, error) {
	out, err := f.reporter(os.Stdout, os.Stdout)
	if err != nil {
		return nil, err
	}
	kept := &report.Recorder{}
	o := f.options()
	o.Check, o.Rehearse = check, true
	o.Redactor = report.NewRedactor()
	f.secrets.Hear(o.Redactor.Add)
	o.Reporter = report.Redact(report.Tee(out, kept), o.Redactor)
	o.Clock = stage.Clock()
	o.Connect = (&connectFlags{rehearsal: len(stage.Inventory().Hosts)}).connect(func(fn func()) { fn() })
	recap, err := run.Run(ctx, pb, stage.Inventory(), o)
	if closeErr := out.Close(); closeErr != nil && err == nil {
		err = closeErr
	}
	if err := verdict(ctx, recap, err); err != nil {
		return nil, err
	}
	statuses := map[string]report.Status{}
	for _, r := range kept.Results() {
		statuses[fmt.Sprintf("%q on %s", r.Task, r.Host)] = r.Status
	}
	return statuses, nil
}

// verdict compares the three runs.
func (f *rehearseFlags) verdict(predicted, made, again map[string]report.Status) error {
	var wrong []string
	changed, right, uncertain := 0, 0, 0
	for task, status := range made {
		foretold := predicted[task]
		if foretold == report.Uncertain {
			uncertain++
		}
		if status == report.Changed {
			changed++
			if foretold == report.Changed {
				right++
			}
		}
		if foretold != report.Uncertain && (foretold == report.Changed) != (status == report.Changed) {
			wrong = append(wrong, fmt.Sprintf("%s: check mode said %s, the run said %s", task, orNothing(foretold), status))
		}
	}
	for task, status := range predicted {
		if _, ok := made[task]; !ok && status == report.Changed {
			wrong = append(wrong, fmt.Sprintf("%s: check mode said changed, the run did not reach it", task))
		}
	}
	for task, status := range again {
		if status == report.Changed {
			wrong = append(wrong, task+": changed again in the second run")
		}
	}
	slices.Sort(wrong)
	if len(wrong) > 0 {
		return &exitError{code: exitFailed, err: fmt.Errorf("the rehearsal failed:\n  %s", strings.Join(wrong, "\n  "))}
	}
	if f.output != "json" {
		text := fmt.Sprintf("The rehearsal succeeded: the run changed %d tasks on hosts. Check mode predicted %d of them, called %d uncertain and was never wrong. The second run changed nothing.", changed, right, uncertain)
		if term.IsTerminal(int(os.Stdout.Fd())) { // do not wrap lines that may be searched
			text = ansi.Wordwrap(text, width(os.Stdout), "")
		}
		fmt.Println("\n" + text)
	}
	return nil
}

func orNothing(s report.Status) report.Status {
	if s == "" {
		return "nothing"
	}
	return s
}
