// Package lang turns HCL into a checked playbook: decoding, functions, expressions, and
// diagnostics that show the source line and what would be right.
//
// Nothing here connects to anything. What a playbook says that can be judged without a host is
// judged by Load; the rest is evaluated by the engine, host by host, through the methods of Task.
package lang

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hostvar"
	"hlplay/modules"
)

// Playbook is a checked playbook: a file and all that it imports.
type Playbook struct {
	Path      string
	Variables []*Variable
	// HostVariables are those that the playbook declares of its hosts.
	HostVariables []*hostvar.Variable
	// Plays are in the order in which they run, those of imported files in the place of the import.
	Plays []*Play
	// Files are all sources by file name, those of values included, as WriteDiagnostics wants them.
	Files map[string]*hcl.File

	space *namespace
	roles []*role
	sums  sums
}

// Sensitive marks values that must not be shown.
const Sensitive = hostvar.Sensitive

// Variable is a `variable` block.
type Variable struct {
	Name, Description string
	Type              cty.Type
	Default           cty.Value // cty.NilVal if there is none: the variable is required
	Sensitive         bool
	// FromEnvironment is set where the value comes from Options.Environment.
	FromEnvironment bool
	Range           hcl.Range

	defaults    *typeexpr.Defaults // of optional attributes in Type
	validations []validation
	dir         string
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
	Vars              hcl.Expression // an object, evaluated per host; nil if there is none
	Tags              []string
	Tasks             []Node
	Handlers          []*Task
	Range             hcl.Range

	space  *namespace
	dir    string
	become becoming
}

// Node is a *Task or a *Group.
type Node interface{ node() }

// Group is tasks that share conditions, and what happens when one of them fails.
type Group struct {
	Name  string
	When  hcl.Expression // nil if there is none
	Tags  []string
	Tasks []Node
	// Rescue runs on a host on which a task of the group failed, and then the host has not failed.
	// Always runs on every host afterwards.
	Rescue, Always []Node
	Range          hcl.Range

	parent *Group
	become becoming
	// space and dir are those of When; role is set for the tasks of an import.
	space *namespace
	dir   string
	role  *role
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
	// Allow are the reasons for forms that are otherwise warned of, by the names of their advice.
	Allow map[string]string
	// RunOnce tasks run on one host for all.
	RunOnce bool
	// Dir is the directory of the file that the task stands in: relative paths are relative to it.
	Dir   string
	Range hcl.Range

	space   *namespace
	play    *Play
	group   *Group
	handler bool
	schema  *ModuleSchema
	become  becoming
	// known are the settings that are the same on all hosts, computed the others.
	known    Settings
	computed []computed
	// notifyAt is where the task says what it notifies.
	notifyAt hcl.Range
}

// Play is the play that the task or handler belongs to.
func (t *Task) Play() *Play { return t.play }

// Group is the innermost group around the task; nil if there is none.
func (t *Task) Group() *Group { return t.group }

// IsHandler reports whether the task is a handler.
func (t *Task) IsHandler() bool { return t.handler }

func (*Task) node()  {}
func (*Group) node() {}

// Scope holds the variables of expressions beside `var` and `local`: the roots host, hosts, groups, facts,
// result, each and play, as far as they exist where the expression stands.
//
// The engine does not fill in vars: the methods of Task evaluate those of the play and of the task
// wherever an expression reads them.
type Scope map[string]cty.Value

// Item is one round of for_each: `each.key` and `each.value`.
type Item struct {
	// Key is the key of a map or an object, the member of a set of strings, or the index in a list.
	Key   string
	Value cty.Value
}

// Object is the item as expressions see it: `each`.
func (i Item) Object() cty.Value {
	return cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(i.Key), "value": i.Value})
}

// References lists the facts and results that a task's expressions read.
type References struct {
	// Facts are the first names behind `facts.`: "pve" for facts.pve.version. AllFacts is set where
	// an expression uses facts as a whole.
	Facts    []string
	AllFacts bool
	// Results are the names behind `result.`. AllResults is set where an expression uses result as a
	// whole, or by a name that it computes.
	Results    []string
	AllResults bool
}
