// Package modules is the contract between hlplay's engine and its modules.
//
// A module is a struct of desired state, decoded from its HCL block, with one method, Plan. It
// only reads, through the observations of a Host, and answers with steps: data that the engine
// prints, predicts in check mode, or carries out. A module cannot change a host, so check mode
// cannot either.
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

// Host is the read side of a host, and all that a module gets.
type Host = *observe.Host

// Module is desired state, one struct a module.
//
// Its exported fields are its arguments: `hcl:"name"` is a required attribute, `hcl:"name,optional"`
// an optional one, `hcl:"name,block"` a nested block (a pointer: at most one; a slice: any number), whose label, if it has one, is
// the string `hcl:"name,label"` in its struct.
// `doc:"…"` is the sentence that `hlplay doc` prints, `default:"…"` the value of an optional
// attribute that is not given, in HCL's form: the decoder sets it, and no module fills in one of its own. `enum:"a,b"` lists
// the values of a string, or of the elements of a list of strings; `path:"controller"` makes a string the path of a file on the
// controller, a relative one relative to the playbook's file. Field types: string, bool, int, int64, float64,
// time.Duration ("90s"), fs.FileMode ("0644"), []string, map[string]string, cty.Value, and pointers
// to the scalar ones, nil when neither given nor set by a default.
type Module interface {
	// Plan reads the host and says what is to be done; no steps means that the host is already as
	// desired. It has no side effects and may be called any number of times.
	Plan(ctx context.Context, h Host) (Plan, error)
}

// Announcer is a Module that knows what its plan reads first also where some of its arguments are not known
// yet (they are as if not given), because they depend on facts: it is then read together with those.
type Announcer interface {
	// Want announces observations (see observe.Kind.Want), and reads nothing.
	Want(h Host)
}

// Reader is a Module that may change nothing, whatever it finds.
type Reader interface {
	// OnlyReads reports whether it changes nothing. It may depend on the arguments.
	OnlyReads() bool
}

// Opaque is a Module of whose steps only the playbook's author may know what they change: see Step.Unknown.
type Opaque interface {
	// Opaque reports whether it has such steps. It may depend on the arguments.
	Opaque() bool
}

// Validator is a Module that can find faults in its arguments before anything is connected to.
type Validator interface {
	// Validate returns the first fault; an *ArgumentError points at the argument.
	Validate() error
}

// ArgumentError is a fault in one argument, named as in HCL ("size", "pool.size").
type ArgumentError struct {
	Argument string
	// Problem is what is wrong, Want what would be right.
	Problem, Want string
}

func (e *ArgumentError) Error() string {
	s := e.Argument + ": " + e.Problem
	if e.Want != "" {
		s += "; " + e.Want
	}
	return s
}

// FinalError is the error of a plan that waiting does not mend: a state that its subject does not leave by itself. After
// a step the engine waits through other errors, as long as the step may take to settle, and ends the wait with this one.
type FinalError struct{ Err error }

func (e *FinalError) Error() string { return e.Err.Error() }
func (e *FinalError) Unwrap() error { return e.Err }

// Scope is how a module's changes relate to the hosts of a play.
type Scope int

const (
	// EachHost is planned and applied on every host, on all at the same time. The default.
	EachHost Scope = iota
	// OneByOne is planned and applied on every host, on one host after another in the inventory's
	// order: joining a cluster, creating a monitor.
	OneByOne
	// OncePerCluster is planned and applied on one host for all hosts of the play, because its
	// change is cluster-wide: a pool, an HA rule.
	OncePerCluster
)

// Scoped is a Module whose scope is not EachHost. It may depend on the arguments.
type Scoped interface {
	Scope() Scope
}

// Plan is what a module found to be done on a host.
type Plan struct {
	// Steps are carried out in order; none means that nothing is to be done.
	Steps []Step
	// Data is what `register` exposes beside the engine's own attributes (changed, status, …):
	// an object, or cty.NilVal for nothing.
	Data cty.Value
	// Repeats says that planning again would find the same steps, because the module asks for an
	// act and not for a state (a restart, an unguarded command). The engine then does not plan again
	// to verify; the change counts as made.
	Repeats bool
	// Partial says that more may be found to do once these steps are done: the engine then plans
	// again, and carries out what that finds, until a plan is not partial.
	Partial bool
	// Doubt is in check mode why it cannot be known whether the steps can be done; nil means that they can. They are
	// predicted all the same, so that later tasks see what the task would bring; it is reported as uncertain.
	Doubt error
	// Guard, if it is not nil, has the host itself take the steps back unless they are proven right in time.
	Guard *Guard
	// Advice is what is seldom right, as only the host tells: see Adviser.
	Advice []Advice
	// Notes are remarks a person should read although nothing is done about them, such as drift
	// that is too dangerous to repair.
	Notes []string
}

// Guard is for steps that can cut the connection that they are carried out over: the network, sshd, a packet filter. Before
// the first of them the host is told to undo them by itself once a time is over. After the last, the engine connects anew and
// runs the proofs; only then it tells the host to let the change be. Whatever cuts the run off, the host is back as it was.
// It needs root, and steps that are carried out on the host planned for.
type Guard struct {
	// Within is the time until the host undoes the steps. It must allow for them, a new connection and the proofs.
	Within time.Duration
	// Files are the absolute paths of what the steps change. They are put back with what guards them; what was absent is
	// removed.
	Files []string
	// Undo are the commands that make the old files count again.
	Undo [][]string
	// Address is where the host is to be reached behind the steps; empty means where it is reached now.
	Address string
	// Proofs are run on the host, over the new connection. They are tried again until the time is nearly over.
	Proofs []Proof
}

// Proof is a command whose success shows that a change does what it is to do.
type Proof struct {
	// Summary is one line that a person reads: "8972 bytes to 10.0.0.1 in one packet".
	Summary string
	Argv    []string
	// Limit bounds one try; zero means ten seconds.
	Limit time.Duration
}

// Step is one act, as data.
type Step struct {
	// Summary is one line that a person reads: "create pool vm-disks (size 4, min 2, 128 PGs)".
	Summary string
	Action  Action
	// Diff is the change as a person would look at it; nil where there is nothing to look at.
	Diff *Diff
	// Expect is what will be observed once the step is done. Check mode lays it over the
	// observations. Tests hold it against the hosts after every real run, when the task has settled
	// (run.Options.Unfulfilled); what a kind's values leave open, its Complete says.
	Expect []observe.Expectation
	// Settle bounds how long the change may take to show after the action has ended (a quorum, a
	// monitor joining); zero means that it shows at once.
	Settle time.Duration
	// Await says what the settling time waits for: "quorum on pve2".
	Await string
	// Unmet is said if the step is found again after it was carried out: why that may be, and what to do.
	Unmet string
	// Wide says that the step can have changed what is observed on other hosts too.
	Wide bool
	// Unknown says that only the playbook's author knows what the step changes: what the hosts share may be different after it.
	Unknown bool
	// On is the host that the step is carried out on, if that is not the host planned for: before a
	// node joins, its key is authorised on a member. The change still counts for the host planned for.
	On Host
	// Refresh says that the step only brings what the host knows up to date (a package index). It is
	// carried out, but a task with no other steps has not changed anything.
	Refresh bool
	// Risk is what can go wrong; see Plan.RiskOf.
	Risk Risk
	// Exact says of a Run that Expect names all that it changes: in check mode nothing else is then in doubt because of it. Actions
	// on files are exact, a reboot never is.
	Exact bool
}

// Bounded reports whether Expect names all that the step changes on its host.
func (s Step) Bounded() bool {
	switch s.Action.(type) {
	case Run:
		return s.Exact || s.Refresh
	case Reboot:
		return false
	}
	return true
}

// Action is one of the closed set below. Paths are absolute.
type Action interface{ action() }

// WriteFile replaces a file atomically; its directory must exist.
type WriteFile struct {
	Path    string
	Content []byte
	// Source, if it is not nil, is a file of the controller that is read while it is written, in place of Content.
	Source *remote.Source
	// Mode zero, and empty Owner and Group, keep those of the file replaced, or else 0644 and the
	// acting user.
	Mode         fs.FileMode
	Owner, Group string
	// Was is the content that is replaced, of a plan that has read it otherwise than as an observation of the file; empty
	// is not known.
	Was string
}

// SetAttributes changes mode and ownership of what is there, without following a symbolic link.
// A nil Mode and empty names leave each as it is.
type SetAttributes struct {
	Path         string
	Mode         *fs.FileMode
	Owner, Group string
}

// Remove deletes a file, a link, or (Recursive) a directory with what is in it. Absent is done.
type Remove struct {
	Path      string
	Recursive bool
	// Lossless is that nothing is lost which the playbook, or another file, does not hold: an empty directory, a link, a file of
	// settings that the module has written. It is then of class Harmless, unless the step says otherwise.
	Lossless bool
}

// MakeDir makes a directory and its parents; Mode, Owner and Group are for the last one.
type MakeDir struct {
	Path         string
	Mode         fs.FileMode
	Owner, Group string
}

// Link makes or atomically replaces a symbolic link at Path.
type Link struct {
	Path, Target string
}

// Run runs one command. Its exit code must be one of OK (nil: 0), and its effect is verified by
// planning again: the exit code of a Proxmox command proves nothing.
type Run struct {
	Argv  []string
	Env   map[string]string
	Dir   string
	Stdin []byte
	// Limit bounds the command; zero means remote.DefaultLimit. A command with a longer limit than that is Long.
	Limit time.Duration
	// Long says that the command may take long, or must not be started twice: if root runs it, the host carries it through whatever
	// becomes of the connection and of the run (see nodestate.Long). It costs the host some processes.
	Long bool
	// OK are the exit codes that count as success; nil means 0 only.
	OK []int
	// Retry lists texts of standard error that mean "not now" (a lock held by somebody else): the
	// command is then run again, for at most Patience.
	Retry    []string
	Patience time.Duration
	// Explain turns a failure into what a person needs to know; it may return nil for the usual
	// report (command, exit code, last lines of output).
	Explain func(exit int, stdout, stderr []byte) error
	// Brief says that the command prints a few KiB at most, whatever happens: the host then spends fewer processes on it.
	Brief bool
	// Shows says that a person runs the command for what it prints: the report shows it if it is to be verbose.
	Shows bool
	// Suspect looks at the output of a command whose exit code claims success and returns the failure
	// that it gives away, so that nobody waits for what will not come; nil means none.
	Suspect func(stdout, stderr []byte) error
	// Stale, if it is not nil, is how the command says that what it was to change is no longer as the plan saw it: the task is
	// then planned again.
	Stale *Stale
}

// Stale is the refusal of a command that was given the version of a file that the plan saw, and found another one.
type Stale struct {
	// Path is the file, Says a text that the command then prints on standard error.
	Path, Says string
}

// Reboot restarts the host and waits until it is back with a new boot id.
type Reboot struct {
	// Reason is said on the console of the host and in the report.
	Reason string
	// Limit bounds the time until the host answers again; zero means ten minutes.
	Limit time.Duration
}

// Wait does nothing but let the plan's settling time pass: the step is done when planning again finds
// nothing left to do.
type Wait struct{}

func (WriteFile) action()     {}
func (SetAttributes) action() {}
func (Remove) action()        {}
func (MakeDir) action()       {}
func (Link) action()          {}
func (Run) action()           {}
func (Reboot) action()        {}
func (Wait) action()          {}

// Diff is a change as a person would look at it.
type Diff struct {
	// Subject is what changes: a path, a setting's name.
	Subject string
	// Before and After are shown as a unified diff if either has more than one line, else as
	// "before → after". An absent thing is empty.
	Before, After string
}

// Spec describes a module to the registry, to the language and to the documentation.
type Spec struct {
	// Name is the block's name in a task.
	Name string
	// Aliases are names under which people look for it: those of Ansible's modules that do what it does.
	Aliases []string
	// Summary is one line; Doc some paragraphs of Markdown: what it does, what it refuses, hazards.
	Summary, Doc string
	// Example is HCL: one task or several, each of which the documentation test validates.
	Example string
	// Result is a struct whose fields declare what the module registers beside the engine's own attributes (see
	// ResultFields), and from which Data makes a plan's data; nil if it registers nothing of its own.
	Result any
	// Facts are those that it adds to every host's.
	Facts []observe.FactSpec
	// Functions are those that it adds to the language.
	Functions []Function
	// Vital are files that hold a host or a cluster together, as patterns of path.Match: before a step of any module changes one,
	// a copy is kept of it. Rewritten are those, by their paths, that commands of this module change.
	Vital, Rewritten []string
	// Reinstate makes of a copy of a file in Rewritten what is to be put in the place of what is there now; nil means the copy as
	// it is.
	Reinstate func(path string, kept, now []byte) ([]byte, error)
	// Packages are those of its product: see Package.
	Packages []Package
	// FileSystems are those of its product.
	FileSystems []observe.FileSystem
	// Placed returns what a file means to its product; nil is nothing.
	Placed observe.Meaning
	// RootHint says why a host of its product may refuse root's key: see remote.AddRootHints. Empty is nothing.
	RootHint string
	// New returns a pointer to a struct with its zero values; the defaults of the tags are filled in
	// by the decoder.
	New func() Module
}

// Printed is how a command ended and what it printed, as `register` exposes it: rc, stdout and stderr without line ends at
// their end, and stdout_lines.
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
