package lang

import (
	"fmt"
	"maps"
	"slices"
)

// Selected reports whether a task is to be done, given the tags of --tags and --skip-tags, by the
// rules of Ansible.
//
// No tags mean all tasks but those tagged `never`. Tags select the tasks that have one of them, and
// those tagged `always`; `tagged` and `untagged` select those that have any tag or none, and `all`
// every one; what is tagged `never` is selected only by one of its own tags. What is to be skipped
// wins over what is selected; only if `always` itself is to be skipped does `all` skip tasks
// tagged `always`.
func Selected(t *Task, tags, skip []string) bool {
	return wanted(t.Tags, tags) && !skipped(t.Tags, skip)
}

// CheckTags returns an error about the first of the tags that no task has and that has no meaning of its own: it
// is misspelt, and would select nothing, or fail to skip what is to be skipped. flag is where it was given.
func (p *Playbook) CheckTags(flag string, tags []string) error {
	known := p.Tags()
	for _, tag := range tags {
		if !slices.Contains(known, tag) && !slices.Contains([]string{"all", "tagged", "untagged", "always", "never"}, tag) {
			return fmt.Errorf("%s: no task is tagged %q%s", flag, tag, Suggestion(tag, known, "--list-tags shows them"))
		}
	}
	return nil
}

// Tags are all tags of the playbook's tasks and handlers, sorted.
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

// CheckStart returns an error if no task that tags and skip select has the name: a run that begins there would
// do nothing. Handlers are no tasks to begin at.
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
