// Package modules is the contract between hlplay's engine and its modules.
//
// A module is a struct of desired state, decoded from its HCL block, with a single method, Plan. Plan only reads,
// through the observations of a Host, and returns steps: data that the engine prints, predicts in check mode, or
// carries out. A module cannot change a host, so check mode cannot either.
package modules

import (
	"context"
	"io/fs"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Host is the read side of a host, and all that a module has access to.
type Host = *observe.Host

// Module is a desired state; each module defines a struct that implements it.
//
// The exported fields of the struct are the module's arguments. `hcl:"name"` is a required attribute,
// `hcl:"name,optional"` an optional one, and `hcl:"name,block"` a nested block (a pointer: at most one; a slice: any
// number). The label of a block, if it has one, is the string field `hcl:"name,label"` of its struct.
//
// `doc:"…"` is the sentence that `hlplay doc` prints. `default:"…"` is the value, in HCL, of an optional attribute
// that is not set; the decoder applies it, so modules do not supply defaults themselves. `enum:"a,b"` lists the values
// of a string, or of the elements of a list of strings. `path:"controller"` makes a string the path of a file on the
// controller; a relative path is relative to the playbook's file.
//
// The types of fields are string, bool, int, int64, float64, time.Duration ("90s"), fs.FileMode ("0644"), []string,
// map[string]string, cty.Value, and pointers to the scalar types, which are nil if neither set nor given a default.
type Module interface {
	// Plan reads the host and returns what is to be done; no steps means that the host is already in the desired
	// state. It has no side effects and may be called any number of times.
	Plan(ctx context.Context, h Host) (Plan, error)
}

// Announcer is a Module that knows what its plan reads first even if some arguments are not known yet because they
// depend on facts; these are treated as not set. The observations are then read together with the facts.
type Announcer interface {
	// Want announces observations (see observe.Kind.Want). It does not read anything.
	Want(h Host)
}

// Forecaster is a Module that knows what its plan reads once there is something to do, which a plan that was made too early
// may not have come to: the software that it asks was not installed yet. The reads then travel with the step of the task before.
// It is a hint; a plan reads what it needs.
type Forecaster interface {
	// MayRead announces observations (see observe.Kind.Want). It does not read anything.
	MayRead(h Host)
}

// Reader is a Module that may never change anything, whatever it finds.
type Reader interface {
	// OnlyReads reports whether the module changes nothing. The result may depend on the arguments.
	OnlyReads() bool
}

// Confined is a Module whose arguments decide what Spec.Local says of all tasks of other modules.
type Confined interface {
	// Confined reports whether a task with these arguments neither reads nor changes anything but its host, and cannot depend on
	// what other hosts do meanwhile.
	Confined() bool
}

// Opaque is a Module that may have steps of which only the playbook's author knows what they change: see Step.Unknown.
type Opaque interface {
	// Opaque reports whether the module has such steps. The result may depend on the arguments.
	Opaque() bool
}

// Validator is a Module that can find errors in its arguments before anything is connected to.
type Validator interface {
	// Validate returns the first error found; an *ArgumentError points to the argument.
	Validate() error
}

// ArgumentError is an error in one argument, named as in HCL ("size", "pool.size").
type ArgumentError struct {
	Argument string
	// Problem is what is wrong; Want is what would be right.
	Problem, Want string
}

func (e *ArgumentError) Error() string {
	s := e.Argument + ": " + e.Problem
	if e.Want != "" {
		s += "; " + e.Want
	}
	return s
}

// FinalError is the error of a plan that does not go away by waiting: a state that its subject does not leave by
// itself. After a step, the engine waits through other errors for as long as the step may take to settle; this one
// ends the wait.
type FinalError struct{ Err error }

func (e *FinalError) Error() string { return e.Err.Error() }
func (e *FinalError) Unwrap() error { return e.Err }

// IntentError is the error of a plan that asks for what the hosts cannot give, or for a number beyond a declared limit: a
// pool with more copies than there are hosts. In check mode the hosts are as the earlier tasks will leave them, so that
// is no reason to doubt it, unless nobody can tell what one of these tasks does.
type IntentError struct {
	Err error
	// Behind reports whether a task of the same module, of which check mode cannot tell what it will do, may be why. Nil means
	// that any may be.
	Behind func(Module) bool
}

func (e *IntentError) Error() string { return e.Err.Error() }
func (e *IntentError) Unwrap() error { return e.Err }

// Scope is how a module's changes relate to the hosts of a play.
type Scope int

const (
	// EachHost is planned and applied on every host, on all hosts at the same time. It is the default.
	EachHost Scope = iota
	// OneByOne is planned and applied on every host, one host after another in the order of the inventory: joining a
	// cluster, creating a monitor.
	OneByOne
	// OncePerCluster is planned and applied on one host on behalf of all hosts of the play, because its change is
	// cluster-wide: a pool, an HA rule.
	OncePerCluster
)

// Scoped is a Module whose scope may differ from EachHost. The scope may depend on the arguments.
type Scoped interface {
	Scope() Scope
}

// Resident is a Module with changes that only a play for the changed host can make, so that a task for another host cannot
// be delegated to it.
type Resident interface {
	// Resident says why, such as "a reboot needs a play for the host", or is empty if the arguments do not lead to such a
	// change.
	Resident() string
}

// Plan is what a module has found to do on a host.
type Plan struct {
	// Steps are carried out in order; none means that there is nothing to do.
	Steps []Step
	// Data is what `register` exposes in addition to the engine's own attributes (changed, status, …): an object, or
	// cty.NilVal for nothing.
	Data cty.Value
	// Repeats is set if planning again would yield the same steps, because the module asks for an action rather than a
	// state (a restart, an unguarded command). The engine then does not verify by planning again; the change counts as
	// made.
	Repeats bool
	// Partial is set if there may be more to do once these steps are done: the engine then plans again and carries out
	// what that yields, until a plan is not partial.
	Partial bool
	// Doubt is the reason why, in check mode, it cannot be known whether the steps can be done; nil means that they
	// can. They are predicted nevertheless, so that later tasks see what the task would bring; the task is reported as
	// uncertain.
	Doubt error
	// Confined is set if the steps neither read nor change anything but their host, and cannot depend on what other hosts do
	// meanwhile, although that is not so for all plans with the task's arguments. Its module implements the interface Confined.
	Confined bool
	// Guard, if not nil, makes the host itself undo the steps unless they are proven right in time.
	Guard *Guard
	// Tally, if not nil, is what the plan adds to a number that is judged over all hosts of the task, before any of them
	// begins.
	Tally *Tally
	// Advice is advice that depends on the host: see Adviser.
	Advice []Advice
	// Secrets lists secrets that the plan has read on a host. The run withholds them from everything that it shows or records,
	// as it does with the sensitive values of a playbook.
	Secrets []string
	// Notes are remarks for people to read about things that are not acted on, such as drift that is too dangerous to
	// repair.
	Notes []string
}

// Tally is what a plan adds to a number that no single plan can judge: the monitors that a task leaves a cluster with, the
// disks that a run wipes.
type Tally struct {
	// Of says what is counted: "disks wiped for OSDs". Tallies with the same Of are added up.
	Of string
	// Names are what this plan adds. The same name counts once, on whatever hosts it is.
	Names []string
	// Judge is given the sorted names of all plans. Its note is reported once, and its error fails the task on the hosts
	// whose plans have the tally, before anything is begun.
	Judge func(names []string) (note string, err error)
	// Run is set if the whole run counts: what the steps of earlier tasks have added, and those of the run that this one
	// resumes. Otherwise only the task does, and in a rolling play only its last batch is judged.
	Run bool
}

// Guard is for steps that can cut the connection over which they are carried out: the network, sshd, a packet filter.
// Before the first step, the host is told to undo them by itself after a certain time. After the last step, the engine
// connects anew and runs the proofs; only then does it tell the host to keep the change. Whatever interrupts the run,
// the host returns to its previous state. A guard requires root, and steps that are carried out on the host planned
// for.
type Guard struct {
	// Within is the time until the host undoes the steps. It must be enough for the steps, a new connection and the
	// proofs.
	Within time.Duration
	// Files lists the absolute paths of what the steps change. They are restored with their attributes; what was
	// absent is removed.
	Files []string
	// Undo lists the commands that put the old files into effect again.
	Undo [][]string
	// Outlives is set if a change that Undo reverts survives a reboot without being one of Files, such as a change of what a
	// cluster shares. Undo is then also run a minute after a reboot.
	Outlives bool
	// Address is where the host can be reached after the steps; empty means the same address as now.
	Address string
	// Proofs are run on the host over the new connection. They are tried again until the time is nearly over.
	Proofs []Proof
}

// Proof is a command whose success shows that a change works as intended.
type Proof struct {
	// Summary is a single line for people to read: "8972 bytes to 10.0.0.1 in one packet".
	Summary string
	Argv    []string
	// Limit bounds each try; zero means ten seconds.
	Limit time.Duration
	// Explain translates a failure, as Run.Explain does.
	Explain func(exit int, stdout, stderr []byte) error
	// On is the host that runs the command, if it is not the host planned for: every member of a cluster must see a change,
	// for example. The plan must have observed that host, and the run's existing connection to it is used.
	On Host
}

// Step is one action of a plan, as data.
type Step struct {
	// Summary is a single line for people to read: "create pool vm-disks (size 4, min 2, 128 PGs)".
	Summary string
	Action  Action
	// Diff shows the change to people; nil if there is nothing to show.
	Diff *Diff
	// Public states that no side of Diff holds a secret. It is then shown even if arguments of the task are sensitive;
	// otherwise it is withheld as a whole, because what is replaced may be an old secret that nothing marks as one.
	Public bool
	// Expect is what will be observed once the step is done. Check mode overlays it on the observations. Tests compare
	// it with the hosts after every real run, once the task has settled (run.Options.Unfulfilled); Kind.Complete says
	// what a kind's values leave open.
	Expect []observe.Expectation
	// Settle bounds the time that the change may take to show after the action has ended (a quorum, a monitor
	// joining); zero means that it shows at once.
	Settle time.Duration
	// Await says what is awaited during the settling time: "quorum on pve2".
	Await string
	// Until, if not nil, exits with 0 once the change shows. It only reads. The host repeats it after the action, for as long as
	// Settle allows, and then answers what verifies the step, in the same flight. It decides nothing: if it is early, the engine
	// waits on. It must not be late, and it has to exit with 0, too, when waiting longer is of no use. See also Run.Underway.
	Until *remote.Query
	// Unmet is reported if the step is still planned after it was carried out: why that may be, and what to do.
	Unmet string
	// Wide is set if the step may also change what is observed on other hosts.
	Wide bool
	// Elsewhere, of a Wide step, reports whether the step may change an observation of another host. Nil means that it may change all
	// that hosts observe. What Expect names may change in any case, and so may everything on the step's own hosts. It accepts whatever
	// is not certain to stay as it is: a host plans from what it refuses without reading it again.
	Elsewhere func(on Host, k observe.Key) bool
	// Unknown is set if only the playbook's author knows what the step changes: what the hosts share may be different
	// afterwards.
	Unknown bool
	// On is the host on which the step is carried out, if it is not the host planned for: before a node joins, its key
	// is authorised on a member. The change still counts for the host planned for.
	On Host
	// Refresh is set if the step only updates what the host knows (a package index). It is carried out, but a task
	// with no other steps does not count as changed.
	Refresh bool
	// Risk is what can go wrong; see Plan.RiskOf.
	Risk Risk
	// Exact is set for a Run if Expect names everything that it changes: in check mode it then casts doubt on nothing
	// else. Actions on files are always exact, a reboot never.
	Exact bool
	// Objects lists the names of those of Spec.Objects that a Run changes. Copies of them are kept.
	Objects []string
}

// Bounded reports whether Expect names everything that the step changes on its host.
func (s Step) Bounded() bool {
	switch s.Action.(type) {
	case Run:
		return s.Exact || s.Refresh
	case Reboot:
		return false
	}
	return true
}

// Action is one of the actions below; the set is closed. Paths are absolute.
type Action interface{ action() }

// WriteFile replaces a file atomically; its directory must exist.
type WriteFile struct {
	Path    string
	Content []byte
	// Source, if not nil, is a file on the controller that is read while it is written, instead of Content.
	Source *remote.Source
	// If Mode is zero, or Owner or Group is empty, they are those of the replaced file, or else 0644 and the acting
	// user.
	Mode         fs.FileMode
	Owner, Group string
	// OverLink replaces a symbolic link at Path; otherwise the file that it points to is written.
	OverLink bool
	// Was is the content that is replaced, if the plan has read it in some other way than by observing the file; empty
	// means unknown.
	Was string
}

// SetAttributes changes mode and ownership of an existing path, without following a symbolic link. A nil Mode and
// empty names are left unchanged.
type SetAttributes struct {
	Path         string
	Mode         *fs.FileMode
	Owner, Group string
}

// Remove deletes a file, a link, or, if Recursive is set, a directory with its contents. Nothing is done if it is
// absent.
type Remove struct {
	Path      string
	Recursive bool
	// Lossless is set if everything that is removed is also in the playbook or in another file: an empty directory, a link, a
	// file of settings that the module has written. The risk is then Harmless, unless the step says otherwise.
	Lossless bool
}

// MakeDir creates a directory and its parents; Mode, Owner and Group apply to the last one.
type MakeDir struct {
	Path         string
	Mode         fs.FileMode
	Owner, Group string
}

// Link creates or atomically replaces a symbolic link at Path.
type Link struct {
	Path, Target string
}

// Run runs one command. Its exit code must be one of OK (nil: 0), and its effect is verified by planning again: the
// exit code of a Proxmox command proves nothing.
type Run struct {
	Argv  []string
	Env   map[string]string
	Dir   string
	Stdin []byte
	// Limit bounds the time for the command; zero means remote.DefaultLimit. A command with a higher limit than that
	// is Long.
	Limit time.Duration
	// Long is set if the command may take long, or must not be started twice: if root runs it, the host completes it
	// whatever happens to the connection and to the run (see nodestate.Long). This costs the host some processes.
	Long bool
	// OK lists the exit codes that count as success; nil means only 0.
	OK []int
	// Underway, if not 0, is the exit code of a command that has succeeded and knows that its effect has yet to show. Only then does
	// the host ask Step.Until. It is reported as 0.
	Underway int
	// Retry lists texts in standard error that mean "not now" (a lock held by somebody else): the command is then run
	// again, for at most Patience.
	Retry    []string
	Patience time.Duration
	// Fetches is set if the command gets something from a server, and changes nothing if it fails. Hosts that carry it out before
	// its turn, because the server is none of theirs as far as is known, do so again in its turn if it fails: an earlier task of
	// another host may be what starts the server, or brings up its address.
	Fetches bool
	// Explain translates a failure into what people need to know. It may return nil for the usual report (command,
	// exit code, last lines of output).
	Explain func(exit int, stdout, stderr []byte) error
	// Brief is set if the command never prints more than a few KiB: the host then needs fewer processes for it.
	Brief bool
	// Shows is set if people run the command for its output: a verbose report shows it.
	Shows bool
	// Suspect examines the output of a command whose exit code claims success, and returns the failure that it
	// reveals, so that nobody waits for something that will not come; nil means none.
	Suspect func(stdout, stderr []byte) error
	// Stale, if not nil, describes how the command reports that what it was to change is no longer as the plan saw it.
	// The task is then planned again.
	Stale *Stale
}

// Stale is the refusal of a command that was given the version of a file that the plan saw, and found a different one.
type Stale struct {
	// Path is the file. Says is the text that the command then prints on standard error.
	Path, Says string
}

// Reboot restarts the host and waits until it is back with a new boot id.
type Reboot struct {
	// Reason is shown on the console of the host and in the report.
	Reason string
	// Limit bounds the time until the host answers again and is ready; zero means ten minutes.
	Limit time.Duration
	// Ready are run on the host once it answers again, each until it succeeds: units and a quorum take longer than sshd. Their On is
	// not used.
	Ready []Proof
	// Alone is set if hosts of a play whose reboots are so take turns, and if none follows one that did not come back: a
	// cluster lives on them.
	Alone bool
}

// Wait does nothing while the plan's settling time passes: the step is done when planning again finds nothing left to
// do.
type Wait struct{}

func (WriteFile) action()     {}
func (SetAttributes) action() {}
func (Remove) action()        {}
func (MakeDir) action()       {}
func (Link) action()          {}
func (Run) action()           {}
func (Reboot) action()        {}
func (Wait) action()          {}

// Diff is a change for people to look at.
type Diff struct {
	// Subject is what changes: a path, or the name of a setting.
	Subject string
	// Before and After are shown as a unified diff if either has more than one line, and as "before → after"
	// otherwise. Empty means absent.
	Before, After string
}

// Spec describes a module to the registry, to the language and for the documentation.
type Spec struct {
	// Name is the name of the block in a task.
	Name string
	// Aliases are other names under which people look for the module: those of Ansible's modules with the same
	// purpose.
	Aliases []string
	// Summary is a single line. Doc is some paragraphs of Markdown: what the module does, what it refuses, hazards.
	Summary, Doc string
	// Example is HCL: one or more tasks, each of which is validated by the test of the documentation.
	Example string
	// Result is a struct whose fields declare what the module registers in addition to the engine's own attributes
	// (see ResultFields), and from which Data makes a plan's data; nil if it registers nothing of its own.
	Result any
	// Local is set if no task of the module reads or changes anything but the host itself, so that its order between hosts
	// cannot matter, whatever its arguments. Steps of consecutive tasks may then be sent to a host together.
	Local bool
	// Facts are facts that the module adds to those of every host.
	Facts []observe.FactSpec
	// Functions are functions that the module adds to the language.
	Functions []Function
	// Vital lists the files that a host or a cluster depends on, as patterns of path.Match: a copy is kept before a step of
	// any module changes one of them. Rewritten lists the paths of those that commands of this module change.
	Vital, Rewritten []string
	// Reinstate turns the kept copy of a file in Rewritten into the content that is to replace the current one; nil means that
	// the copy is used as it is.
	Reinstate func(path string, kept, now []byte) ([]byte, error)
	// Objects lists what is as vital as those files but is not a file.
	Objects []Object
	// Packages are the packages of the module's product: see Package.
	Packages []Package
	// FileSystems are the file systems of the module's product.
	FileSystems []observe.FileSystem
	// Placed returns what a file means to the module's product; nil means nothing.
	Placed observe.Meaning
	// United tells which hosts observe the same of kinds that are Alike; nil means that none do.
	United observe.Union
	// RootHint says why a host with the module's product may refuse root's key: see remote.AddRootHints. Empty means
	// nothing.
	RootHint string
	// New returns a pointer to a struct with its zero values; the decoder fills in the defaults from the tags.
	New func() Module
}

// Object is a part of a module's product that is not a file but can be written as text. A copy of the text is kept before
// a step changes the object (Step.Objects), and the module can restore it. All hosts see the same object.
type Object struct {
	// Name is how people refer to it: hlplay restore RUN NAME. It is not an absolute path.
	Name string
	// Text observes the object under the empty name: as a regular file whose content is the text, or as an absent file. If the
	// plans of the steps that change the object read it, too, the kind should be Common, so that their answers do for both.
	Text *observe.Kind[observe.File]
	// Restore returns the module's block, and its arguments, that restore a text.
	Restore func(text string) (block string, arguments map[string]string)
}

// Printed returns how a command ended and what it printed, as `register` exposes it: rc, stdout and stderr without
// trailing newlines, and stdout_lines.
func Printed(exit int, stdout, stderr []byte) map[string]cty.Value {
	out := strings.TrimRight(string(stdout), "\r\n")
	list := cty.ListValEmpty(cty.String)
	if out != "" {
		var lines []cty.Value
		for line := range strings.SplitSeq(out, "\n") {
			lines = append(lines, cty.StringVal(strings.TrimSuffix(line, "\r")))
		}
		list = cty.ListVal(lines)
	}
	return map[string]cty.Value{
		"rc": cty.NumberIntVal(int64(exit)), "stdout": cty.StringVal(out),
		"stderr": cty.StringVal(strings.TrimRight(string(stderr), "\r\n")), "stdout_lines": list,
	}
}
