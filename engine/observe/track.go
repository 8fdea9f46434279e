package observe

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"

	"hlplay/engine/remote"
)

// Read is one observation that a planner asked for.
type Read struct {
	kind kind
	name string
}

// Read returns the observation under a name.
func (k *Kind[T]) Read(name string) Read { return Read{k, name} }

// ByAuthor reports whether the observation is a command of the playbook's author, which runs only where its task says
// so.
func (r Read) ByAuthor() bool {
	return r.kind.name() == AuthorCommands.Name || r.kind.name() == Checks.Name
}

// OfContent reports whether the observation is what a command says of a content that is to be written: once it is written, no plan
// asks that again.
func (r Read) OfContent() bool { return r.kind.name() == Checks.Name }

// Key returns the key of the observation.
func (r Read) Key() Key { return Key{r.kind.name(), r.name} }

// Lasts reports whether only a reboot changes the observation.
func (r Read) Lasts() bool { return r.kind.lasting() }

// Shared reports whether a step on another host can change the observation: see Kind.Shared.
func (r Read) Shared() bool { return r.kind.shared(r.name) }

// Want announces observations that a planner is likely to ask for, so that they are fetched together: see Kind.Want.
func (h *Host) Want(reads []Read) {
	for _, r := range reads {
		h.want(r.kind, r.name)
	}
}

// Announced returns the observations of a foreseen host that fn announces with Kind.Want. Nothing is read. fn must not observe
// anything.
func (h *Host) Announced(fn func(h *Host)) (reads []Read) {
	collects := NewHost(h.flightCtx, h.hostName, h.address, h.dial)
	collects.memory, collects.predicted, collects.vague = h.memory, h.predicted, h.vague
	collects.announced = &reads
	fn(collects)
	return reads
}

// Tracker records the observations made with a context, of the planner's own host and of others.
type Tracker struct {
	above  *Tracker
	mu     sync.Mutex
	likely []Read
	reads  []Read
	others map[*Host][]Read
	files  map[place]any // each a File, not copied
	sums   map[place]string
	said   []*said
}

// place is a path on a host.
type place struct {
	host *Host
	path string
}

type trackerKey struct{}

// Track returns a context whose observations are recorded by the returned tracker, and by the trackers of parent
// contexts.
func Track(ctx context.Context) (context.Context, *Tracker) {
	t := &Tracker{}
	t.above, _ = ctx.Value(trackerKey{}).(*Tracker)
	return context.WithValue(ctx, trackerKey{}, t), t
}

// Likely announces what will probably be read of the planner's own host. If memory is forgotten half-way, because
// something else has changed the host, the rest is fetched together rather than one by one.
func (t *Tracker) Likely(reads []Read) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.likely = reads
}

// left returns what is likely to be read and has not been read yet.
func (t *Tracker) left() (all []Read) {
	for ; t != nil; t = t.above {
		t.mu.Lock()
		if len(t.likely) > 0 {
			read := make(map[Key]bool, len(t.reads))
			for _, r := range t.reads {
				read[r.Key()] = true
			}
			for _, r := range t.likely {
				if !read[r.Key()] {
					all = append(all, r)
				}
			}
		}
		t.mu.Unlock()
	}
	return all
}

func (t *Tracker) add(h, home *Host, r Read) {
	for ; t != nil; t = t.above {
		t.mu.Lock()
		switch {
		case h == home:
			t.reads = append(t.reads, r)
		case t.others == nil:
			t.others = map[*Host][]Read{h: {r}}
		default:
			t.others[h] = append(t.others[h], r)
		}
		t.mu.Unlock()
	}
}

// heard records the answers from which an observation was parsed, if they are kept.
func (t *Tracker) heard(e *entry) {
	for ; t != nil && e.said != nil; t = t.above {
		t.mu.Lock()
		if !slices.Contains(t.said, e.said) {
			t.said = append(t.said, e.said)
		}
		t.mu.Unlock()
	}
}

// answer returns the answer to a query from which observations were parsed.
func (t *Tracker) answer(q remote.Query) (remote.Answer, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return answerTo(q, t.said)
}

// found records the files and checksums that a plan is based on, as they were observed.
func (t *Tracker) found(h *Host, key Key, value any) {
	for ; t != nil; t = t.above {
		t.mu.Lock()
		at := place{h, key.Name}
		switch _, ok := value.(File); {
		case ok && t.files == nil:
			t.files = map[place]any{at: value}
		case ok:
			t.files[at] = value
		case key.Kind == Sums.Name && t.sums == nil:
			t.sums = map[place]string{at: value.(string)}
		case key.Kind == Sums.Name:
			t.sums[at] = value.(string)
		}
		t.mu.Unlock()
	}
}

// Seen returns what was observed at a path on a host, for a step that replaces it. It is the zero value, which accepts
// anything, if nothing was observed. If follow is set, it describes the target of symbolic links.
func (t *Tracker) Seen(h *Host, name string, follow bool) remote.Seen {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := t.files[place{h, name}].(File)
	for range maxLinks {
		if !ok || !follow || f.Type != Symlink {
			break
		}
		name = f.target(name)
		f, ok = t.files[place{h, name}].(File)
	}
	switch {
	case !ok, unsized(name):
		return remote.Seen{}
	case f.Type == Regular && f.Truncated:
		return remote.Seen{Stamp: f.Stamp, Sum: t.sums[place{h, name}]}
	case f.Type == Regular:
		return remote.Seen{Stamp: f.Stamp, Sum: fmt.Sprintf("%x", sha256.Sum256(f.Content))}
	case f.Type == Symlink && !follow:
		return remote.Seen{Stamp: f.Stamp, Target: f.Target}
	}
	return remote.Seen{Absent: !f.Exists()}
}

// Saw reports whether anything was observed on h, a host other than the planner's own.
func (t *Tracker) Saw(h *Host) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.others[h]) > 0
}

// Elsewhere returns the observations of other hosts so far.
func (t *Tracker) Elsewhere() map[*Host][]Read {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.others)
}

// Reads returns the observations of the planner's own host so far, in order and possibly with duplicates.
func (t *Tracker) Reads() []Read {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reads[:len(t.reads):len(t.reads)]
}
