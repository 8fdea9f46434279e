package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"

	"hlplay/engine/inventory"
	"hlplay/engine/lab"
	"hlplay/engine/observe"
	"hlplay/engine/plural"
	"hlplay/engine/report"
	"hlplay/engine/run"
	"hlplay/modules/survival"
	"hlplay/modules/survival/living"
)

// proveFlags are the flags of `hlplay prove`.
type proveFlags struct {
	inputFlags
	connectFlags
	playbook string
	json     bool
}

func proveCommand() *cobra.Command {
	f := &proveFlags{}
	cmd := &cobra.Command{
		Use:   "prove PATTERN -i INVENTORY",
		Short: "Show what a cluster still does after losing one node, or two",
		Long: `Prove examines a Proxmox VE cluster, with or without Ceph, and changes nothing. For every loss of one node and of two, it shows
the effect on corosync's votes, the monitors, the pools, the metadata servers and the highly available guests, and what a QDevice
would change. Pools are judged by the worst placement that their CRUSH rule permits.

With --rehearse it examines the cluster that a playbook builds on simulated nodes, so a cluster can be judged before it exists.`,
		Example: `  hlplay prove pve -i inventory
  hlplay prove pve -i inventory --rehearse playbooks/cluster.hcl`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("expected one pattern of hosts: name the nodes of a cluster, as in hlplay prove pve -i INVENTORY")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args[0]) },
	}
	f.inputFlags.add(cmd)
	f.connectFlags.add(cmd)
	cmd.Flags().StringVar(&f.playbook, "rehearse", "", "judge the cluster that `PLAYBOOK` builds on simulated nodes")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f *proveFlags) run(ctx context.Context, pattern string) error {
	inv, err := f.loadInventory()
	if err != nil {
		return err
	}
	if f.playbook != "" {
		stage, err := f.rehearseFirst(ctx)
		if err != nil {
			return err
		}
		defer stage.Close()
		inv, f.rehearsal = stage.Inventory(), len(inv.Hosts)
	}
	hosts, err := inv.Match(pattern)
	if err != nil {
		return err
	}
	if err := f.prepareAloud(hosts); err != nil {
		return err
	}
	c, err := f.read(ctx, hosts)
	if err != nil {
		return err
	}
	r := survival.Judge(c)
	if f.json {
		text, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			_, err = os.Stdout.Write(append(report.EscapeUnseen(text), '\n'))
		}
		return err
	}
	return printProof(os.Stdout, r)
}

// rehearseFirst runs the playbook on simulated nodes.
func (f *proveFlags) rehearseFirst(ctx context.Context) (*lab.Lab, error) {
	pb, inv, err := f.load(ctx, f.playbook, true, selectFlags{})
	if err != nil {
		return nil, err
	}
	stage, err := lab.Start(ctx, inv, lab.Options{})
	if err != nil {
		return nil, err
	}
	kept := &report.Recorder{}
	_, err = run.Run(ctx, pb, stage.Inventory(), run.Options{
		Reporter: kept, Redactor: report.NewRedactor(), Clock: stage.Clock(), Rehearse: true,
		Connect: (&connectFlags{rehearsal: len(stage.Inventory().Hosts)}).connect(func(fn func()) { fn() }),
	})
	for _, r := range slices.SortedStableFunc(slices.Values(kept.Results()), func(a, b report.TaskResult) int { return strings.Compare(a.Host, b.Host) }) {
		if err == nil && (r.Status == report.Failed || r.Status == report.Unreachable) {
			err = &exitError{code: exitFailed, err: fmt.Errorf("%s does not finish on simulated nodes: %s: %s (%s:%d): %s", f.playbook, r.Host, r.Task, r.File, r.Line, r.Message)}
		}
	}
	if err != nil {
		stage.Close()
		return nil, err
	}
	return stage, nil
}

// read reads the cluster from the first host that can describe it, and the memory of all hosts.
func (f *proveFlags) read(ctx context.Context, hosts []*inventory.Host) (survival.Cluster, error) {
	connect := f.connect(func(fn func()) { fn() })
	found := make([]struct {
		node    string
		memory  uint64
		cluster survival.Cluster
	}, len(hosts))
	errs := run.Read(ctx, hosts, connect, func(ctx context.Context, i int, h *observe.Host) (err error) {
		if found[i].node, found[i].memory, err = living.Machine(ctx, h); err == nil {
			found[i].cluster, err = living.Read(ctx, h)
		}
		return err
	})
	if err := ctx.Err(); err != nil {
		return survival.Cluster{}, err
	}
	memory := map[string]uint64{}
	var c survival.Cluster
	for i := range found {
		switch {
		case errs[i] != nil:
			complain(errs[i])
			continue
		case c.Name != "" && c.Name != found[i].cluster.Name:
			return c, fmt.Errorf("%s is in cluster %s and %s in cluster %s: name the nodes of one", hosts[i].Name, found[i].cluster.Name, c.Nodes[0].Name, c.Name)
		case c.Name == "" || !c.Quorate() && found[i].cluster.Quorate():
			c = found[i].cluster
		}
		memory[found[i].node] = found[i].memory
	}
	if c.Name == "" {
		return c, &exitError{code: exitUnreachable, err: errors.New("no host could describe its cluster")}
	}
	for i := range c.Nodes {
		c.Nodes[i].Memory = memory[c.Nodes[i].Name]
	}
	return c, nil
}

// printProof prints a report as a table and sentences.
func printProof(w *os.File, r survival.Report) error {
	device := "no QDevice"
	if r.Device > 0 {
		device = "a QDevice of " + plural.Of(r.Device, "vote")
	}
	fmt.Fprintf(w, "cluster %s: %s online, %s\n\n", report.OneLine(r.Cluster), plural.Of(len(r.Nodes), "node"), device)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "LOST\tCOROSYNC\tMONITORS\tPOOLS\tMETADATA\tHA GUESTS")
	for _, l := range r.Losses {
		fmt.Fprintln(table, report.OneLine(strings.Join([]string{
			strings.Join(l.Lost, " "), standing(l.Quorate, l.Votes, l.VotesOf), monitorCell(l), poolCell(l), metadataCell(l), guestCell(l),
		}, "\t")))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, finding := range r.Findings {
		text := "- " + report.Printable(finding)
		if isTerminal(w) { // do not wrap lines that may be searched
			text = ansi.Wordwrap(text, width(w), "")
		}
		if _, err := fmt.Fprintf(w, "\n%s", text); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

func standing(quorum bool, left, of int) string {
	if quorum {
		return fmt.Sprintf("quorate %d/%d", left, of)
	}
	return fmt.Sprintf("no quorum %d/%d", left, of)
}

func monitorCell(l survival.Loss) string {
	if l.MonitorsOf == 0 {
		return "-"
	}
	return standing(l.MonitorQuorum, l.Monitors, l.MonitorsOf)
}

// poolCell names the pools that stop, and those that may lose all copies.
func poolCell(l survival.Loss) string {
	if len(l.Pools) == 0 {
		return "-"
	}
	var stop, none, unknown, cells []string
	for _, p := range l.Pools {
		switch {
		case p.Copies < 0:
			unknown = append(unknown, p.Name)
		case p.Copies == 0:
			none = append(none, p.Name)
		case !p.Writes:
			stop = append(stop, p.Name)
		}
	}
	switch {
	case len(stop) == len(l.Pools), l.MonitorsOf > 0 && !l.MonitorQuorum:
		cells = append(cells, "all stop")
	case len(stop) > 0:
		cells = append(cells, strings.Join(stop, " ")+" stop")
	}
	if len(none) > 0 {
		cells = append(cells, strings.Join(none, " ")+" without a copy")
	}
	if len(unknown) > 0 {
		cells = append(cells, strings.Join(unknown, " ")+" not judged")
	}
	if len(cells) == 0 {
		return "all serve"
	}
	return strings.Join(cells, ", ")
}

func metadataCell(l survival.Loss) string {
	if l.MetadataServersOf == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", l.MetadataServers, l.MetadataServersOf)
}

// guestCell says where guests go, grouping those that have nowhere to go.
func guestCell(l survival.Loss) string {
	if len(l.Guests) == 0 {
		return "-"
	}
	var cells, stay []string
	for _, m := range l.Guests {
		if m.To == "" {
			stay = append(stay, m.Guest)
		} else {
			cells = append(cells, m.Guest+" to "+m.To)
		}
	}
	if !l.Quorate {
		return "all stop"
	}
	if len(stay) > 0 {
		cells = append(cells, "not "+strings.Join(stay, ", "))
	}
	return strings.Join(cells, ", ")
}
