package journal

import (
	"cmp"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strings"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
)

// Planned returns what a run of a playbook with these arguments plans to do: the plays that have hosts, with the
// selected tasks, from StartAt on.
func Planned(pb *lang.Playbook, inv *inventory.Inventory, a Arguments, limit string) ([]Play, error) {
	limited := inv.Hosts
	if limit != "" {
		var err error
		if limited, err = inv.Match(limit); err != nil {
			return nil, err
		}
	}
	plan := []Play{}
	waiting := a.StartAt != ""
	for _, play := range pb.Plays {
		matched, err := inv.Match(play.Hosts)
		if err != nil {
			return nil, err
		}
		p := Play{Name: play.Name}
		for _, h := range matched {
			if slices.Contains(limited, h) {
				p.Hosts = append(p.Hosts, h.Name)
			}
		}
		rescues := map[*lang.Task]string{}
		eachGroup(play.Tasks, func(g *lang.Group) {
			first := lang.TasksOf(g.Tasks)
			for _, t := range lang.TasksOf(g.Rescue) {
				if rescues[t] == "" && len(first) > 0 { // the outermost group counts
					rescues[t] = first[0].Name
				}
			}
		})
		for _, t := range lang.TasksOf(play.Tasks) {
			if !lang.Selected(t, a.Tags, a.SkipTags) {
				continue
			}
			if waiting = waiting && t.Name != a.StartAt; !waiting {
				p.Tasks = append(p.Tasks, Task{Name: t.Name, File: filepath.ToSlash(t.Range.Filename), Line: t.Range.Start.Line, Rescues: rescues[t]})
			}
		}
		if len(p.Hosts) > 0 && len(p.Tasks) > 0 {
			plan = append(plan, p)
		}
	}
	return plan, nil
}

// eachGroup visits groups, outer ones before inner ones.
func eachGroup(nodes []lang.Node, visit func(*lang.Group)) {
	for _, n := range nodes {
		if g, ok := n.(*lang.Group); ok {
			visit(g)
			for _, part := range [][]lang.Node{g.Tasks, g.Rescue, g.Always} {
				eachGroup(part, visit)
			}
		}
	}
}

// Sources returns the files from which the playbook and the inventory were read, and inventory programs, sorted by
// path.
func Sources(pb *lang.Playbook, inv *inventory.Inventory) []Source {
	sums := map[string]string{}
	for path, f := range inv.Files {
		sums[path] = sum(f.Bytes)
	}
	for name, answer := range inv.Answers {
		sums[name] = sum(answer)
	}
	for path, s := range pb.Sources() {
		sums[path] = hex.EncodeToString(s[:])
	}
	all := []Source{}
	for path, s := range sums {
		if strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/proc/") { // a pipe, which will have another name next time
			continue
		}
		all = append(all, Source{filepath.ToSlash(path), s})
	}
	slices.SortFunc(all, func(a, b Source) int { return cmp.Compare(a.Path, b.Path) })
	return all
}
