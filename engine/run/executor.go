package run

import (
	"context"
	"time"

	"hlplay/engine/lang"
	"hlplay/engine/nodestate"
	"hlplay/engine/report"
)

// executor carries out on hosts what their planners have decided.
type executor struct {
	ctx         context.Context // of the run
	playbook    *lang.Playbook
	check       bool
	clock       Clock
	holder      *nodestate.Holder    // the run, as other runs see it
	unfulfilled func(Unfulfilled)    // see Options.Unfulfilled
	approve     func(Proposal) error // see Options.Approve
	asking      *asking              // see Options.Ask
	redact      func(string) string
	report      func(report.Event)
	hosts       *hosts
	expressions *expressions
	copies      *copies
	causes      causes // of what check mode finds
	sendAhead   bool   // the steps of several tasks may share a flight: see along
	// sendAheadFrom is the latency of a host without a hand from which they are sent so.
	sendAheadFrom time.Duration
	ledger        *ledger
	notifications *notifications
	// tasksOf has the tasks and handlers of the plays that have begun, and of those that are read ahead.
	tasksOf map[*lang.Play]map[*lang.Task]*task
}

// execution carries out one task on one host.
type execution struct {
	*executor
	task *task
	host *host
	// agreed is set once the user has agreed to the task here. shown is what propose has asked about.
	agreed bool
	shown  Proposal
	// waited is how long the host has waited, in their flight, for the last steps to settle.
	waited time.Duration
}

func (x *executor) execution(t *task, h *host) *execution {
	return &execution{executor: x, task: t, host: h}
}
