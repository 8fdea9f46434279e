package alternatives

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// program chooses alternatives. It is a part of dpkg.
const program = "update-alternatives"

// group is what update-alternatives knows of a name. Its zero value means that there are no alternatives.
type group struct {
	// Link is the path of the name: /usr/bin/editor.
	Link string
	// Auto is set if the alternative with the highest priority is used.
	Auto bool
	// Value is the path that the name stands for now; empty means none.
	Value string
	// Priorities lists the alternatives, by path.
	Priorities map[string]int
}

// groups observes the alternatives of a host, by name.
var groups = &observe.Kind[group]{
	Name: "alternatives", What: "the alternatives for %s",
	Ask: func(names []string) []remote.Query {
		var all []remote.Query
		for _, name := range names {
			all = append(all, remote.Argv(observe.ReadLimit, program, "--query", name))
		}
		return all
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, group, error)) {
		for i, name := range names {
			g, err := parseGroup(name, answers[i])
			tell(name, g, err)
		}
	},
}

// parseGroup parses the answer of update-alternatives --query: paragraphs of fields, the first one for the name and one
// for each alternative. The names of what an alternative brings along ("Slaves") are in lines that start with a space.
func parseGroup(name string, a remote.Answer) (group, error) {
	switch {
	case a.Err != nil:
		return group{}, a.Err
	case a.Exit == 2 && strings.HasSuffix(strings.TrimSpace(string(a.Stderr)), "error: no alternatives for "+name):
		return group{}, nil
	case a.Exit != 0:
		return group{}, fmt.Errorf("%s --query %s: %s: %s", program, name, remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	g := group{Priorities: map[string]int{}}
	var of string
	for _, line := range observe.Lines(a.Stdout) {
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "Link":
			g.Link = value
		case "Status":
			g.Auto = value == "auto"
		case "Value":
			if value != "none" {
				g.Value = value
			}
		case "Alternative":
			of = value
		case "Priority":
			n, err := strconv.Atoi(value)
			if err != nil || of == "" {
				return group{}, fmt.Errorf("%s --query %s: expected the priority of an alternative, found %q", program, name, line)
			}
			g.Priorities[of] = n
		}
	}
	if g.Link == "" || len(g.Priorities) == 0 {
		return group{}, fmt.Errorf("%s --query %s: expected a link and alternatives, found %q", program, name, observe.LastLine(a.Stdout))
	}
	return g, nil
}

// best returns the alternative that the automatic mode uses: the one with the highest priority. Among equals that is the
// one in use, or else the first in the order of their paths.
func (g group) best() string {
	paths := slices.Sorted(maps.Keys(g.Priorities))
	best := g.Value
	if _, there := g.Priorities[best]; !there && len(paths) > 0 {
		best = paths[0]
	}
	for _, p := range paths {
		if g.Priorities[p] > g.Priorities[best] {
			best = p
		}
	}
	return best
}

// choose returns the group with a path in use.
func (g group) choose(auto bool, value string) group {
	g.Auto, g.Value = auto, value
	return g
}

// with returns the group after update-alternatives --install. A new group is in automatic mode.
func (g group) with(link, path string, priority int) group {
	g.Auto = g.Auto || len(g.Priorities) == 0
	g.Link = link
	g.Priorities = maps.Clone(g.Priorities)
	if g.Priorities == nil {
		g.Priorities = map[string]int{}
	}
	g.Priorities[path] = priority
	if g.Auto {
		g.Value = g.best()
	}
	return g
}

// differs reports whether another choice is made in after.
func (g group) differs(after group) bool { return g.Auto != after.Auto || g.Value != after.Value }

func (g group) String() string {
	switch {
	case len(g.Priorities) == 0:
		return ""
	case g.Auto:
		return g.Value + " (automatic)"
	}
	return g.Value
}
