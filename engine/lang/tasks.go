package lang

// AllTasks returns the tasks of a play in source order, including those of groups with their rescue and always parts,
// followed by the handlers.
func (p *Play) AllTasks() []*Task {
	return append(TasksOf(p.Tasks), p.Handlers...)
}

// TasksOf returns the tasks among nodes in source order, including those of groups with their rescue and always parts.
func TasksOf(nodes []Node) []*Task {
	var all []*Task
	for _, n := range nodes {
		switch n := n.(type) {
		case *Task:
			all = append(all, n)
		case *Group:
			all = append(all, TasksOf(n.Tasks)...)
			all = append(all, TasksOf(n.Rescue)...)
			all = append(all, TasksOf(n.Always)...)
		}
	}
	return all
}

// Notified returns the play's handlers that the tasks notify, directly or through other handlers, in the order in which
// they run.
func (p *Play) Notified(tasks []*Task) []*Task {
	names := make(map[string]bool)
	var follow func(t *Task)
	follow = func(t *Task) {
		for _, name := range t.Notify {
			if names[name] {
				continue
			}
			names[name] = true
			for _, h := range p.Handlers {
				if h.Name == name {
					follow(h)
				}
			}
		}
	}
	for _, t := range tasks {
		follow(t)
	}
	var all []*Task
	for _, h := range p.Handlers {
		if names[h.Name] {
			all = append(all, h)
		}
	}
	return all
}
