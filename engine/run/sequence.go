package run

import (
	"fmt"

	"hlplay/engine/lang"
)

// slot is one task in its place: the unit that is planned, carried out and reported.
type slot struct {
	task    *lang.Task
	play    *lang.Play
	handler bool
	// user is as whom the task's commands run on each host by name; empty means the login user.
	user func(*host) string
	// references are what the task's expressions read during the run.
	references lang.References
}

// sequence turns nodes into slots, keeping the tree: the slots of a play are looked up by task.
func newSlot(play *lang.Play, t *lang.Task, groups []*lang.Group, handler bool) *slot {
	s := &slot{task: t, play: play, handler: handler, references: t.References()}
	chain := []*lang.Become{t.Become}
	for i := len(groups) - 1; i >= 0; i-- {
		chain = append(chain, groups[i].Become)
	}
	chain = append(chain, play.Become)
	s.user = func(h *host) string {
		for _, b := range chain {
			if b == nil {
				continue
			}
			if !b.Enabled {
				return ""
			}
			return becomeUser(b.User)
		}
		if h.Become {
			return becomeUser(h.BecomeUser)
		}
		return ""
	}
	return s
}

// walk visits all tasks of nodes, in order: a group's own, its rescue, its always part.
func walk(nodes []lang.Node, groups []*lang.Group, visit func(*lang.Task, []*lang.Group)) {
	for _, n := range nodes {
		switch n := n.(type) {
		case *lang.Task:
			visit(n, groups)
		case *lang.Group:
			inside := append(groups[:len(groups):len(groups)], n)
			walk(n.Tasks, inside, visit)
			walk(n.Rescue, inside, visit)
			walk(n.Always, inside, visit)
		}
	}
}

// straight visits the tasks that run when nothing fails: what read-ahead follows.
func straight(nodes []lang.Node, visit func(*lang.Task)) {
	for _, n := range nodes {
		switch n := n.(type) {
		case *lang.Task:
			visit(n)
		case *lang.Group:
			straight(n.Tasks, visit)
			straight(n.Always, visit)
		}
	}
}

// selected says whether tags and skip-tags let a task run.
func (r *runner) selected(t *lang.Task) bool {
	return lang.Selected(t, r.options.Tags, r.options.SkipTags)
}

func (r *runner) checkStartAt() error {
	if r.options.StartAt == "" {
		return nil
	}
	found := false
	for _, play := range r.playbook.Plays {
		walk(play.Tasks, nil, func(t *lang.Task, _ []*lang.Group) {
			found = found || t.Name == r.options.StartAt && r.selected(t)
		})
	}
	if !found {
		return fmt.Errorf("--start-at-task: no selected task is named %q; --list-tasks shows them", r.options.StartAt)
	}
	return nil
}
