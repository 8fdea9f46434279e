// Package report shows the events of a run: on a terminal, as plain lines, or as JSON.
package report

import (
	"encoding/json"
	"time"

	"hlplay/modules"
)

// Status is how a task ended on a host. In check mode Changed means would change.
type Status string

const (
	OK          Status = "ok"
	Changed     Status = "changed"
	Skipped     Status = "skipped"
	Uncertain   Status = "uncertain" // check mode only: an earlier change makes the result unknowable
	Failed      Status = "failed"
	Unreachable Status = "unreachable"
)

// Event is one of the types below. Only one goroutine at a time sends the events of a run. The tags are for the journal
// of a run, which stores events unchanged; NewJSON has its own format.
type Event interface{ event() }

// RunStarted begins a run.
type RunStarted struct {
	Playbook, Inventory string
	Check, Rehearse     bool
	Hosts               []string
}

// PlayStarted begins a play, or one of its batches.
type PlayStarted struct {
	Play  string   `json:"play"`
	Hosts []string `json:"hosts"`
	// Batch counts from 1; Batches is 1 for a play without serial.
	Batch   int `json:"batch"`
	Batches int `json:"batches"`
}

// TaskStarted begins a task. Its hosts then report one by one.
type TaskStarted struct {
	Play    string `json:"play"`
	Task    string `json:"task"`
	Handler bool   `json:"handler,omitempty"`
}

// Progress is what a host is doing now: running a command, or waiting for a state. What is empty when that has ended.
type Progress struct {
	Host string `json:"host"`
	Task string `json:"task"`
	What string `json:"what"`
	// Awaits is set if the host waits for a state to settle. Limit limits the wait.
	Awaits bool          `json:"awaits,omitempty"`
	Limit  time.Duration `json:"limit,omitempty"`
	// Detached is set while a command is running that the host will complete even if the run ends.
	Detached bool `json:"detached,omitempty"`
}

// TaskResult is how a task ended on a host.
type TaskResult struct {
	Play    string `json:"play"`
	Task    string `json:"task"`
	Host    string `json:"host"`
	Module  string `json:"module,omitempty"`
	Handler bool   `json:"handler,omitempty"`
	Status  Status `json:"status"`
	// Steps are the summaries of the steps that were carried out or, in check mode, would be.
	Steps []string `json:"steps,omitempty"`
	// Risks are the classes of Steps, in their order.
	Risks []modules.Risk `json:"risks,omitempty"`
	// Unfinished are the steps that were started and not completed: they failed, were interrupted, or had no effect.
	// They may have changed something.
	Unfinished []string       `json:"unfinished,omitempty"`
	Diffs      []modules.Diff `json:"-"`
	// Notes are remarks of the module.
	Notes []string `json:"notes,omitempty"`
	// Message is the reason for a skip or for uncertainty, or the error of a failure.
	Message string `json:"message,omitempty"`
	// Output is the end of the output of a command that failed, or of one that is run for its output.
	Output string `json:"output,omitempty"`
	// Hint is what to do about a failure.
	Hint string `json:"hint,omitempty"`
	// Ignored is set for a failure that the playbook ignores (ignore_errors), Rescued for one that the rescue part of
	// the task's group handles.
	Ignored bool `json:"ignored,omitempty"`
	Rescued bool `json:"rescued,omitempty"`
	// File and Line are the task's position in the playbook.
	File     string        `json:"file,omitempty"`
	Line     int           `json:"line,omitempty"`
	Duration time.Duration `json:"duration,omitempty"`
	// Registered is the result that the task registers, as JSON with its type. It is nil if the task registers none, or
	// one that must not be kept because it is sensitive or large.
	Registered json.RawMessage `json:"registered,omitempty"`
	// Items are the rounds of a task with for_each; Status is then the worst of theirs.
	Items []ItemResult `json:"items,omitempty"`
}

// ItemResult is one round of a task with for_each.
type ItemResult struct {
	Key     string   `json:"key"`
	Status  Status   `json:"status"`
	Steps   []string `json:"steps,omitempty"`
	Message string   `json:"message,omitempty"`
	// Output is the end of the output of a command that is run for its output.
	Output string `json:"output,omitempty"`
}

// Note is a remark about the run as a whole.
type Note struct{ Text string }

// Counted is what a task is about to add to a number that is limited for the whole run: see modules.Tally.
type Counted struct {
	Of    string   `json:"of"`
	Names []string `json:"names"`
}

// Counts are the numbers of a host's tasks by result.
type Counts struct {
	OK int `json:"ok"`
	// Changed counts all tasks that changed something, including those that then failed or lost the host.
	Changed   int `json:"changed"`
	Skipped   int `json:"skipped"`
	Uncertain int `json:"uncertain"`
	// Failed counts the failures that neither the playbook ignores nor a rescue part handles: those are Ignored and Rescued.
	Failed      int `json:"failed"`
	Unreachable int `json:"unreachable"`
	Ignored     int `json:"ignored"`
	Rescued     int `json:"rescued"`
	// Unfinished counts the tasks with a step that was started and not completed.
	Unfinished int `json:"unfinished"`
}

// Cost is the traffic of a host's connection.
type Cost struct {
	RoundTrips, Flights int
	Sent, Received      int64
}

// Recap ends a run.
type Recap struct {
	// Order lists the hosts in the inventory's order.
	Order    []string
	Hosts    map[string]Counts
	Costs    map[string]Cost
	Check    bool
	Duration time.Duration
	// Interrupted means that the user ended the run.
	Interrupted bool
}

// Differs reports whether something was changed or, in check mode, would or might be.
func (r Recap) Differs() bool {
	for _, c := range r.Hosts {
		if c.Changed+c.Uncertain+c.Unfinished > 0 {
			return true
		}
	}
	return false
}

func (RunStarted) event()  {}
func (PlayStarted) event() {}
func (TaskStarted) event() {}
func (Progress) event()    {}
func (TaskResult) event()  {}
func (Note) event()        {}
func (Counted) event()     {}
func (Recap) event()       {}

// Reporter shows events.
type Reporter interface {
	Report(Event)
	// Close shows everything that is still pending.
	Close() error
}
