// Package lang turns HCL into a checked playbook: decoding, functions, expressions, and
// diagnostics that show the source line and what would be right.
//
// Nothing here connects to anything. What a playbook says that can be judged without a host is
// judged by Load; the rest is evaluated by the engine, host by host, through the methods of Task.
package lang

import (
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"hlplay/modules"
)

// Playbook is a checked playbook: a file and all that it imports.
type Playbook struct {
	Path      string
	Variables []*Variable
	// Plays are in the order in which they run, those of imported files in the place of the import.
	Plays []*Play
	// Var and Local are the objects that expressions see as `var` and `local`; sensitive values
	// carry the Sensitive mark.
	Var, Local cty.Value
	// Files are all sources by file name, as hcl.NewDiagnosticTextWriter wants them.
	Files map[string]*hcl.File
}

// Sensitive marks values that must not be shown.
const Sensitive = sensitiveMark("sensitive")

type sensitiveMark string

// Variable is a `variable` block.
type Variable struct {
	Name, Description string
	Type              cty.Type
	Default           cty.Value // cty.NilVal if there is none: the variable is required
	Sensitive         bool
	Range             hcl.Range
}

// Play maps tasks to hosts.
type Play struct {
	Name string
	// Hosts is the pattern of hosts: "pve", "pve:!pve3", "all".
	Hosts string
	// Serial is the sizes of the batches, each a number or a percentage ("1", "30%"); the last one
	// repeats. Empty means all hosts at once.
	Serial []string
	// AnyErrorsFatal ends the play for all hosts when one fails; MaxFailPercentage when more than
	// that share of a batch has failed (nil: never).
	AnyErrorsFatal    bool
	MaxFailPercentage *float64
	Become            *Become
	Vars              hcl.Expression // an object, evaluated per host; nil if there is none
	Tags              []string
	Tasks             []Node
	Handlers          []*Task
	Range             hcl.Range
}

// Become is as which user commands run; in a task it overrides the group's, the play's and the
// inventory's.
type Become struct {
	Enabled bool
	User    string // empty means root
}

// Node is a *Task or a *Group.
type Node interface{ node() }

// Group is tasks that share conditions, and what happens when one of them fails.
type Group struct {
	Name   string
	When   hcl.Expression // nil if there is none
	Tags   []string
	Become *Become
	Tasks  []Node
	// Rescue runs on a host on which a task of the group failed, and then the host has not failed.
	// Always runs on every host afterwards.
	Rescue, Always []Node
	Range          hcl.Range
}

// Task is one task or handler.
type Task struct {
	Name string
	// Module is the module of the task's module block, ModuleRange where that block begins.
	Module      modules.Spec
	ModuleRange hcl.Range
	Body        hcl.Body
	// When, ForEach, Until and Vars are nil if not given.
	When, ForEach, Until, Vars hcl.Expression
	// Tags are the task's own and those of its groups, play and imports.
	Tags     []string
	Notify   []string
	Register string
	// Retries is how often a failed task, or one whose Until is not yet true, is tried again after
	// Delay; zero with an Until means three. Delay zero means five seconds.
	Retries      int
	Delay        time.Duration
	IgnoreErrors bool
	RunOnce      bool
	// Throttle bounds on how many hosts the task runs at a time; zero means all.
	Throttle int
	Become   *Become
	// Timeout bounds the task on a host, all its retries included; zero means no bound of its own.
	Timeout time.Duration
	Range   hcl.Range
}

func (*Task) node()  {}
func (*Group) node() {}

// Scope is what expressions see beside `var` and `local`: the roots host, hosts, groups, facts,
// result, each and play, as far as they exist where the expression stands.
type Scope map[string]cty.Value

// Item is one round of for_each: `each.key` and `each.value`.
type Item struct {
	Key   string
	Value cty.Value
}

// References is what the expressions of a task read that is known only during the run.
type References struct {
	// Facts are the first names behind `facts.`: "pve" for facts.pve.version. AllFacts is set where
	// an expression uses facts as a whole.
	Facts    []string
	AllFacts bool
	// Results are the names behind `result.`.
	Results []string
}
