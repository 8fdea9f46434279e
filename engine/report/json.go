package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"hlplay/modules"
)

// NewJSON returns a Reporter for programs, which writes one JSON object per line.
//
// Each object has a "type": "run" is a RunStarted, "play" a PlayStarted, "note" a Note, and "task" a TaskResult, with its diffs if
// Options.Diff is set. "recap" comes last, on Close:
//
//	{"type":"task","play":"…","task":"…","host":"pve1","status":"changed","handler":false,"module":"file",
//	 "steps":["…"],"diffs":[{"subject":"…","before":"…","after":"…"}],
//	 "items":[{"key":"…","status":"ok","steps":[]}],"file":"site.hcl","line":12,"duration_ms":3}
//	{"type":"recap","hosts":{"pve1":{"ok":1,"changed":2,"skipped":0,"uncertain":0,"failed":0,"unreachable":0,"ignored":0,"rescued":0,"unfinished":0}},
//	 "check":false,"interrupted":false,"costs":{"pve1":{"round_trips":9,"flights":3,"sent":5120,"received":9000}}}
//
// "unfinished" (steps), "notes", "message", "output", "hint", "ignored" and "rescued" are omitted if they are empty. In
// check mode the status "changed" means would change. Progress is not written.
func NewJSON(w io.Writer, o Options) Reporter { return &jsonReporter{w: w, diff: o.Diff} }

type jsonReporter struct {
	w     io.Writer
	diff  bool
	recap *Recap // kept for the last line
	err   error
}

type runJSON struct {
	Type      string   `json:"type"`
	Playbook  string   `json:"playbook"`
	Inventory string   `json:"inventory"`
	Check     bool     `json:"check"`
	Rehearse  bool     `json:"rehearse"`
	Hosts     []string `json:"hosts"`
}

type playJSON struct {
	Type    string   `json:"type"`
	Play    string   `json:"play"`
	Hosts   []string `json:"hosts"`
	Batch   int      `json:"batch"`
	Batches int      `json:"batches"`
}

type taskJSON struct {
	Type       string     `json:"type"`
	Play       string     `json:"play"`
	Task       string     `json:"task"`
	Host       string     `json:"host"`
	Status     Status     `json:"status"`
	Handler    bool       `json:"handler"`
	Module     string     `json:"module,omitempty"`
	Steps      []string   `json:"steps"`
	Unfinished []string   `json:"unfinished,omitempty"`
	Diffs      []diffJSON `json:"diffs"`
	Items      []itemJSON `json:"items"`
	Notes      []string   `json:"notes,omitempty"`
	Message    string     `json:"message,omitempty"`
	Output     string     `json:"output,omitempty"`
	Hint       string     `json:"hint,omitempty"`
	Ignored    bool       `json:"ignored,omitempty"`
	Rescued    bool       `json:"rescued,omitempty"`
	File       string     `json:"file,omitempty"`
	Line       int        `json:"line,omitempty"`
	DurationMS int64      `json:"duration_ms"`
}

type diffJSON struct {
	Subject string `json:"subject"`
	Before  string `json:"before"`
	After   string `json:"after"`
}

type itemJSON struct {
	Key     string   `json:"key"`
	Status  Status   `json:"status"`
	Steps   []string `json:"steps"`
	Message string   `json:"message,omitempty"`
	Output  string   `json:"output,omitempty"`
}

type noteJSON struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type recapJSON struct {
	Type        string              `json:"type"`
	Hosts       map[string]Counts   `json:"hosts"`
	Check       bool                `json:"check"`
	Interrupted bool                `json:"interrupted"`
	DurationMS  int64               `json:"duration_ms"`
	Costs       map[string]costJSON `json:"costs,omitempty"`
}

type costJSON struct {
	RoundTrips int   `json:"round_trips"`
	Flights    int   `json:"flights"`
	Sent       int64 `json:"sent"`
	Received   int64 `json:"received"`
}

func (j *jsonReporter) Report(e Event) {
	switch e := e.(type) {
	case RunStarted:
		j.write(runJSON{"run", e.Playbook, e.Inventory, e.Check, e.Rehearse, list(e.Hosts)})
	case PlayStarted:
		j.write(playJSON{"play", e.Play, list(e.Hosts), e.Batch, e.Batches})
	case TaskResult:
		j.write(j.task(e))
	case Note:
		j.write(noteJSON{"note", e.Text})
	case Recap:
		j.recap = &e
	}
}

func (j *jsonReporter) task(e TaskResult) taskJSON {
	t := taskJSON{
		Type: "task", Play: e.Play, Task: e.Task, Host: e.Host, Status: e.Status, Handler: e.Handler, Module: e.Module,
		Steps: list(e.Steps), Unfinished: e.Unfinished, Diffs: []diffJSON{}, Items: []itemJSON{}, Notes: e.Notes, Message: e.Message, Output: e.Output,
		Hint: e.Hint, Ignored: e.Ignored, Rescued: e.Rescued, File: e.File, Line: e.Line, DurationMS: milliseconds(e.Duration),
	}
	if j.diff {
		for _, d := range e.Diffs {
			t.Diffs = append(t.Diffs, diffOf(d))
		}
	}
	for _, item := range e.Items {
		t.Items = append(t.Items, itemJSON{item.Key, item.Status, list(item.Steps), item.Message, item.Output})
	}
	return t
}

func diffOf(d modules.Diff) diffJSON { return diffJSON{d.Subject, d.Before, d.After} }

func milliseconds(d time.Duration) int64 { return d.Milliseconds() }

// list returns a slice that is never null in JSON.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func (j *jsonReporter) write(object any) {
	if j.err != nil {
		return
	}
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(object)
	if err == nil {
		_, err = j.w.Write(EscapeUnseen(line.Bytes()))
	}
	if err != nil {
		j.err = fmt.Errorf("writing the report: %w", err)
	}
}

// Close writes the recap.
func (j *jsonReporter) Close() error {
	if j.recap == nil {
		return j.err
	}
	recap := recapJSON{
		Type: "recap", Hosts: j.recap.Hosts, Check: j.recap.Check, Interrupted: j.recap.Interrupted,
		DurationMS: milliseconds(j.recap.Duration),
	}
	if recap.Hosts == nil {
		recap.Hosts = map[string]Counts{}
	}
	for host, cost := range j.recap.Costs {
		if recap.Costs == nil {
			recap.Costs = map[string]costJSON{}
		}
		recap.Costs[host] = costJSON(cost)
	}
	j.recap = nil
	j.write(recap)
	return j.err
}
