// Package remote connects to hosts: SSH connections, privileges, and commands and files on a host. It knows nothing of
// playbooks.
//
// A connection has two sides. Ask sends many read-only queries in one flight to a long-lived shell. Run and WriteFile
// act: their commands run one after another in a second shell, each with its own pipes, so that a background process
// cannot write into another command's output. The first flight and the first action start their shells; each further
// one costs one round trip.
package remote

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"
)

// Query is a read-only question to a host, answered by a long-lived shell.
type Query struct {
	// Script is POSIX shell text written by the author of the query. It never contains text from elsewhere: values are
	// passed as Args, and the script sees them as "$1", "$2", …. Its standard input is empty, and it must not read it.
	// It is evaluated in a subshell, whose last command may replace it with exec to save the host a process.
	Script string
	Args   []string
	// Hand, if not empty, is the name of a function of the acting shell's hand, which answers in place of Script and without a
	// process of its own, with the same arguments, output and exit code: see scripts/hand.pl. It is used in queries that are sent along
	// with actions. Its files' paths are absolute, and it has no limit but the connection's. Script answers elsewhere, and
	// where there is no hand.
	Hand string
	// Inline evaluates the script in the long-lived shell itself, where dash starts programs with vfork(2). A subshell,
	// which copies the page tables, costs a host as much as a small program. An inline script must not exit or exec, or
	// change the directory, options or traps, and it may set only variables whose names start with an underscore. These
	// may already be set when it starts.
	Inline bool
	// Says, if not empty, identifies what the query prints: a query with the same Says prints the same at the same time. A condition
	// (Ahead.If) that is asked right behind such a query finds in $_hl_said what that has printed, without the newline at its end, so
	// that it need not ask again. Elsewhere this variable is not set. Of the two, the one behind which a condition may be asked is one
	// simple command.
	Says string
	// Limit is the time limit for commands that the script runs with the prefix `$limited`, which is timeout(1) with
	// that limit, or empty if something else enforces it. Answer.TimedOut reports whether it was reached. Less than a
	// second counts as one second. Zero sets no limit, and `$limited` is empty.
	Limit time.Duration
	// Most is how many bytes to keep of each stream; if there are more, the first and the last half are kept: see
	// Answer.Cut. It is meant for commands that the playbook's author wrote. Zero keeps everything; if there are more
	// than 256 MiB, the answer is an exit code with which no process exits.
	Most int
	// User is the user that the query runs as; empty means the session's own.
	User string
	// Shows, if not empty, is an extended POSIX regular expression. Watch compares only what it matches in the standard
	// output, which is broken into lines at braces too. It is meant for answers that contain times and counters.
	Shows string
}

// Same reports whether two queries ask the same.
func (q Query) Same(other Query) bool {
	return q.Script == other.Script && slices.Equal(q.Args, other.Args) && q.Limit == other.Limit && q.User == other.User
}

// Argv returns the query that runs a single program within a limit.
func Argv(limit time.Duration, argv ...string) Query {
	if len(argv) > 0 && isProgram(argv[0]) {
		return Query{Script: `$limited "$@"`, Args: argv, Limit: limit, Inline: true}
	}
	return Query{Script: `exec $limited "$@"`, Args: argv, Limit: limit}
}

// Answer is the output and exit code of a query. Both streams are binary-safe, and complete unless Query.Most is set.
type Answer struct {
	Stdout, Stderr []byte
	Exit           int
	// Cut is the number of bytes omitted from Stdout, where a line says so.
	Cut int64
	// Err is a *BecomeError if the query names another user and was not asked for that reason, although other queries were.
	Err error
}

// Command is a command that may change a host.
type Command struct {
	// Argv is the program and its arguments. They are quoted for the login shell.
	Argv []string
	// Env is added to the environment. It is sent on the session's standard input rather than in argv, which other
	// users of the host could read. LC_ALL defaults to C, so that messages can be compared.
	Env map[string]string
	// Dir is the working directory, absolute. Empty means the user's home, or / for root.
	Dir string
	// Stdin is the command's input; nil means none.
	Stdin []byte
	// Limit limits the command's running time; zero means DefaultLimit. At the limit the command gets SIGTERM and, two
	// seconds later, SIGKILL. Result.Limit is then set.
	Limit time.Duration
	// OK are the exit codes after which the following actions are carried out. Nil means 0 only.
	OK []int
	// Before, if it has a script, runs first, in a shell of the command or a subshell, as the body of a function, so that
	// builtins start no process. If it exits with ExitPrevented, the command is not run, and the error is a *PreventedError. $_hl_at
	// is the path of a file in the acting shell's directory, or empty if the command runs without that shell.
	Before Query
	// Via, if it has a script, starts the command in place of its shell and waits for it. It runs in the acting shell,
	// as the body of a function with the command's own script in $_hl_command, and $_hl_at as for Before. Its output
	// and exit code count as the command's. If the caller is interrupted, the command is left running: see LeftError.
	// Without an acting shell, the command's own shell starts it.
	Via Query

	// Brief means that the command prints a few KiB at most. Where the host has no Perl, its output then goes to files instead
	// of pipes, which saves nine of eleven processes.
	Brief bool

	own own
	// input, if not nil, replaces Stdin for a command that runs in its own session.
	input io.Reader
}

// Actions are carried out in order, in one flight.
type Actions struct {
	// Commands run one after another, as long as each exits with a code that it accepts.
	Commands []Command
	// Then are the queries to ask after the last command, as the acting user, if that command exited with a code that
	// it accepts.
	Then []Query
	// Ended, if not nil, is called with the result of each command before that of the next.
	Ended func(i int, r Result)
	// Ahead is carried out after that, one after another, in the same flight: see Ahead.
	Ahead []*Ahead
}

// Ahead is more to do in the flight of other actions, on a condition that the host checks itself. Nothing of it is begun unless
// everything before it was carried out and succeeded, and all its conditions are met.
type Ahead struct {
	// If are queries that exit with 0 if the condition is met.
	If []Query
	// Commands and Then are as in Actions. Each command is Portable: one of this package, one with Via, or another that has no
	// input but a little text.
	Commands []Command
	Then     []Query
	// Begins, if not nil, is called when the host may have begun a command, with its index, and when it has carried out the last one, with
	// their number, if there are queries after it.
	Begins func(i int)

	// RunAll sets the fields below. Begun is set if a command was begun or, after Err, may have been.
	Begun bool
	// Results and Answers are as returned by RunAll. Err is why there are fewer results than there would be.
	Results []Result
	Answers []Answer
	Err     error

	heard   int  // how many answers have come
	leftOut bool // something was not met, or has failed
}

// Portable reports whether the command can be one of an Ahead.
func (c Command) Portable() bool {
	return c.inBlock() || c.own.name == "" && c.input == nil && (c.Via.Script != "" || (c.Brief || c.plain()) && (len(c.Stdin) == 0 || c.inCall()))
}

// DefaultLimit is the limit of a Command without one.
const DefaultLimit = 10 * time.Minute

// Result is the output and exit code of a Command. A non-zero Exit is not an error of Run. If a stream is longer than
// MaxOutput, the first and the last half are kept, with a line between them that says how much was omitted.
type Result struct {
	Stdout, Stderr []byte
	// Exit is 128 plus the number of the signal that ended the command, and 124 if the command reached its limit.
	Exit     int
	Duration time.Duration
	// Limit is the limit that ended the command. It is zero if the command ended by itself or something else ended it.
	Limit time.Duration
}

// File is a file to write. It is written under a temporary name in the same directory and then renamed to Path.
type File struct {
	Path    string
	Content []byte
	// Source, if not nil, replaces Content. It is read while the file is written.
	Source *Source
	// Mode holds the permission bits. Zero keeps those of the existing file, or means 0644. The three high bits may be Go's
	// or chmod(1)'s.
	Mode fs.FileMode
	// Owner and Group are names. If empty, those of the existing file are kept, or those of the writer are used.
	Owner, Group string
	// OverLink replaces a symbolic link at Path, rather than the file that it points to.
	OverLink bool
	// Over is what may be replaced; anything else is a *StaleError.
	Over Seen
	// Before is as in Command.
	Before Query
}

// Session acts and asks on one host as one user.
type Session interface {
	// Ask sends all queries in one flight and returns the answers in their order.
	Ask(ctx context.Context, queries []Query) ([]Answer, error)
	// Watch asks queries on the host until the answers change: see Watch. If the host cannot tell, it returns
	// ErrUnwatchable.
	Watch(ctx context.Context, w Watch) ([]Answer, error)
	// Run runs one command. An error means that the command could not be started, or that its result is unknown because
	// the connection was lost. Otherwise Result.Exit says how it ended.
	Run(ctx context.Context, c Command) (Result, error)
	// RunAll carries out actions and returns the results of the commands that have ended. There are fewer results than
	// commands if a command exited with a code that it does not accept, which is not an error, or if the error says
	// what happened to the next one. The answers are nil if the queries were not asked or not answered; only Ask says
	// why.
	RunAll(ctx context.Context, a Actions) ([]Result, []Answer, error)
	// Prepare starts the process of the user's acting shell in the connection's spare session, without waiting for it, so that the
	// first command does not wait either. It does nothing without a spare session, if it or a command came before, or if sudo may
	// ask for a password.
	Prepare()
	// WriteFile replaces a file atomically, keeping its access control list and extended attributes. It leaves nothing
	// behind after an error. The result says how a large file can be known again.
	WriteFile(ctx context.Context, f File) (Written, error)
}

// Conn is a connection to a host. Its own Session is the login user's.
type Conn interface {
	Session
	// As returns the session of another user, through sudo, or through runuser if root logs in and there is no sudo.
	// Becoming the user takes time once per connection; if it fails, the error is a *BecomeError. An empty name and the
	// login user's name return the connection itself.
	As(user string) Session
	// Spare makes the connection open one more session once the host has taken the first script, so that the first command need
	// not wait for one. Until then nothing runs in it. It is called before the connection is used.
	Spare()
	// User returns the login user.
	User() string
	// Stats returns the costs of the connection so far.
	Stats() Stats
	// Done returns a channel that is closed when the connection is lost or closed.
	Done() <-chan struct{}
	Close() error
}

// Stats are the costs of a connection, measured where bytes leave and enter the controller.
type Stats struct {
	// RoundTrips is how often something arrived after the login, the opening of a session, the start of a process or the writing of
	// its input had sent something. What nobody waits for is not counted: keep-alive requests, window adjustments, closed sessions,
	// and the start of a process that is there when it is needed (see Session.Prepare).
	RoundTrips int
	// Flights is the number of Ask calls that were sent.
	Flights int
	// Sent and Received count bytes on the wire, in encrypted form.
	Sent, Received int64
	// Latency is the shortest time in which the host has opened a session, which is about a round trip. The first session of a
	// connection does not count, because the login delays it. It is 0 if it is not known, as before the second session.
	Latency time.Duration
	// Hand is set if acting shells on the host have a hand (see Query.Hand), as far as the answers so far tell.
	Hand bool
}

// UnreachableError reports that a host could not be reached or was lost: the address is dead, the key was refused, or the
// host key is unknown or has changed.
type UnreachableError struct {
	// Host is the name in the inventory, Address the address that was tried.
	Host, Address string
	// Reason is one sentence. Hint says what the user can do.
	Reason, Hint string
	// NoAnswer is set if nothing accepted the connection at the address, or closed it without sending anything: the
	// host may be off. It is not set if a jump host did not answer, or for a host behind a ProxyCommand.
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
