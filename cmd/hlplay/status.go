package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"hlplay/engine/inventory"
	"hlplay/engine/nodestate"
	"hlplay/engine/remote"
	"hlplay/engine/report"
)

// statusFlags are the flags of `hlplay status`.
type statusFlags struct {
	inputFlags
	connectFlags
	clear  bool
	reason string
}

func statusCommand() *cobra.Command {
	f := &statusFlags{}
	cmd := &cobra.Command{
		Use:   "status PATTERN -i INVENTORY",
		Short: "Show what is pending on hosts: due handlers, long commands, changes to undo, the lock",
		Long: `Status shows what hlplay keeps on hosts, in ` + nodestate.Dir + `: handlers that were notified and have not run
yet, long commands that are running or whose result no run has read, changes that the host will undo because nobody has confirmed
them, and who holds the lock. The next run of the playbook runs those handlers, and waits for a command that is still running.

--clear with a reason forgets all of it: the handlers will not run, and unconfirmed changes stay. The host's log records who did
that, and why. While a command is running, nothing is forgotten.`,
		Example: `  hlplay status pve -i inventory
  hlplay status pve2 -i inventory --clear --reason "restarted by hand"`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("expected one pattern of hosts: name a host, a group or all, as in hlplay status all -i INVENTORY")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args[0]) },
	}
	f.addInventory(cmd)
	f.connectFlags.add(cmd)
	cmd.Flags().BoolVar(&f.clear, "clear", false, "forget what is pending and who holds the lock; needs --reason")
	cmd.Flags().StringVar(&f.reason, "reason", "", "`WHY` it is forgotten, for the host's log")
	return cmd
}

// hostStatus is what is known about one host.
type hostStatus struct {
	state   nodestate.State
	cleared bool
	err     error
}

func (f *statusFlags) run(ctx context.Context, pattern string) error {
	if f.reason = strings.Join(strings.Fields(f.reason), " "); f.clear != (f.reason != "") {
		return errors.New("--clear and --reason go together: say why the handlers need not run, as in --reason \"restarted by hand\"")
	}
	inv, err := f.loadInventory()
	if err != nil {
		return err
	}
	hosts, err := inv.Match(pattern)
	if err != nil {
		return err
	}
	if err := f.prepareAloud(hosts); err != nil {
		return err
	}
	connect := f.connect(func(fn func()) { fn() })
	found := make([]hostStatus, len(hosts))
	atOnce := make(chan struct{}, 50)
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Add(1)
		go func() {
			defer wg.Done()
			atOnce <- struct{}{}
			found[i] = f.host(ctx, connect, h)
			<-atOnce
		}()
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	failed := false
	for i, h := range hosts {
		if found[i].err != nil {
			failed = true
			complain(found[i].err)
			continue
		}
		fmt.Print(found[i].text(h.Name))
	}
	if failed {
		return &exitError{code: exitUnreachable}
	}
	return nil
}

// host reads one host's state as root, and forgets it if asked to.
func (f *statusFlags) host(ctx context.Context, connect func(context.Context, *inventory.Host) (remote.Conn, error), h *inventory.Host) (s hostStatus) {
	conn, err := connect(ctx, h)
	if err != nil {
		return hostStatus{err: err}
	}
	defer conn.Close()
	root := conn.As("root")
	s.state, s.err = nodestate.Look(ctx, root)
	kept := len(s.state.Due)+len(s.state.Running)+len(s.state.Undo) > 0 || s.state.Lock != nil
	if s.err == nil && f.clear && kept {
		s.err = nodestate.Forget(ctx, root, s.state, nodestate.By(), f.reason)
		s.cleared = true
	}
	if s.err != nil && !strings.HasPrefix(s.err.Error(), h.Name) {
		s.err = fmt.Errorf("%s: %w", h.Name, s.err)
	}
	return s
}

// text describes the state of a host.
func (s hostStatus) text(host string) string {
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(report.OneLine(fmt.Sprintf(host+": "+format, args...)) + "\n")
	}
	verb := ""
	if s.cleared {
		verb = "forgotten: "
	}
	switch {
	case s.state.Refused != "":
		line("%s", s.state.Refused)
	case s.state.Unwritable != "":
		line("%s: due handlers cannot be recorded there", s.state.Unwritable)
	}
	for _, d := range s.state.Due {
		line("%s%s", verb, d)
	}
	for _, u := range s.state.Undo {
		line("%s%s", verb, u)
	}
	for _, l := range s.state.Running {
		line("%s%s", verb, l)
	}
	switch l := s.state.Lock; {
	case l == nil:
	case s.cleared:
		line("forgotten: %s", l)
	case l.Gone():
		line("%s; that run has ended, and the next run takes the lock", l)
	default:
		line("%s", l)
	}
	if b.Len() == 0 {
		line("nothing is due, nothing is running, and no run is changing it")
	}
	return b.String()
}
