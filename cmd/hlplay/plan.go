package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hlplay/engine/inventory"
	"hlplay/engine/journal"
	"hlplay/engine/lang"
	"hlplay/engine/plan"
	"hlplay/engine/report"
	"hlplay/modules"
)

func planCommand() *cobra.Command {
	f := &runFlags{}
	file := ""
	cmd := &cobra.Command{
		Use:   "plan PLAYBOOK -i INVENTORY -o FILE",
		Short: "Write what a run would do to a file, for approval",
		Long: `Plan runs a playbook in check mode and writes what would change to a file: each step with its host, task, risk class and
diff. hlplay show prints the file, and hlplay apply carries out exactly what it says. The file holds no secrets, but it shows the
contents of files that are not declared secret, so only its owner can read it.

` + riskClasses() + `

Exit codes: 0 success; 1 bad input; 2 a task failed; 3 a host was unreachable; 4 with --exit-on-change, something would change.`,
		Example: `  hlplay plan playbooks/cluster.hcl -i inventory -o cluster.plan
  hlplay show cluster.plan
  hlplay apply cluster.plan`,
		Args: onePlaybook,
		RunE: func(cmd *cobra.Command, args []string) error { return f.plan(cmd.Context(), args[0], file) },
	}
	f.inputFlags.add(cmd)
	f.selectFlags.add(cmd)
	f.outputFlags.add(cmd)
	f.connectFlags.add(cmd)
	f.addBecome(cmd)
	f.addForks(cmd)
	cmd.Flags().StringVarP(&file, "out", "o", "", "write the plan to `FILE`")
	cmd.Flags().BoolVar(&f.exitOnChange, "exit-on-change", false, "exit with code 4 if anything would change, or if that is uncertain")
	return cmd
}

// riskClasses explains the risk classes.
func riskClasses() string {
	var b strings.Builder
	b.WriteString("Risk classes, from the least to the worst:")
	for _, r := range modules.Risks() {
		fmt.Fprintf(&b, "\n  %-9s %s", r, r.Meaning())
	}
	return b.String()
}

func (f *runFlags) addAllow(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.allow, "allow", "", "carry out only harmless steps and those of the risk `CLASSES`, such as restart,quorum, or all (see hlplay plan --help); default: every class but destroy")
}

// allowed returns the risk classes that may be carried out. If a plan is followed, they apply to its uncertain tasks;
// its other steps are approved already.
func (f *runFlags) allowed(following bool) (plan.Allowed, error) {
	switch {
	case f.allow == "" && following:
		return plan.Allowed{modules.Harmless}, nil
	case f.allow == "":
		return plan.Default(), nil
	}
	allowed, err := plan.ParseAllowed(f.allow)
	if err != nil {
		return nil, fmt.Errorf("--allow: %w", err)
	}
	return allowed, nil
}

func (f *runFlags) plan(ctx context.Context, path, file string) error {
	if file == "" {
		return errors.New("no file for the plan given: name it with -o FILE")
	}
	pb, inv, err := f.load(ctx, path, true, f.selectFlags)
	if err != nil {
		return err
	}
	if err := errors.Join(f.validate(pb), f.validateForks()); err != nil {
		return err
	}
	p, err := f.foreseen(ctx, pb, inv)
	if err != nil {
		return err
	}
	if err := p.Write(file); err != nil {
		return err
	}
	allow := ""
	if p.Refused(nil) != nil {
		allow = " --allow=" + modules.Destroys.String()
	}
	fmt.Fprintf(os.Stderr, "\n%s\nhlplay: the plan is in %s: hlplay show %s prints it, hlplay apply %s%s carries it out\n", p.Summary(), file, file, file, allow)
	if f.exitOnChange && len(p.Tasks) > 0 {
		return &exitError{code: exitChanged}
	}
	return nil
}

// foreseen runs the playbook in check mode, reporting it, and returns what it would do.
func (f *runFlags) foreseen(ctx context.Context, pb *lang.Playbook, inv *inventory.Inventory) (*plan.Plan, error) {
	out, err := f.reporter(os.Stdout, os.Stdout)
	if err != nil {
		return nil, err
	}
	kept := &report.Recorder{}
	check := *f
	var begun journal.Run
	check.check, check.journal, check.exitOnChange = true, noJournal, false
	check.shown = report.Tee(kept, out)
	check.foresee = func(r journal.Run) { begun = r }
	if err := check.carryOut(ctx, pb, inv); err != nil {
		return nil, err
	}
	return plan.New(time.Now(), begun, kept.Results()), nil
}

// agree shows what would change and asks whether to carry it out. If so, it sets follow.
func (f *runFlags) agree(ctx context.Context, pb *lang.Playbook, inv *inventory.Inventory) error {
	tty, err := openTerminal()
	if err != nil {
		return errors.New("--ask: there is no terminal to ask on: make a plan with hlplay plan, and apply it")
	}
	defer tty.Close()
	p, err := f.foreseen(ctx, pb, inv)
	if err != nil {
		return err
	}
	if len(p.Tasks) == 0 {
		return nil
	}
	allowed, err := f.allowed(true)
	if err != nil {
		return err
	}
	if err := p.Refused(allowed); err != nil {
		return err
	}
	fmt.Fprintf(tty, "\n%s\nCarry this out? [yes/no] ", p.Summary())
	answer, err := readLine(ctx, tty)
	if err != nil {
		return err
	}
	if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
		fmt.Fprintln(os.Stderr, "hlplay: nothing was changed")
		return nil
	}
	f.follow = p
	return nil
}

func showCommand() *cobra.Command {
	asJSON, asHTML := false, false
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Print a plan written by hlplay plan",
		Args:  onePlan,
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := plan.Read(args[0])
			if err != nil {
				return err
			}
			switch {
			case asHTML:
				return p.WriteHTML(os.Stdout)
			case !asJSON:
				_, err = fmt.Print(p.Text())
				return err
			}
			text, err := json.MarshalIndent(p, "", "  ")
			if err != nil {
				return err
			}
			_, err = os.Stdout.Write(append(report.EscapeUnseen(text), '\n'))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&asHTML, "html", false, "print a self-contained page of HTML")
	cmd.MarkFlagsMutuallyExclusive("json", "html")
	return cmd
}

// onePlan is for commands whose argument is a plan file.
func onePlan(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("one plan is expected: name its file, as in %s cluster.plan", cmd.CommandPath())
	}
	return nil
}
