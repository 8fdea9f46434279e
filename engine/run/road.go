package run

import "hlplay/engine/lang"

// road is the tasks that a batch of hosts will meet if nothing fails: those of its play and of the plays
// behind it that run on the same hosts, all at once. Read-ahead follows it.
type road struct {
	slots []*slot
	index map[*slot]int
	// producers are, for each slot, the results that its expressions read and that are registered on the
	// road before it, by name: the index of the last slot that registers it.
	producers []map[string]int
}

// road is that from a play on.
func (r *runner) road(play *lang.Play) *road {
	way := &road{index: map[*slot]int{}}
	behind := false
	for _, p := range r.playbook.Plays {
		behind = behind || p == play
		if !behind {
			continue
		}
		if p != play && (p.Hosts != play.Hosts || len(p.Serial) > 0 || len(play.Serial) > 0) {
			break
		}
		slots := r.slots(p)
		straight(p.Tasks, func(t *lang.Task) {
			if r.selected(t) {
				way.index[slots[t]] = len(way.slots)
				way.slots = append(way.slots, slots[t])
			}
		})
	}
	way.producers = make([]map[string]int, len(way.slots))
	registers := map[string]int{}
	for i, s := range way.slots {
		for _, name := range s.references.Results {
			if at, ok := registers[name]; ok {
				if way.producers[i] == nil {
					way.producers[i] = map[string]int{}
				}
				way.producers[i][name] = at
			}
		}
		if s.task.Register != "" {
			registers[s.task.Register] = i
		}
	}
	return way
}

// straight visits the tasks that run when nothing fails.
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
