package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
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
	steps    []string // done, or in check mode predicted
	open     []string // begun, and not known to be done: they failed, or were cut off
	diffs    []modules.Diff
	notes    []string
	message  string
	output   string
	hint     string
	items    []report.ItemResult
	data     cty.Value
	last     *remote.Result // of the last command that was run
	unknown  bool           // the result cannot be known in check mode
	foretold bool           // the result is only predicted
	behind   causeList      // in check mode, the tasks that may change first what the result tells
	sure     bool           // something was changed, or in check mode surely would be, whatever came after it
	held     bool           // nothing was begun, because another run is changing a host
	effect   bool           // something may have been changed that is not known to be
	duration time.Duration
}

// begin notes that a host may have begun with a step.
func (o *outcome) begin(step modules.Step) {
	if !step.Refresh {
		o.open = append(o.open, step.Summary)
	}
}

// unbegun takes back that a step was begun, if the error says that the host was asked for a privilege first and
// refused it, that another run has locked it, or that what was to be replaced is not what was seen.
func (o *outcome) unbegun(step modules.Step, err error) {
	if !errors.As(err, new(*remote.BecomeError)) && !errors.As(err, new(*lockedError)) && stale(err) == "" {
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

// after is the outcome of a later try: what an earlier one has done counts.
func (o outcome) after(earlier outcome) outcome {
	done := o.status == report.OK || o.status == report.Changed
	if done { // nothing is left to do
		earlier.steps, earlier.open = union(earlier.steps, earlier.open), nil
	}
	o.steps = union(earlier.steps, o.steps)
	o.open = slices.DeleteFunc(union(earlier.open, o.open), func(step string) bool { return slices.Contains(o.steps, step) })
	o.diffs = union(earlier.diffs, o.diffs)
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

// finish counts, registers, notifies and reports what became of a task on a host.
func (t *turn) finish(s *slot, h *host, o outcome) {
	// What an interruption ended is neither: nothing comes after it.
	forgiven := o.status == report.Failed && t.ctx.Err() == nil
	ignored := forgiven && s.task.IgnoreErrors
	rescued := forgiven && !ignored && t.rescuable > 0
	if t.options.Check && o.unknown {
		t.obscure(s, h)
	}
	t.mu.Lock()
	if o.sure {
		h.counts.Changed++
	}
	if len(o.open) > 0 {
		h.counts.Unfinished++
	}
	switch o.status {
	case report.OK:
		h.counts.OK++
	case report.Skipped:
		h.counts.Skipped++
	case report.Uncertain:
		h.counts.Uncertain++
	case report.Unreachable:
		h.counts.Unreachable++
		h.unreachable = true
	case report.Failed:
		switch {
		case !ignored && !rescued:
			h.counts.Failed++
		case !o.sure:
			h.counts.OK++
		}
		h.failed = h.failed || !s.task.IgnoreErrors
	}
	t.mu.Unlock()
	switch {
	case o.sure:
		t.notify(s, h, due)
	case o.status == report.Uncertain:
		t.notify(s, h, doubtful)
	case o.effect && !t.options.Check:
		t.notify(s, h, missed)
	}
	t.judgeKept(s, h, o)
	t.register(s, h, o)
	t.report(report.TaskResult{
		Play: s.play.Name, Task: s.task.Name, Host: h.Name, Module: s.task.Module.Name, Handler: s.handler,
		Status: o.status, Steps: o.steps, Unfinished: o.open, Diffs: o.diffs, Notes: o.notes, Message: o.message,
		Output: o.output, Hint: o.hint, Ignored: ignored, Rescued: rescued, Items: o.items, Duration: o.duration,
		File: filepath.ToSlash(s.task.Range.Filename), Line: s.task.Range.Start.Line,
	})
}

// register makes the outcome visible as result.NAME.
func (t *turn) register(s *slot, h *host, o outcome) {
	if s.task.Register == "" {
		return
	}
	value := o.value()
	t.mu.Lock()
	defer t.mu.Unlock()
	h.results[s.task.Register] = value
	delete(h.foretold, s.task.Register)
	switch n := len(o.behind); {
	case o.foretold || o.unknown:
		h.foretold[s.task.Register] = cause{s, h.Name}
	case n > 0:
		h.foretold[s.task.Register] = o.behind[n-1]
	}
}

// share gives hosts for which a task ran elsewhere the result of the host that it ran on.
func (t *turn) share(s *slot, leader *host, others []*host) {
	if s.task.Register == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range others {
		h.results[s.task.Register] = leader.results[s.task.Register]
		delete(h.foretold, s.task.Register)
		if by, ok := leader.foretold[s.task.Register]; ok {
			h.foretold[s.task.Register] = by
		}
	}
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
	if o.last != nil {
		maps.Copy(v, modules.Printed(o.last.Exit, o.last.Stdout, o.last.Stderr))
	}
	return cty.ObjectVal(v)
}

// registerSkipped registers a task that tags leave out, so that what reads its result sees a task
// that was skipped and not a missing name.
func (t *turn) registerSkipped(s *slot, hosts []*host) {
	if s.task.Register == "" {
		return
	}
	value := outcome{status: report.Skipped, message: "not selected"}.value()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range hosts {
		h.results[s.task.Register] = value
		delete(h.foretold, s.task.Register)
	}
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

// commandError is a command that ended in a way that the module does not accept.
type commandError struct {
	summary string
	argv    []string
	result  remote.Result
}

func (e *commandError) Error() string {
	what := remote.Ending(e.result.Exit)
	if e.result.Limit > 0 {
		what = "ended by its time limit of " + e.result.Limit.String()
	}
	argv := e.argv
	if len(argv) == 3 && argv[1] == "-c" { // a shell's text
		argv = argv[2:]
	}
	if command := strings.Join(argv, " "); !strings.Contains(e.summary, command) {
		return fmt.Sprintf("%s: %s: %s", e.summary, strings.Join(e.argv, " "), what)
	}
	return fmt.Sprintf("%s: %s", e.summary, what)
}

// Hint says who kills commands.
func (e *commandError) Hint() string {
	if e.result.Exit != 137 {
		return ""
	}
	return "if nobody killed it, the kernel did, for want of memory: journalctl -k says so"
}

// output is the end of what the command printed.
func (e *commandError) output() string { return printed(e.result, 10, 10) }

// longestShown is how many lines of each stream are shown of a command that is run for what it prints.
const longestShown = 40

// printed is the last lines that a command printed, errors last.
func printed(r remote.Result, stdout, stderr int) string {
	return strings.TrimSpace(tail(r.Stdout, stdout) + "\n" + tail(r.Stderr, stderr))
}

// mostShown is how many bytes of each stream are shown at most; see report.shortened for what is long about one line.
const mostShown = 64 << 10

// tail is the last lines of an output of any length, in as much memory as they have.
func tail(b []byte, lines int) string {
	b = bytes.TrimRight(b, "\n")
	from := len(b)
	for n := 0; n < lines && from >= 0 && len(b)-from <= mostShown; n++ {
		from = bytes.LastIndexByte(b[:max(from, 0)], '\n')
	}
	switch {
	case len(b)-max(from, 0) > mostShown:
		return fmt.Sprintf("(%d bytes before)\n%s", len(b)-mostShown, b[len(b)-mostShown:])
	case from < 0:
		return string(b)
	}
	return "…\n" + string(b[from+1:])
}
