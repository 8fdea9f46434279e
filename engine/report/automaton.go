package report

import "slices"

// automaton finds many texts in another one in a single pass, by the algorithm of Aho and Corasick (Efficient string
// matching, CACM 18, 1975). A state is a prefix of one of the texts; the root is the empty prefix. A state's children
// are a list rather than a table: existing libraries' tables take a hundred times the memory of the texts, and minutes
// to build for secrets of thousands of lines.
type automaton struct {
	texts []string
	bytes int // of all texts
	root  [256]int32
	nodes []node
}

type node struct {
	child, sibling int32
	// fail is the state of the longest proper suffix that is also a prefix of a text.
	fail int32
	// found is the length of the longest text that ends here, or 0.
	found int32
	label byte
}

// newAutomaton returns an automaton for texts, none of which may be empty.
func newAutomaton(texts []string) *automaton {
	slices.Sort(texts)
	a := &automaton{texts: slices.Compact(texts)}
	for _, text := range a.texts {
		a.bytes += len(text)
	}
	a.nodes = make([]node, 1, a.bytes+1)
	for _, text := range a.texts {
		a.add(text)
	}
	a.nodes = slices.Clip(a.nodes)
	a.link()
	return a
}

// add relies on the order of the texts: a prefix that a text shares with any earlier one, it shares with the previous
// one, whose states come first in their lists.
func (a *automaton) add(text string) {
	state := int32(0)
	for i := range len(text) {
		c := text[i]
		next := a.nodes[state].child
		if next == 0 || a.nodes[next].label != c {
			a.nodes = append(a.nodes, node{sibling: next, label: c})
			next = int32(len(a.nodes) - 1)
			a.nodes[state].child = next
		}
		state = next
	}
	a.nodes[state].found = int32(len(text))
}

// link sets the fail states, breadth first.
func (a *automaton) link() {
	queue := make([]int32, 0, len(a.nodes))
	for n := a.nodes[0].child; n != 0; n = a.nodes[n].sibling {
		a.root[a.nodes[n].label] = n
		queue = append(queue, n)
	}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		for n := a.nodes[state].child; n != 0; n = a.nodes[n].sibling {
			fail := a.next(a.nodes[state].fail, a.nodes[n].label)
			a.nodes[n].fail = fail
			if a.nodes[n].found == 0 {
				a.nodes[n].found = a.nodes[fail].found
			}
			queue = append(queue, n)
		}
	}
}

// next returns the state after a byte.
func (a *automaton) next(state int32, c byte) int32 {
	for state != 0 {
		for n := a.nodes[state].child; n != 0; n = a.nodes[n].sibling {
			if a.nodes[n].label == c {
				return n
			}
		}
		state = a.nodes[state].fail
	}
	return a.root[c]
}

// find reports where texts occur in s: for each position where any text ends, the longest of them.
func (a *automaton) find(s string, tell func(from, to int)) {
	state := int32(0)
	for i := range len(s) {
		if state = a.next(state, s[i]); state != 0 {
			if n := int(a.nodes[state].found); n > 0 {
				tell(i+1-n, i+1)
			}
		}
	}
}

// automata are automata of decreasing size, each at least twice as large as the next, so that adding a text does not
// rebuild all of them.
type automata []*automaton

func (all automata) with(texts []string) automata {
	size := 0
	for _, text := range texts {
		size += len(text)
	}
	for len(all) > 0 && all[len(all)-1].bytes <= 2*size {
		last := all[len(all)-1]
		texts, size, all = append(texts, last.texts...), size+last.bytes, all[:len(all)-1]
	}
	return append(slices.Clip(all), newAutomaton(texts)) // others may be reading the old ones
}
