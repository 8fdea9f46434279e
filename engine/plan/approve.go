package plan

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"hlplay/engine/report"
	"hlplay/engine/run"
	"hlplay/modules"
)

// Allowed lists the risk classes that may be carried out.
type Allowed []modules.Risk

// Default returns the classes that a run may carry out unless its user names others: all except Destroys.
func Default() Allowed {
	return slices.DeleteFunc(Allowed(modules.Risks()), func(r modules.Risk) bool { return r == modules.Destroys })
}

// everyClass is the value that allows every class.
const everyClass = "all"

// ParseAllowed parses a comma-separated list of class names, or "all". Harmless steps are always allowed.
func ParseAllowed(text string) (Allowed, error) {
	if strings.TrimSpace(text) == everyClass {
		return modules.Risks(), nil
	}
	allowed := Allowed{modules.Harmless}
	for name := range strings.SplitSeq(text, ",") {
		risk, err := modules.ParseRisk(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		allowed = append(allowed, risk)
	}
	return allowed, nil
}

// Approve returns an error if a proposal has steps of a class that is not allowed.
func (a Allowed) Approve(p run.Proposal) error {
	var refused []run.ProposedStep
	for _, s := range p.Steps {
		if !slices.Contains(a, s.Risk) {
			refused = append(refused, s)
		}
	}
	if refused == nil {
		return nil
	}
	return &NotAllowedError{Steps: refused, allowed: a}
}

// with returns the value of --allow that also permits the classes of the given steps.
func (a Allowed) with(steps []run.ProposedStep) string {
	if a.allButDestroying() {
		return everyClass
	}
	classes := slices.DeleteFunc(slices.Clone(a), func(r modules.Risk) bool { return r == modules.Harmless })
	for _, s := range steps {
		classes = append(classes, s.Risk)
	}
	slices.Sort(classes)
	var names []string
	for _, r := range slices.Compact(classes) {
		names = append(names, r.String())
	}
	return strings.Join(names, ",")
}

func (a Allowed) allButDestroying() bool {
	return !slices.ContainsFunc(Default(), func(r modules.Risk) bool { return !slices.Contains(a, r) })
}

// NotAllowedError is returned for steps of a class that is not allowed.
type NotAllowedError struct {
	Steps   []run.ProposedStep
	allowed Allowed
}

func (e *NotAllowedError) Error() string {
	worst := modules.Harmless
	for _, s := range e.Steps {
		worst = max(worst, s.Risk)
	}
	return fmt.Sprintf("not allowed, so not started: %s (class %s: %s)", summaries(e.Steps), worst, worst.Meaning())
}

// Hint says how to allow the steps.
func (e *NotAllowedError) Hint() string {
	if value := e.allowed.with(e.Steps); value != everyClass {
		return fmt.Sprintf("--allow=%s allows that class", value)
	}
	return "nothing is destroyed unless you allow it: --allow=all allows every class, --allow=destroy that class alone"
}

// Approval keeps a run to a plan. Its methods are safe for concurrent use.
type Approval struct {
	redactor *report.Redactor
	allowed  Allowed
	stop     func(error)

	mu    sync.Mutex
	tasks map[place]*approved
	// first is the first difference. Nothing starts after it, but tasks in progress, which may be running a package
	// manager, are completed.
	first *DifferenceError
	under map[place]bool
}

// place identifies a task on a host.
type place struct{ play, task, host string }

// approved is a task of the plan.
type approved struct {
	Task
	done map[string]bool // by the summaries of steps
}

// Approve returns an Approval that keeps a run to the plan. A task that was uncertain in the plan may take steps of the
// allowed classes. stop is called with the first difference as soon as nothing of the plan is in progress, and must end
// the run.
func (p *Plan) Approve(r *report.Redactor, allowed Allowed, stop func(error)) *Approval {
	a := &Approval{redactor: r, allowed: allowed, stop: stop, tasks: map[place]*approved{}, under: map[place]bool{}}
	for _, t := range p.Tasks {
		a.tasks[place{t.Play, t.Task, t.Host}] = &approved{Task: t, done: map[string]bool{}}
	}
	return a
}

// DifferenceError is returned if a run would do something other than what was approved.
type DifferenceError struct{ text string }

func (e *DifferenceError) Error() string { return e.text }

// Approve implements run.Options.Approve.
func (a *Approval) Approve(p run.Proposal) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.redactor
	at := place{r.String(p.Play), r.String(p.Task), p.Host}
	t := a.tasks[at]
	where := r.String(fmt.Sprintf("%s: task %q (%s)", p.Host, p.Task, p.Line))
	if a.first != nil {
		return &DifferenceError{where + " was not started, because the run stops: it no longer follows the plan"}
	}
	if t == nil {
		return a.differs("%s would now %s, and the plan has no such task for this host", where, r.String(summaries(p.Steps)))
	}
	for _, s := range p.Steps {
		summary := r.String(s.Summary)
		planned := slices.ContainsFunc(t.Steps, func(step Step) bool { return step.Summary == summary })
		switch {
		case planned && t.Status == report.Changed:
		case t.Status == report.Uncertain:
			if err := a.allowed.Approve(run.Proposal{Steps: []run.ProposedStep{s}}); err != nil {
				return a.differs("%s was uncertain in the plan, and would now %s, of class %s: make a new plan, or allow it with --allow=%s", where, summary, s.Risk, s.Risk)
			}
			t.done[summary] = true
			continue
		default:
			return a.differs("%s would now %s, where the plan has: %s", where, summary, t.planned())
		}
		if s.Diff != nil {
			d := Diff{r.String(s.Diff.Subject), r.String(s.Diff.Before), r.String(s.Diff.After)}
			if !slices.Contains(t.Diffs, d) {
				return a.differs("%s has changed since the plan was made: %s is different\n%s", where, d.Subject, a.since(t, d))
			}
		}
		t.done[summary] = true
	}
	a.under[at] = true
	return nil
}

// since shows how the current state differs from the one that a planned change started from.
func (a *Approval) since(t *approved, now Diff) string {
	for _, d := range t.Diffs {
		if d.Subject == now.Subject && d.Before != now.Before {
			return report.Unified(modules.Diff{Subject: now.Subject + " since the plan", Before: d.Before, After: now.Before})
		}
	}
	return report.Unified(modules.Diff(now))
}

// Ended checks the result of a task: everything that was planned for it must have been done.
func (a *Approval) Ended(r report.TaskResult) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := place{r.Play, r.Task, r.Host}
	t := a.tasks[at]
	delete(a.under, at)
	defer a.end()
	if t == nil || t.Status != report.Changed || r.Status != report.OK && r.Status != report.Skipped {
		return
	}
	for _, s := range t.Steps {
		if !t.done[s.Summary] {
			_ = a.differs("%s: task %q (%s:%d) has nothing to do now, where the plan has: %s", r.Host, r.Task, r.File, r.Line, t.planned())
			return
		}
	}
}

// Stopped returns the difference that has stopped the run, or nil.
func (a *Approval) Stopped() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first == nil {
		return nil
	}
	return a.first
}

// Left returns an error if parts of the plan were not reached.
func (a *Approval) Left() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var left []string
	for at, t := range a.tasks {
		for _, s := range t.Steps {
			if t.Status == report.Changed && !t.done[s.Summary] {
				left = append(left, fmt.Sprintf("%s: task %q: %s", at.host, at.task, s.Summary))
			}
		}
	}
	if len(left) == 0 {
		return nil
	}
	slices.Sort(left)
	return &DifferenceError{"the run did not reach these parts of the plan:\n  " + strings.Join(left, "\n  ")}
}

func (a *Approval) differs(format string, args ...any) error {
	err := &DifferenceError{fmt.Sprintf(format, args...)}
	if a.first == nil {
		a.first = err
	}
	a.end()
	return err
}

// end ends a run that is to stop, as soon as nothing of the plan is in progress.
func (a *Approval) end() {
	if a.first != nil && len(a.under) == 0 {
		a.stop(a.first)
	}
}

func (t *approved) planned() string {
	if len(t.Steps) == 0 {
		return "nothing"
	}
	var all []string
	for _, s := range t.Steps {
		all = append(all, s.Summary)
	}
	return strings.Join(all, "; ")
}

func summaries(steps []run.ProposedStep) string {
	var all []string
	for _, s := range steps {
		all = append(all, s.Summary)
	}
	return strings.Join(all, "; ")
}

// Watch returns a Reporter that tells the Approval how tasks ended.
func (a *Approval) Watch() report.Reporter { return watcher{a} }

type watcher struct{ a *Approval }

func (w watcher) Report(e report.Event) {
	if r, ok := e.(report.TaskResult); ok {
		w.a.Ended(r)
	}
}

func (w watcher) Close() error { return nil }
