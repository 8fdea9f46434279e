package journal

import (
	"errors"
	"fmt"
	"slices"

	"hlplay/engine/lang"
	"hlplay/engine/report"
)

// Point is a task in a run's plan.
type Point struct {
	Play string
	Task
}

// String returns the task and its position in the source.
func (p Point) String() string { return fmt.Sprintf("%q (%s:%d)", p.Name, p.File, p.Line) }

// Unfinished returns the first task of the run's plan that is not known to be done on every host of its play, or false
// if there is none.
//
// Tasks run one after another. If a run was interrupted during a task, the tasks before it are done on the hosts that
// were still in the run. A host that dropped out did so at a task that failed or during which it became unreachable.
func (r *Record) Unfinished() (Point, bool) {
	if r.State == OK || r.Run.Restores != "" {
		return Point{}, false
	}
	var plan []Point
	for _, play := range r.Run.Plan {
		for _, t := range play.Tasks {
			plan = append(plan, Point{play.Name, t})
		}
	}
	if len(plan) == 0 {
		return Point{}, false
	}
	at := func(play, task string) int {
		return slices.IndexFunc(plan, func(p Point) bool { return p.Play == play && p.Name == task })
	}
	// A handler that did not finish is still due on its host. It runs after the last task of its play.
	turn := func(play, task string, handler bool) int {
		if !handler {
			return at(play, task)
		}
		last := -1
		for i, p := range plan {
			if p.Play == play && p.Rescues == "" {
				last = i
			}
		}
		return last
	}
	first, last := len(plan), 0
	for _, e := range r.Entries {
		switch {
		case e.Play != nil:
			if i := slices.IndexFunc(plan, func(p Point) bool { return p.Play == e.Play.Play }); i >= 0 {
				last = i
			}
		case e.Task != nil:
			if i := turn(e.Task.Play, e.Task.Task, e.Task.Handler); i >= 0 {
				last = i
			}
		case e.Result != nil && broken(e.Result):
			if i := turn(e.Result.Play, e.Result.Task, e.Result.Handler); i >= 0 {
				first = min(first, i)
			}
		}
	}
	if r.State == Killed || r.State == Interrupted || first == len(plan) {
		first = min(first, last)
	}
	for _, name := range r.cut() {
		if i := slices.IndexFunc(plan, func(p Point) bool { return p.Play == name }); i >= 0 {
			first = min(first, i)
		}
	}
	if group := plan[first].Rescues; group != "" {
		if i := at(plan[first].Play, group); i >= 0 {
			first = i
		}
	}
	return plan[first], true
}

// broken reports whether a result has removed its host from the run.
func broken(r *Result) bool {
	return r.Status == report.Unreachable || r.Status == report.Failed && !r.Ignored && !r.Rescued
}

// cut returns the plays with batches of hosts that were not started.
func (r *Record) cut() []string {
	begun := map[string]*report.PlayStarted{}
	var order []string
	for _, e := range r.Entries {
		if e.Play == nil {
			continue
		}
		if begun[e.Play.Play] == nil {
			order = append(order, e.Play.Play)
		}
		begun[e.Play.Play] = e.Play
	}
	return slices.DeleteFunc(order, func(name string) bool { return begun[name].Batch >= begun[name].Batches })
}

// Start returns the task at which to start a playbook so that it continues at a point: that task, or an earlier one if
// a later task needs its result and that is not recorded. results names the results that required the earlier start.
func Start(pb *lang.Playbook, at Point, a Arguments, recorded *Results) (task string, results []string, err error) {
	task = at.Name
	for {
		err := pb.CheckResults(task, a.Tags, a.SkipTags, recorded.Known)
		var omitted *lang.OmittedError
		if !errors.As(err, &omitted) || omitted.Task.Name == task {
			return task, results, err
		}
		task, results = omitted.Task.Name, append(results, omitted.Task.Register)
	}
}

// Forgotten returns the tasks before start whose results are not recorded, although later tasks refer to them in a way
// that works without them: Start does not begin earlier because of them.
func Forgotten(pb *lang.Playbook, start string, a Arguments, recorded *Results) (all []*lang.Task) {
	front := map[string]*lang.Task{}
	waiting := true
	for _, play := range pb.Plays {
		for _, t := range play.AllTasks() {
			if !t.IsHandler() && !lang.Selected(t, a.Tags, a.SkipTags) {
				continue
			}
			if waiting = waiting && t.Name != start; waiting {
				if t.Register != "" && !recorded.Known(t) {
					front[t.Register] = t
				}
				continue
			}
			read := t.References()
			for _, name := range slices.Concat(read.Results, read.Peers.Results) {
				if front[name] != nil {
					all = append(all, front[name])
					delete(front, name)
				}
			}
		}
	}
	return all
}

// Differences describes, one per line, how the sources of a run differ from the current ones. It is empty if they do
// not.
func Differences(then, now []Source) []string {
	sums := map[string]string{}
	for _, s := range now {
		sums[s.Path] = s.SHA256
	}
	var all []string
	for _, s := range then {
		is, there := sums[s.Path]
		switch {
		case !there:
			all = append(all, s.Path+" is no longer read")
		case is != s.SHA256:
			all = append(all, s.Path+" has changed")
		}
		delete(sums, s.Path)
	}
	for _, s := range now {
		if _, fresh := sums[s.Path]; fresh {
			all = append(all, s.Path+" has come")
		}
	}
	return all
}
