package run

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/nodestate"
	"hlplay/engine/report"
)

// play carries out one play, batch by batch.
func (r *runner) play(p plannedPlay) {
	alive := r.alive(p.hosts)
	if len(alive) == 0 {
		return
	}
	batches, err := batches(alive, p.play.Serial)
	if err != nil { // validated by lang; a defect if it comes here
		r.report(report.Note{Text: fmt.Sprintf("play %q: serial: %v", p.play.Name, err)})
		return
	}
	for i, batch := range batches {
		hosts := r.stillAlive(batch)
		if len(hosts) == 0 || r.ctx.Err() != nil {
			continue
		}
		r.report(report.PlayStarted{Play: p.play.Name, Hosts: names(hosts), Batch: i + 1, Batches: len(batches)})
		if fatal := r.batch(p, hosts, len(batches) > 1); fatal != "" {
			r.report(report.Note{Text: fatal})
			r.cancel()
			return
		}
	}
}

// batch runs a play's tasks, then its handlers, on some of its hosts. It returns why the run must end
// here, or "".
func (r *runner) batch(p plannedPlay, hosts []*host, rolling bool) string {
	r.mu.Lock()
	r.peers, r.playValues = p.peers, map[*lang.Play]cty.Value{}
	r.mu.Unlock()
	t := &turn{runner: r, play: p.play, slots: r.slots(p.play), batch: hosts, rolling: rolling}
	r.lead(hosts[0])
	way := r.road(p.play)
	for _, h := range hosts {
		nodestate.States.Want(h.observed, "")
		h.ahead.begin(way)
	}
	t.nodes(p.play.Tasks, hosts)
	t.handlers()
	return t.fatal
}

// slots are made once for a play, however many batches it has.
func (r *runner) slots(play *lang.Play) map[*lang.Task]*slot {
	if r.slotsOf == nil {
		r.slotsOf = map[*lang.Play]map[*lang.Task]*slot{}
	}
	if known := r.slotsOf[play]; known != nil {
		return known
	}
	slots := map[*lang.Task]*slot{}
	for _, t := range play.AllTasks() {
		slots[t] = newSlot(play, t, t.IsHandler())
	}
	r.slotsOf[play] = slots
	return slots
}

// playValue is what expressions see as `play`.
func (r *runner) playValue(play *lang.Play) cty.Value {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.playValues[play]; ok {
		return v
	}
	var all, selected []string
	for _, h := range r.peers {
		all = append(all, h.Name)
		if r.limited[h.Name] {
			selected = append(selected, h.Name)
		}
	}
	r.playValues[play] = cty.ObjectVal(map[string]cty.Value{
		"name": cty.StringVal(play.Name), "hosts": nameList(all), "selected": nameList(selected),
	})
	return r.playValues[play]
}

func nameList(all []string) cty.Value {
	if len(all) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	values := make([]cty.Value, len(all))
	for i, name := range all {
		values[i] = cty.StringVal(name)
	}
	return cty.ListVal(values)
}

func (r *runner) alive(hosts []*inventory.Host) []*host {
	all := make([]*host, 0, len(hosts))
	for _, ih := range hosts {
		all = append(all, r.host(ih))
	}
	return r.stillAlive(all)
}

func (r *runner) stillAlive(hosts []*host) []*host {
	r.mu.Lock()
	defer r.mu.Unlock()
	var alive []*host
	for _, h := range hosts {
		if !h.failed && !h.unreachable {
			alive = append(alive, h)
		}
	}
	return alive
}

func names(hosts []*host) []string {
	all := make([]string, 0, len(hosts))
	for _, h := range hosts {
		all = append(all, h.Name)
	}
	return all
}

// batches cuts hosts by the sizes of serial, each a number or a percentage of all; the last repeats.
func batches(hosts []*host, serial []string) ([][]*host, error) {
	if len(serial) == 0 {
		return [][]*host{hosts}, nil
	}
	var all [][]*host
	for i, rest := 0, hosts; len(rest) > 0; i++ {
		size, err := batchSize(serial[min(i, len(serial)-1)], len(hosts))
		if err != nil {
			return nil, err
		}
		size = min(size, len(rest))
		all = append(all, rest[:size])
		rest = rest[size:]
	}
	return all, nil
}

// batchSize is the number of hosts that "2" or "30%" means among all; at least one.
func batchSize(s string, all int) (int, error) {
	if percent, ok := strings.CutSuffix(s, "%"); ok {
		p, err := strconv.ParseFloat(percent, 64)
		if err != nil || p <= 0 || p > 100 {
			return 0, fmt.Errorf("%q is not a percentage between 0 and 100", s)
		}
		return max(1, int(float64(all)*p/100)), nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is neither a number of hosts nor a percentage", s)
	}
	return n, nil
}
