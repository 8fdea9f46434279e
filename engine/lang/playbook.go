// Package lang turns HCL into a checked playbook: decoding, functions, expressions, and diagnostics that show the
// source line and what was expected.
//
// The package does not connect to anything. Load checks everything in a playbook that can be checked without a host.
// The engine evaluates the rest, host by host, through the methods of Task.
package lang

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hostvar"
	"hlplay/modules"
)

// Playbook is a checked playbook: a file and everything it imports.
type Playbook struct {
	Path      string
	Variables []*Variable
	// HostVariables are the variables that the playbook declares for its hosts.
	HostVariables []*hostvar.Variable
	// Plays are in the order in which they run; the plays of imported files replace the import.
	Plays []*Play
	// Files holds all sources by file name, including files of values, in the form that WriteDiagnostics expects.
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
	// FromEnvironment is set if the value comes from Options.Environment.
	FromEnvironment bool
	Range           hcl.Range

	defaults    *typeexpr.Defaults // of optional attributes in Type
	validations []validation
	dir         string
}

// Play maps tasks to hosts.
type Play struct {
	Name string
	// Hosts is a host pattern: "pve", "pve:!pve3", "all".
	Hosts string
	// Serial holds the sizes of the batches, each a number or a percentage ("1", "30%"); the last one repeats. Empty
	// means all hosts at once.
	Serial []string
	// AnyErrorsFatal ends the play for all hosts if one fails. MaxFailPercentage ends it if more than that share of a
	// batch has failed; nil means never.
	AnyErrorsFatal    bool
	MaxFailPercentage *float64
	Vars              hcl.Expression // an object, evaluated per host; nil if there is none
	Environment       hcl.Expression // of the commands of its tasks; an object, evaluated per host; nil if there is none
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

// Group is a set of tasks that share conditions, and what happens if one of them fails.
type Group struct {
	Name string
	When hcl.Expression // nil if there is none
	// Environment is the environment of the commands of the group's tasks; nil if there is none.
	Environment hcl.Expression
	Tags        []string
	Tasks       []Node
	// Rescue runs on hosts on which a task of the group failed; such a host then does not count as failed. Always runs
	// on every host afterwards.
	Rescue, Always []Node
	Range          hcl.Range

	parent *Group
	become becoming
	// space and dir belong to When and Environment; role is set for the tasks of an import.
	space *namespace
	dir   string
	role  *role
}

// Task is one task or handler.
type Task struct {
	Name string
	// Module is the module of the task's module block, and ModuleRange the start of that block.
	Module      modules.Spec
	ModuleRange hcl.Range
	Body        hcl.Body
	// When, ForEach, Until, Vars and Environment are nil if not set.
	When, ForEach, Until, Vars, Environment hcl.Expression
	// Tags includes the tags of the task's groups, play and imports.
	Tags     []string
	Notify   []string
	Register string
	// Allow holds the reasons for forms that are otherwise warned about, by the name of the advice.
	Allow map[string]string
	// RunOnce is set for a task that runs on one host on behalf of all.
	RunOnce bool
	// Dir is the directory of the file that contains the task; relative paths are relative to it.
	Dir   string
	Range hcl.Range

	space    *namespace
	play     *Play
	delegate delegating
	group    *Group
	handler  bool
	schema   *ModuleSchema
	become   becoming
	// known holds the settings that are the same on all hosts, computed the others.
	known    Settings
	computed []computed
	// notifyAt is the range of the task's notify argument.
	notifyAt hcl.Range
}

// Play returns the play that the task or handler belongs to.
func (t *Task) Play() *Play { return t.play }

// Group returns the innermost group around the task, or nil if there is none.
func (t *Task) Group() *Group { return t.group }

// IsHandler reports whether the task is a handler.
func (t *Task) IsHandler() bool { return t.handler }

func (*Task) node()  {}
func (*Group) node() {}

// Scope holds the variables of expressions other than `var` and `local`: the roots host, hosts, groups, facts, result,
// each and play, as far as they exist in the context of the expression.
//
// The engine does not supply vars: the methods of Task evaluate those of the play and of the task wherever an
// expression reads them.
type Scope map[string]cty.Value

// Item is one round of for_each: `each.key` and `each.value`.
type Item struct {
	// Key is the key of a map or object, the member of a set of strings, or the index in a list.
	Key   string
	Value cty.Value
}

// Object returns the item as expressions see it: `each`.
func (i Item) Object() cty.Value {
	return cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(i.Key), "value": i.Value})
}

// References lists the facts and results that a task's expressions read.
type References struct {
	// Facts holds the first names after `facts.`: "pve" for facts.pve.version. AllFacts is set if an expression uses
	// facts as a whole.
	Facts    []string
	AllFacts bool
	// Results holds the names after `result.`. AllResults is set if an expression uses result as a whole, or with a
	// computed name.
	Results    []string
	AllResults bool
	// Peers is what they read of hosts by name.
	Peers Peers
}
