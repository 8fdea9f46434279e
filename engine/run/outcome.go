package run

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// outcome is how a task, or one item of it, ended on a host.
type outcome struct {
	status   report.Status
	steps    []string                // done or, in check mode, predicted
	open     []string                // started and not known to be done: they failed or were interrupted
	classes  map[string]modules.Risk // by the summaries of steps
	diffs    []modules.Diff
	notes    []string
	message  string
	output   string
	hint     string
	items    []report.ItemResult
	data     cty.Value
	last     *remote.Result // of the last command that was run
	runs     bool           // check mode would run a command, whose output is unknown
	unknown  bool           // check mode cannot know the result
	foretold bool           // the result is only predicted
	behind   causeList      // in check mode, the tasks that may first change what the result contains
	sure     bool           // something was changed or, in check mode, certainly would be, whatever happens after that
	held     bool           // nothing was started, because another run is changing a host
	left     bool           // it was left out because of an answer: see Options.Ask
	forgiven bool           // its failure does not take the host out of the run
	effect   bool           // something may have been changed, but that is not known
	halts    bool           // a guarded change or a reboot failed: the hosts after this one do not start it
	duration time.Duration
}

// begin records that a host may have started a step.
func (o *outcome) begin(step modules.Step) {
	if !step.Refresh {
		o.open = append(o.open, step.Summary)
	}
}

// class records the risk of a step.
func (o *outcome) class(summary string, risk modules.Risk) {
	classes := maps.Clone(o.classes)
	if classes == nil {
		classes = map[string]modules.Risk{}
	}
	classes[summary] = risk
	o.classes = classes
}

// unbegun removes a step from those started if the error shows that the host did not start it: a privilege was refused,
// another run holds the lock, the run was interrupted first, or the path to replace is not what was seen.
func (o *outcome) unbegun(step modules.Step, err error) {
	if !errors.As(err, new(*remote.BecomeError)) && !errors.As(err, new(*lockedError)) && !errors.As(err, new(*remote.UnstartedError)) && stale(err) == "" {
		return
	}
	if i := slices.Index(o.open, step.Summary); i >= 0 {
		o.open = slices.Delete(o.open, i, i+1)
	}
}

// end records that a step is done. It counts from then on, whatever happens later.
func (o *outcome) end(step modules.Step) {
	if step.Refresh {
		return
	}
	if i := slices.Index(o.open, step.Summary); i >= 0 {
		o.open = slices.Delete(o.open, i, i+1)
	}
	o.steps = append(o.steps, step.Summary)
	o.status, o.sure = report.Changed, true
	if step.Diff != nil {
		o.diffs = append(o.diffs, *step.Diff)
	}
}

// refuted removes the steps that turn out to be still necessary, or all steps if those are not among them.
func (o *outcome) refuted(steps, again []modules.Step) {
	if len(again) == 0 {
		return
	}
	remain := map[string]bool{}
	for _, step := range again {
		remain[step.Summary] = true
	}
	same := slices.ContainsFunc(steps, func(s modules.Step) bool { return remain[s.Summary] })
	for _, step := range steps {
		if i := slices.Index(o.steps, step.Summary); i >= 0 && (remain[step.Summary] || !same) {
			o.steps = slices.Delete(o.steps, i, i+1)
			o.open = append(o.open, step.Summary)
			o.effect = true
		}
	}
	o.sure = len(o.steps) > 0
}

// takenBack records that steps were undone. If undoing failed, it is unknown what is left of them.
func (o *outcome) takenBack(steps []modules.Step, clean bool) {
	undone := func(summary string) bool {
		return slices.ContainsFunc(steps, func(s modules.Step) bool { return s.Summary == summary })
	}
	if clean {
		o.open = slices.DeleteFunc(o.open, undone)
	}
	for _, summary := range slices.Clone(o.steps) {
		if !undone(summary) {
			continue
		}
		o.steps = slices.DeleteFunc(o.steps, func(s string) bool { return s == summary })
		if !clean {
			o.open = append(o.open, summary)
		}
	}
	for _, step := range steps {
		if step.Diff != nil && clean {
			o.diffs = slices.DeleteFunc(o.diffs, func(d modules.Diff) bool { return d == *step.Diff })
		}
	}
	o.sure, o.effect = len(o.steps) > 0, o.effect || len(o.open) > 0
}

// after returns the outcome of a later attempt, including what the earlier one has done.
func (o outcome) after(earlier outcome) outcome {
	done := o.status == report.OK || o.status == report.Changed
	if done { // there is nothing left to do
		earlier.steps, earlier.open = union(earlier.steps, earlier.open), nil
	}
	o.steps = union(earlier.steps, o.steps)
	o.open = slices.DeleteFunc(union(earlier.open, o.open), func(step string) bool { return slices.Contains(o.steps, step) })
	o.diffs = union(earlier.diffs, o.diffs)
	for step, risk := range earlier.classes {
		o.class(step, risk)
	}
	o.sure, o.effect = len(o.steps) > 0, o.effect || earlier.effect
	if done && o.sure {
		o.status = report.Changed
	}
	for i, item := range o.items {
		at := slices.IndexFunc(earlier.items, func(e report.ItemResult) bool { return e.Key == item.Key })
		if at < 0 {
			continue
		}
		o.items[i].Steps = union(earlier.items[at].Steps, item.Steps)
		if item.Status == report.OK && len(o.items[i].Steps) > 0 {
			o.items[i].Status = report.Changed
		}
	}
	return o
}

// of adds the outcomes of a for_each's items: result.NAME.items["key"] is the result of one item.
func (o outcome) of(rounds map[string]cty.Value) outcome {
	o.data = cty.ObjectVal(map[string]cty.Value{"items": cty.ObjectVal(rounds)})
	return o
}

// plus adds one item of a for_each to the task's outcome.
func (o outcome) plus(key string, item outcome) outcome {
	o.status = worst(o.status, item.status)
	for _, step := range item.steps {
		o.steps = append(o.steps, key+": "+step)
	}
	for _, step := range item.open {
		o.open = append(o.open, key+": "+step)
	}
	if o.classes == nil && len(item.classes) > 0 {
		o.classes = map[string]modules.Risk{}
	}
	for step, risk := range item.classes {
		o.classes[key+": "+step] = risk // in place: copying for each of 20,000 rounds took most of their time
	}
	o.diffs = append(o.diffs, item.diffs...)
	o.notes = append(o.notes, item.notes...)
	if item.message != "" {
		o.message = key + ": " + item.message
	}
	shown := item.output
	if item.status == report.Failed || item.status == report.Unreachable { // the task ends here
		o.output, shown = item.output, ""
	}
	if item.hint != "" {
		o.hint = item.hint
	}
	o.unknown = o.unknown || item.unknown
	o.foretold = o.foretold || item.foretold
	o.behind = append(o.behind, item.behind...)
	o.sure = o.sure || item.sure
	o.effect = o.effect || item.effect
	o.halts = o.halts || item.halts
	o.left = o.left || item.left
	o.items = append(o.items, report.ItemResult{Key: key, Status: item.status, Steps: item.steps, Message: item.message, Output: shown})
	return o
}

// doubted returns the outcome as uncertain if doubt, in check mode, says why it may not occur.
func (o outcome) doubted(h *host, doubt error) outcome {
	if doubt == nil {
		return o
	}
	o.sure = false
	return o.with(uncertain(h, doubt))
}

// with returns the outcome with another end, keeping what was done before.
func (o outcome) with(end outcome) outcome {
	end.classes = o.classes
	end.steps, end.open, end.diffs, end.notes, end.data, end.items = o.steps, o.open, o.diffs, o.notes, o.data, o.items
	end.sure, end.effect, end.foretold, end.halts, end.runs = o.sure, o.effect, o.foretold, o.halts, o.runs
	if end.last == nil {
		end.last = o.last
	}
	if end.output == "" && end.status == report.Failed && o.last != nil {
		// Some commands exit with 0 and print on standard error why they did nothing.
		end.output = printed(*o.last, 5, 10)
	}
	return end
}

// union returns a and the elements of b that are not in a.
func union[T comparable](a, b []T) []T {
	if len(a) == 0 {
		return b
	}
	has := make(map[T]bool, len(a))
	for _, x := range a {
		has[x] = true
	}
	all := slices.Clone(a)
	for _, x := range b {
		if !has[x] {
			all = append(all, x)
		}
	}
	return all
}

// worst returns the status of a task whose items ended differently.
func worst(a, b report.Status) report.Status {
	rank := map[report.Status]int{
		report.Skipped: 0, report.OK: 1, report.Changed: 2, report.Uncertain: 3, report.Failed: 4, report.Unreachable: 5,
	}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

// hinter is an error with a hint for the user.
type hinter interface{ Hint() string }

// witness is an error with lines to show below it, such as the end of a journal.
type witness interface{ Output() string }

// failure returns the outcome of a task that failed with an error.
func failure(h *host, err error) outcome {
	o := outcome{status: report.Failed, message: err.Error()}
	if errors.Is(err, context.Canceled) {
		o.message = "interrupted"
		o.hint = "nothing more was started; run again to converge"
	}
	if left := (*remote.LeftError)(nil); errors.As(err, &left) {
		o.message = "interrupted; the command was left running there"
		o.hint = "hlplay status " + left.Host + " shows it; the next run waits for its end"
	}
	if unreachable(h, err) {
		o.status = report.Unreachable
		var u *remote.UnreachableError
		errors.As(err, &u)
		o.message, o.hint = u.Reason, u.Hint
	}
	var hint hinter
	if errors.As(err, &hint) {
		o.hint = hint.Hint()
	}
	var seen witness
	if errors.As(err, &seen) {
		o.output = seen.Output()
	}
	var failed *commandError
	if errors.As(err, &failed) {
		o.output, o.last = failed.output(), &failed.result
	}
	return o
}

// leftOut returns the outcome of a task that the user has left out.
func leftOut() outcome { return outcome{status: report.Skipped, message: errLeft.Error(), left: true} }

// uncertain returns the outcome of a task in check mode that depends on something unknown.
func uncertain(h *host, err error) outcome {
	o := outcome{status: report.Uncertain, message: err.Error(), unknown: true}
	var unknown *observe.UnknownError
	if errors.As(err, &unknown) && unknown.Host == h.Name {
		// The report names the host, and hosts with the same message share a line.
		own := *unknown
		own.Host = ""
		o.message = strings.ReplaceAll(o.message, unknown.Error(), own.Error())
	}
	return o
}

// value returns the outcome as expressions see it: changed, failed, skipped, status, the module's own data and, if a command
// was run, the exit code and output of the last one.
func (o outcome) value() cty.Value {
	if o.unknown {
		return cty.DynamicVal
	}
	v := map[string]cty.Value{
		"status":  cty.StringVal(string(o.status)),
		"changed": cty.BoolVal(o.sure),
		"failed":  cty.BoolVal(o.status == report.Failed),
		"skipped": cty.BoolVal(o.status == report.Skipped),
		"message": cty.StringVal(o.message),
	}
	if o.data != cty.NilVal && o.data.IsKnown() && !o.data.IsNull() && o.data.Type().IsObjectType() {
		for name, value := range o.data.AsValueMap() {
			if !value.IsKnown() && !o.foretold {
				value = cty.NullVal(value.Type()) // the run ended without it
			}
			v[name] = value
		}
	}
	switch {
	case o.last != nil:
		maps.Copy(v, modules.Printed(o.last.Exit, o.last.Stdout, o.last.Stderr))
	case o.runs:
		for name, value := range modules.Printed(0, nil, nil) {
			v[name] = cty.UnknownVal(value.Type())
		}
	}
	return cty.ObjectVal(v)
}

func summaries(steps []modules.Step) string {
	var all []string
	for _, s := range steps {
		all = append(all, s.Summary)
	}
	return strings.Join(all, "; ")
}

// unreachable reports whether err says that this host cannot be reached.
func unreachable(h *host, err error) bool {
	var u *remote.UnreachableError
	return errors.As(err, &u) && u.Host == h.Name
}
