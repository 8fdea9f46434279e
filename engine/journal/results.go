package journal

import (
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"hlplay/engine/lang"
)

// Results holds what the tasks of a run have registered, and those of the runs that it continues.
type Results struct {
	values map[registration]cty.Value
	hosts  map[string][]string // by play
}

func newResults() *Results {
	return &Results{values: map[registration]cty.Value{}, hosts: map[string][]string{}}
}

// registration identifies a task on a host.
type registration struct{ play, task, host string }

// Results returns what the tasks of a run have registered. Results that were not recorded, because they contain a
// secret or are large, are missing.
func (s Store) Results(r *Record) *Results {
	all := newResults()
	var read func(*Record, int)
	read = func(r *Record, depth int) {
		if r.Run.Resumes != "" && depth < KeptRuns {
			if before, err := s.Read(r.Run.Resumes); err == nil {
				read(before, depth+1)
			}
		}
		all.add(r)
	}
	read(r, 0)
	return all
}

// Counted returns what a run, and those that it continues, have added to numbers that are limited for the whole run, by what is
// counted.
func Counted(r *Record) map[string][]string {
	all := map[string][]string{}
	for _, e := range r.Entries {
		if c := e.Counted; c != nil {
			all[c.Of] = append(all[c.Of], c.Names...)
		}
	}
	return all
}

func (all *Results) add(r *Record) {
	for _, play := range r.Run.Plan {
		all.hosts[play.Name] = play.Hosts
	}
	leaders := map[registration]cty.Value{} // by task: the host is empty
	for _, e := range r.Entries {
		if e.Result == nil {
			continue
		}
		at := registration{e.Result.Play, e.Result.Task, e.Result.Host}
		value, err := ctyjson.Unmarshal(e.Result.Registered, cty.DynamicPseudoType)
		if err != nil {
			delete(all.values, at)
			continue
		}
		all.values[at] = value
		if at.host = ""; leaders[at] == cty.NilVal {
			leaders[at] = value
		}
	}
	// A task that one host does for all registers its result on all hosts.
	for at, value := range leaders {
		for _, host := range all.hosts[at.play] {
			at.host = host
			if _, own := all.values[at]; !own {
				all.values[at] = value
			}
		}
	}
}

// Of returns what a task has registered on a host.
func (all *Results) Of(host, play, task string) (cty.Value, bool) {
	v, ok := all.values[registration{play, task, host}]
	return v, ok
}

// Known reports whether the result of a task is recorded for all hosts of its play.
func (all *Results) Known(t *lang.Task) bool {
	hosts := all.hosts[t.Play().Name]
	for _, host := range hosts {
		if _, ok := all.Of(host, t.Play().Name, t.Name); !ok {
			return false
		}
	}
	return len(hosts) > 0
}
