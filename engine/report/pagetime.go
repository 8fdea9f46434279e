package report

import (
	"cmp"
	"slices"
	"time"
)

// simultaneous is how far apart the clock may see two events that belong together: the end of a task and the beginning of
// the one that has waited for it.
const simultaneous = time.Millisecond

// criticalPath returns the results that the duration of a run consists of: the one that ended last, the one that it began
// after, and so on, in the order of time. Making any other task faster would not make the run shorter.
func criticalPath(results []pageResult) []pageResult {
	results = slices.DeleteFunc(slices.Clone(results), func(r pageResult) bool { return r.To-r.From <= simultaneous })
	var path []pageResult
	for {
		var last *pageResult
		for i := range results {
			r := &results[i]
			if len(path) > 0 && r.To > path[len(path)-1].From+simultaneous {
				continue
			}
			if last == nil || cmp.Or(cmp.Compare(r.To, last.To), cmp.Compare(last.From, r.From)) > 0 {
				last = r
			}
		}
		if last == nil || len(path) > 0 && last.To >= path[len(path)-1].To {
			break
		}
		path = append(path, *last)
	}
	slices.Reverse(path)
	return path
}

// interval is a time of the run.
type interval struct{ From, To time.Duration }

// During returns when a play was at work.
func (p *pagePlay) During() interval {
	var when *interval
	for _, task := range p.Tasks {
		for _, r := range task.Results {
			if when == nil {
				when = &interval{r.From, r.To}
			}
			when.From, when.To = min(when.From, r.From), max(when.To, r.To)
		}
	}
	return *when
}

// ticks returns the moments at which an axis of so long is labelled: at most seven, in steps that people count in.
func ticks(total time.Duration) []time.Duration {
	step := time.Hour
	for _, s := range []time.Duration{
		time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
		30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	} {
		if total/s < 7 {
			step = s
			break
		}
	}
	for total/step >= 7 {
		step *= 2
	}
	var all []time.Duration
	for at := step; at < total-total/8; at += step { // the last one needs room for its label
		all = append(all, at)
	}
	return all
}
