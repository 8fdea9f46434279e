//go:build linux && peers

package peers

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// distances are the round-trip times to the nodes.
var distances = []time.Duration{0, 50 * time.Millisecond, 150 * time.Millisecond}

// link is how the nodes are reached.
type link struct {
	rtt time.Duration
	// packets: by long cables, which delay every frame (Node.LengthenCable). Otherwise proxies delay the bytes; they
	// terminate TCP next to the nodes and so hide its costs.
	packets bool
}

func (l link) String() string {
	if l.packets {
		return distance(l.rtt) + " packets"
	}
	return distance(l.rtt)
}

// open boots three nodes that are reached by the link.
func (l link) open(t *testing.T) *testbed {
	t.Helper()
	if !l.packets {
		return open(t, l.rtt)
	}
	s := open(t, 0)
	for _, node := range s.List {
		if err := node.LengthenCable(t.Context(), l.rtt); err != nil {
			t.Fatal(err)
		}
	}
	s.rtt = l.rtt
	return s
}

// row is what is measured together.
type row struct {
	what, tool string
	by         link
}

func (r row) String() string { return r.tool + " " + r.what + " " + r.by.String() }

func (r row) chosen() bool { return chosen.MatchString(r.String()) }

// findings are the results for each row. beside has what hlplay took right before and after it on the same nodes,
// because a machine that others use too varies in speed.
type findings struct{ of, beside map[row][]result }

func newFindings() *findings { return &findings{map[row][]result{}, map[row][]result{}} }

// TestPeers measures every tool at every distance and writes a table for each. A tool has fresh nodes at every
// distance and for every first run; if its own first run is not measured, hlplay prepares them.
func TestPeers(t *testing.T) {
	for _, rtt := range distances {
		t.Run(distance(rtt), func(t *testing.T) {
			results, about := newFindings(), heading(t)
			defer func() { publish(t, "peers "+distance(rtt), about, results) }()
			var all []*contender
			for _, tool := range tools {
				all = append(all, contend(tool, link{rtt: rtt}, first, converged, check))
			}
			compare(t, link{rtt: rtt}, results, all)
			lowerBounds(t, link{rtt: rtt}, results)
		})
	}
}

// TestRealPackets measures hlplay, the lower bounds, and the first runs of the faster of the others over long cables
// instead of proxies.
func TestRealPackets(t *testing.T) {
	results, about := newFindings(), heading(t)
	defer func() { publish(t, "packets", about, results) }()
	for _, rtt := range distances[1:] {
		t.Run(distance(rtt), func(t *testing.T) {
			by := link{rtt: rtt, packets: true}
			var all []*contender
			for _, name := range []string{"tuned", "mitogen", oneScript} {
				all = append(all, contend(toolNamed(name), by, first))
			}
			compare(t, by, results, append(all, contend(toolNamed("hlplay"), by, first, converged, check)))
			lowerBounds(t, by, results)
		})
	}
}

// lowerBounds measures the lower bounds of a converged run.
func lowerBounds(t *testing.T, by link, results *findings) {
	if !(row{converged, "floor", by}).chosen() {
		return
	}
	t.Run("floor", func(t *testing.T) {
		s := by.open(t)
		s.run(t, toolNamed("hlplay"), first)
		for range runs("PEERS_RUNS", 3) {
			for name, r := range s.floors(t) {
				key := row{converged, name, by}
				results.of[key] = append(results.of[key], r)
				results.beside[key] = append(results.beside[key], s.run(t, toolNamed("hlplay"), converged))
			}
		}
	})
}

// contender is a tool whose runs are measured over one link.
type contender struct {
	tool
	whats []string
	count int // of each of whats
	// on are the nodes of its last first run, or those that hlplay has prepared, as long as they are needed.
	on     *testbed
	failed bool
}

// contend returns a tool with those of the given runs that were chosen.
func contend(tool tool, by link, whats ...string) *contender {
	c := &contender{tool: tool, count: runs("PEERS_OTHERS", 1)}
	if tool.name == "hlplay" || tool.name == oneScript {
		c.count = runs("PEERS_RUNS", 3)
	}
	if tool.name == oneScript {
		whats = []string{first}
	}
	for _, what := range whats {
		if (row{what, tool.name, by}).chosen() {
			c.whats = append(c.whats, what)
		}
	}
	return c
}

// turn is one run of a contender. Its nodes are kept for the next one if that runs on the same.
type turn struct {
	*contender
	what  string
	keeps bool
}

// turns returns the runs of all contenders: for each kind, they take turns, because the speed of a machine drifts. Those who have
// fewer runs than others spread them evenly, and a single run is in the middle.
func turns(all []*contender) (order []turn) {
	for _, what := range []string{first, converged, check} {
		rounds := 0
		for _, c := range all {
			if slices.Contains(c.whats, what) {
				rounds = max(rounds, c.count)
			}
		}
		for round := range rounds {
			for _, c := range all {
				until := func(round int) int { return (2*round*c.count + rounds) / (2 * rounds) }
				if slices.Contains(c.whats, what) && until(round+1) > until(round) {
					order = append(order, turn{contender: c, what: what})
				}
			}
		}
	}
	for i := range order {
		if next := slices.IndexFunc(order[i+1:], func(later turn) bool { return later.contender == order[i].contender }); next >= 0 {
			order[i].keeps = order[i+1+next].what != first
		}
	}
	return order
}

// compare measures the runs of all contenders over one link. A contender whose run fails has no further ones.
func compare(t *testing.T, by link, results *findings, all []*contender) {
	for _, next := range turns(all) {
		c := next.contender
		switch {
		case c.failed:
			continue
		case c.name == oneScript:
			c.failed = !t.Run(c.name, func(t *testing.T) { besideScript(t, by, results) })
			continue
		}
		fresh := c.on == nil
		if fresh {
			c.on = by.open(t)
		}
		c.failed = !t.Run(c.name, func(t *testing.T) {
			if fresh && next.what != first {
				c.on.run(t, toolNamed("hlplay"), first)
			}
			c.on.measure(t, c.tool, row{next.what, c.name, by}, results)
		})
		if c.failed || !next.keeps {
			c.on.end(t)
			c.on = nil
		}
	}
}

// measure runs a tool, and hlplay three times before and after it, unless either changes something.
func (s *testbed) measure(t *testing.T, tool tool, key row, results *findings) {
	beside := func() {
		for range 3 {
			if tool.name != "hlplay" && key.what != first {
				results.beside[key] = append(results.beside[key], s.run(t, toolNamed("hlplay"), key.what))
			}
		}
	}
	beside()
	results.of[key] = append(results.of[key], s.run(t, tool, key.what))
	beside()
}

// besideScript measures the lower bound of a first run and then hlplay, each on fresh nodes.
func besideScript(t *testing.T, by link, results *findings) {
	key := row{first, oneScript, by}
	t.Run("script", func(t *testing.T) {
		results.of[key] = append(results.of[key], by.open(t).run(t, byScript, first))
	})
	t.Run("hlplay", func(t *testing.T) {
		results.beside[key] = append(results.beside[key], by.open(t).run(t, toolNamed("hlplay"), first))
	})
}

// runs returns how often something is measured.
func runs(variable string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// median returns the median of the results, or the mean of the two in the middle if their number is even.
func median[T ~int | ~int64 | ~float64](of []result, what func(result) T) T {
	var all []T
	for _, r := range of {
		all = append(all, what(r))
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// ratio returns how many times more something is.
func ratio(of, than float64) string {
	if than == 0 || of == 0 {
		return "–"
	}
	switch x := of / than; {
	case x < 10:
		return fmt.Sprintf("%.1f×", x)
	default:
		return fmt.Sprintf("%.0f×", x)
	}
}
