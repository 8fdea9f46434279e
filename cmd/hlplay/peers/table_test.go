//go:build linux && peers

package peers

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// result is what one run used.
type result struct {
	usage
	// nodes is the processor time of the nodes, others that of everything else on the machine.
	nodes, others time.Duration
	up, down      int64 // bytes, over all hosts
	roundTrips    int   // per host
	changes       int   // per host
	// processes is how many processes and threads a node has started.
	processes int
}

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

// distance formats a round-trip time.
func distance(rtt time.Duration) string {
	if rtt == 0 {
		return "direct"
	}
	return rtt.String()
}

// busy returns the time that the machine's processors have been busy, for whatever purpose (proc(5), /proc/stat).
func busy(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var ticks int64
	for i, field := range strings.Fields(line)[1:] {
		if i == 3 || i == 4 || i > 6 { // idle, waiting for disks; stolen, and guests, which user includes
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func seconds(d time.Duration) string {
	switch s := d.Seconds(); {
	case s < 10:
		return fmt.Sprintf("%.3f", s)
	default:
		return fmt.Sprintf("%.1f", s)
	}
}

// publish prints a table and the text about it. If a page is given, it also writes both into it, between the markers of
// that name.
func publish(t *testing.T, name, about string, results *findings) {
	if len(results.of) == 0 {
		return
	}
	text := about + " Load average at the end: " + load() + ".\n\n" + table(results)
	fmt.Println(text)
	if *page == "" {
		return
	}
	begin, end := "<!-- "+name+": written by `make bench-peers` -->\n", "<!-- end of "+name+" -->"
	old, err := os.ReadFile(*page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has not the markers %q and %q, between which the table goes", *page, begin, end)
	}
	if err := os.WriteFile(*page, []byte(before+begin+text+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// links returns the links of the results, the shortest first.
func (f *findings) links() []link {
	all := map[link]bool{}
	for key := range f.of {
		all[key.by] = true
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b link) int { return cmp.Compare(a.rtt, b.rtt) })
}

func table(results *findings) string {
	var out strings.Builder
	out.WriteString("| run | round trip | tool | n | wall s | against hlplay | controller CPU s | against hlplay | largest process MB | all processes MB | nodes' CPU s | against hlplay | processes a host | round trips a host | kB sent / received a host | changes a host | others' CPU s |\n")
	out.WriteString("|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, what := range []string{first, converged, check} {
		for _, by := range results.links() {
			for _, name := range []string{"plain", "tuned", "mitogen", "hlplay", oneScript, oneBatch, coldSSH} {
				key := row{what, name, by}
				of, own := results.of[key], results.beside[key]
				if len(of) == 0 {
					continue
				}
				if len(own) == 0 {
					own = results.of[row{what, "hlplay", by}]
				}
				wall := median(of, func(r result) time.Duration { return r.Wall })
				cpu := median(of, func(r result) time.Duration { return r.CPU() })
				nodes := median(of, func(r result) float64 { return r.nodes.Seconds() })
				wallRatio, cpuRatio, nodesRatio := "", "", ""
				if len(own) > 0 && name != "hlplay" {
					wallRatio = ratio(wall.Seconds(), median(own, func(r result) float64 { return r.Wall.Seconds() }))
					if nodes > 0 {
						nodesRatio = ratio(nodes, median(own, func(r result) float64 { return r.nodes.Seconds() }))
					}
					cpuRatio = ratio(cpu.Seconds(), median(own, func(r result) float64 { return r.CPU().Seconds() }))
				}
				fmt.Fprintf(&out, "| %s | %s | %s | %d | %s | %s | %s | %s | %.0f | %s | %s | %s | %s | %s | %s | %s | %s |\n",
					what, distance(by.rtt), name, len(of), spread(of), wallRatio, seconds(cpu), cpuRatio,
					mb(median(of, func(r result) int64 { return r.Largest })),
					number(median(of, func(r result) int64 { return r.Together })/1e6),
					known(nodes, "%.2f"), nodesRatio,
					number(int64(median(of, func(r result) int { return r.processes }))),
					number(int64(median(of, func(r result) int { return r.roundTrips }))), traffic(of, name),
					number(int64(median(of, func(r result) int { return r.changes }))),
					known(median(of, func(r result) float64 { return r.others.Seconds() }), "%.1f"))
			}
		}
	}
	return out.String()
}

// spread formats the median of the wall times with the minimum and maximum.
func spread(of []result) string {
	wall := func(r result) time.Duration { return r.Wall }
	text := seconds(median(of, wall))
	if len(of) == 1 {
		return text
	}
	least, most := of[0].Wall, of[0].Wall
	for _, r := range of {
		least, most = min(least, r.Wall), max(most, r.Wall)
	}
	return fmt.Sprintf("%s (%s to %s)", text, seconds(least), seconds(most))
}

func traffic(of []result, name string) string {
	up, down := median(of, func(r result) int64 { return r.up }), median(of, func(r result) int64 { return r.down })
	if up == 0 {
		return ""
	}
	hosts := 3.0
	if name == coldSSH {
		hosts = 1
	}
	return fmt.Sprintf("%.1f / %.1f", float64(up)/1e3/hosts, float64(down)/1e3/hosts)
}

// number formats n. It is empty for what was not measured.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func known(x float64, format string) string {
	if x == 0 {
		return ""
	}
	return fmt.Sprintf(format, x)
}
