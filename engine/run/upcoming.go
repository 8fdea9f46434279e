package run

import (
	"slices"

	"hlplay/engine/lang"
)

// upcoming are the tasks that a batch of hosts will reach if nothing fails: those of its play, and of the next plays
// that run on the same hosts, all at once. Read-ahead follows this list.
type upcoming struct {
	tasks []*task
	index map[*task]int
	// producers map, for each task, the names of the results that its expressions read to the index of the last earlier task
	// that registers it.
	producers []map[string]int
	// legs number the stretches of tasks that follow one another whatever happens: nothing but the failure of one of them keeps
	// a host from the next. Handlers, and parts of groups that run in other cases, lie between them.
	legs []int
	leg  int // of the next task
	// flushes has the indices of the tasks right behind which the handlers of their play run.
	flushes map[int]bool
}

// add appends the tasks of a play that run when nothing fails.
func (u *upcoming) add(nodes []lang.Node, placed map[*lang.Task]*task, selected func(*lang.Task) bool) {
	for _, n := range nodes {
		switch n := n.(type) {
		case *lang.Task:
			if selected(n) {
				u.index[placed[n]] = len(u.tasks)
				u.tasks = append(u.tasks, placed[n])
				u.legs = append(u.legs, u.leg)
			}
		case *lang.Group:
			forks := len(n.Rescue)+len(n.Always) > 0
			if forks {
				u.leg++
			}
			u.add(n.Tasks, placed, selected)
			if forks {
				u.leg++
				u.add(n.Always, placed, selected)
				u.leg++
			}
		case *lang.Flush:
			u.flush()
		}
	}
}

// flush ends a leg behind which the play's handlers run.
func (u *upcoming) flush() {
	if last := len(u.tasks) - 1; last >= 0 && u.legs[last] == u.leg {
		u.flushes[last] = true
	}
	u.leg++
}

// hasFlush reports whether handlers run between some tasks.
func hasFlush(nodes []lang.Node) bool {
	return slices.ContainsFunc(nodes, func(n lang.Node) bool {
		switch n := n.(type) {
		case *lang.Flush:
			return true
		case *lang.Group:
			return hasFlush(n.Tasks) || hasFlush(n.Rescue) || hasFlush(n.Always)
		}
		return false
	})
}

// findProducers finds which task registers what each task reads.
func (u *upcoming) findProducers() {
	u.producers = make([]map[string]int, len(u.tasks))
	registers := map[string]int{}
	for i, t := range u.tasks {
		for _, name := range t.references.Results {
			if at, ok := registers[name]; ok {
				if u.producers[i] == nil {
					u.producers[i] = map[string]int{}
				}
				u.producers[i][name] = at
			}
		}
		if t.Register != "" {
			registers[t.Register] = i
		}
	}
}
