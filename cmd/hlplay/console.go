package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"hlplay/engine/lang"
	"hlplay/engine/report"
	"hlplay/engine/run"
)

// consoleFlags are the flags of `hlplay console`.
type consoleFlags struct {
	inputFlags
	connectFlags
	playbook string
	rehearse bool
}

func consoleCommand() *cobra.Command {
	f := &consoleFlags{}
	cmd := &cobra.Command{
		Use:   "console HOST -i INVENTORY [EXPRESSION]",
		Short: "Evaluate expressions as a task on a host would",
		Long: `Console reads expressions, one per line, and prints their values. They can use host, hosts, groups, facts and all functions,
and with --playbook also var and local. hlplay connects to the host when the first fact is read. Nothing is changed.

Exit codes: 0 success; 1 an expression has an error; 3 the host was unreachable.`,
		Example: `  hlplay console pve1 -i inventory
  hlplay console pve1 -i inventory 'facts.memory.total / pow(1024, 3)'
  hlplay console pve1 -i inventory --playbook playbooks/cluster.hcl local.mons`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) > 2 {
				return errors.New("one host is expected, and at most one expression in quotes, as in hlplay console pve1 -i INVENTORY 'facts.memory.total'")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args[0], args[1:]) },
	}
	f.inputFlags.add(cmd)
	f.connectFlags.add(cmd)
	cmd.Flags().StringVarP(&f.playbook, "playbook", "p", "", "make the variables and locals of `PLAYBOOK` available")
	cmd.Flags().BoolVar(&f.rehearse, "rehearse", false, "use a simulated node")
	return cmd
}

func (f *consoleFlags) run(ctx context.Context, name string, expressions []string) error {
	f.secrets = f.keyring(ctx, false)
	inv, err := f.loadInventory()
	if err != nil {
		return err
	}
	inv, end, err := f.simulated(ctx, inv, f.rehearse)
	if err != nil {
		return err
	}
	defer end()
	hosts, err := inv.Match(name)
	if err != nil {
		return err
	}
	if len(hosts) != 1 {
		return fmt.Errorf("%q matches %d hosts, but an expression is evaluated for a single one: name it", name, len(hosts))
	}
	o, err := f.languageOptions(inv)
	if err != nil {
		return err
	}
	console, pb, diags := lang.NewConsole(f.playbook, o)
	if err := diagnosed(pb.Files, diags); err != nil {
		return err
	}
	if err := f.prepareAloud(hosts); err != nil {
		return err
	}
	failed, unreachable := false, false
	next, readError := f.reader(hosts[0].Name, expressions)
	var file *hcl.File
	err = run.Ask(ctx, inv, hosts[0], f.connect(func(fn func()) { fn() }), func() *lang.Question {
		for {
			text, ok := next()
			if !ok {
				return nil
			}
			q, asked, diags := console.Ask(text)
			if file = asked; diagnosed(map[string]*hcl.File{"expression": file}, diags) == nil {
				return q
			}
			failed = true
		}
	}, func(q *lang.Question, s lang.Scope, err error) {
		if err != nil {
			complain(err)
			unreachable = true
			return
		}
		answer, diags := q.Answer(s)
		if diagnosed(map[string]*hcl.File{"expression": file}, diags) != nil {
			failed = true
			return
		}
		fmt.Println(report.Printable(answer))
	})
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case readError() != nil:
		return fmt.Errorf("reading expressions: %w", readError())
	case unreachable:
		return &exitError{code: exitUnreachable}
	case failed && (len(expressions) > 0 || !isTerminal(os.Stdin)):
		return &exitError{code: exitInput}
	}
	return nil
}

// longestExpression is the maximum length of a line of standard input, in bytes.
const longestExpression = 1 << 20

// reader returns the given expressions or, without any, the non-empty lines of standard input up to "exit". failed returns
// why reading ended, or nil at the end of input.
func (f *consoleFlags) reader(host string, given []string) (next func() (string, bool), failed func() error) {
	if len(given) > 0 {
		return func() (string, bool) {
			if len(given) == 0 {
				return "", false
			}
			text := given[0]
			given = given[1:]
			return text, true
		}, func() error { return nil }
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestExpression)
	return func() (string, bool) {
		for {
			if isTerminal(os.Stdin) {
				fmt.Fprint(os.Stderr, host+"> ")
			}
			if !lines.Scan() {
				return "", false
			}
			switch text := strings.TrimSpace(lines.Text()); text {
			case "":
			case "exit", "quit":
				return "", false
			default:
				return text, true
			}
		}
	}, lines.Err
}
