package proof

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"hlplay/modules/preflight"
)

// Print prints a report: a table of the nodes, one of the paths between them, one of the measurements, and what to do. A
// cell that a finding is about ends with an exclamation mark.
func Print(w io.Writer, r Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tPVE\tCEPH\tUNITS\tWEB\tMTU")
	for _, n := range r.Nodes {
		if n.Unread != "" {
			fmt.Fprintf(table, "%s!\t-\t-\t-\t-\t-\n", n.Host)
			continue
		}
		cell := func(text, about string) string { return preflight.Mark(r.Findings, n.Host, text, about) }
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", n.Host, cell(orDash(n.Packages["pve-manager"]), aboutVersions), cell(orDash(n.Packages[cephPackage]), aboutCeph),
			cell(n.failures(), aboutUnits), cell(n.Web.String(), aboutWeb), cell(n.mtus(), aboutMTU))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := printPaths(w, r); err != nil {
		return err
	}
	if err := printMeasurements(w, r); err != nil {
		return err
	}
	if len(r.Findings) == 0 {
		_, err := fmt.Fprintln(w, "\nEverything is as it should be.")
		return err
	}
	fmt.Fprintln(w)
	return preflight.PrintFindings(w, r.Findings)
}

func printPaths(w io.Writer, r Report) error {
	var machines []preflight.Machine
	for _, n := range r.Nodes {
		machines = append(machines, preflight.Machine{Host: n.Host, Addresses: n.Addresses, Paths: n.Paths})
	}
	return preflight.PrintPaths(w, machines)
}

func printMeasurements(w io.Writer, r Report) error {
	if len(r.Measurements) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FROM\tTO\tADDRESS\tSPEED\tONE STREAM\tSEVERAL")
	for _, m := range r.Measurements {
		if m.Problem != "" {
			fmt.Fprintf(table, "%s\t%s\t%s\t-\t-\t-!\n", m.From, m.To, m.Address)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", m.From, m.To, m.Address, m.Speed, m.share(m.Single, r.Floors.Single), m.share(m.Several, r.Floors.Several))
	}
	return table.Flush()
}

// share formats a throughput in Mbit/s and in percent of the link's speed.
func (m Measurement) share(got float64, floor int) string {
	percent := got * 100 / float64(m.Speed)
	text := fmt.Sprintf("%.0f, %.0f%%", got, percent)
	if percent < float64(floor) {
		text += "!"
	}
	return text
}

func (w Web) String() string {
	if w.Status == 0 {
		return "no answer"
	}
	return fmt.Sprint(w.Status)
}

func (n Node) mtus() string {
	var all []string
	for _, l := range n.Links {
		all = append(all, fmt.Sprintf("%s %d", l.Name, l.MTU))
	}
	return strings.Join(all, ", ")
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
