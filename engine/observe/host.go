package observe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"hlplay/engine/remote"
)

// Host is the read side of one host: what is remembered and predicted about it, and the flights that fetch the rest.
// Its methods are safe for concurrent use.
type Host struct {
	hostName, address string
	dial              func(context.Context) (Asker, error)
	probeDial         Dial       // see SetDial
	inventory         *Inventory // see SetInventory
	now               func() time.Time

	peers func() []*Host
	peer  func(name string) (*Host, error)

	mu        sync.Mutex
	memory    map[Key]*entry
	predicted map[Key]prediction
	vague     []Expectation // the expectations with Match
	common    []*said       // kept answers of kinds that are Common
	pending   []*entry
	running   int // number of this host's planners that are not waiting
	flying    bool
	connected *connected // set by the first observation
	flightCtx context.Context
	flights   int
	reads     int
	forgotten int // how often all of memory was forgotten
	// touches are what steps on other hosts may have changed, one after another, of those that cannot have changed everything.
	touches []func(Read) bool
	keeping int // how many callers want answers to be kept
	// written is what this run has written, by path: see SumOf.
	written map[string]remote.Written
	// foreseen is set for a host that asks nobody: see Foresee.
	foreseen *foreseen
	// announced is set for a host that only collects what is announced: see Announced.
	announced *[]Read
}

// NewHost returns a host about which nothing is known yet. dial is called on the first observation, and again after a
// failure. ctx bounds every flight.
func NewHost(ctx context.Context, name, address string, dial func(context.Context) (Asker, error)) *Host {
	return &Host{
		hostName: name, address: address, dial: dial, flightCtx: ctx, now: time.Now,
		memory: map[Key]*entry{}, predicted: map[Key]prediction{},
	}
}

// NewRecorded returns a host about which exactly the given observations are known. Any other observation is an error
// that names the key. It is for table tests of plans.
func NewRecorded(name string, known ...Expectation) *Host {
	h := NewHost(context.Background(), name, "192.0.2.1", func(context.Context) (Asker, error) {
		return notRecorded{}, nil
	})
	h.Predict(known)
	return h
}

type notRecorded struct{}

func (notRecorded) Ask(_ context.Context, queries []remote.Query) ([]remote.Answer, error) {
	return nil, errors.New("the observation is not recorded for this test")
}

// Name returns the host's name in the inventory.
func (h *Host) Name() string { return h.hostName }

// Address returns the host's address from the inventory, a name or an IP address.
func (h *Host) Address() string { return h.address }

// SetPeers gives the host access to other hosts. all returns the play's hosts in the order of the inventory, regardless
// of --limit; find looks up any host in the inventory.
func (h *Host) SetPeers(all func() []*Host, find func(name string) (*Host, error)) {
	h.peers, h.peer = all, find
}

// SetInventory gives the host the inventory of the run, which all its hosts share.
func (h *Host) SetInventory(all *Inventory) { h.inventory = all }

// Inventory returns the addresses of all hosts of the inventory by name, including hosts outside the play. It is
// empty outside of a run.
func (h *Host) Inventory() map[string]string {
	if h.inventory == nil {
		return nil
	}
	return h.inventory.given
}

// Foreign reports whether an address, without a zone, is certain to be none of a host of the inventory: it is not in the inventory, the
// networks of all its hosts were read in this run, and none of them has had it.
func (h *Host) Foreign(addr netip.Addr) bool { return h.inventory.foreign(addr.Unmap()) }

// SetClock sets the clock for timed observations; the default is the wall clock. It must not be called during an
// observation.
func (h *Host) SetClock(now func() time.Time) { h.now = now }

// Peers returns the hosts of the play, including this one, in the order of the inventory.
func (h *Host) Peers() []*Host {
	if h.peers == nil {
		return []*Host{h}
	}
	return h.peers()
}

// Peer returns a host of the inventory by name, possibly this one. It is not connected to before it is first observed.
func (h *Host) Peer(name string) (*Host, error) {
	if name == h.hostName {
		return h, nil
	}
	if h.peer == nil {
		return nil, fmt.Errorf("no host %q in the inventory", name)
	}
	return h.peer(name)
}

// Flights returns the number of flights so far and the number of observations that they carried.
func (h *Host) Flights() (flights, observations int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.flights, h.reads
}

func (h *Host) want(k kind, name string) {
	if h.announced != nil {
		*h.announced = append(*h.announced, Read{k, name})
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wantLocked(k, name)
}

func (h *Host) wantLocked(k kind, name string) {
	if _, _, ok := h.predictionLocked(k, name); !ok {
		h.entryLocked(k, name)
	}
}

func (h *Host) observe(ctx context.Context, k kind, name string) (any, error) {
	home, _ := ctx.Value(plannerKey{}).(*Host)
	t, _ := ctx.Value(trackerKey{}).(*Tracker)
	t.add(h, home, Read{k, name})
	h.mu.Lock()
	if err := ctx.Err(); err != nil { // a plan that was dropped in the meantime asks for nothing more
		h.mu.Unlock()
		return nil, err
	}
	if value, err, ok := h.predictionLocked(k, name); ok {
		h.mu.Unlock()
		return value, err
	}
	if home == h && h.memory[Key{k.name(), name}] == nil {
		for _, r := range t.left() {
			h.wantLocked(r.kind, r.name)
		}
	}
	e := h.entryLocked(k, name)
	if e.done {
		defer h.mu.Unlock()
		t.heard(e)
		return h.foundLocked(k, name, e)
	}
	w := &waiter{home: home, wake: make(chan struct{})}
	e.waiters[w] = struct{}{}
	if !k.probes() {
		h.connectLocked() // connect while planners still find out what else they need
	}
	h.mu.Unlock()
	if home != nil {
		home.leave()
	}
	if home != h {
		h.mu.Lock()
		h.flushLocked()
		h.mu.Unlock()
	}
	if err := w.await(ctx, &h.mu, e.waiters); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t.heard(e)
	return h.foundLocked(k, name, e)
}
