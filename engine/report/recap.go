package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/plural"
)

// recap returns the table of hosts and a sentence about how the run ended.
func (t *textReporter) recap(e Recap) string {
	hosts := slices.Clone(e.Order)
	var others []string
	for host := range e.Hosts {
		if !slices.Contains(hosts, host) {
			others = append(others, host)
		}
	}
	slices.Sort(others)
	hosts = append(hosts, others...)

	var b strings.Builder
	b.WriteString("\n" + t.look.heading("── Recap") + "\n")
	b.WriteString(t.counts(hosts, e))
	if t.o.Verbose && len(e.Costs) > 0 {
		b.WriteString(t.costs(hosts, e))
	}
	b.WriteString("\n")
	for _, line := range wrap(t.verdict(hosts, e), less(t.o.Width, 2)) {
		b.WriteString("  " + line + "\n")
	}
	return b.String()
}

// column is a column of the table of hosts.
type column struct {
	// status is the status whose colour its numbers have. name is its heading, or empty if that is the status.
	status Status
	name   string
	of     func(Counts) int
	// always is set if it is shown even if all its numbers are zero.
	always bool
}

// columns returns the columns of the table of hosts without those that are all zero.
func columns(hosts map[string]Counts) []column {
	all := []column{
		{OK, "", func(c Counts) int { return c.OK }, true},
		{Changed, "", func(c Counts) int { return c.Changed }, true},
		{Skipped, "", func(c Counts) int { return c.Skipped }, false},
		{Uncertain, "", func(c Counts) int { return c.Uncertain }, false},
		{Failed, "rescued", func(c Counts) int { return c.Rescued }, false},
		{Failed, "ignored", func(c Counts) int { return c.Ignored }, false},
		{Failed, "", func(c Counts) int { return c.Failed }, true},
		{Unreachable, "", func(c Counts) int { return c.Unreachable }, false},
	}
	return slices.DeleteFunc(all, func(column column) bool {
		if column.always {
			return false
		}
		for _, c := range hosts {
			if column.of(c) > 0 {
				return false
			}
		}
		return true
	})
}

// heading returns the heading of a column as people read it.
func (t *textReporter) heading(c column) string {
	if c.name != "" {
		return c.name
	}
	return t.word(TaskResult{Status: c.status})
}

// cell is a cell of a table and its colour.
type cell struct {
	text  string
	color paint
}

func (t *textReporter) counts(hosts []string, e Recap) string {
	columns := columns(e.Hosts)
	head := []cell{{"", nil}}
	for _, column := range columns {
		head = append(head, cell{t.heading(column), t.look.dim})
	}
	rows := [][]cell{head}
	for _, host := range hosts {
		row := []cell{{OneLine(host), nil}}
		for _, column := range columns {
			n := column.of(e.Hosts[host])
			color := t.look.status[column.status]
			if n == 0 {
				color = t.look.dim
			}
			row = append(row, cell{strconv.Itoa(n), color})
		}
		rows = append(rows, row)
	}
	return t.table(rows)
}

func (t *textReporter) costs(hosts []string, e Recap) string {
	rows := [][]cell{{{"", nil}, {"round trips", t.look.dim}, {"flights", t.look.dim}, {"sent", t.look.dim}, {"received", t.look.dim}}}
	for _, host := range hosts {
		if cost, ok := e.Costs[host]; ok {
			rows = append(rows, []cell{
				{OneLine(host), nil}, {strconv.Itoa(cost.RoundTrips), nil}, {strconv.Itoa(cost.Flights), nil},
				{bytesOf(cost.Sent), nil}, {bytesOf(cost.Received), nil},
			})
		}
	}
	return "\n" + t.table(rows)
}

// table formats rows in columns, with numbers aligned to the right. If that is too wide, each row becomes a few lines.
func (t *textReporter) table(rows [][]cell) string {
	widths := make([]int, len(rows[0]))
	total := 2
	for column := range widths {
		for _, row := range rows {
			widths[column] = max(widths[column], width(row[column].text))
		}
		total += widths[column] + 2
	}
	show := func(c cell) string {
		if c.color == nil {
			return c.text
		}
		return c.color(c.text)
	}
	var b strings.Builder
	if t.o.Width > 0 && total > t.o.Width {
		for _, row := range rows[1:] {
			b.WriteString("  " + row[0].text + "\n")
			for column := 1; column < len(row); column++ {
				if row[column].text != "0" {
					b.WriteString("    " + show(row[column]) + " " + rows[0][column].text + "\n")
				}
			}
		}
		return b.String()
	}
	for _, row := range rows {
		line := "  " + pad(show(row[0]), widths[0])
		for column := 1; column < len(row); column++ {
			line += "  " + strings.Repeat(" ", widths[column]-width(row[column].text)) + show(row[column])
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// verdict returns the sentence about how the run ended.
func (t *textReporter) verdict(hosts []string, e Recap) string {
	var failed, unreachable, begun []string
	changes, uncertain, touched, unfinished, rescued, ignored := 0, 0, 0, 0, 0, 0
	for _, host := range hosts {
		counts := e.Hosts[host]
		if counts.Failed > 0 {
			failed = append(failed, host)
		}
		if counts.Unreachable > 0 {
			unreachable = append(unreachable, host)
		}
		if counts.Changed > 0 {
			touched++
		}
		if counts.Unfinished > 0 {
			begun = append(begun, host)
		}
		unfinished += counts.Unfinished
		changes += counts.Changed
		uncertain += counts.Uncertain
		rescued += counts.Rescued
		ignored += counts.Ignored
	}
	check := t.check || e.Check
	var parts []string
	switch {
	case changes > 0 && check:
		parts = append(parts, fmt.Sprintf("%s would be made on %s", plural.Of(changes, "change"), plural.Of(touched, "host")))
	case changes > 0:
		parts = append(parts, fmt.Sprintf("%s made on %s", plural.Of(changes, "change"), plural.Of(touched, "host")))
	case check:
		parts = append(parts, "nothing would change")
	case unfinished > 0:
		parts = append(parts, "no change completed")
	default:
		parts = append(parts, "nothing changed")
	}
	if unfinished > 0 {
		parts[0] += fmt.Sprintf(", %d begun and not completed on %s", unfinished, hostNames(begun))
	}
	if uncertain > 0 {
		parts = append(parts, fmt.Sprintf("%d cannot be told before the run", uncertain))
	}
	if rescued > 0 {
		parts = append(parts, plural.Of(rescued, "failure")+" rescued")
	}
	if ignored > 0 {
		parts = append(parts, plural.Of(ignored, "failure")+" ignored")
	}
	if len(failed) > 0 {
		parts = append(parts, "failed on "+hostNames(failed))
	}
	if len(unreachable) > 0 {
		parts = append(parts, "not reached: "+hostNames(unreachable))
	}
	opening, after := "Done", " in "
	switch {
	case e.Interrupted:
		opening, after = "Interrupted", " after "
	case len(failed)+len(unreachable) > 0:
		opening, after = "Not done", " after "
	case check:
		opening = "Checked"
	}
	if (t.live != nil || t.o.Verbose) && e.Duration >= 100*time.Millisecond {
		opening += after + span(e.Duration)
		if t.rehearse {
			opening += " of simulated time"
		}
	}
	return opening + ": " + strings.Join(parts, "; ") + "."
}
