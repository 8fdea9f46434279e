package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hlplay/engine/journal"
	"hlplay/engine/report"
)

// historyFlags are the flags of `hlplay history`.
type historyFlags struct {
	journalFlags
	json, verbose bool
}

func historyCommand() *cobra.Command {
	f := &historyFlags{}
	cmd := &cobra.Command{
		Use:   "history [RUN]",
		Short: "List the recorded runs, or show what one did",
		Long: `History lists the recorded runs, latest first: when each began, who started it, which playbook it ran on how many hosts,
and how it ended. Checks and rehearsals are not recorded.

With RUN, the start of an ID or "last", it shows what happened on each host: which tasks changed something, failed or were skipped,
and which were not reached.`,
		Example: `  hlplay history
  hlplay history last
  hlplay history 20261128-0903 --json`,
		Args: oneRun,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return f.list(os.Stdout)
			}
			return f.show(os.Stdout, args[0])
		},
	}
	f.addDir(cmd, "the `DIR` that runs are recorded in")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON, one object per line: the runs, or the journal of a single run")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "also show tasks that were skipped or had nothing to do")
	cmd.ValidArgsFunction = f.completeRuns
	return cmd
}

// listed is a run in the JSON list.
type listed struct {
	ID       string        `json:"id"`
	Began    time.Time     `json:"began"`
	By       string        `json:"by"`
	Playbook string        `json:"playbook"`
	Hosts    []string      `json:"hosts"`
	State    journal.State `json:"state"`
	Resumes  string        `json:"resumes,omitempty"`
}

func (f *historyFlags) list(w io.Writer) error {
	store, err := f.store()
	if err != nil {
		return err
	}
	all, err := store.IDs()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(all) == 0 && !f.json {
		fmt.Fprintf(w, "no run is recorded in %s\n", store)
		return nil
	}
	if !f.json {
		fmt.Fprintln(table, "RUN\tBEGAN\tBY\tPLAYBOOK\tHOSTS\tEND")
	}
	for _, id := range all {
		g, err := store.Glance(id)
		if err != nil {
			complain(err)
			continue
		}
		hosts := hostsOf(g)
		if f.json {
			if err := writeJSON(w, listed{g.ID, g.Began, g.Run.By, g.Run.Playbook, hosts, g.State, g.Run.Resumes}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", g.ID, g.Began.Local().Format("2006-01-02 15:04"), report.OneLine(g.Run.By), report.OneLine(g.Run.Playbook), len(hosts), ending(g))
	}
	return table.Flush()
}

// hostsOf returns the hosts of a run in the order of the run.
func hostsOf(g journal.Glance) []string {
	hosts := []string{}
	for _, play := range g.Run.Plan {
		for _, name := range play.Hosts {
			if !slices.Contains(hosts, name) {
				hosts = append(hosts, name)
			}
		}
	}
	return hosts
}

// ending says how a run ended.
func ending(g journal.Glance) string {
	if g.End == nil {
		return string(g.State)
	}
	changed := 0
	var failed, lost []string
	for _, name := range hostsOf(g) {
		c := g.End.Hosts[name]
		changed += c.Changed
		if c.Failed > 0 {
			failed = append(failed, name)
		}
		if c.Unreachable > 0 {
			lost = append(lost, name)
		}
	}
	text := string(g.State)
	for _, trouble := range []struct {
		what  string
		hosts []string
	}{{"failed on ", failed}, {"not reached: ", lost}} {
		if len(trouble.hosts) > 0 {
			text += "; " + trouble.what + strings.Join(trouble.hosts, ", ")
		}
	}
	return report.OneLine(strings.TrimPrefix(text, "failed; ") + fmt.Sprintf("; %d changed", changed))
}

func writeJSON(w io.Writer, object any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		return err
	}
	_, err := w.Write(report.EscapeUnseen(text.Bytes()))
	return err
}

func (f *historyFlags) show(w io.Writer, word string) error {
	_, record, err := f.find(word)
	if err != nil {
		return err
	}
	if f.json {
		for _, e := range record.Entries {
			if err := writeJSON(w, e); err != nil {
				return err
			}
		}
		return nil
	}
	_, err = io.WriteString(w, f.text(record))
	return err
}

// text says what happened on each host.
func (f *historyFlags) text(r *journal.Record) string {
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(report.OneLine(fmt.Sprintf(format, args...)) + "\n") }
	line("run %s: %s, inventory %s", r.ID, r.Run.Playbook, strings.Join(r.Run.Arguments.Inventory, ", "))
	line("started %s by %s", r.Began.Local().Format("2006-01-02 15:04:05 MST"), r.Run.By)
	if r.Run.Resumes != "" {
		line("continues run %s", r.Run.Resumes)
	}
	if r.Run.Restores != "" {
		line("restores a file to what it was before run %s", r.Run.Restores)
	}
	line("%s", ending(r.Glance))
	for _, h := range r.Hosts() {
		b.WriteString("\n")
		line("%s: %s", h.Name, counted(h.Counts))
		for _, d := range h.Results {
			if d.Worth() || f.verbose {
				b.WriteString(told(d))
			}
		}
		if h.Step != nil {
			b.WriteString("  " + report.OneLine(fmt.Sprintf("running: %s (task %q)", h.Step.What, h.Step.Task)) + "\n")
		}
		if len(h.Ahead) > 0 {
			b.WriteString("  not reached: " + report.OneLine(ahead(h.Ahead)) + "\n")
		}
	}
	notes := false
	for _, e := range r.Entries {
		if e.Note != "" {
			if !notes {
				b.WriteString("\n")
			}
			notes = true
			line("note: %s", e.Note)
		}
	}
	b.WriteString(f.copies(r))
	if at, ok := r.Unfinished(); ok && r.State != journal.Running {
		b.WriteString("\n")
		line("to continue at task %s: hlplay resume %s%s", at, r.ID, f.elsewhere())
	}
	return b.String()
}

// copies lists the files that can be restored.
func (f *historyFlags) copies(r *journal.Record) string {
	var b strings.Builder
	for _, k := range r.Copies() {
		if !k.Changed() {
			continue
		}
		if b.Len() == 0 {
			fmt.Fprintf(&b, "\nhlplay restore %s FILE%s restores these files to what they were before:\n", r.ID, f.elsewhere())
		}
		was := ""
		if k.Absent {
			was = " (absent)"
		}
		b.WriteString("  " + report.OneLine(k.Path+" of "+k.Host+was) + "\n")
	}
	return b.String()
}

// told formats a result in a few lines.
func told(d journal.Done) string {
	var b strings.Builder
	kind := "task"
	if d.Handler {
		kind = "handler"
	}
	status := string(d.Status)
	switch {
	case d.Ignored:
		status += " (ignored)"
	case d.Rescued:
		status += " (rescued)"
	}
	fmt.Fprintf(&b, "  %s  %-9s  %s\n", d.At.Local().Format("15:04:05"), status, report.OneLine(fmt.Sprintf("%s %q (%s:%d)", kind, d.Task, d.File, d.Line)))
	below := func(prefix, text string) {
		if text != "" {
			b.WriteString("            " + report.OneLine(prefix+text) + "\n")
		}
	}
	for _, step := range d.Steps {
		below("", step)
	}
	below("", d.Message)
	for _, step := range d.Unfinished {
		below("not completed: ", step)
	}
	for _, note := range d.Notes {
		below("note: ", note)
	}
	return b.String()
}

// counted formats the counts that are not zero.
func counted(c report.Counts) string {
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{
		{c.OK, "ok"}, {c.Changed, "changed"}, {c.Skipped, "skipped"}, {c.Uncertain, "uncertain"}, {c.Rescued, "rescued"}, {c.Ignored, "ignored"},
		{c.Failed, "failed"}, {c.Unreachable, "unreachable"}, {c.Unfinished, "not completed"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	if len(parts) == 0 {
		return "nothing was done"
	}
	return strings.Join(parts, ", ")
}

// mostAhead is how many of the tasks that a host did not reach are named.
const mostAhead = 5

func ahead(points []journal.Point) string {
	var names []string
	for _, p := range points[:min(mostAhead, len(points))] {
		names = append(names, p.String())
	}
	if more := len(points) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}
