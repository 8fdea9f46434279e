package run

// mayShare reports whether the playbook allows a task to share a flight with the tasks around it: nothing may depend on its
// outcome on other hosts. A handler that notifies others runs alone, because what is due then depends on it.
func (e *executor) mayShare(t *task) bool {
	refs := t.references
	return e.sendAhead && !t.RunOnce && !t.Delegated() && t.Until == nil && !(t.handler && len(t.Notify) > 0) &&
		!t.play.AnyErrorsFatal && t.play.MaxFailPercentage == nil && !refs.Peers.Any() && !refs.AllResults
}
