package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"hlplay/engine/nodestate"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// keeper keeps on a host's node what must outlast the run: which handlers are due there, and that this run is changing it.
// Everything travels with what is sent anyhow: what is kept is read with the first flight, recorded before a step by the
// step's own shell, and cleared behind the handler's.
type keeper struct {
	connection *connection
	observed   *observe.Host
	holder     *nodestate.Holder // this run
	note       func(text string)

	mu    sync.Mutex // guards what follows
	state nodestate.State
	// read reports whether the state was read, off why nothing can be kept.
	read bool
	off  string
	// due are the handlers that are due on the node, ours those that this run has made due; cleared are no longer due,
	// which the node is yet to be told.
	due     map[string]nodestate.Due
	ours    map[string]bool
	cleared map[string]bool
	said    bool // that nothing can be kept
	// ended are commands of earlier runs that have ended, which the node is yet to forget.
	ended       []nodestate.Long
	toldRunning bool // that commands of earlier runs are running
	// taken says that the acting shell on the node holds the lock, as far as that is known.
	taken bool
}

func newKeeper(c *connection, o *observe.Host, holder *nodestate.Holder, note func(string)) *keeper {
	return &keeper{connection: c, observed: o, holder: holder, note: note,
		due: map[string]nodestate.Due{}, ours: map[string]bool{}, cleared: map[string]bool{}}
}

// look reads what is kept on the node, with what else is read first.
func (k *keeper) look(ctx context.Context) error {
	k.mu.Lock()
	read := k.read
	k.mu.Unlock()
	if read {
		return nil
	}
	var state nodestate.State
	var err error
	done := make(chan struct{})
	k.observed.Go(ctx, func(ctx context.Context) {
		defer close(done)
		state, err = nodestate.States.Observe(ctx, k.observed, "")
	})
	<-done
	var lost *remote.UnreachableError
	if errors.As(err, &lost) || ctx.Err() != nil {
		return err
	}
	if err != nil { // of such a host nothing is kept, and everything else goes on
		state = nodestate.State{Refused: err.Error()}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.read {
		return nil
	}
	k.read, k.state, k.off = true, state, state.Refused
	for _, d := range state.Due {
		k.due[d.ID] = d
	}
	for _, l := range state.Running {
		if l.Fate != nodestate.Alive {
			k.ended = append(k.ended, l)
			k.note(k.connection.host.Name + ": " + l.String() + "; nobody has waited for its end")
		}
	}
	return nil
}

// occupied returns a long command that an earlier run has begun and that is still running. While that run holds the node
// itself, the lock says so.
func (k *keeper) occupied() (l nodestate.Long, is bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.state.Running {
		lock := k.state.Lock
		held := lock != nil && lock.Run != k.holder.Run && !lock.Gone() && !(lock.Run == l.Run && lock.Over())
		if l.Fate == nodestate.Alive && l.Run != k.holder.Run && !held {
			return l, true
		}
	}
	return l, false
}

// tellRunning says, once, what runs on the node that this run has not waited for, as it had nothing to change there.
func (k *keeper) tellRunning() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.toldRunning {
		return
	}
	k.toldRunning = true
	for _, l := range k.state.Running {
		if l.Fate == nodestate.Alive && l.Run != k.holder.Run {
			k.note(k.connection.host.Name + ": " + l.String() + "; what was read meanwhile may be out of date")
		}
	}
}

// fate returns a long command as it was last seen.
func (k *keeper) fate(l nodestate.Long) nodestate.Long {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, now := range k.state.Running {
		if now.ID == l.ID {
			return now
		}
	}
	l.Fate = nodestate.Lost
	return l
}

// discard says that a long command has ended and nobody needs what is kept of it.
func (k *keeper) discard(l nodestate.Long) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = append(k.ended, l)
}

// retake is what takes the lock for the shell of another connection, after that of the run was lost.
func (k *keeper) retake(lock *nodestate.Holder) remote.Query {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state.Lock = lock; lock != nil && lock.Run != k.holder.Run && !lock.Gone() {
		lock = nil
	}
	return k.holder.Act(lock)
}

// overdue are the handlers that earlier runs have left, the longest due first.
func (k *keeper) overdue() (all []nodestate.Due) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range k.state.Due {
		if _, still := k.due[d.ID]; still && !k.ours[d.ID] {
			all = append(all, d)
		}
	}
	return all
}

// all are the handlers that are due on the node, the longest due first.
func (k *keeper) all() []nodestate.Due {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.off != "" || k.state.Unwritable != "" {
		return nil
	}
	all := slices.Collect(maps.Values(k.due))
	slices.SortFunc(all, func(a, b nodestate.Due) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// armed is a change that the node takes back by itself, of another run than this one; nil if there is none.
func (k *keeper) armed() *nodestate.Undo {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, u := range k.state.Undo {
		if !u.Ended && u.Run != k.holder.Run {
			return &u
		}
	}
	return nil
}

// undone returns the changes of earlier runs that the node has taken back.
func (k *keeper) undone() (all []nodestate.Undo) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, u := range k.state.Undo {
		if u.Ended && u.Run != k.holder.Run {
			all = append(all, u)
		}
	}
	return all
}

// lockedError is that another run is changing a node.
type lockedError struct {
	host string
	by   nodestate.Holder
}

func (e *lockedError) Error() string { return e.by.String() + "; nothing was begun on it" }

func (e *lockedError) Hint() string {
	return "let that run end, or run with --wait; hlplay status " + e.host + " shows who it is, and with --clear forgets it"
}

// locked is the error that another run holds the lock; nil if none does that is known to live.
func (k *keeper) locked() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if by := k.state.Lock; by != nil && by.Run != k.holder.Run && !by.Gone() {
		return &lockedError{k.connection.host.Name, *by}
	}
	return nil
}

// lookAgain reads anew who holds the lock, and what the node undoes.
func (k *keeper) lookAgain(ctx context.Context) error {
	state, err := nodestate.Look(ctx, k.connection)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state.Lock, k.state.Running, k.state.Undo = state.Lock, state.Running, state.Undo
	return nil
}

// before is what is to be done on the node before a step of a task: it is locked, and what the task notifies is due. It is
// empty where nothing can be kept. notifies is nil for a step that is carried out for another host.
func (k *keeper) before(notifies []nodestate.Due) remote.Query {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.off != "" {
		return remote.Query{}
	}
	var fresh []nodestate.Due
	for _, d := range notifies {
		delete(k.cleared, d.ID)
		if _, is := k.due[d.ID]; !is {
			fresh = append(fresh, d)
			k.due[d.ID], k.ours[d.ID] = d, true
		}
	}
	if k.taken && len(fresh) == 0 {
		return remote.Query{}
	}
	var broken *nodestate.Holder
	if by := k.state.Lock; by != nil && by.Run != k.holder.Run && by.Gone() {
		broken = by
	}
	return k.holder.Act(broken, fresh...)
}

// took notes how what is sent to an acting shell went, and what came before it: a shell that has failed is replaced.
func (k *keeper) took(before remote.Query, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.taken = err == nil && (k.taken || before.Script != "")
}

// unkept says, once, that what a task notifies is not remembered on the node.
func (k *keeper) unkept(why string) {
	k.mu.Lock()
	said := k.said
	k.said = true
	k.mu.Unlock()
	if !said {
		k.note(fmt.Sprintf("%s: what is notified there is not remembered on the host if this run is cut off: %s", k.connection.host.Name, why))
	}
}

// prevented is the error of a step that was not begun because another run holds the lock; err itself if it says
// something else.
func (k *keeper) prevented(err error) error {
	var prevented *remote.PreventedError
	if !errors.As(err, &prevented) {
		return err
	}
	by := nodestate.HeldBy(prevented)
	if by == nil {
		return err
	}
	k.mu.Lock()
	k.state.Lock = by
	k.mu.Unlock()
	return &lockedError{k.connection.host.Name, *by}
}

// clear says that handlers are no longer due. The node is told with the next that is sent to it.
func (k *keeper) clear(ids ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range ids {
		if _, is := k.due[id]; is {
			delete(k.due, id)
			delete(k.ours, id)
			k.cleared[id] = true
		}
	}
}

// withdraw says that a handler is not due, if it was this run that said so.
func (k *keeper) withdraw(id string) {
	k.mu.Lock()
	ours := k.ours[id]
	k.mu.Unlock()
	if ours {
		k.clear(id)
	}
}

// clearing is what tells the node which handlers are no longer due, and also, once what is sent before it has succeeded; ids
// is nil if there is nothing to tell.
func (k *keeper) clearing(also ...string) (q remote.Query, ids []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ids = slices.Sorted(maps.Keys(k.cleared))
	for _, id := range also {
		if _, is := k.due[id]; is {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return q, nil
	}
	return nodestate.Clear(ids...), ids
}

// told says that the node knows.
func (k *keeper) told(ids []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range ids {
		delete(k.due, id)
		delete(k.ours, id)
		delete(k.cleared, id)
	}
}

// flush tells the node what it was not told yet, and to forget what the run tells a person.
func (k *keeper) flush(ctx context.Context) error {
	var queries []remote.Query
	q, ids := k.clearing()
	k.mu.Lock()
	ended := k.ended
	k.ended = nil
	k.mu.Unlock()
	if ids != nil {
		queries = append(queries, q)
	}
	var undone []string
	for _, u := range k.undone() {
		undone = append(undone, u.ID)
	}
	if undone != nil {
		queries = append(queries, nodestate.Forgotten(undone...))
	}
	if len(ended) > 0 {
		queries = append(queries, nodestate.Discard(ended...))
	}
	root := k.connection.asRoot()
	if root == nil || queries == nil {
		return nil
	}
	answers, err := root.Ask(ctx, queries)
	if err == nil && ids != nil && answers[0].Exit == 0 {
		k.told(ids)
	}
	return err
}

// remembers reports whether the node knows that a handler is due.
func (k *keeper) remembers(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, is := k.due[id]
	return is && k.off == "" && k.state.Unwritable == ""
}

// cannot says why nothing can be kept on the node; empty if it can.
func (k *keeper) cannot() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.off != "" {
		return k.off
	}
	return k.state.Unwritable
}

// apart does in a flight of its own what a step cannot do itself, because another user or another host carries it out.
func (k *keeper) apart(ctx context.Context, notifies []nodestate.Due) error {
	if err := k.look(ctx); err != nil {
		return err
	}
	root := k.connection.asRoot()
	if root == nil {
		if len(notifies) > 0 {
			k.unkept("only root can keep something there, and the playbook does not become root on it")
		}
		return nil
	}
	k.mu.Lock()
	fresh := false
	for _, d := range notifies {
		_, is := k.due[d.ID]
		fresh = fresh || !is || k.cleared[d.ID]
	}
	held := k.taken
	k.mu.Unlock()
	if held && !fresh {
		return nil
	}
	q := k.before(notifies)
	if q.Script == "" {
		return nil
	}
	_, err := root.Run(ctx, remote.Command{Argv: []string{"true"}, Before: q})
	k.took(q, err)
	return k.prevented(err)
}
