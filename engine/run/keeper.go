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

// keeper keeps on a host's node what must outlast the run: the handlers that are due there, and that this run is
// changing the node. That costs no additional flights: the state is read with the first flight, recorded by the shell
// of a step before the step, and cleared after the handler.
type keeper struct {
	connection *connection
	observed   *observe.Host
	holder     *nodestate.Holder // this run
	note       func(text string)

	mu    sync.Mutex // guards the fields below
	state nodestate.State
	// read is set once the state has been read. off says why nothing can be kept.
	read bool
	off  string
	// due are the handlers that are due on the node, ours those that this run has made due. cleared are those that are
	// no longer due but still recorded on the node.
	due     map[string]nodestate.Due
	ours    map[string]bool
	cleared map[string]bool
	// unsure are those in due that the node was told to clear when the connection was lost, so that they may be due or not.
	unsure map[string]bool
	said   bool // that nothing can be kept
	// ended are the ended commands of earlier runs that are still recorded on the node.
	ended       []nodestate.Long
	toldRunning bool // that commands of earlier runs are running
	// taken is set while the acting shell on the node holds the lock, as far as is known.
	taken bool
}

func newKeeper(c *connection, o *observe.Host, holder *nodestate.Holder, note func(string)) *keeper {
	return &keeper{connection: c, observed: o, holder: holder, note: note,
		due: map[string]nodestate.Due{}, ours: map[string]bool{}, cleared: map[string]bool{}, unsure: map[string]bool{}}
}

// look reads the node's state, together with the other first reads.
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
	if err != nil { // nothing is kept on such a host, and everything else continues
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
			k.note(k.connection.host.Name + ": " + l.String() + "; no run has read its result")
		}
	}
	return nil
}

// occupied returns a long command of an earlier run that is still running. If that run still holds the node's lock, the lock
// is reported instead.
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

// tellRunning reports, once, which commands are running on the node that this run did not wait for because it changed
// nothing there.
func (k *keeper) tellRunning() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.toldRunning {
		return
	}
	k.toldRunning = true
	for _, l := range k.state.Running {
		if l.Fate == nodestate.Alive && l.Run != k.holder.Run {
			k.note(k.connection.host.Name + ": " + l.String() + "; what was read from the host meanwhile may be out of date")
		}
	}
}

// fate returns the last known state of a long command.
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

// discard records that a long command has ended and that its files are no longer needed.
func (k *keeper) discard(l nodestate.Long) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = append(k.ended, l)
}

// retake returns the query that takes the lock for the shell of a new connection after the run's connection was lost.
func (k *keeper) retake(lock *nodestate.Holder) remote.Query {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state.Lock = lock; lock != nil && lock.Run != k.holder.Run && !lock.Gone() {
		lock = nil
	}
	return k.holder.Act(lock)
}

// overdue returns the handlers that earlier runs have left due, the oldest first.
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

// all returns the handlers that are due on the node, the oldest first.
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

// armed returns a change of another run that the node will undo, or nil.
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

// undone returns the changes of earlier runs that the node has undone.
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

// lockedError reports that another run is changing a node.
type lockedError struct {
	host string
	by   nodestate.Holder
}

func (e *lockedError) Error() string { return e.by.String() + "; nothing was started there" }

func (e *lockedError) Hint() string {
	return "wait until that run ends, or run with --wait; hlplay status " + e.host + " shows who holds the lock, and --clear removes it"
}

// locked returns an error if another run holds the lock that is not known to have ended.
func (k *keeper) locked() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if by := k.state.Lock; by != nil && by.Run != k.holder.Run && !by.Gone() {
		return &lockedError{k.connection.host.Name, *by}
	}
	return nil
}

// lookAgain reads again which run holds the lock and what the node will undo.
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

// before returns the query that locks the node and records what a task notifies, to run before a step. It is empty if
// nothing can be kept. notifies is nil for a step on behalf of another host.
func (k *keeper) before(notifies []nodestate.Due) remote.Query {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.off != "" {
		return remote.Query{}
	}
	var fresh []nodestate.Due
	for _, d := range notifies {
		delete(k.cleared, d.ID)
		if _, is := k.due[d.ID]; !is || k.unsure[d.ID] {
			delete(k.unsure, d.ID)
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

// beforeAhead is before for a step that is sent with an earlier one, which takes the lock. Nothing is noted until its turn.
// recorded are what the steps before it notify, and what this one records is added.
func (k *keeper) beforeAhead(notifies []nodestate.Due, recorded map[string]bool) remote.Query {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.off != "" {
		return remote.Query{}
	}
	var fresh []nodestate.Due
	for _, d := range notifies {
		if _, is := k.due[d.ID]; !is && !recorded[d.ID] {
			fresh, recorded[d.ID] = append(fresh, d), true
		}
	}
	if len(fresh) == 0 {
		return remote.Query{}
	}
	return k.holder.Act(nil, fresh...)
}

// took records the result of what was sent to an acting shell, with the query before it. A shell that has failed is replaced
// and no longer holds the lock.
func (k *keeper) took(before remote.Query, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.taken = err == nil && (k.taken || before.Script != "")
}

// unkept reports, once, that the handlers that a task notifies are not recorded on the node.
func (k *keeper) unkept(why string) {
	k.mu.Lock()
	said := k.said
	k.said = true
	k.mu.Unlock()
	if !said {
		k.note(fmt.Sprintf("%s: notifications cannot be recorded on the host and are lost if this run is interrupted: %s", k.connection.host.Name, why))
	}
}

// prevented returns the error of a step that did not start because another run holds the lock. Other errors are
// returned unchanged.
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

// clear marks handlers as no longer due. The node is told with the next message.
func (k *keeper) clear(ids ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range ids {
		if _, is := k.due[id]; is {
			delete(k.due, id)
			delete(k.ours, id)
			delete(k.unsure, id)
			k.cleared[id] = true
		}
	}
}

// withdraw removes a handler that this run has made due.
func (k *keeper) withdraw(id string) {
	k.mu.Lock()
	ours := k.ours[id]
	k.mu.Unlock()
	if ours {
		k.clear(id)
	}
}

// clearing returns the query that clears handlers on the node, including also, to be run when everything sent before it
// has succeeded. ids is nil if there is nothing to clear.
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

// told records that the node has cleared handlers.
func (k *keeper) told(ids []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range ids {
		delete(k.due, id)
		delete(k.ours, id)
		delete(k.cleared, id)
		delete(k.unsure, id)
	}
}

// doubt records that the node was told to clear handlers and that its answer was lost.
func (k *keeper) doubt(ids []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range ids {
		if _, is := k.due[id]; is {
			k.unsure[id] = true
		}
	}
}

// doubts reports whether it is not known if a handler is due on the node.
func (k *keeper) doubts(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unsure[id]
}

// ascertain asks the node which of the handlers in doubt are due, if there are any.
func (k *keeper) ascertain(ctx context.Context) error {
	k.mu.Lock()
	unsure := slices.Collect(maps.Keys(k.unsure))
	k.mu.Unlock()
	if len(unsure) == 0 {
		return nil
	}
	state, err := nodestate.Look(ctx, k.connection)
	if err != nil || state.Refused != "" {
		return err
	}
	k.mu.Lock()
	clear(k.unsure)
	k.mu.Unlock()
	k.told(slices.DeleteFunc(unsure, func(id string) bool {
		return slices.ContainsFunc(state.Due, func(d nodestate.Due) bool { return d.ID == id })
	}))
	return nil
}

// flush sends the node what it does not know yet, makes it forget what the run reports to the user, and asks what is in doubt.
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
	if root == nil {
		return nil
	}
	if err := k.ascertain(ctx); err != nil || queries == nil {
		return err
	}
	answers, err := root.Ask(ctx, queries)
	if err == nil && ids != nil && answers[0].Exit == 0 {
		k.told(ids)
	}
	return err
}

// remembers reports whether a handler is recorded on the node as due.
func (k *keeper) remembers(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, is := k.due[id]
	return is && k.off == "" && k.state.Unwritable == ""
}

// cannot returns why nothing can be kept on the node, or "".
func (k *keeper) cannot() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.off != "" {
		return k.off
	}
	return k.state.Unwritable
}

// apart records in a separate flight, for a step that another user or another host carries out.
func (k *keeper) apart(ctx context.Context, notifies []nodestate.Due) error {
	if err := k.look(ctx); err != nil {
		return err
	}
	root := k.connection.asRoot()
	if root == nil {
		if len(notifies) > 0 {
			k.unkept("only root can write there, and the playbook does not become root on this host")
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
