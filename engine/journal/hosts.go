package journal

import (
	"time"

	"hlplay/engine/report"
)

// Host is what became of one host in a run.
type Host struct {
	Name    string
	Counts  report.Counts
	Results []Done
	// Step was begun last, if nothing is known of its end.
	Step *report.Progress
	// Ahead are the tasks of the plan that the host did not come to.
	Ahead []Point
}

// Done is a result and when it was there.
type Done struct {
	At time.Time
	*Result
}

// Hosts are those of the plan, in its order.
func (r *Record) Hosts() []Host {
	of := map[string]*Host{}
	var all []*Host
	for _, play := range r.Run.Plan {
		for _, name := range play.Hosts {
			if of[name] == nil {
				of[name] = &Host{Name: name}
				all = append(all, of[name])
			}
		}
	}
	begun := map[[2]string]bool{}
	left := map[string]bool{}
	did := map[[3]string]bool{}
	for _, e := range r.Entries {
		switch {
		case e.Task != nil:
			begun[[2]string{e.Task.Play, e.Task.Task}] = true
		case e.Step != nil && of[e.Step.Host] != nil:
			of[e.Step.Host].Step = e.Step
		case e.Result != nil && of[e.Result.Host] != nil:
			h := of[e.Result.Host]
			h.Step = nil
			h.Results = append(h.Results, Done{e.Time, e.Result})
			h.count(e.Result)
			did[[3]string{e.Result.Play, e.Result.Task, h.Name}] = true
			left[h.Name] = left[h.Name] || broken(e.Result)
		}
	}
	for _, play := range r.Run.Plan {
		for _, name := range play.Hosts {
			for _, t := range play.Tasks {
				// What one host did for all is begun, and has no result on the others.
				elsewhere := begun[[2]string{play.Name, t.Name}] && !left[name]
				if t.Rescues == "" && !elsewhere && !did[[3]string{play.Name, t.Name, name}] {
					of[name].Ahead = append(of[name].Ahead, Point{play.Name, t})
				}
			}
		}
	}
	hosts := make([]Host, len(all))
	for i, h := range all {
		hosts[i] = *h
		if r.End != nil {
			hosts[i].Counts = r.End.Hosts[h.Name]
		}
	}
	return hosts
}

// count counts a result, for runs that have not counted themselves.
func (h *Host) count(r *Result) {
	if r.Status == report.Changed || len(r.Steps) > 0 {
		h.Counts.Changed++
	}
	if len(r.Unfinished) > 0 {
		h.Counts.Unfinished++
	}
	switch r.Status {
	case report.OK:
		h.Counts.OK++
	case report.Skipped:
		h.Counts.Skipped++
	case report.Unreachable:
		h.Counts.Unreachable++
	case report.Failed:
		if !r.Ignored && !r.Rescued {
			h.Counts.Failed++
		}
	}
}

// Worth reports whether a result says more than that all was as desired.
func (d Done) Worth() bool {
	return d.Status != report.OK && d.Status != report.Skipped || len(d.Notes) > 0
}
