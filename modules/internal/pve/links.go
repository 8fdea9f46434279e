package pve

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Links is what a node's corosync reports about its links.
type Links struct {
	// Version is the config_version that corosync has loaded. It differs from that of the file until corosync loads the file,
	// or if it has rejected it.
	Version int
	// Connected maps the number of each link to the sorted ids of the other nodes that are reached over it.
	Connected map[int][]int
}

// LinkStates observes Links on a member of a cluster, under the empty name. It is an error if corosync is not running.
var LinkStates = &observe.Kind[Links]{
	Name: "pve-links", What: "the links of corosync",
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: `timeout 10 corosync-cmapctl -g totem.config_version && timeout 10 corosync-cfgtool -s`, Inline: true}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Links, error)) {
		a := answers[0]
		links, err := parseLinks(string(a.Stdout))
		if a.Exit != 0 && err != nil {
			err = fmt.Errorf("corosync cannot be asked for its links: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
		}
		for _, name := range names {
			tell(name, links, err)
		}
	},
}

// parseLinks parses the output of corosync-cmapctl and of corosync-cfgtool -s (corosync 3.1).
func parseLinks(text string) (Links, error) {
	links := Links{Connected: map[int][]int{}}
	link, versioned, listed := -1, false, false
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		var err error
		switch {
		case len(fields) == 4 && fields[0] == "totem.config_version":
			links.Version, err = strconv.Atoi(fields[3])
			versioned = true
		case strings.HasPrefix(line, "Local node ID"):
			listed = true
		case len(fields) == 4 && fields[0] == "LINK" && fields[1] == "ID":
			link, err = strconv.Atoi(fields[2])
			links.Connected[link] = nil
		case len(fields) == 3 && fields[0] == "nodeid:" && fields[2] == "connected":
			var id int
			id, err = strconv.Atoi(strings.TrimSuffix(fields[1], ":"))
			links.Connected[link] = append(links.Connected[link], id)
		}
		if err != nil {
			return links, fmt.Errorf("corosync-cfgtool -s printed %q: expected the number of a link or node", strings.TrimSpace(line))
		}
	}
	for _, ids := range links.Connected {
		slices.Sort(ids)
	}
	if !versioned || !listed {
		return links, fmt.Errorf("corosync-cfgtool -s printed %q: expected the links", observe.LastLine([]byte(text)))
	}
	return links, nil
}
