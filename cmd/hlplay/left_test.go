package main

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/report"
	"hlplay/engine/run"
	"hlplay/modules/registry"
)

// archive is what a run has told about vital files, by host and path.
type archive struct {
	sync.Mutex
	before, after map[string]string
}

func (a *archive) Before(host, path string, f observe.File) error {
	a.Lock()
	defer a.Unlock()
	a.before[host+":"+path] = string(f.Content)
	return nil
}

func (a *archive) After(host, path string, f observe.File) {
	a.Lock()
	defer a.Unlock()
	a.after[host+":"+path] = string(f.Content)
}

// What a run leaves of the files of which it keeps copies is read with its last steps, those of a handler here, and not in a
// flight of its own. A file that a command may have changed is not taken for what it was before.
func TestFilesLeftAreReadWithTheLastSteps(t *testing.T) {
	for _, ahead := range []bool{true, false} {
		nodes := onSimulatedNodes(t, `
play "p" {
  hosts = "all"
  task "names" {
    file {
      path    = "/etc/hosts"
      content = "127.0.0.1 localhost\n"
    }
    notify = ["other names", "nothing"]
  }
  task "time" {
    file {
      path    = "/etc/default/grub"
      content = "GRUB_DEFAULT=0\n"
    }
  }
  handler "other names" {
    command {
      argv   = ["cp", "/etc/hostname", "/etc/hosts"]
      always = true
    }
  }
  handler "nothing" {
    command {
      argv   = ["true"]
      always = true
    }
  }
}
`)
		kept := &archive{before: map[string]string{}, after: map[string]string{}}
		recap, told := nodes.play(t, false, func(o *run.Options) {
			o.Archive, o.Modules, o.SendAhead, o.SendAheadFrom = kept, registry.All(), ahead, 0
		})
		for _, r := range told.Results() {
			if r.Status != report.Changed {
				t.Errorf("%s on %s is %s: %s", r.Task, r.Host, r.Status, r.Message)
			}
		}
		for name, cost := range recap.Costs {
			if changed := recap.Hosts[name].Changed; changed != 4 || cost.Flights > 1 {
				t.Errorf("%s, sent ahead: %v: %d changes and %d flights of reads alone, want 4 and 1", name, ahead, changed, cost.Flights)
			}
		}
		want := map[string]string{"a:/etc/hosts": "a\n", "b:/etc/hosts": "b\n", "a:/etc/default/grub": "GRUB_DEFAULT=0\n", "b:/etc/default/grub": "GRUB_DEFAULT=0\n"}
		if diff := cmp.Diff(want, kept.after); diff != "" {
			t.Errorf("sent ahead: %v (-want +got):\n%s", ahead, diff)
		}
	}
}
