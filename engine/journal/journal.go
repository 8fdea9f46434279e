// Package journal records on the controller what a run does while it is in progress, and reads the record back.
//
// The journal of a run is a directory named after the run's ID, in the runs directory of a Store. Its file
// journal.jsonl holds one Entry per line. An entry is written when the event happens, so that a program that is killed
// loses at most the line that it was writing; an incomplete line is ignored. Entries have passed through the run's
// report.Redactor.
package journal

import (
	"time"

	"hlplay/engine/report"
)

// Entry is one line of a journal: what happened, and when. Exactly one of the other fields is set.
type Entry struct {
	Time time.Time `json:"time"`
	// Run is the first entry. End is the last entry of a run that ran to its end.
	Run *Run `json:"run,omitempty"`
	End *End `json:"end,omitempty"`

	Play *report.PlayStarted `json:"play,omitempty"`
	Task *report.TaskStarted `json:"task,omitempty"`
	// Step is a step that begins on a host.
	Step   *report.Progress `json:"step,omitempty"`
	Result *Result          `json:"result,omitempty"`
	Note   string           `json:"note,omitempty"`
	// Counted is recorded before the steps that add it begin.
	Counted *report.Counted `json:"counted,omitempty"`
	// Copy is recorded before a step may change the file; Left is what the run has left there at its end.
	Copy *Copy `json:"copy,omitempty"`
	Left *Left `json:"left,omitempty"`
}

// Run describes what a run was asked to do and what it plans to do.
type Run struct {
	// Version is the version of hlplay.
	Version string `json:"version"`
	// By names the user and the controller, as in "ada@desk".
	By        string    `json:"by"`
	Playbook  string    `json:"playbook"`
	Arguments Arguments `json:"arguments"`
	// Sources are the files from which the playbook and the inventory were read.
	Sources []Source `json:"sources"`
	Plan    []Play   `json:"plan"`
	// Resumes is the ID of the run that this run continues; empty if there is none.
	Resumes string `json:"resumes,omitempty"`
	// Restores is the ID of the run whose copy of a file this run puts back. Such a run has no playbook that could be
	// run again.
	Restores string `json:"restores,omitempty"`
	// AdHoc is set for a run of a task that was given on the command line. Such a run has no playbook that could be
	// run again.
	AdHoc bool `json:"ad_hoc,omitempty"`
}

// Arguments holds the flags that determine what a run does. Paths are as given, relative to the working directory.
type Arguments struct {
	Inventory []string `json:"inventory,omitempty"`
	Limits    []string `json:"limits,omitempty"`
	Tags      []string `json:"tags,omitempty"`
	SkipTags  []string `json:"skip_tags,omitempty"`
	StartAt   string   `json:"start_at,omitempty"`
	// Values holds the variables set on the command line, in the order given.
	Values []Value `json:"values,omitempty"`
	// IgnoreUndeclared is set if files of variables may hold values for variables that the playbook does not declare.
	IgnoreUndeclared bool   `json:"ignore_undeclared,omitempty"`
	SSHConfig        string `json:"ssh_config,omitempty"`
	KnownHosts       string `json:"known_hosts,omitempty"`
	AcceptNew        bool   `json:"accept_new,omitempty"`
	AskPassword      bool   `json:"ask_password,omitempty"`
	AskSudo          bool   `json:"ask_sudo,omitempty"`
	// PasswordFile and SudoPasswordFile are the files that hold the passwords; empty without them.
	PasswordFile     string `json:"password_file,omitempty"`
	SudoPasswordFile string `json:"sudo_password_file,omitempty"`
	// Become is set if tasks run as BecomeUser, or as root if that is empty, unless the playbook or the inventory say otherwise.
	Become     bool   `json:"become,omitempty"`
	BecomeUser string `json:"become_user,omitempty"`
}

// Value is a variable that was set on the command line, or a file of variables.
type Value struct {
	Name string `json:"name,omitempty"`
	Text string `json:"text,omitempty"`
	// JSON is set if the text is JSON, from an object of values.
	JSON bool `json:"json,omitempty"`
	// Secret is set if the text may be a secret; it is not recorded then.
	Secret bool `json:"secret,omitempty"`
	// File is a file of values; Name is empty then.
	File string `json:"file,omitempty"`
}

// Source is a file and the SHA-256 of its content in hexadecimal.
type Source struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// Play is a play of the playbook with its hosts and selected tasks.
type Play struct {
	Name  string   `json:"name"`
	Hosts []string `json:"hosts"`
	Tasks []Task   `json:"tasks"`
}

// Task is a task of a play. Handlers are not listed.
type Task struct {
	Name string `json:"name"`
	File string `json:"file"`
	Line int    `json:"line"`
	// Rescues is set for a task that only runs on hosts where its group has failed: it names the first task of that
	// group.
	Rescues string `json:"rescues,omitempty"`
}

// Result is the result of a task on a host.
type Result struct {
	report.TaskResult
	Changes []Change `json:"changes,omitempty"`
}

// Change records a diff by the SHA-256 of both sides in hexadecimal. The sides are hashed as reports show them:
// without secrets. The hash of an absent side is empty.
type Change struct {
	Subject string `json:"subject"`
	Before  string `json:"before,omitempty"`
	After   string `json:"after,omitempty"`
}

// State is the state of a run.
type State string

const (
	OK          State = "ok"
	Failed      State = "failed"
	Unreachable State = "unreachable"
	Interrupted State = "interrupted"
	// Running is the state of a run whose process has the journal open.
	Running State = "running"
	// Killed is the state of a run that stopped without recording its end.
	Killed State = "killed"
)

// End describes how a run ended.
type End struct {
	State    State                    `json:"state"`
	Hosts    map[string]report.Counts `json:"hosts"`
	Duration time.Duration            `json:"duration"`
}

// endOf derives the end of a run from its recap.
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

// quiet reports whether a run changed nothing and had no problems.
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
