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

// Holder is a run that is changing a node: it holds the node's lock. No other run begins to change it meanwhile.
type Holder struct {
	// Run is which run it is, By the person and the controller, as in "ada@desk".
	Run      string    `json:"run"`
	By       string    `json:"by"`
	Playbook string    `json:"playbook"`
	Since    time.Time `json:"since"`
	Seat     Seat      `json:"seat"`

	// Process is the process on the node that stands for the run: the shell that acts, or what it has begun and not ended
	// when its connection was lost. Alive reports whether it lives, Busy whether a command of the run goes on there.
	Process int  `json:"-"`
	Alive   bool `json:"-"`
	Busy    bool `json:"-"`
	// mark is the first line of the lock, which no other has.
	mark string
}

// Seat is the process of a controller that a run is.
type Seat struct {
	// Boot and PIDs say where the number counts: the kernel's boot id and the namespace. They are empty where that cannot be
	// known.
	Boot string `json:"boot,omitempty"`
	PIDs string `json:"pids,omitempty"`
	// Process is its number and Start when it began, as the kernel counts.
	Process int    `json:"process"`
	Start   string `json:"start,omitempty"`
}

// String says who it is.
func (h Holder) String() string {
	if h.By == "" {
		return fmt.Sprintf("locked by a run of which nothing more is known (process %d on the host)", h.Process)
	}
	text := fmt.Sprintf("locked by %s, who runs %s since %s (process %d on the host)", h.By, h.Playbook, moment(h.Since), h.Process)
	if h.Busy {
		text += "; a command of that run goes on there"
	}
	return text
}

// living are the runs of this very process.
var living sync.Map

// Begin makes a run of this process known, and returns it as a Holder.
func Begin(run, playbook string, now time.Time) Holder {
	living.Store(run, true)
	return Holder{Run: run, By: By(), Playbook: playbook, Since: now.UTC().Truncate(time.Second), Seat: seat(os.Getpid())}
}

// By is the person and the controller, as in "ada@desk".
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

// End says that the run is over.
func (h Holder) End() { living.Delete(h.Run) }

func seat(pid int) Seat {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	pids, nsErr := os.Readlink("/proc/self/ns/pid")
	if err != nil || nsErr != nil {
		return Seat{Process: pid}
	}
	return Seat{Boot: strings.TrimSpace(string(boot)), PIDs: pids, Process: pid, Start: started(pid)}
}

// started is when a process of this machine began; empty if there is none.
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

// Gone reports whether the run is known to be over: it was one of this machine, and its process is no more. Its shell on
// the node may not have heard of that yet, as a link that was cut may stand there for hours. Where a command of it goes on,
// that is not over.
func (h Holder) Gone() bool { return !h.Alive || !h.Busy && h.Over() }

// Over reports whether the run itself is known to be over, whatever goes on on the node.
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

// born tells when a process began, as the kernel counts, and which boot this is: its number alone would be that of another
// process one day.
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

// holding tells whether who holds the lock lives: the process that it names, of this boot.
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

// taking takes the lock for the acting shell, or for the command itself where there is none, unless the run has it: its
// arguments are the run, the text of the Holder and the mark of a lock that is to be broken; behind them stands what is to be
// recorded. A file that is whole gets a second name, which only one can have. Who breaks a lock has another one meanwhile, so that
// nobody takes that of somebody who was faster for the broken one; and what is broken is looked at once more when it is
// moved away.
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

// Act is what is to be done before a step: the node is locked for the run, and from then on the handlers that the step notifies
// are due. broken, if not nil, is a Holder that is Gone, whose lock is broken. If another holds the lock the step is
// not begun: see HeldBy. Where nothing can be kept, the step goes on without it.
func (h Holder) Act(broken *Holder, all ...Due) remote.Query {
	b, err := json.Marshal(h)
	if err != nil {
		panic(err) // it is made of texts, a number and a time
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

// HeldBy is who holds the lock, of a step that was not begun; nil if it says nothing of that.
func HeldBy(prevented *remote.PreventedError) *Holder { return parse(prevented.Said).Lock }

// lock reads two lines: how the process does and the first line of the lock, and the text of the Holder.
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
