package plan

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"hlplay/engine/report"
	"hlplay/engine/run"
	"hlplay/modules"
)

// Refusals records, in check mode, what a run with the same classes would refuse. Its methods are safe for concurrent
// use.
type Refusals struct {
	allowed  Allowed
	redactor *report.Redactor

	mu      sync.Mutex
	refused []string
	hint    string
}

// NewRefusals returns Refusals for a run that may carry out the allowed classes.
func NewRefusals(allowed Allowed, r *report.Redactor) *Refusals {
	return &Refusals{allowed: allowed, redactor: r}
}

// Approve implements run.Options.Approve. It approves everything.
func (r *Refusals) Approve(p run.Proposal) error {
	err, refused := r.allowed.Approve(p).(*NotAllowedError)
	if !refused {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = append(r.refused, r.redactor.String(fmt.Sprintf("%s: task %q (%s): %s", p.Host, p.Task, p.Line, summaries(err.Steps))))
	r.hint = err.Hint()
	return nil
}

// Text lists what was recorded, one line per task and host, however often it was proposed. It is empty if nothing was.
func (r *Refusals) Text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.refused) == 0 {
		return ""
	}
	slices.Sort(r.refused)
	return "a run would refuse to start\n  " + strings.Join(slices.Compact(slices.Clone(r.refused)), "\n  ") + "\n" + r.hint
}

// Refused returns an error if the plan contains steps that destroy and the allowed classes do not include that. Reading
// the plan approves all other classes in it.
func (p *Plan) Refused(allowed Allowed) error {
	if slices.Contains(allowed, modules.Destroys) {
		return nil
	}
	var destroying []string
	for _, t := range p.Tasks {
		for _, s := range t.Steps {
			if s.Risk == modules.Destroys {
				destroying = append(destroying, fmt.Sprintf("%s: task %q (%s:%d): %s", t.Host, t.Task, t.File, t.Line, report.OneLine(s.Summary)))
			}
		}
	}
	if destroying == nil {
		return nil
	}
	return fmt.Errorf("not allowed, so nothing was started (class %s: %s):\n  %s\n--allow=%s allows it", modules.Destroys, modules.Destroys.Meaning(),
		strings.Join(destroying, "\n  "), modules.Destroys)
}
