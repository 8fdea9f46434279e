package nodestate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"time"

	"hlplay/engine/remote"
)

// Holder is a run that holds a node's lock while it changes the node. No other run starts to change the node meanwhile.
type Holder struct {
	// Run is the ID of the run, and By the person and the controller, as in "ada@desk".
	Run      string    `json:"run"`
	By       string    `json:"by"`
	Playbook string    `json:"playbook"`
	Since    time.Time `json:"since"`
	Seat     Seat      `json:"seat"`

	// Process is the process on the node that stands for the run: the acting shell, or the command that was still running
	// when the connection was lost. Alive reports whether it is running, Busy whether a command of the run is.
	Process int  `json:"-"`
	Alive   bool `json:"-"`
	Busy    bool `json:"-"`
	// mark is the first line of the lock file, which is unique.
	mark string
}

// Seat identifies the controller's process that carries out a run.
type Seat struct {
	// Boot is the kernel's boot ID and PIDs the PID namespace, within which Process is unique. They are empty if they cannot
	// be read.
	Boot string `json:"boot,omitempty"`
	PIDs string `json:"pids,omitempty"`
	// Process is the process ID, and Start the start time in the kernel's clock ticks since boot.
	Process int    `json:"process"`
	Start   string `json:"start,omitempty"`
}

// String says who holds the lock.
func (h Holder) String() string {
	if h.By == "" {
		return fmt.Sprintf("locked by an unknown run (process %d on the host)", h.Process)
	}
	text := fmt.Sprintf("locked by %s, running %s since %s (process %d on the host)", h.By, h.Playbook, moment(h.Since), h.Process)
	if h.Busy {
		text += "; a command of that run is still running there"
	}
	return text
}

// living holds the runs of this process, by ID.
var living sync.Map

// Begin registers a run of this process and returns it as a Holder.
func Begin(run, playbook string, now time.Time) Holder {
	living.Store(run, true)
	return Holder{Run: run, By: By(), Playbook: playbook, Since: now.UTC().Truncate(time.Second), Seat: seat(os.Getpid())}
}

// By returns the person and the controller, as in "ada@desk".
func By() string {
	by := "?"
	if u, err := user.Current(); err == nil {
		by = u.Username
	}
	if name, err := os.Hostname(); err == nil {
		by += "@" + name
	}
	return by
}

// End unregisters the run.
func (h Holder) End() { living.Delete(h.Run) }

func seat(pid int) Seat {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	pids, nsErr := os.Readlink("/proc/self/ns/pid")
	if err != nil || nsErr != nil {
		return Seat{Process: pid}
	}
	return Seat{Boot: strings.TrimSpace(string(boot)), PIDs: pids, Process: pid, Start: started(pid)}
}

// started returns the start time of a process of this machine, or "" if there is no such process.
func started(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// Gone reports whether the lock may be broken: nothing on the node stands for the run any more, or the run is over and none
// of its commands is still running there. The node's shell may outlive the run by hours if the connection was cut.
func (h Holder) Gone() bool { return !h.Alive || !h.Busy && h.Over() }

// Over reports whether the run itself is known to be over, that is, whether it was a run of this machine and its process has
// ended. Its commands may still be running on the node.
func (h Holder) Over() bool {
	here := seat(h.Seat.Process)
	if here.Boot == "" || here.Boot != h.Seat.Boot || here.PIDs != h.Seat.PIDs {
		return false
	}
	if h.Seat.Process == os.Getpid() && here.Start == h.Seat.Start {
		_, lives := living.Load(h.Run)
		return !lives
	}
	return here.Start != h.Seat.Start
}

// born is the shell code that reads a process's start time and the boot ID. The process ID alone is not enough, because it
// is reused.
const born = `_hl_born() {
	_hl_s=
	{ read -r _hl_s <"/proc/$1/stat"; } 2>/dev/null || :
	set -- ${_hl_s##*) }
	_hl_s=-
	[ $# -lt 20 ] || _hl_s=${20}
}
_hl_booted() {
	{ read -r _hl_b </proc/sys/kernel/random/boot_id; } 2>/dev/null || _hl_b=-
}
`

// holding is the shell code that reads a lock and tests whether its holder, a process of the current boot, is alive.
const holding = `_hl_v=` + Dir + `
` + born + `_hl_who() {
	_hl_l= _hl_t=
	{ read -r _hl_l; read -r _hl_t; } <"$_hl_v/$1" || :
} 2>/dev/null
_hl_lives() {
	set -- $_hl_l
	[ $# = 5 ] || return 1
	_hl_booted
	[ "$3" = "$_hl_b" ] && kill -0 "$1" 2>/dev/null || return 1
	_hl_born "$1"
	[ "$_hl_s" = "$2" ] || return 1
	_hl_y=idle
	for _hl_f in /dev/shm /tmp /var/tmp; do
		[ ! -s "$_hl_f/hlplay.$4/pid" ] || _hl_y=busy
	done
}
`

// taking is the shell code that takes the lock, unless the run has it already, for the acting shell or, without one, for the
// command itself. Its arguments are the run, the text of the Holder, the mark of a lock to break, and then the records to
// write.
//
// A lock is a hard link to a complete file, which only one process can make. Whoever breaks a lock holds a second lock
// meanwhile, so that nobody removes the new lock of a faster run in place of the stale one, and compares the mark again
// after moving the stale lock away.
const taking = holding + making + `_hl_note() {
	shift 3
	while [ $# -gt 1 ]; do
		printf '%s\n' "$2" >"$_hl_v/due/$1"
		shift 2
	done
}
_hl_move() {
	mv -fT "$_hl_v/$1" "$_hl_v/old.$_hl_h" 2>/dev/null || return 0
	_hl_who "old.$_hl_h"
	[ "$_hl_m" = "$_hl_l" ] || mv -nT "$_hl_v/old.$_hl_h" "$_hl_v/$1"
	rm -f "$_hl_v/old.$_hl_h"
}
_hl_own || return 0
case $_hl_at in
*/hlplay.*/pid)
	_hl_k=${_hl_at%/*}
	read -r _hl_p <"$_hl_k/shell"
	_hl_h=${_hl_k##*.}
	;;
*) _hl_k='' _hl_p=$$ _hl_h=$$ ;;
esac
_hl_q=$_hl_v/hold.$_hl_h
_hl_mine=no
_hl_who lock
case $_hl_l in
"$3") ;;
*" $1") ! _hl_lives || _hl_mine=yes ;;
esac
if [ $_hl_mine = no ]; then
	_hl_born "$_hl_p"
	_hl_booted
	printf '%s\n' "$_hl_p $_hl_s $_hl_b $_hl_h $1" "$2" >"$_hl_q" || { rm -f "$_hl_q"; _hl_note "$@"; return 0; }
	for _hl_i in 1 2 3 4 5; do
		ln "$_hl_q" "$_hl_v/lock" 2>/dev/null && break
		_hl_who lock
		case $_hl_l in
		*" $1" | "$3") ;;
		*) ! _hl_lives || break ;;
		esac
		_hl_m=$_hl_l
		if ln "$_hl_q" "$_hl_v/break" 2>/dev/null; then
			_hl_move lock
			ln "$_hl_q" "$_hl_v/lock" 2>/dev/null || :
			rm -f "$_hl_v/break"
		else
			_hl_who break
			_hl_m=$_hl_l
			_hl_lives || _hl_move break
		fi
	done
	if [ ! "$_hl_v/lock" -ef "$_hl_q" ]; then
		rm -f "$_hl_q"
		_hl_who lock
		[ -n "$_hl_l" ] || _hl_who break
		[ -n "$_hl_l" ] || { _hl_note "$@"; return 0; }
		_hl_lives || _hl_y=dead
		printf '\nlock %s %s\nholder %s\n' "$_hl_y" "$_hl_l" "$_hl_t" >&2
		exit 76
	fi
	for _hl_f in "$_hl_v"/hold.*; do
		[ "$_hl_f" = "$_hl_q" ] || rm -f "$_hl_f"
	done
	[ -z "$_hl_k" ] || printf '[ ! "%s" -ef "%s" ] || rm -f "%s" "%s"\n' "$_hl_v/lock" "$_hl_q" "$_hl_v/lock" "$_hl_q" >>"$_hl_k/end"
fi
_hl_note "$@"`

// Act returns the query that runs before a step: it locks the node for the run and records the handlers that the step
// notifies as due. broken, if not nil, is a Holder that is Gone and whose lock is broken. If another run holds the lock, the
// step is not started: see HeldBy. If nothing can be written to the node, the step runs without lock and records.
func (h Holder) Act(broken *Holder, all ...Due) remote.Query {
	b, err := json.Marshal(h)
	if err != nil {
		panic(err) // strings, a number and a time can always be marshaled
	}
	q := remote.Query{Script: taking, Args: []string{h.Run, ascii(b), ""}}
	if broken != nil {
		q.Args[2] = broken.mark
	}
	for _, d := range all {
		q.Args = append(q.Args, Name(d.Play, d.Handler), d.text())
	}
	return q
}

// HeldBy returns the holder of the lock that prevented a step, or nil if the error names none.
func HeldBy(prevented *remote.PreventedError) *Holder { return parse(prevented.Said).Lock }

// lock reads the holder's state and the first line of the lock; holder reads the line that follows, the text of the Holder.
func (s *State) lock(rest string) {
	how, mark, _ := strings.Cut(rest, " ")
	h := Holder{Alive: how == "idle" || how == "busy", Busy: how == "busy", mark: mark}
	if fields := strings.Fields(mark); len(fields) == 5 {
		h.Process, _ = strconv.Atoi(fields[0])
		h.Run = fields[4]
	}
	s.Lock = &h
}

func (s *State) holder(text string) {
	var h Holder
	if s.Lock == nil || json.Unmarshal([]byte(text), &h) != nil || h.Run != s.Lock.Run {
		return
	}
	h.Process, h.Alive, h.Busy, h.mark = s.Lock.Process, s.Lock.Alive, s.Lock.Busy, s.Lock.mark
	s.Lock = &h
}
