// Package journal records on the controller what a run does, as it goes, and reads it back.
//
// The journal of a run is a directory of its own, named by the run's ID, in the runs directory of a Store. It holds the file
// journal.jsonl: one Entry a line. An entry is written when it happens, so that a program that is killed leaves all but the
// line that it was writing; a line that was cut off is not read. Entries have passed the run's report.Redactor.
package journal

import (
	"time"

	"hlplay/engine/report"
)

// Entry is one line of a journal: what happened, and when. One of the other fields is set.
type Entry struct {
	Time time.Time `json:"time"`
	// Run is the first entry, End the last one of a run that came to its end.
	Run *Run `json:"run,omitempty"`
	End *End `json:"end,omitempty"`

	Play *report.PlayStarted `json:"play,omitempty"`
	Task *report.TaskStarted `json:"task,omitempty"`
	// Step is begun on a host.
	Step   *report.Progress `json:"step,omitempty"`
	Result *Result          `json:"result,omitempty"`
	Note   string           `json:"note,omitempty"`
	// Copy is made before a step may change what it is of; Left is what the run has left there at its end.
	Copy *Copy `json:"copy,omitempty"`
	Left *Left `json:"left,omitempty"`
}

// Run is what a run was asked to do, and what it set out to do.
type Run struct {
	// Version is hlplay's.
	Version string `json:"version"`
	// By is the person and the controller, as in "ada@desk".
	By        string    `json:"by"`
	Playbook  string    `json:"playbook"`
	Arguments Arguments `json:"arguments"`
	// Sources are the files that the playbook and the inventory were read from.
	Sources []Source `json:"sources"`
	Plan    []Play   `json:"plan"`
	// Resumes is the run that this one goes on with; empty if there is none.
	Resumes string `json:"resumes,omitempty"`
	// Restores is the run whose copy of a file this one puts back; it has no playbook that could be run again.
	Restores string `json:"restores,omitempty"`
	// AdHoc is set on a run of a task that was given on the command line; it has no playbook that could be run again.
	AdHoc bool `json:"ad_hoc,omitempty"`
}

// Arguments are the flags that say what a run does. Paths are as they were given, relative to the working directory.
type Arguments struct {
	Inventory []string `json:"inventory,omitempty"`
	Limits    []string `json:"limits,omitempty"`
	Tags      []string `json:"tags,omitempty"`
	SkipTags  []string `json:"skip_tags,omitempty"`
	StartAt   string   `json:"start_at,omitempty"`
	// Values are those of the command line, in their order.
	Values      []Value `json:"values,omitempty"`
	SSHConfig   string  `json:"ssh_config,omitempty"`
	KnownHosts  string  `json:"known_hosts,omitempty"`
	AcceptNew   bool    `json:"accept_new,omitempty"`
	AskPassword bool    `json:"ask_password,omitempty"`
	AskSudo     bool    `json:"ask_sudo,omitempty"`
}

// Value is a variable that was set on the command line, or a file of them.
type Value struct {
	Name string `json:"name,omitempty"`
	Text string `json:"text,omitempty"`
	// JSON says that the text is JSON, from an object of values.
	JSON bool `json:"json,omitempty"`
	// Secret says that the text may be a secret: it is not recorded.
	Secret bool `json:"secret,omitempty"`
	// File is a file of values; Name is then empty.
	File string `json:"file,omitempty"`
}

// Source is a file and the SHA-256 of its content, in hexadecimal digits.
type Source struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// Play is a play of the playbook: the hosts that it is for, and the tasks that were selected.
type Play struct {
	Name  string   `json:"name"`
	Hosts []string `json:"hosts"`
	Tasks []Task   `json:"tasks"`
}

// Task is a task of a play; handlers are not listed.
type Task struct {
	Name string `json:"name"`
	File string `json:"file"`
	Line int    `json:"line"`
	// Rescues is set on a task that is only there for hosts on which its group has failed: the first task of that group.
	Rescues string `json:"rescues,omitempty"`
}

// Result is how a task ended on a host.
type Result struct {
	report.TaskResult
	Changes []Change `json:"changes,omitempty"`
}

// Change is a diff by the SHA-256 of its sides, in hexadecimal digits, as reports show them: without secrets. An absent side
// is empty.
type Change struct {
	Subject string `json:"subject"`
	Before  string `json:"before,omitempty"`
	After   string `json:"after,omitempty"`
}

// State is how a run stands.
type State string

const (
	OK          State = "ok"
	Failed      State = "failed"
	Unreachable State = "unreachable"
	Interrupted State = "interrupted"
	// Running is a run whose process has the journal open.
	Running State = "running"
	// Killed is a run that has ended without a word.
	Killed State = "killed"
)

// End is how a run ended.
type End struct {
	State    State                    `json:"state"`
	Hosts    map[string]report.Counts `json:"hosts"`
	Duration time.Duration            `json:"duration"`
}

// endOf judges a recap.
func endOf(recap report.Recap) *End {
	e := &End{State: OK, Hosts: recap.Hosts, Duration: recap.Duration}
	for _, c := range recap.Hosts {
		switch {
		case c.Failed > 0:
			e.State = Failed
		case c.Unreachable > 0 && e.State == OK:
			e.State = Unreachable
		}
	}
	if recap.Interrupted {
		e.State = Interrupted
	}
	return e
}

// quiet reports whether a run has changed nothing and had no trouble.
func (e *End) quiet() bool {
	if e == nil || e.State != OK {
		return false
	}
	for _, c := range e.Hosts {
		if c.Changed+c.Unfinished > 0 {
			return false
		}
	}
	return true
}
