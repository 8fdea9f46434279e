// Package plan stores the results of check mode in a file that can be shown, approved and carried out.
package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"hlplay/engine/journal"
	"hlplay/engine/localfile"
	"hlplay/engine/report"
	"hlplay/modules"
)

// version is the version of the file format.
const version = 1

// largest bounds the size of a plan file, in bytes.
const largest = 256 << 20

// Plan is what a run would do. It contains no secrets: what reports hide, plans hide too.
type Plan struct {
	Version int       `json:"version"`
	Made    time.Time `json:"made"`
	// Run describes the run in check mode: the playbook, the arguments, and the sources of both.
	Run journal.Run `json:"run"`
	// Tasks are the tasks that would change something, or for which that is not known, each on one host, in the order
	// of the run.
	Tasks []Task `json:"tasks"`
}

// Task is what a task would do on a host.
type Task struct {
	Play    string        `json:"play"`
	Task    string        `json:"task"`
	Host    string        `json:"host"`
	Module  string        `json:"module,omitempty"`
	Handler bool          `json:"handler,omitempty"`
	Status  report.Status `json:"status"`
	File    string        `json:"file"`
	Line    int           `json:"line"`
	Steps   []Step        `json:"steps"`
	Diffs   []Diff        `json:"diffs,omitempty"`
	// Notes are remarks of the module.
	Notes []string `json:"notes,omitempty"`
	// Message says why it is not known what the task would do.
	Message string `json:"message,omitempty"`
}

// Step is a step and its risk class.
type Step struct {
	Summary string       `json:"summary"`
	Risk    modules.Risk `json:"risk"`
}

// Diff is a change of a file or a setting.
type Diff struct {
	Subject string `json:"subject"`
	Before  string `json:"before"`
	After   string `json:"after"`
}

// New returns a plan made from the results of a run in check mode.
func New(made time.Time, run journal.Run, results []report.TaskResult) *Plan {
	p := &Plan{Version: version, Made: made, Run: run, Tasks: []Task{}}
	for _, r := range results {
		if r.Status != report.Changed && r.Status != report.Uncertain && len(r.Steps) == 0 {
			continue
		}
		t := Task{
			Play: r.Play, Task: r.Task, Host: r.Host, Module: r.Module, Handler: r.Handler, Status: r.Status,
			File: r.File, Line: r.Line, Message: r.Message, Notes: r.Notes, Steps: []Step{},
		}
		for i, summary := range r.Steps {
			t.Steps = append(t.Steps, Step{summary, r.Risks[i]})
		}
		for _, d := range r.Diffs {
			t.Diffs = append(t.Diffs, Diff{d.Subject, d.Before, d.After})
		}
		p.Tasks = append(p.Tasks, t)
	}
	p.sort()
	return p
}

// sort sorts the hosts of each task in the order of its play, independently of which finished first.
func (p *Plan) sort() {
	order := map[string]int{}
	for _, play := range p.Run.Plan {
		for _, host := range play.Hosts {
			if _, ok := order[host]; !ok {
				order[host] = len(order)
			}
		}
	}
	for from := 0; from < len(p.Tasks); {
		to := from
		for to < len(p.Tasks) && p.Tasks[to].Play == p.Tasks[from].Play && p.Tasks[to].Task == p.Tasks[from].Task {
			to++
		}
		slices.SortStableFunc(p.Tasks[from:to], func(a, b Task) int { return cmp.Compare(order[a.Host], order[b.Host]) })
		from = to
	}
}

// Steps returns the number of steps of each class.
func (p *Plan) Steps() map[modules.Risk]int {
	counts := map[modules.Risk]int{}
	for _, t := range p.Tasks {
		for _, s := range t.Steps {
			counts[s.Risk]++
		}
	}
	return counts
}

// Write writes the plan to a file that only its owner can read, because diffs show the contents of files.
func (p *Plan) Write(path string) (err error) {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".hlplay-plan-*") // has mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temporary.Name())
		}
	}()
	if _, err = temporary.Write(append(text, '\n')); err != nil {
		temporary.Close()
		return err
	}
	if err = temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// Read reads a plan from a file.
func Read(path string) (*Plan, error) {
	text, err := localfile.Read(path, largest)
	if err != nil {
		return nil, err
	}
	p := &Plan{}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("%s is not a plan of hlplay: %w", path, err)
	}
	if p.Version != version || p.Run.Playbook == "" {
		return nil, fmt.Errorf("%s is not a plan that this version of hlplay can read: make a new one with hlplay plan PLAYBOOK -o %s", path, path)
	}
	return p, nil
}
