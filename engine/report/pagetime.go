package report

import (
	"cmp"
	"slices"
	"time"
)

// simultaneous is the maximum time between two events that belong together: the end of a task and the start of the task
// that waited for it.
const simultaneous = time.Millisecond

// criticalPath returns the results that make up the duration of the run: the one that ended last, the one whose end it
// waited for, and so on, in chronological order. Making any other task faster would not make the run shorter.
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

// interval is a part of the run's time.
type interval struct{ From, To time.Duration }

// During returns when a play was active.
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

// ticks returns the times at which a time axis of that length is labelled: at most seven, at round intervals.
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
