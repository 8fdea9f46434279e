package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"hlplay/engine/plural"
)

// NewDrift returns a Reporter for a run in check mode that writes, on Close, how the hosts differ from the playbook, for a mail or a
// monitoring system. The first line is a summary; nothing follows if nothing differs. With asJSON the output is one object:
//
//	{"playbook":"site.hcl","drifted":true,"hosts":{"pve1":{"status":"drifted","tasks":[
//	 {"task":"…","play":"…","status":"changed","steps":["…"],"message":"…","file":"site.hcl","line":12,
//	  "diffs":[{"subject":"…","before":"…","after":"…"}]}]}}}
//
// The status of a host is "ok", "drifted", "failed" or "unreachable"; diffs are included if Options.Diff is set.
func NewDrift(w io.Writer, asJSON bool, o Options) Reporter {
	return &drift{w: w, json: asJSON, o: o, hosts: map[string][]TaskResult{}}
}

type drift struct {
	w        io.Writer
	json     bool
	o        Options
	playbook string
	order    []string
	hosts    map[string][]TaskResult
	notes    []string
	recap    *Recap
}

func (d *drift) Report(e Event) {
	switch e := e.(type) {
	case RunStarted:
		d.playbook, d.order = e.Playbook, e.Hosts
	case Note:
		d.notes = append(d.notes, e.Text)
	case TaskResult:
		switch {
		case e.Status == OK, e.Status == Skipped:
		case e.forgiven() && len(e.Steps) == 0:
		default:
			d.hosts[e.Host] = append(d.hosts[e.Host], e)
		}
	case Recap:
		d.recap = &e
	}
}

// Close writes the summary.
func (d *drift) Close() error {
	if d.recap == nil { // the run did not begin
		return nil
	}
	if d.json {
		return d.writeJSON()
	}
	var b strings.Builder
	b.WriteString(d.summary() + "\n")
	for _, host := range d.order {
		for _, r := range d.hosts[host] {
			fmt.Fprintf(&b, "%s: %s (%s:%d)%s\n", OneLine(host), OneLine(r.Task), r.File, r.Line, d.ending(r))
			for _, step := range r.Steps {
				b.WriteString("  " + OneLine(step) + "\n")
			}
			if d.o.Diff {
				for _, diff := range r.Diffs {
					for line := range strings.Lines(Unified(diff)) {
						b.WriteString("    " + line)
					}
				}
			}
		}
	}
	for _, note := range d.notes {
		b.WriteString("note: " + OneLine(note) + "\n")
	}
	_, err := io.WriteString(d.w, b.String())
	return err
}

// ending returns the status and message of a task that did more than differ.
func (d *drift) ending(r TaskResult) string {
	switch r.Status {
	case Uncertain:
		return ": uncertain: " + OneLine(r.Message)
	case Failed, Unreachable:
		if r.forgiven() { // it would change something before it fails
			return ": then it fails, which the playbook expects: " + OneLine(r.Message)
		}
		return ": " + string(r.Status) + ": " + OneLine(r.Message)
	}
	return ""
}

// status returns the status of a host.
func (d *drift) status(host string) string {
	c := d.recap.Hosts[host]
	switch {
	case c.Unreachable > 0:
		return string(Unreachable)
	case c.Failed > 0:
		return string(Failed)
	case c.Changed+c.Uncertain > 0:
		return "drifted"
	}
	return string(OK)
}

// summary returns one line for the subject of a mail, or for a monitoring system.
func (d *drift) summary() string {
	var drifted, failed, unreachable []string
	changes := 0
	for _, host := range d.order {
		switch c := d.recap.Hosts[host]; d.status(host) {
		case "drifted":
			drifted = append(drifted, host)
			changes += c.Changed + c.Uncertain
		case string(Failed):
			failed = append(failed, host)
		case string(Unreachable):
			unreachable = append(unreachable, host)
		}
	}
	var parts []string
	if len(drifted) > 0 {
		parts = append(parts, fmt.Sprintf("%s on %s", plural.Of(changes, "difference"), hostNames(drifted)))
	}
	if len(failed) > 0 {
		parts = append(parts, "failed on "+hostNames(failed))
	}
	if len(unreachable) > 0 {
		parts = append(parts, "not reached: "+hostNames(unreachable))
	}
	switch {
	case d.recap.Interrupted:
		return "INTERRUPTED: " + d.playbook + ": not all was looked at"
	case len(failed)+len(unreachable) > 0:
		return "UNKNOWN: " + d.playbook + ": " + strings.Join(parts, "; ")
	case len(drifted) > 0:
		return "DRIFT: " + d.playbook + ": " + strings.Join(parts, "; ")
	}
	return "OK: " + d.playbook + ": " + plural.Of(len(d.order), "host") + " as declared"
}

type driftJSON struct {
	Playbook    string                   `json:"playbook"`
	Drifted     bool                     `json:"drifted"`
	Interrupted bool                     `json:"interrupted,omitempty"`
	Hosts       map[string]driftHostJSON `json:"hosts"`
	Notes       []string                 `json:"notes,omitempty"`
}

type driftHostJSON struct {
	Status string          `json:"status"`
	Tasks  []driftTaskJSON `json:"tasks"`
}

type driftTaskJSON struct {
	Task    string     `json:"task"`
	Play    string     `json:"play"`
	Status  Status     `json:"status"`
	Steps   []string   `json:"steps"`
	Message string     `json:"message,omitempty"`
	File    string     `json:"file"`
	Line    int        `json:"line"`
	Diffs   []diffJSON `json:"diffs,omitempty"`
}

func (d *drift) writeJSON() error {
	all := driftJSON{Playbook: d.playbook, Interrupted: d.recap.Interrupted, Hosts: map[string]driftHostJSON{}, Notes: d.notes}
	for _, host := range slices.Sorted(slices.Values(d.order)) {
		h := driftHostJSON{Status: d.status(host), Tasks: []driftTaskJSON{}}
		all.Drifted = all.Drifted || h.Status == "drifted"
		for _, r := range d.hosts[host] {
			t := driftTaskJSON{Task: r.Task, Play: r.Play, Status: r.Status, Steps: list(r.Steps), Message: r.Message, File: r.File, Line: r.Line}
			if d.o.Diff {
				for _, diff := range r.Diffs {
					t.Diffs = append(t.Diffs, diffOf(diff))
				}
			}
			h.Tasks = append(h.Tasks, t)
		}
		all.Hosts[host] = h
	}
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	_, err = d.w.Write(append(EscapeUnseen(b), '\n'))
	return err
}
