package lang

import (
	"fmt"
	"maps"
	"slices"
)

// Selected reports whether a task is to be done, given the tags of --tags and --skip-tags, by the rules of Ansible.
//
// Without tags, all tasks except those tagged `never` are selected. Tags select the tasks that have one of them, and
// those tagged `always`; `tagged` and `untagged` select tasks with any tag or without tags, and `all` selects every
// task. A task tagged `never` is selected only by one of its own tags. Skipping takes precedence over selection.
// Skipping `all` skips tasks tagged `always` only if `always` itself is skipped too.
func Selected(t *Task, tags, skip []string) bool {
	return wanted(t.Tags, tags) && !skipped(t.Tags, skip)
}

// CheckTags returns an error for the first tag that no task has and that has no special meaning: it is misspelled, and
// would select nothing, or fail to skip what should be skipped. flag is the name of the flag with the tags.
func (p *Playbook) CheckTags(flag string, tags []string) error {
	known := p.Tags()
	for _, tag := range tags {
		if !slices.Contains(known, tag) && !slices.Contains([]string{"all", "tagged", "untagged", "always", "never"}, tag) {
			return fmt.Errorf("%s: no task is tagged %q%s", flag, tag, Suggestion(tag, known, "--list-tags shows them"))
		}
	}
	return nil
}

// Tags returns all tags of the playbook's tasks and handlers, sorted.
func (p *Playbook) Tags() []string {
	known := map[string]bool{}
	for _, play := range p.Plays {
		for _, t := range play.AllTasks() {
			for _, tag := range t.Tags {
				known[tag] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(known))
}

// CheckStart returns an error if no task selected by tags and skip has the name: a run that starts there would do
// nothing. A run cannot start at a handler.
func (p *Playbook) CheckStart(name string, tags, skip []string) error {
	var names []string
	for _, play := range p.Plays {
		for _, t := range play.AllTasks() {
			if Selected(t, tags, skip) && !slices.Contains(play.Handlers, t) {
				names = append(names, t.Name)
			}
		}
	}
	if slices.Contains(names, name) {
		return nil
	}
	return fmt.Errorf("--start-at-task: no selected task is named %q%s", name, Suggestion(name, names, "--list-tasks shows them"))
}

func wanted(own, tags []string) bool {
	never := slices.Contains(own, "never")
	switch {
	case slices.Contains(own, "always"):
		return true
	case len(tags) == 0 || slices.Contains(tags, "all"):
		return !never || common(own, tags)
	case common(own, tags):
		return true
	case len(own) == 0:
		return slices.Contains(tags, "untagged")
	}
	return slices.Contains(tags, "tagged") && !never
}

func skipped(own, skip []string) bool {
	switch {
	case slices.Contains(skip, "all"):
		return !slices.Contains(own, "always") || slices.Contains(skip, "always")
	case common(own, skip):
		return true
	case len(own) == 0:
		return slices.Contains(skip, "untagged")
	}
	return slices.Contains(skip, "tagged")
}

func common(a, b []string) bool {
	return slices.ContainsFunc(a, func(tag string) bool { return slices.Contains(b, tag) })
}
