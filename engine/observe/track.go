package observe

import (
	"context"
	"sync"
)

// Read is one observation that a planner asked for.
type Read struct {
	kind kind
	name string
}

// ByAuthor says that it is a command of the playbook's author, which runs only where its task says so.
func (r Read) ByAuthor() bool { return r.kind.name() == AuthorCommands.Name }

// Want announces observations that a planner will ask for, as far as anybody can tell, so that they travel
// together: see Kind.Want.
func (h *Host) Want(reads []Read) {
	for _, r := range reads {
		h.want(r.kind, r.name)
	}
}

// Tracker remembers what is observed under a context: of the planner's own host which observations, and
// which other hosts.
type Tracker struct {
	above *Tracker
	mu    sync.Mutex
	reads []Read
	hosts map[*Host]bool
}

type trackerKey struct{}

// Track returns a context under which observing is remembered, also by the trackers of the contexts above.
func Track(ctx context.Context) (context.Context, *Tracker) {
	t := &Tracker{}
	t.above, _ = ctx.Value(trackerKey{}).(*Tracker)
	return context.WithValue(ctx, trackerKey{}, t), t
}

func (t *Tracker) add(h, home *Host, r Read) {
	for ; t != nil; t = t.above {
		t.mu.Lock()
		switch {
		case h == home:
			t.reads = append(t.reads, r)
		case t.hosts == nil:
			t.hosts = map[*Host]bool{h: true}
		default:
			t.hosts[h] = true
		}
		t.mu.Unlock()
	}
}

// Saw reports whether another host h than the planner's own was observed.
func (t *Tracker) Saw(h *Host) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hosts[h]
}

// Reads are the observations of the planner's own host so far, in order; one may stand there twice.
func (t *Tracker) Reads() []Read {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reads[:len(t.reads):len(t.reads)]
}
