package lang

// AllTasks are the tasks of a play in the order of the source: those of groups with their rescue and
// always parts in place, then the handlers.
func (p *Play) AllTasks() []*Task {
	return append(tasksOf(p.Tasks), p.Handlers...)
}

func tasksOf(nodes []Node) []*Task {
	var all []*Task
	for _, n := range nodes {
		switch n := n.(type) {
		case *Task:
			all = append(all, n)
		case *Group:
			all = append(all, tasksOf(n.Tasks)...)
			all = append(all, tasksOf(n.Rescue)...)
			all = append(all, tasksOf(n.Always)...)
		}
	}
	return all
}
