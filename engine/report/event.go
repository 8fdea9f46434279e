// Package report shows what a run does: events to a terminal, to plain lines, to JSON.
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
	Uncertain   Status = "uncertain" // check mode only: an earlier change makes it unknowable
	Failed      Status = "failed"
	Unreachable Status = "unreachable"
)

// Event is one of the types below. Events of one run come from one goroutine at a time. The tags are for the journal of a run,
// which keeps events as they are; NewJSON has a form of its own.
type Event interface{ event() }

// RunStarted opens a run.
type RunStarted struct {
	Playbook, Inventory string
	Check, Rehearse     bool
	Hosts               []string
}

// PlayStarted opens a play, or a batch of it.
type PlayStarted struct {
	Play  string   `json:"play"`
	Hosts []string `json:"hosts"`
	// Batch counts from 1; Batches is 1 for a play without serial.
	Batch   int `json:"batch"`
	Batches int `json:"batches"`
}

// TaskStarted says that a task's turn has come; hosts then report on their own.
type TaskStarted struct {
	Play    string `json:"play"`
	Task    string `json:"task"`
	Handler bool   `json:"handler,omitempty"`
}

// Progress says what is happening on a host now, for people who watch: a command that runs, a
// state that is awaited. What is empty when it is over.
type Progress struct {
	Host string `json:"host"`
	Task string `json:"task"`
	What string `json:"what"`
	// Awaits is set where the host waits for a state to settle; Limit is how long it may.
	Awaits bool          `json:"awaits,omitempty"`
	Limit  time.Duration `json:"limit,omitempty"`
}

// TaskResult is how a task ended on a host.
type TaskResult struct {
	Play    string `json:"play"`
	Task    string `json:"task"`
	Host    string `json:"host"`
	Module  string `json:"module,omitempty"`
	Handler bool   `json:"handler,omitempty"`
	Status  Status `json:"status"`
	// Steps are the summaries of what was done, or in check mode would be.
	Steps []string `json:"steps,omitempty"`
	// Risks are the classes of Steps, in their order.
	Risks []modules.Risk `json:"risks,omitempty"`
	// Unfinished are those that were begun and not completed: the step failed, was cut off, or had no effect. They may have
	// changed something.
	Unfinished []string       `json:"unfinished,omitempty"`
	Diffs      []modules.Diff `json:"-"`
	// Notes are remarks of the module.
	Notes []string `json:"notes,omitempty"`
	// Message says why: the reason of a skip or of uncertainty, the error of a failure.
	Message string `json:"message,omitempty"`
	// Output is the end of what a failed command has printed, or one that is run for what it prints.
	Output string `json:"output,omitempty"`
	// Hint says what to do about a failure.
	Hint string `json:"hint,omitempty"`
	// Ignored is set on a failure that the playbook ignores (ignore_errors), Rescued on one after which the
	// rescue part of the task's group takes over.
	Ignored bool `json:"ignored,omitempty"`
	Rescued bool `json:"rescued,omitempty"`
	// File and Line are where the task stands in the playbook.
	File     string        `json:"file,omitempty"`
	Line     int           `json:"line,omitempty"`
	Duration time.Duration `json:"duration,omitempty"`
	// Registered is the result that the task registers, as JSON with its type; nil if it registers none, or one that is not to be
	// kept: it is sensitive, or large.
	Registered json.RawMessage `json:"registered,omitempty"`
	// Items are the parts of a task with for_each; Status is then their worst.
	Items []ItemResult `json:"items,omitempty"`
}

// ItemResult is one round of a task with for_each.
type ItemResult struct {
	Key     string   `json:"key"`
	Status  Status   `json:"status"`
	Steps   []string `json:"steps,omitempty"`
	Message string   `json:"message,omitempty"`
	// Output is the end of what a command has printed that is run for that.
	Output string `json:"output,omitempty"`
}

// Note is a remark about the run as a whole.
type Note struct{ Text string }

// Counts are the results of a host, in tasks.
type Counts struct {
	OK int `json:"ok"`
	// Changed counts all tasks that changed something. Those that failed or lost the host afterwards count there as well.
	Changed     int `json:"changed"`
	Skipped     int `json:"skipped"`
	Uncertain   int `json:"uncertain"`
	Failed      int `json:"failed"`
	Unreachable int `json:"unreachable"`
	// Unfinished counts tasks of which a step was begun and not completed.
	Unfinished int `json:"unfinished"`
}

// Cost is what a host's connection has cost.
type Cost struct {
	RoundTrips, Flights int
	Sent, Received      int64
}

// Recap ends a run.
type Recap struct {
	// Order is the hosts in the inventory's order.
	Order    []string
	Hosts    map[string]Counts
	Costs    map[string]Cost
	Check    bool
	Duration time.Duration
	// Interrupted is set where the run was ended by the user.
	Interrupted bool
}

// Differs reports whether something was changed, or in check mode would be or may be.
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
func (Recap) event()       {}

// Reporter shows events.
type Reporter interface {
	Report(Event)
	// Close flushes what is still to be shown.
	Close() error
}
