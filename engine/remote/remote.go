// Package remote reaches hosts: SSH connections, privilege, commands and files on a host.
//
// It knows nothing of playbooks. A connection offers two sides: Ask, which sends many read-only
// queries in one flight over a long-lived shell, and the acting side (Run, WriteFile), whose
// commands run one after another in a second shell, each with pipes of its own so that a child left
// in the background cannot write into somebody else's answer. Each flight and each action costs one
// round trip once its shell is there, which the first one starts.
package remote

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// Query is one read-only question to a host, answered by its long-lived shell.
type Query struct {
	// Script is POSIX shell text written by the author of the query, never text from outside:
	// foreign values are passed as Args and seen by the script as "$1", "$2", ….
	// It must not read its standard input, which is empty. It is evaluated in a subshell of its own, whose
	// place the last command can take with exec, which saves the host a process.
	Script string
	Args   []string
	// Inline evaluates the script in the long-lived shell itself, where dash starts programs with vfork(2): a
	// subshell, with its copy of the page tables, costs a host as much as a small program. Such a script does not
	// exit or exec, changes neither directory nor options nor traps, and sets no variables but such as begin with an
	// underscore, which it may find set.
	Inline bool
	// Limit bounds the commands that the script runs behind `$limited`, which is then timeout(1) with that
	// limit, or empty where the limit is kept otherwise. Answer.TimedOut tells that it was reached.
	// Less than a second counts as one; zero sets no limit, and `$limited` is empty.
	Limit time.Duration
	// Most is how many bytes are kept of each stream, of more the first and the last half, for a command that somebody else
	// wrote; see Answer.Cut. Zero is for what is to be read whole: more than 256 MiB then end it in no answer but an exit
	// code that no process has.
	Most int
	// User runs the query as that user. Empty means the session's own reading user.
	User string
}

// Argv is the query that runs one foreign command, bounded by a limit.
func Argv(limit time.Duration, argv ...string) Query {
	if len(argv) > 0 && isProgram(argv[0]) {
		return Query{Script: `$limited "$@"`, Args: argv, Limit: limit, Inline: true}
	}
	return Query{Script: `exec $limited "$@"`, Args: argv, Limit: limit}
}

// Answer is what a query printed and how it ended. Both streams are binary-safe, and whole unless the query says how much is
// kept.
type Answer struct {
	Stdout, Stderr []byte
	Exit           int
	// Cut is how many bytes of Stdout were left out; a line in their place says so.
	Cut int64
	// Err is why a query that names a user of its own was not asked, a *BecomeError, although others were.
	Err error
}

// Command is a command that may change a host.
type Command struct {
	// Argv is the program and its arguments; a library quotes it for the login shell.
	Argv []string
	// Env is added to the environment. It travels on the session's standard input, not in argv,
	// so that other users of the host cannot read it from the process list. LC_ALL is C if it is not
	// given, so that messages can be compared.
	Env map[string]string
	// Dir is the working directory, absolute; empty means the user's home, or / for root.
	Dir string
	// Stdin is handed to the command whole; nil means an empty input.
	Stdin []byte
	// Limit bounds the command; zero means DefaultLimit. When it is reached the command gets
	// SIGTERM and, two seconds later, SIGKILL; Result.Limit says so.
	Limit time.Duration
	// OK are the exit codes after which what is behind it is carried out; nil means 0 only.
	OK []int
	// Before, if it has a script, is done first, in the command's shell and as the body of a function: it starts a process only for
	// what is a program. If it exits with ExitPrevented, the command is not run, and that is a *PreventedError. $_hl_at is the
	// path of a file in the acting shell's directory; empty where the command runs without that shell.
	Before Query
	// Via, if it has a script, starts the command in place of its shell and waits for it, in the acting shell: as the body of
	// a function that finds the text of the command's own script in $_hl_command, and $_hl_at as Before does. What it prints and
	// returns counts as the command's. It is left running when whoever waits for it is interrupted: see LeftError. A command that
	// runs without an acting shell is started by its own shell.
	Via Query

	// Brief says that the command prints little, at most a few KiB. Its output then goes to files and not to pipes, which saves
	// its host nine of eleven processes.
	Brief bool

	own own
	// input, if it is not nil, is handed to a command that runs in a session of its own, in place of Stdin.
	input io.Reader
}

// Actions are carried out in order, in one flight.
type Actions struct {
	// Commands are run one after another, as long as each ends with a code that it accepts.
	Commands []Command
	// Then is asked when the last command has ended with a code that it accepts, as the user who acts.
	Then []Query
	// Ended, if it is not nil, is told the result of each command when it has come, before the next
	// one's.
	Ended func(i int, r Result)
}

// DefaultLimit bounds a Command that names no limit of its own.
const DefaultLimit = 10 * time.Minute

// Result is how a Command ended. A non-zero Exit is not an error of Run. Of a stream longer than MaxOutput the first and the
// last half are kept, with a line between them that says how much was left out.
type Result struct {
	Stdout, Stderr []byte
	// Exit is 128 plus the signal's number for a command that a signal ended, and 124 for one that its limit did.
	Exit     int
	Duration time.Duration
	// Limit is the limit that ended the command; zero if it ended by itself, or somebody else ended it.
	Limit time.Duration
}

// File is a file to be written: to a temporary name beside it, then renamed over Path.
type File struct {
	Path    string
	Content []byte
	// Source, if it is not nil, is where the content is read from while it is written, in place of Content.
	Source *Source
	// Mode is the permission bits; zero keeps those of the file being replaced, or 0644. The three high bits may be
	// those of Go or of chmod(1).
	Mode fs.FileMode
	// Owner and Group are names; empty keeps those of the file being replaced, or the writer's.
	Owner, Group string
	// Over is what may be replaced: another content is a *StaleError.
	Over Seen
	// Before is as Command.Before.
	Before Query
}

// Session acts and asks on one host as one user.
type Session interface {
	// Ask sends all queries in one flight and returns the answers in their order.
	Ask(ctx context.Context, queries []Query) ([]Answer, error)
	// Run runs one command. The error says that the command could not be started or that its
	// end is not known (a lost connection); Result.Exit says how it ended otherwise.
	Run(ctx context.Context, c Command) (Result, error)
	// RunAll carries out actions. The results are those of the commands that have ended: fewer than
	// there are if one ended with a code that it does not accept, which is no error, or if the error
	// says what became of the next. The answers are nil if the queries were not asked, or their
	// answers have not come: only Ask says why.
	RunAll(ctx context.Context, a Actions) ([]Result, []Answer, error)
	// WriteFile replaces a file atomically, and keeps its access control list and extended attributes. On an error
	// nothing of it is left behind.
	WriteFile(ctx context.Context, f File) error
}

// Conn is one connection to a host. Its own Session side is the user that logged in.
type Conn interface {
	Session
	// As returns the session of another user, through sudo (or, where root logs in and there is no sudo,
	// runuser). The privilege is paid once a connection; an error to get it is a *BecomeError. An empty name, and the name of the login user, return the connection itself.
	As(user string) Session
	// User is the login user.
	User() string
	// Stats counts what the connection has cost so far.
	Stats() Stats
	// Done is closed when the connection is lost or closed.
	Done() <-chan struct{}
	Close() error
}

// Stats is what a connection has cost, counted where the bytes leave and enter the controller.
type Stats struct {
	// RoundTrips is the number of direction reversals divided by two, the handshake included.
	RoundTrips int
	// Flights is the number of Ask calls that were sent.
	Flights int
	// Sent and Received are bytes on the wire, in encrypted form.
	Sent, Received int64
}

// UnreachableError says that a host could not be reached or was lost: a dead address, a refused
// key, a host key that is unknown or has changed.
type UnreachableError struct {
	// Host is the name in the inventory, Address where it was looked for.
	Host, Address string
	// Reason is one sentence; Hint is what the user can do.
	Reason, Hint string
	// NoAnswer says that nothing has taken the connection at the address, or has closed it without a word: the host may be off. It is
	// not known of a host that was looked for behind another one that did not answer itself, nor of one that a ProxyCommand leads to.
	NoAnswer bool
	Err      error
}

func (e *UnreachableError) Error() string {
	s := fmt.Sprintf("%s (%s): %s", e.Host, e.Address, e.Reason)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

func (e *UnreachableError) Unwrap() error { return e.Err }
