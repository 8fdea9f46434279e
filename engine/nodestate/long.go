package nodestate

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/pattern"
	"hlplay/engine/remote"
)

// Long is a long-running command that the node completes even if the connection or the run that started it is lost. Its
// script, input, output and exit code are kept in running/ID, a directory that only root can read.
type Long struct {
	// ID is the name of the command's directory, and part of the name of its unit.
	ID string `json:"-"`
	// What describes the command in one line. It is empty if a fault has lost the file's content.
	What string `json:"what"`
	// Task is the task that the command belongs to, at File and Line of a playbook.
	Task     string `json:"task"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Playbook string `json:"playbook"`
	// Run is the run that started the command, and By the person and the controller, as in "ada@desk".
	Run   string    `json:"run"`
	By    string    `json:"by"`
	Since time.Time `json:"since"`
	// Limit is the command's time limit in seconds.
	Limit int `json:"limit"`

	// Fate says what happened to the command. Exit is its exit code if it has ended.
	Fate Fate `json:"-"`
	Exit int  `json:"-"`
	// Process is the process on the node that runs the command, and Unit its transient unit, empty if systemd is not the
	// node's init.
	Process int    `json:"-"`
	Unit    string `json:"-"`
}

// Fate says what happened to a Long.
type Fate string

// The values of Fate.
const (
	Alive Fate = "alive" // it is running
	Ended Fate = "ended" // it has ended with an exit code
	Lost  Fate = "lost"  // it was killed, or the node was restarted
)

// String says what the command is, who started it and when, and what became of it.
func (l Long) String() string {
	if l.What == "" {
		return "a command " + l.state() + "; its record is damaged and does not say which one (" + l.ID + ")"
	}
	return fmt.Sprintf("%q %s, started %s by %s in a run of %s (task %q, %s:%d)", l.What, l.state(), moment(l.Since), l.By, l.Playbook, l.Task, l.File, l.Line)
}

func (l Long) state() string {
	switch l.Fate {
	case Alive:
		if l.Unit != "" {
			return "is running as " + l.Unit
		}
		return fmt.Sprintf("is running as process %d", l.Process)
	case Ended:
		return fmt.Sprintf("has ended with exit code %d", l.Exit)
	}
	return "was interrupted"
}

// detaching is the shell code for waiting for a Long, whose ID is its first argument. The acting shell that has delivered
// the command's end removes the directory, unless another shell has started to read it since. The one that starts the command reads
// from then on: systemd-run returns at the command's end, long after the shell of a new connection may have begun to read.
//
// The file "of" names the process in charge: first the shell that starts the command, then the one that runs carrying. If
// that process was killed, the command itself, named in "pid", may still be running, and is not started again as long as it
// is. Making the directory "begun" claims the start of the command: only its maker may start it, or give it up.
const detaching = `_hl_r=` + Dir + `/running/$1
_hl_k=${_hl_at%/*}
_hl_ended() {
	for _hl_e in "$_hl_r"/exit.*; do
		[ ! -e "$_hl_e" ] || return 0
	done
	return 1
}
_hl_process() {
	kill -0 "$_hl_p" 2>/dev/null || return 1
	_hl_born "$_hl_p"
	[ "$_hl_s" = "$_hl_x" ]
}
_hl_working() {
	{ read -r _hl_p _hl_x _hl_o _hl_u <"$_hl_r/of"; } 2>/dev/null || { _hl_u=starting; return 1; }
	_hl_booted
	[ "$_hl_o" = "$_hl_b" ] || return 1
	_hl_process || { { read -r _hl_p _hl_x <"$_hl_r/pid"; } 2>/dev/null && _hl_process; }
}
_hl_await() {
	_hl_j=0
	until _hl_ended; do
		if _hl_working && { [ "$_hl_u" != starting ] || [ "$_hl_p" != "$$" ]; }; then
			$limited tail --pid="$_hl_p" -s 0.1 -f /dev/null 2>/dev/null || { [ -z "$limited" ] && sleep 1; } || return 1
		elif [ "$_hl_u" != starting ] || [ $_hl_j = 10 ]; then
			_hl_ended
			return "$?"
		else
			_hl_j=$((_hl_j+1))
			sleep 1
		fi
	done
}
_hl_unbegun() {
	mkdir "$_hl_r/begun" 2>/dev/null || return 1
	rm -rf "$_hl_r"
	echo "hlplay: the command was not started: no process for it could write to $_hl_r" >&2
}
_hl_reads() { printf '%s\n' "$_hl_k" >"$_hl_r/reader"; }
_hl_tell() {
	limited=
	if ! _hl_await; then
		! _hl_unbegun || return 126
		cat "$_hl_r/out"
		sed "/^timeout: sending signal /d" "$_hl_r/err" >&2
		echo "hlplay: the command was killed or the host was restarted; its exit code is unknown" >&2
		_hl_e=.137
	else
		cat "$_hl_r/out"
		cat "$_hl_r/err" >&2
	fi
	printf '{ read -r _hl_p <%s; } 2>/dev/null && [ "$_hl_p" = "%s" ] && rm -rf %s\n' "$_hl_r/reader" "$_hl_k" "$_hl_r" >>"$_hl_k/heard"
	return "${_hl_e##*.}"
}
`

// carrying is the script that runs a Long. Its arguments are the command's directory, the file in which an acting shell
// looks for the process of its command, and the unit. Of several instances started for one command only one runs it.
// SIGTERM, which systemctl stop sends, ends the command, and its end is still recorded. The script must not contain single
// quotes.
const carrying = `_hl_r=$1
mkdir "$_hl_r/begun" 2>/dev/null || exit 0
. "$_hl_r/env"
_hl_m=$(umask)
umask 077
` + born + `_hl_born "$$"
_hl_booted
{ printf "%s\n" "$$ $_hl_s $_hl_b $3" >"$_hl_r/of.new" && mv -f "$_hl_r/of.new" "$_hl_r/of"; } 2>/dev/null || {
	rmdir "$_hl_r/begun"
	exit 1
}
rm -f "$_hl_r/env"
_hl_c= _hl_x= _hl_stopped=
_hl_stop() {
	_hl_again=yes _hl_stopped=yes
	[ -z "$_hl_c" ] || kill -TERM "$_hl_c" 2>/dev/null
}
trap _hl_stop TERM
_hl_in=/dev/null
[ ! -e "$_hl_r/in" ] || _hl_in=$_hl_r/in
(umask "$_hl_m" && exec sh "$_hl_r/script" "$_hl_r/pid" "$2") <"$_hl_in" >"$_hl_r/out" 2>"$_hl_r/err" &
_hl_c=$!
[ -z "$_hl_stopped" ] || kill -TERM "$_hl_c"
while :; do
	_hl_again=
	wait "$_hl_c"
	_hl_y=$?
	[ -n "$_hl_x" ] && [ $_hl_y = 127 ] || _hl_x=$_hl_y
	[ -n "$_hl_again" ] || break
done
if [ -n "$_hl_stopped" ]; then
	{ sed "/^timeout: sending signal /d" "$_hl_r/err"; echo "hlplay: the command was stopped on the host"; } >"$_hl_r/told"
	mv -f "$_hl_r/told" "$_hl_r/err"
	_hl_x=143
fi
rm -f "$_hl_r/script" "$_hl_r/in"
true >"$_hl_r/exit.$_hl_x"`

// heading is the beginning of a Long's script. Its arguments come from carrying.
const heading = born + `_hl_born "$$"
{ echo "$$ $_hl_s" >"$1"; } 2>/dev/null || { echo "hlplay: the command was not started: $1 cannot be written" >&2; exit 126; }
{ read -r _hl_f _hl_p <"$2" && echo "$_hl_f $$" >"$2"; } 2>/dev/null`

// starting is the shell code that starts a Long and waits for its end. Its arguments are the ID, the description, and the
// seconds after which systemd ends the command if nothing else has. The unit does not kill processes that the command leaves
// behind, and runs the command with the signals and the environment that the shell would have given it. If the directory
// cannot be made, the shell runs the command itself, and notes that.
const starting = born + detaching + `_hl_v=` + Dir + `
_hl_born "$$"
_hl_booted
_hl_m=$(umask)
umask 077
if ! {
	{ [ -d "$_hl_v/running" ] || mkdir -m 700 "$_hl_v" "$_hl_v/running" || [ -d "$_hl_v/running" ]; } &&
		[ ! -L "$_hl_v" ] && [ ! -L "$_hl_v/running" ] && mkdir -m 700 "$_hl_r" && printf '%s\n' "$$ $_hl_s $_hl_b starting" >"$_hl_r/of" && printf '%s\n' "$2" >"$_hl_r/about" &&
		{ export -p && printf 'umask %s\n' "$_hl_m"; } >"$_hl_r/env" &&
		printf '%s\n' '` + heading + `' "$_hl_command" >"$_hl_r/script" && printf '%s\n' '` + carrying + `' >"$_hl_r/carry" &&
		_hl_reads && { [ ! -s "$_hl_k/in" ] || cp "$_hl_k/in" "$_hl_r/in"; }
} 2>/dev/null; then
	rm -rf "$_hl_r"
	{ echo "$1" >"$_hl_k/unrecorded"; } 2>/dev/null
	[ ! -s "$_hl_k/in" ] || exec <"$_hl_k/in"
	umask "$_hl_m"
	eval "$_hl_command"
fi
umask "$_hl_m"
if [ -d /run/systemd/system ]; then
	systemd-run --quiet --collect --unit="hlplay-$1" --description="hlplay command: see hlplay status" \
		--property=Type=oneshot --property=KillMode=process --property=IgnoreSIGPIPE=no --property=OOMPolicy=continue \
		--property=TimeoutStartSec="$3" /bin/sh "$_hl_r/carry" "$_hl_r" "$_hl_at" "hlplay-$1.service" </dev/null >/dev/null 2>&1
fi
if [ ! -e "$_hl_r/begun" ]; then
	setsid sh "$_hl_r/carry" "$_hl_r" "$_hl_at" "" </dev/null >/dev/null 2>&1 &
	wait "$!"
fi
! _hl_unbegun || return 126
_hl_tell`

// attaching is the shell code that waits for a Long which another shell has started.
const attaching = born + detaching + `if [ ! -d "$_hl_r" ]; then
	echo "hlplay: the host has no record of the command any more" >&2
	return 137
fi
_hl_reads
_hl_ended || { read -r _hl_p _ <"$_hl_r/pid" && read -r _hl_f _hl_x <"$_hl_at" && echo "$_hl_f $_hl_p" >"$_hl_at"; } 2>/dev/null
_hl_tell`

// Start returns the query that starts the command in place of its shell: see remote.Command.Via.
func (l Long) Start() remote.Query {
	b, err := json.Marshal(l)
	if err != nil {
		panic(err) // strings, numbers and a time can always be marshaled
	}
	return remote.Query{Script: starting, Args: []string{l.ID, ascii(b), strconv.Itoa(l.Limit + 60)}}
}

// Attach returns the query that waits for the command and prints its output, as Start does.
func (l Long) Attach() remote.Query {
	return remote.Query{Script: attaching, Args: []string{l.ID}}
}

// passing is the shell code that claims what was sent behind a Long. Without an acting shell nothing is sent behind it. A shell that has
// outlived its run may still have it when the next run has broken the lock, and may have released it since: a shell that has taken the lock
// leaves a trap for it in "end".
const passing = `_hl_k=${_hl_at:-${_hl_d:+$_hl_d/pid}} _hl_r= _hl_l=
_hl_k=${_hl_k%/*}
if [ -n "$_hl_k" ]; then
	{ read -r _hl_l <"` + Dir + `/lock"; } 2>/dev/null
	case $_hl_l in
	*" $2") ;;
	*)
		if [ -n "$_hl_l" ] || [ -s "$_hl_k/end" ]; then
			echo "hlplay: the run does not hold the lock of the host any more" >&2
			exit 76
		fi
		;;
	esac
	if ! ln -s passed "` + Dir + `/running/$1/next" 2>/dev/null; then
		{ read -r _hl_r <"$_hl_k/unrecorded"; } 2>/dev/null
		if [ "$_hl_r" != "$1" ]; then
			echo "hlplay: whoever waits for the command before it has withheld it, or has read its end" >&2
			exit 76
		fi
	fi
fi`

// Behind returns the query that an acting shell is asked before it begins what was sent behind the command, as a condition or as
// remote.Command.Before. It exits with 0, unless Withhold did or the run has lost the lock. One of the two makes the link "next" in the
// command's directory, which leads nowhere.
func (l Long) Behind() remote.Query {
	return remote.Query{Script: passing, Args: []string{l.ID, l.Run}}
}

// Withhold returns the query that keeps an acting shell from beginning what was sent behind the command: one whose connection was
// lost may still wait for the command, without knowing. It exits with 0 if nothing was begun, nor will be, and otherwise if something
// may have been begun.
func (l Long) Withhold() remote.Query {
	return remote.Query{Script: `_hl_r=` + Dir + `/running/$1/next
ln -s withheld "$_hl_r" 2>/dev/null || [ "$(readlink "$_hl_r" 2>/dev/null)" = withheld ]`, Args: []string{l.ID}}
}

// Await returns the query that waits on the node for the command's end, up to a limit. Whether the command has ended is seen
// in the node's State.
func (l Long) Await(limit time.Duration) remote.Query {
	return remote.Query{Script: "_hl_at=\n" + born + detaching + "_hl_await", Args: []string{l.ID}, Limit: limit}
}

// Discard returns the query that removes the directories of commands, except of those that are still running.
func Discard(all ...Long) remote.Query {
	q := remote.Query{Script: "_hl_at=\n" + born + detaching + `for _hl_i in "$@"; do
	_hl_r=` + Dir + `/running/$_hl_i
	_hl_ended || ! _hl_working || continue
	rm -rf -- "$_hl_r" || exit
done`}
	for _, l := range all {
		q.Args = append(q.Args, l.ID)
	}
	return q
}

// reporting is the shell code that prints the commands that a node has records of. It relies on holding.
const reporting = `for _r in "$_v"/running/*; do
	[ -d "$_r" ] && [ ! -L "$_r" ] || continue
	[ -n "$_u" ] || stat -c 'of %u %a %F' "$_v" "$_v/running"
	_u=running
	_hl_r=$_r
	_f=lost _x=0 _hl_p=0 _hl_u=
	if _hl_ended; then
		_f=ended _x=${_hl_e##*.}
	elif _hl_working; then
		_f=alive
	fi
	[ "$_hl_u" != starting ] || _hl_u=
	_t=
	{ read -r _t <"$_r/about"; } 2>/dev/null || :
	printf 'running %s %s %s %s %s %s\n' $_f $_x "${_r##*/}" "$_hl_p" "${_hl_u:--}" "$_t"
done`

// running reads a line of reporting, without its first word.
func (s *State) running(rest string) {
	fields := strings.SplitN(rest, " ", 6)
	if len(fields) != 6 || !longID.MatchString(fields[2]) {
		return
	}
	var l Long
	if json.Unmarshal([]byte(fields[5]), &l) != nil {
		l = Long{}
	}
	l.ID, l.Fate = fields[2], Fate(fields[0])
	l.Exit, _ = strconv.Atoi(fields[1])
	l.Process, _ = strconv.Atoi(fields[3])
	l.Unit = strings.TrimPrefix(fields[4], "-")
	s.Running = append(s.Running, l)
}

// longID matches the ID of a Long.
var longID = pattern.New(`^[0-9a-zA-Z]{1,64}$`)
