package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"hlplay/engine/defect"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// reads reports whether a task's module may turn out to change nothing.
func reads(m modules.Module) bool {
	reader, ok := m.(modules.Reader)
	return ok && reader.OnlyReads()
}

// doubt returns, in check mode, why it is uncertain that an error will occur in the run: earlier tasks may change its
// cause. It returns nil if the error is certain.
func (e *execution) doubt(d *decision, err error, saw ...*observe.Tracker) error {
	if !e.check || !circumstantial(err) {
		return nil
	}
	found := e.behind(d, saw...)
	if intent := (*modules.IntentError)(nil); errors.As(err, &intent) {
		found = e.host.foretoldBy(d.results)
		found = append(found, d.peers.foretold()...)
		found = append(found, e.causes.unclear(e.task.Module.Name, intent.Behind, e.host.observed, append(saw, d.saw)...)...)
	}
	if len(found) == 0 {
		return nil
	}
	return &doubtfulError{err, e.task, e.host.Name, found}
}

// behind returns, in check mode, the tasks that may first change what a decision was based on, and what was read since.
func (e *execution) behind(d *decision, saw ...*observe.Tracker) causeList {
	if !e.check {
		return nil
	}
	found := append(e.host.foretoldBy(d.results), d.peers.foretold()...)
	found = append(found, e.causes.behind(e.host.observed, append(saw, d.saw)...)...)
	if d.scope == modules.EachHost { // other hosts run the same task at the same time
		found = slices.DeleteFunc(found, func(c cause) bool { return c.task == e.task && c.host != e.host.Name })
	}
	return found
}

// errSatisfied reports that a host is already in the state that an item requires.
var errSatisfied = errors.New("nothing to do")

// obscured returns, in check mode, why it is uncertain that an item has nothing to do: an earlier command of the
// playbook's author may change what hosts share, such as a cluster. It returns nil if it is certain, as for modules
// that only read.
func (e *execution) obscured(it *itemPlan) error {
	if !e.check || reads(it.module) {
		return nil
	}
	found := e.causes.obscured(e.host.observed, it.from.saw, it.saw)
	if it.from.scope == modules.EachHost { // other hosts run the same task at the same time
		found = slices.DeleteFunc(found, func(c cause) bool { return c.task == e.task })
	}
	if len(found) == 0 {
		return nil
	}
	return &doubtfulError{errSatisfied, e.task, e.host.Name, found}
}

// told returns, in check mode, the tasks that may first change what an item's registered result contains.
func (e *execution) told(it *itemPlan) causeList {
	if e.task.Register == "" {
		return nil
	}
	return e.behind(it.from, it.saw)
}

// circumstantial reports whether the state of a host may have caused an error. It cannot have caused an unreadable file
// on the controller, a host that does not answer, a defect, a timeout, or a task that cannot be delegated.
func circumstantial(err error) bool {
	var file *fs.PathError
	var lost *remote.UnreachableError
	var panicked *defect.Error
	var undelegable *undelegableError
	return !errors.As(err, &undelegable) && !errors.As(err, &file) && !errors.As(err, &lost) && !errors.As(err, &panicked) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// doubtfulError is a failure in check mode that may not occur in the run.
type doubtfulError struct {
	err    error
	task   *task // the task that failed, on host
	host   string
	causes causeList
}

func (e *doubtfulError) Unwrap() error { return e.err }

func (e *doubtfulError) Error() string {
	last := e.causes[len(e.causes)-1]
	what := fmt.Sprintf("task %q", last.task.Name)
	if last == (cause{e.task, e.host}) {
		what = "an earlier step of this task"
	}
	if last.host != e.host {
		what += " on " + last.host
	}
	others := map[cause]bool{}
	for _, c := range e.causes {
		if c != last {
			others[c] = true
		}
	}
	switch n := len(others); {
	case n == 1:
		what += " or another earlier task"
	case n > 1:
		what += fmt.Sprintf(" or one of %d earlier tasks", n)
	}
	return fmt.Sprintf("%s; this is the present state, which %s may change", e.err, what)
}
