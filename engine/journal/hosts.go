package journal

import (
	"time"

	"hlplay/engine/report"
)

// Host is the outcome of a run on one host.
type Host struct {
	Name    string
	Counts  report.Counts
	Results []Done
	// Step is the last step that was started, if it is not known how it ended.
	Step *report.Progress
	// Ahead holds the tasks of the plan that the host did not reach.
	Ahead []Point
}

// Done is a result and the time at which it was recorded.
type Done struct {
	At time.Time
	*Result
}

// Hosts returns the hosts of the plan, in the order of the plan.
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
				// A task that one host did for all was started, but has no result on the others.
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

// count counts a result, for runs that did not record their own counts.
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
		switch {
		case r.Ignored:
			h.Counts.Ignored++
		case r.Rescued:
			h.Counts.Rescued++
		default:
			h.Counts.Failed++
		}
	}
}

// Worth reports whether a result says more than that nothing had to be done.
func (d Done) Worth() bool {
	return d.Status != report.OK && d.Status != report.Skipped || len(d.Notes) > 0
}
