package pve

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// corosyncConf is the part of a corosync.conf that hlplay needs.
type corosyncConf struct {
	name    string
	version int
	nodes   map[string]Member
	// device is the address of the QDevice's host; deviceVotes is the number of its votes.
	device      string
	deviceVotes int
}

// block is a section of a corosync.conf.
type block struct {
	values map[string]string
	blocks map[string][]*block
}

func newBlock() *block { return &block{map[string]string{}, map[string][]*block{}} }

// first returns the first subsection with that name, or an empty one.
func (b *block) first(name string) *block {
	if all := b.blocks[name]; len(all) > 0 {
		return all[0]
	}
	return newBlock()
}

// parseCorosync parses a corosync.conf like PVE's own parser: comments to the end of the line, words, "key:" "value",
// "name {" … "}".
func parseCorosync(content []byte) (corosyncConf, error) {
	root, err := parseBlocks(content)
	if err != nil {
		return corosyncConf{}, err
	}
	totem := root.first("totem")
	conf := corosyncConf{name: totem.values["cluster_name"], nodes: map[string]Member{}}
	if conf.name == "" {
		return conf, fmt.Errorf("no totem.cluster_name")
	}
	// corosync treats a configuration without a version as version 0; the sample in Debian's package has none.
	if version, ok := totem.values["config_version"]; ok {
		if conf.version, err = number(version); err != nil {
			return conf, fmt.Errorf("totem.config_version: %w", err)
		}
	}
	devices := root.first("quorum").blocks["device"]
	if len(devices) > 0 {
		conf.device = cmp.Or(devices[0].first("net").values["host"], "an unnamed host")
		if votes, ok := devices[0].values["votes"]; ok {
			if conf.deviceVotes, err = number(votes); err != nil {
				return conf, fmt.Errorf("quorum.device.votes: %w", err)
			}
		}
	}
	for _, node := range root.first("nodelist").blocks["node"] {
		name := node.values["name"]
		if name == "" {
			name = node.values["ring0_addr"]
		}
		m := Member{Votes: 1, Links: map[int]string{}}
		id, ok := node.values["nodeid"]
		if !ok {
			return conf, fmt.Errorf("node %q has no nodeid", name)
		}
		if m.ID, err = number(id); err != nil {
			return conf, fmt.Errorf("node %q: nodeid: %w", name, err)
		}
		if votes, ok := node.values["quorum_votes"]; ok {
			if m.Votes, err = number(votes); err != nil {
				return conf, fmt.Errorf("node %q: quorum_votes: %w", name, err)
			}
		}
		for link := range 8 {
			if address, ok := node.values[fmt.Sprintf("ring%d_addr", link)]; ok {
				m.Links[link] = address
			}
		}
		conf.nodes[name] = m
	}
	// Without a votes setting, which is how pvecm sets it up for an odd number of nodes, it has one vote fewer than there are
	// nodes.
	if len(devices) > 0 && devices[0].values["votes"] == "" {
		conf.deviceVotes = len(conf.nodes) - 1
	}
	return conf, nil
}

func number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	return n, nil
}

func parseBlocks(content []byte) (*block, error) {
	root := newBlock()
	stack := []*block{root}
	var words []string
	for line := range strings.Lines(string(content)) {
		line, _, _ = strings.Cut(line, "#")
		words = append(words, strings.Fields(line)...)
	}
	for i := 0; i < len(words); i++ {
		word, top := words[i], stack[len(stack)-1]
		switch {
		case word == "}":
			if len(stack) == 1 {
				return nil, fmt.Errorf("a \"}\" without its \"{\"")
			}
			stack = stack[:len(stack)-1]
		case i+1 < len(words) && words[i+1] == "{":
			inner := newBlock()
			top.blocks[word] = append(top.blocks[word], inner)
			stack = append(stack, inner)
			i++
		case strings.HasSuffix(word, ":") && i+1 < len(words):
			top.values[strings.TrimSuffix(word, ":")] = words[i+1]
			i++
		default:
			return nil, fmt.Errorf("cannot make sense of %q", word)
		}
	}
	if len(stack) != 1 {
		return nil, fmt.Errorf("%d sections are not closed", len(stack)-1)
	}
	return root, nil
}
