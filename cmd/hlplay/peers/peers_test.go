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

// row is what is measured together.
type row struct {
	what, tool string
	rtt        time.Duration
}

func (r row) String() string { return r.tool + " " + r.what + " " + distance(r.rtt) }

// findings are the results for each row. beside has what hlplay took right before and after it on the same nodes,
// because a machine that others use too varies in speed.
type findings struct{ of, beside map[row][]result }

func newFindings() *findings { return &findings{map[row][]result{}, map[row][]result{}} }

// TestPeers measures every tool at every distance and writes a table for each. A tool has fresh nodes at every
// distance; if its own first run is not measured, hlplay prepares them.
func TestPeers(t *testing.T) {
	for _, rtt := range distances {
		t.Run(distance(rtt), func(t *testing.T) {
			results, about := newFindings(), heading(t)
			defer func() { publish(t, "peers "+distance(rtt), about, results) }()
			for _, by := range tools {
				t.Run(by.name, func(t *testing.T) { compare(t, by, rtt, results) })
			}
			if chosen.MatchString("floor converged " + distance(rtt)) {
				t.Run("floor", func(t *testing.T) {
					s := open(t, rtt)
					s.run(t, toolNamed("hlplay"), first)
					for range runs("PEERS_RUNS", 3) {
						for name, r := range s.floors(t) {
							key := row{converged, name, rtt}
							results.of[key] = append(results.of[key], r)
							results.beside[key] = append(results.beside[key], s.run(t, toolNamed("hlplay"), converged))
						}
					}
				})
			}
		})
	}
}

// TestRealPackets measures converged runs of hlplay, and the lower bounds, over long cables instead of proxies. Proxies
// terminate TCP next to the nodes and so hide its costs.
func TestRealPackets(t *testing.T) {
	results, about := newFindings(), heading(t)
	defer func() { publish(t, "packets", about, results) }()
	for _, rtt := range distances[1:] {
		t.Run(distance(rtt), func(t *testing.T) {
			s := open(t, 0)
			s.run(t, toolNamed("hlplay"), first)
			for _, node := range s.List {
				if err := node.LengthenCable(t.Context(), rtt); err != nil {
					t.Fatal(err)
				}
			}
			s.rtt = rtt
			for range runs("PEERS_RUNS", 3) {
				took := s.floors(t)
				for _, what := range []string{converged, check} {
					key := row{what, "hlplay", rtt}
					results.of[key] = append(results.of[key], s.run(t, toolNamed("hlplay"), what))
				}
				for name, r := range took {
					key := row{converged, name, rtt}
					results.of[key] = append(results.of[key], r)
				}
			}
		})
	}
}

// compare measures one tool at one distance.
func compare(t *testing.T, by tool, rtt time.Duration, results *findings) {
	count := runs("PEERS_OTHERS", 1)
	if by.name == "hlplay" || by.name == oneScript {
		count = runs("PEERS_RUNS", 3)
	}
	if by.name == oneScript {
		for range count {
			besideScript(t, rtt, results)
		}
		return
	}
	var s *testbed
	note := func(what string) {
		key := row{what, by.name, rtt}
		if !chosen.MatchString(key.String()) {
			return
		}
		beside := func() {
			for range 3 {
				if by.name != "hlplay" && what != first {
					results.beside[key] = append(results.beside[key], s.run(t, toolNamed("hlplay"), what))
				}
			}
		}
		beside()
		results.of[key] = append(results.of[key], s.run(t, by, what))
		beside()
	}
	wanted := func(what string) bool { return chosen.MatchString(row{what, by.name, rtt}.String()) }
	if !wanted(first) && !wanted(converged) && !wanted(check) {
		return
	}
	if wanted(first) {
		for range count {
			s = open(t, rtt)
			note(first)
		}
	} else {
		s = open(t, rtt)
		s.run(t, toolNamed("hlplay"), first)
	}
	for _, what := range []string{converged, check} {
		for range count {
			note(what)
		}
	}
}

// besideScript measures the lower bound of a first run and then hlplay, each on fresh nodes.
func besideScript(t *testing.T, rtt time.Duration, results *findings) {
	key := row{first, oneScript, rtt}
	if !chosen.MatchString(key.String()) {
		return
	}
	t.Run("script", func(t *testing.T) {
		results.of[key] = append(results.of[key], open(t, rtt).run(t, byScript, first))
	})
	t.Run("hlplay", func(t *testing.T) {
		results.beside[key] = append(results.beside[key], open(t, rtt).run(t, toolNamed("hlplay"), first))
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
