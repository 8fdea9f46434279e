package nodestate

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/remote"
)

// Long is a command that takes its time, and that a node carries through whatever becomes of the connection and of the run that
// has begun it. It has a directory of root's alone, running/ID, with its script, its input, what it prints and how it ends.
type Long struct {
	// ID is the name of its directory, and part of the name of its unit.
	ID string `json:"-"`
	// What says what it does, in one line. It is empty where a fault has left nothing of the content.
	What string `json:"what"`
	// Task is the task that it belongs to, at File and Line of a playbook.
	Task     string `json:"task"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Playbook string `json:"playbook"`
	// Run is the run that has begun it, By the person and the controller, as in "ada@desk".
	Run   string    `json:"run"`
	By    string    `json:"by"`
	Since time.Time `json:"since"`
	// Limit is how many seconds it may take.
	Limit int `json:"limit"`

	// Fate is how it does, Exit its exit code if it has ended.
	Fate Fate `json:"-"`
	Exit int  `json:"-"`
	// Process is the process on the node that carries it through, Unit its transient unit; empty where systemd is not the
	// node's init.
	Process int    `json:"-"`
	Unit    string `json:"-"`
}

// Fate is what has become of a Long.
type Fate string

// The fates of a Long.
const (
	Alive Fate = "alive" // it is running
	Ended Fate = "ended" // it has ended with an exit code
	Lost  Fate = "lost"  // it was killed, or the node was restarted
)

// String says what it is, since when, who has begun it and how it does.
func (l Long) String() string {
	if l.What == "" {
		return "a command " + l.state() + "; what it is, a fault has lost (" + l.ID + ")"
	}
	return fmt.Sprintf("%q %s, begun %s by %s, who ran %s (task %q, %s:%d)", l.What, l.state(), moment(l.Since), l.By, l.Playbook, l.Task, l.File, l.Line)
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
	return "was cut off"
}

// detaching is what a shell knows that waits for a Long: its arguments begin with the ID. Its directory goes with the acting shell that has
// sent the command's end, unless another has come to read it since.
//
// Its file "of" names the process that answers for it: the shell that starts it, then what carries it through. Where that one was
// killed, the command itself, which "pid" names, may go on: as long as it does, it is not begun a second time. Who makes the
// directory "begun" begins it, or sees to it that nobody does.
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
	echo "hlplay: the command was not begun: nothing could be started for it that can write into $_hl_r" >&2
}
_hl_tell() {
	printf '%s\n' "$_hl_k" >"$_hl_r/reader"
	limited=
	if ! _hl_await; then
		! _hl_unbegun || return 126
		cat "$_hl_r/out"
		sed "/^timeout: sending signal /d" "$_hl_r/err" >&2
		echo "hlplay: the command was killed, or the host was restarted: how it would have ended is not known" >&2
		_hl_e=.137
	else
		cat "$_hl_r/out"
		cat "$_hl_r/err" >&2
	fi
	printf '{ read -r _hl_p <%s; } 2>/dev/null && [ "$_hl_p" = "%s" ] && rm -rf %s\n' "$_hl_r/reader" "$_hl_k" "$_hl_r" >>"$_hl_k/heard"
	return "${_hl_e##*.}"
}
`

// carrying is what carries a Long through: its arguments are the directory, the file in which an acting shell looks for
// the process of its command, and the unit. Only one of those who are started for it does. SIGTERM, as of systemctl stop, ends the command, and
// it still says how that ended. It has no single quotes in it.
const carrying = `_hl_r=$1
mkdir "$_hl_r/begun" 2>/dev/null || exit 0
. "$_hl_r/env"
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
sh "$_hl_r/script" "$_hl_r/pid" "$2" <"$_hl_in" >"$_hl_r/out" 2>"$_hl_r/err" &
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

// heading is how the script of a Long begins, with the arguments that carrying gives it.
const heading = born + `_hl_born "$$"
{ echo "$$ $_hl_s" >"$1"; } 2>/dev/null || { echo "hlplay: the command was not begun: $1 cannot be written" >&2; exit 126; }
{ read -r _hl_f _hl_p <"$2" && echo "$_hl_f $$" >"$2"; } 2>/dev/null`

// starting starts a Long and waits for its end: its arguments are the ID, what is to be known of it, and the seconds after
// which systemd ends it if nobody else has. Its unit leaves alone what the command leaves behind, and gives it the signals and the
// environment that it would have had from the shell. Where the directory cannot be made, the shell runs the command itself.
const starting = born + detaching + `_hl_v=` + Dir + `
_hl_born "$$"
_hl_booted
if ! {
	{ [ -d "$_hl_v/running" ] || mkdir -m 700 "$_hl_v" "$_hl_v/running" || [ -d "$_hl_v/running" ]; } &&
		[ ! -L "$_hl_v" ] && [ ! -L "$_hl_v/running" ] && mkdir -m 700 "$_hl_r" && printf '%s\n' "$$ $_hl_s $_hl_b starting" >"$_hl_r/of" && printf '%s\n' "$2" >"$_hl_r/about" &&
		{ export -p && printf 'umask ' && umask; } >"$_hl_r/env" &&
		printf '%s\n' '` + heading + `' "$_hl_command" >"$_hl_r/script" && printf '%s\n' '` + carrying + `' >"$_hl_r/carry" &&
		{ [ ! -s "$_hl_k/in" ] || cp "$_hl_k/in" "$_hl_r/in"; }
} 2>/dev/null; then
	rm -rf "$_hl_r"
	[ ! -s "$_hl_k/in" ] || exec <"$_hl_k/in"
	eval "$_hl_command"
fi
if [ -d /run/systemd/system ]; then
	systemd-run --quiet --collect --unit="hlplay-$1" --description="a command of hlplay: see hlplay status" \
		--property=Type=oneshot --property=KillMode=process --property=IgnoreSIGPIPE=no --property=OOMPolicy=continue \
		--property=TimeoutStartSec="$3" /bin/sh "$_hl_r/carry" "$_hl_r" "$_hl_at" "hlplay-$1.service" </dev/null >/dev/null 2>&1
fi
if [ ! -e "$_hl_r/begun" ]; then
	setsid sh "$_hl_r/carry" "$_hl_r" "$_hl_at" "" </dev/null >/dev/null 2>&1 &
	wait "$!"
fi
! _hl_unbegun || return 126
_hl_tell`

// attaching waits for a Long that others have started.
const attaching = born + detaching + `if [ ! -d "$_hl_r" ]; then
	echo "hlplay: nothing is known there of the command any more" >&2
	return 137
fi
_hl_ended || { read -r _hl_p _ <"$_hl_r/pid" && read -r _hl_f _hl_x <"$_hl_at" && echo "$_hl_f $_hl_p" >"$_hl_at"; } 2>/dev/null
_hl_tell`

// Start is what starts it in place of its shell: see remote.Command.Via.
func (l Long) Start() remote.Query {
	b, err := json.Marshal(l)
	if err != nil {
		panic(err) // it is made of texts, numbers and a time
	}
	return remote.Query{Script: starting, Args: []string{l.ID, ascii(b), strconv.Itoa(l.Limit + 60)}}
}

// Attach is what waits for it and tells what it has printed, as Start does.
func (l Long) Attach() remote.Query {
	return remote.Query{Script: attaching, Args: []string{l.ID}}
}

// Await waits for its end on the node, for as long as a limit. Whether it came shows in what is kept there.
func (l Long) Await(limit time.Duration) remote.Query {
	return remote.Query{Script: "_hl_at=\n" + born + detaching + "_hl_await", Args: []string{l.ID}, Limit: limit}
}

// Discard removes what is kept of commands that do not run any more. One that runs after all stays.
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

// reporting prints what is known of the commands that a node keeps something of; it stands behind holding.
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

// longID is what a Long may be called.
var longID = regexp.MustCompile(`^[0-9a-zA-Z]{1,64}$`)
