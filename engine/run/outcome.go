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

// outcome is how a task, or one round of it, ended on a host.
type outcome struct {
	status   report.Status
	steps    []string                // done, or in check mode predicted
	open     []string                // begun, and not known to be done: they failed, or were cut off
	classes  map[string]modules.Risk // of steps, by their summaries
	diffs    []modules.Diff
	notes    []string
	message  string
	output   string
	hint     string
	items    []report.ItemResult
	data     cty.Value
	last     *remote.Result // of the last command that was run
	runs     bool           // in check mode, a command would be run: nobody knows what it prints
	unknown  bool           // the result cannot be known in check mode
	foretold bool           // the result is only predicted
	behind   causeList      // in check mode, the tasks that may change first what the result tells
	sure     bool           // something was changed, or in check mode surely would be, whatever came after it
	held     bool           // nothing was begun, because another run is changing a host
	forgiven bool           // its failure does not take the host out of the run
	effect   bool           // something may have been changed that is not known to be
	halts    bool           // a guarded change failed: hosts that come one after another do not begin it
	duration time.Duration
}

// begin notes that a host may have begun with a step.
func (o *outcome) begin(step modules.Step) {
	if !step.Refresh {
		o.open = append(o.open, step.Summary)
	}
}

// class notes the risk of a step.
func (o *outcome) class(summary string, risk modules.Risk) {
	classes := maps.Clone(o.classes)
	if classes == nil {
		classes = map[string]modules.Risk{}
	}
	classes[summary] = risk
	o.classes = classes
}

// unbegun takes back that a step was begun, if the error says that the host was asked for a privilege first and
// refused it, that another run has locked it, that the run was interrupted before, or that what was to be replaced is not what was seen.
func (o *outcome) unbegun(step modules.Step, err error) {
	if !errors.As(err, new(*remote.BecomeError)) && !errors.As(err, new(*lockedError)) && !errors.As(err, new(*remote.UnstartedError)) && stale(err) == "" {
		return
	}
	if i := slices.Index(o.open, step.Summary); i >= 0 {
		o.open = slices.Delete(o.open, i, i+1)
	}
}

// end notes that a step is done. It counts from then on, whatever comes after it.
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

// refuted takes back steps that are found to do again; all of them if none of those is among them.
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

// takenBack notes that steps were undone. If that went wrong, nobody knows what of them is left.
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

// after is the outcome of a later try: what an earlier one has done counts.
func (o outcome) after(earlier outcome) outcome {
	done := o.status == report.OK || o.status == report.Changed
	if done { // nothing is left to do
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

// of gives the outcome of a for_each its rounds: result.NAME.items["key"] is the round's own result.
func (o outcome) of(rounds map[string]cty.Value) outcome {
	o.data = cty.ObjectVal(map[string]cty.Value{"items": cty.ObjectVal(rounds)})
	return o
}

// plus adds one round of a for_each to the task's outcome.
func (o outcome) plus(key string, item outcome) outcome {
	o.status = worst(o.status, item.status)
	for _, step := range item.steps {
		o.steps = append(o.steps, key+": "+step)
	}
	for _, step := range item.open {
		o.open = append(o.open, key+": "+step)
	}
	for step, risk := range item.classes {
		o.class(key+": "+step, risk)
	}
	o.diffs = append(o.diffs, item.diffs...)
	o.notes = append(o.notes, item.notes...)
	if item.message != "" {
		o.message = key + ": " + item.message
	}
	shown := item.output
	if item.status == report.Failed || item.status == report.Unreachable { // the task ends with it
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
	o.items = append(o.items, report.ItemResult{Key: key, Status: item.status, Steps: item.steps, Message: item.message, Output: shown})
	return o
}

// doubted is an outcome of which check mode does not know whether it can come about; nil means that it does.
func (o outcome) doubted(h *host, doubt error) outcome {
	if doubt == nil {
		return o
	}
	o.sure = false
	return o.with(uncertain(h, doubt))
}

// with replaces the end of an outcome, and keeps what was done before it.
func (o outcome) with(end outcome) outcome {
	end.classes = o.classes
	end.steps, end.open, end.diffs, end.notes, end.data, end.items = o.steps, o.open, o.diffs, o.notes, o.data, o.items
	end.sure, end.effect, end.foretold, end.halts, end.runs = o.sure, o.effect, o.foretold, o.halts, o.runs
	if end.last == nil {
		end.last = o.last
	}
	if end.output == "" && end.status == report.Failed && o.last != nil {
		// There are commands that exit 0 and say on standard error why they did nothing.
		end.output = printed(*o.last, 5, 10)
	}
	return end
}

// union is a and what of b is not in it.
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

// worst is the status of a task whose rounds ended differently.
func worst(a, b report.Status) report.Status {
	rank := map[report.Status]int{
		report.Skipped: 0, report.OK: 1, report.Changed: 2, report.Uncertain: 3, report.Failed: 4, report.Unreachable: 5,
	}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

// hinter is an error that knows what the user can do.
type hinter interface{ Hint() string }

// witness is an error with lines to show beside it: the end of a journal.
type witness interface{ Output() string }

// failure makes an error the outcome of a task.
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

// uncertain makes something unknowable the outcome of a task in check mode.
func uncertain(h *host, err error) outcome {
	o := outcome{status: report.Uncertain, message: err.Error(), unknown: true}
	var unknown *observe.UnknownError
	if errors.As(err, &unknown) && unknown.Host == h.Name {
		// The report says of which host it speaks, and hosts that say the same share a line.
		own := *unknown
		own.Host = ""
		o.message = strings.ReplaceAll(o.message, unknown.Error(), own.Error())
	}
	return o
}

// value is the outcome as expressions see it: changed, failed, skipped, status, the module's own
// data, and how the last command ended and what it printed, where one was run.
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
				value = cty.NullVal(value.Type()) // the run has ended without it
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
