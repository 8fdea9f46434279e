//go:build linux && peers

package peers

import (
	"testing"
	"time"
)

// mostPerChange limits all round trips of a first run. Most tasks of the playbook are files and kernel settings, whose steps
// share flights, as those of its handlers do.
const mostPerChange = 0.22

// mostSent limits the bytes that are sent to a host. They are 63 kB, and were 203 kB before long scripts were compressed: over real
// packets, bytes are round trips.
const mostSent = 80e3

// TestRoundTripsOfAFirstRun counts the round trips that the playbook takes to prepare fresh nodes, and the bytes.
func TestRoundTripsOfAFirstRun(t *testing.T) {
	s := openHere(t, 20*time.Millisecond)
	before, began := s.counts(), time.Now()
	nodes, err := s.cpu()
	if err != nil {
		t.Fatal(err)
	}
	recap, err := here(t.Context(), s, playbook, nil)
	if err != nil {
		t.Fatal(err)
	}
	took, after := time.Since(began), s.counts()
	nodesAfter, err := s.cpu()
	if err != nil {
		t.Fatal(err)
	}
	changes := 0
	for name, host := range recap.Hosts {
		changes += host.Changed
		if host.Changed == 0 {
			t.Errorf("nothing has changed on %s, so this was no first run", name)
		}
	}
	roundTrips := (after.Reversals - before.Reversals) / 2
	t.Logf("a first run of three hosts: %d round trips for %d changes, %.2f a change; %.1f kB sent and %.1f kB received a host, %.2f s of the nodes, %.2f s at a round trip time of %s",
		roundTrips, changes, float64(roundTrips)/float64(changes), float64(after.Up-before.Up)/3e3, float64(after.Down-before.Down)/3e3, (nodesAfter - nodes).Seconds(), took.Seconds(), s.rtt)
	for name, cost := range recap.Costs {
		t.Logf("%s: %d round trips, %d flights of reads alone", name, cost.RoundTrips, cost.Flights)
	}
	if float64(roundTrips) > mostPerChange*float64(changes) {
		t.Errorf("%d round trips for %d changes, expected at most %g for each", roundTrips, changes, mostPerChange)
	}
	if sent := float64(after.Up-before.Up) / float64(len(recap.Hosts)); sent > mostSent {
		t.Errorf("%.1f kB were sent to a host, expected at most %g", sent/1e3, mostSent/1e3)
	}
}
