package preflight

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Print prints a report: a table of the hosts, one of the paths between them, and what to do. A cell that a finding is about
// ends with an exclamation mark.
func Print(w io.Writer, r Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tRELEASE\tNAME\tCLOCK\tCPU\tMEMORY\tNIC\tDISKS\tFIRMWARE\tIOMMU\tPORTS")
	for _, m := range r.Machines {
		if m.Unread != "" {
			fmt.Fprintf(table, "%s!\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\n", m.Host)
			continue
		}
		cell := func(text string, about ...string) string { return Mark(r.Findings, m.Host, text, about...) }
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cell(m.Host, aboutID), cell(m.Release, aboutRelease),
			cell(m.Hostname, aboutName, aboutResolve), cell(fmt.Sprintf("%+.1f s", r.ahead(m)), aboutClock), cell(fmt.Sprint(m.CPUs), aboutCPU),
			cell(fmt.Sprintf("%d GiB", m.Memory>>30), aboutMemory), cell(m.links(), aboutNIC, aboutMTU),
			cell(fmt.Sprintf("%d, %d blank", m.Disks, m.Blank), aboutDisks), cell(firmware(m), aboutFirmware), onOff(m.IOMMU), cell(m.taken(), aboutPorts))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := PrintPaths(w, r.Machines); err != nil {
		return err
	}
	if len(r.Findings) == 0 {
		_, err := fmt.Fprintln(w, "\nNothing is in the way.")
		return err
	}
	fmt.Fprintln(w)
	return PrintFindings(w, r.Findings)
}

// Mark returns the text of a cell, with an exclamation mark if a finding about the host concerns it.
func Mark(findings []Finding, host, text string, about ...string) string {
	if slices.ContainsFunc(findings, func(f Finding) bool { return f.Host == host && slices.Contains(about, f.About) }) {
		return text + "!"
	}
	return text
}

// PrintFindings prints what is wrong and how to fix it.
func PrintFindings(w io.Writer, findings []Finding) error {
	for _, f := range findings {
		kind := "warning"
		if f.Stops {
			kind = "error"
		}
		if _, err := fmt.Fprintf(w, "%s: %s, %s: %s\n    %s\n", kind, f.Host, f.About, f.Problem, f.Mend); err != nil {
			return err
		}
	}
	return nil
}

// PrintPaths prints a row for each host and a column for each address that others must reach.
func PrintPaths(w io.Writer, machines []Machine) error {
	var addresses []string
	for _, m := range machines {
		addresses = append(addresses, m.Addresses...)
	}
	if len(machines) < 2 {
		return nil
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FROM\t"+strings.Join(addresses, "\t"))
	for _, m := range machines {
		cells := []string{m.Host}
		for _, address := range addresses {
			cells = append(cells, m.pathTo(address))
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return table.Flush()
}

func (m Machine) pathTo(address string) string {
	for _, p := range m.Paths {
		switch {
		case p.Address != address:
		case p.Lost:
			return "lost!"
		case p.Cut:
			return fmt.Sprintf("%.1f ms, not %d!", p.Latency, p.Size)
		default:
			return fmt.Sprintf("%.1f ms, %d", p.Latency, p.Size)
		}
	}
	return "-"
}

// ahead returns the seconds by which a clock is ahead of that of the first host that was read. The controller's clock does
// not matter to a cluster.
func (r Report) ahead(m Machine) float64 {
	for _, first := range r.Machines {
		if first.Unread == "" {
			apart := m.Ahead - first.Ahead
			if -0.05 < apart && apart < 0.05 {
				apart = 0
			}
			return apart
		}
	}
	return 0
}

func (m Machine) links() string {
	var all []string
	for _, l := range m.Links {
		text := fmt.Sprintf("%s %d", l.Name, l.MTU)
		if l.Speed > 0 {
			text += fmt.Sprintf(" %gG", float64(l.Speed)/1000)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func (m Machine) taken() string {
	if len(m.Taken) == 0 {
		return "free"
	}
	var all []string
	for _, s := range m.Taken {
		all = append(all, fmt.Sprint(s.Port))
	}
	return strings.Join(all, " ") + " taken"
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
