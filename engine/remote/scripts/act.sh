# The acting shell runs commands one after another, each for one round trip. A session of its own would cost three, and with
# sudo another sudo.
#
# A frame is "<length> <input> <kind> <accepted codes>\n", the script, the command's input, and a last line. If the
# connection is cut within a frame, nothing of it is run. If a frame cannot be stored, the shell says why and exits, because
# the rest of the frame would be taken for the next one. The kind is "first", or "next" for a command that runs only if the
# one before it exited with a code that it accepts. A frame of the kind "block" has no input and no last line. Its script is
# one compound command that this shell evaluates: calls of _hl_run, _hl_do and _hl_own for commands, then queries, which are
# answered under the same condition. Whatever is skipped is answered with a code that no process has, so that answers can be
# counted. A frame of the kind "packed" is a block whose script is compressed, for which the shell starts gzip. A frame of the kind "input" is the input of the next block's first command, and has no last line either.
#
# A command has pipes of its own for its output. Their readers stop at the mark that follows the command's last output, so
# output that a child in the background prints later is dropped. The output is sent once the command has ended and before
# the next one starts, so that the shell of a lost connection starts nothing more. A connection that is lost meanwhile does
# not break the pipes, nor does output beyond what is kept, so that no package manager dies halfway because it printed a
# line. All of that takes nine processes. A brief command takes one, and prints into files. What the shell's hand can do
# takes none: see hand.pl.
#
# $_hl_d is the shell's own directory, $_hl_n the word that starts marks, and $_hl_half how many bytes are kept of the
# beginning and of the end of a stream, at least 1 MiB. What a command has put into the directory as "end" is run when the
# loop ends, for whatever reason: see Command.Before.
: "${_hl_d:?}" "${_hl_n:?}" "${_hl_half:?}"
trap '_hl_bare; [ ! -f "$_hl_d/end" ] || . "$_hl_d/end"; rm -rf "$_hl_d"' EXIT
trap 'exit 1' HUP INT PIPE TERM 2>/dev/null
_hl_w=$PWD
cd / || exit 1
_hl_i=0
: "${_hl_hand:=}"

# _hl_mark CODE
_hl_mark() { printf '\n%s %s %s\n' "$_hl_n" "$_hl_i" "$1"; }

_hl_end() {
	_hl_mark "$1"
	_hl_mark "$1" >&2
	_hl_i=$((_hl_i+1))
}

# Without a hand there are no pipes to it: see hand.sh.
_hl_bare() { :; }
_hl_apart() {
	_hl_s=$1
	shift
	eval "$_hl_s" </dev/null
}

# _hl_hand starts the hand if there is none, and fails if there cannot be one. $_hl_hand is its process ID, or "none" if it has
# failed to start.
_hl_hand() {
	case $_hl_hand in none) return 1 ;; ?*) return 0 ;; esac
	_hl_hand=none
	[ -n "${_hl_program-}" ] && command -v perl >/dev/null || return 1
	[ -p "$_hl_d/told" ] || mkfifo -m 600 "$_hl_d/ask" "$_hl_d/told" 2>/dev/null || return 1
	eval "${_hl_pipes-}"
	_hl_start
}

# _hl_ask MARK LENGTHS FUNCTION WORD... has the hand carry out a function, whose exit code is then $_hl_r. It fails, and
# nothing was done, if there is no hand, or if it leaves the function to the shell (-1). If the hand was killed, so was the
# function, and the next one gets a new hand.
_hl_ask() {
	_hl_hand || return 1
	[ "$1" = - ] || echo "$_hl_c $_hl_hand" >"$_hl_d/pid"
	_hl_m="$1 $2"
	shift 2
	_hl_r=''
	if _hl_tell "$_hl_m" "$@"; then
		_hl_hear
		set -- yes
	else
		set -- no
	fi
	[ ! -s "$_hl_d/pid" ] || true >"$_hl_d/pid"
	if [ -z "$_hl_r" ]; then
		_hl_bare
		wait "$_hl_hand" 2>/dev/null # until then its ID counts as that of a process
		_hl_hand='' _hl_r=137
	fi
	[ "$1" = yes ] && [ "$_hl_r" != -1 ]
}

# _hl_own CODES MARK LENGTHS FUNCTION WORD... carries out a command that the hand and this shell have as a function.
_hl_own() {
	if [ -e "$_hl_d/stop.$_hl_c" ]; then _hl_go=no; fi
	if [ "$_hl_go" = no ]; then _hl_end 300; return; fi
	_hl_s=$1
	shift
	if _hl_ask "$@"; then
		case " $_hl_s " in *" $_hl_r "*) ;; *) _hl_go=no ;; esac
		_hl_end "$_hl_r"
		return
	fi
	_hl_y=$1
	shift 2
	# shellcheck disable=SC2016 # evaluated by _hl_do
	_hl_do "$_hl_s" 'echo "$_hl_y" >"$_hl_d/began" || exit 1; shift 2; "$@"' "$@"
}

# _hl_q and _hl_x answer queries, as in the reading shell.
_hl_q() {
	if [ "$_hl_go" = no ]; then _hl_end 300; return; fi
	_hl_s=$1; shift
	( _hl_bare; cd "$_hl_w" 2>/dev/null || :; eval "$_hl_s" ) </dev/null
	_hl_end $?
}
_hl_x() {
	if [ "$_hl_go" = no ]; then _hl_end 300; return; fi
	cd "$_hl_w" 2>/dev/null || :
	_hl_apart "$@"
	_hl_end $?
	cd / || exit 1
}

# _hl_k is _hl_x for a query of one simple command that a condition would ask again right behind it: $_hl_said is what it has
# printed.
_hl_k() {
	if [ "$_hl_go" = no ]; then _hl_end 300; return; fi
	_hl_s=$1
	shift
	_hl_said=$(
		_hl_bare
		cd "$_hl_w" 2>/dev/null || :
		eval "exec $_hl_s" </dev/null
	)
	set -- $?
	printf '%s\n' "$_hl_said"
	_hl_end "$1"
}

# _hl_h SCRIPT LENGTHS FUNCTION WORD... is a query that the hand answers, or without it the script.
_hl_h() {
	if [ "$_hl_go" = no ]; then _hl_end 300; return; fi
	_hl_s=$1
	shift
	if _hl_ask - "$@"; then _hl_end "$_hl_r"; return; fi
	shift 2
	_hl_q "$_hl_s" "$@"
}

# _hl_if asks a query that decides whether what follows is carried out.
_hl_if() {
	if [ -e "$_hl_d/stop.$_hl_c" ]; then _hl_go=no; fi
	if [ "$_hl_go" = no ]; then _hl_end 300; return; fi
	_hl_s=$1; shift
	( _hl_bare; cd "$_hl_w" 2>/dev/null || :; eval "$_hl_s" ) </dev/null
	_hl_r=$?
	[ "$_hl_r" = 0 ] || _hl_go=no
	_hl_end "$_hl_r"
}

# _hl_hif SCRIPT LENGTHS FUNCTION WORD... is such a query that the hand answers, or without it the script.
_hl_hif() {
	if [ -e "$_hl_d/stop.$_hl_c" ]; then _hl_go=no; fi
	if [ "$_hl_go" = no ]; then _hl_end 300; return; fi
	_hl_s=$1
	shift
	if _hl_ask - "$@"; then
		[ "$_hl_r" = 0 ] || _hl_go=no
		_hl_end "$_hl_r"
		return
	fi
	shift 2
	_hl_if "$_hl_s" "$@"
}

# _hl_first starts commands that were sent together. It first runs what a command has put into the directory as "heard",
# because a new frame shows that the command's answer has arrived. So does a frame of the kind "bye", which ends the shell;
# the end of input does not.
_hl_first() {
	_hl_go=yes _hl_c=$_hl_i
	if [ -s "$_hl_d/heard" ]; then
		# shellcheck disable=SC2016 # evaluated there
		_hl_apart '. "$_hl_d/heard"'
		true >"$_hl_d/heard"
	fi
}

# _hl_do ACCEPTED-CODES SCRIPT WORD... runs a brief command. The script writes a word into the file "began" right before the
# command itself. Its arguments are the file of its process ID, the number of the first command, and the words. In it, $$
# would be this shell.
_hl_do() {
	if [ -e "$_hl_d/stop.$_hl_c" ]; then _hl_go=no; fi
	if [ "$_hl_go" = no ]; then _hl_end 300; return; fi
	_hl_ok=$1 _hl_s=$2 _hl_m=''
	shift 2
	(
		_hl_bare
		_hl_p=''
		{ read -r _hl_p _ </proc/self/stat; } 2>/dev/null
		set -- "$_hl_d/pid" "$_hl_c" "$@"
		[ -z "$_hl_p" ] || echo "$2 $_hl_p" >"$1"
		eval "$_hl_s"
	) </dev/null >"$_hl_d/out.$_hl_i" 2>"$_hl_d/err.$_hl_i"
	_hl_r=$?
	true >"$_hl_d/pid"
	[ ! -s "$_hl_d/in" ] || true >"$_hl_d/in"
	case " $_hl_ok " in *" $_hl_r "*) ;; *) _hl_go=no ;; esac
	if [ -s "$_hl_d/began" ]; then
		read -r _hl_m <"$_hl_d/began"
		true >"$_hl_d/began"
		printf '\n%s %s\n' "$_hl_m" "$$"
		printf '\n%s %s\n' "$_hl_m" "$$" >&2
	fi
	# A child in the background may still write there, so no other command's output goes to the same file.
	if [ -s "$_hl_d/out.$_hl_i" ]; then
		cat "$_hl_d/out.$_hl_i"
		true >"$_hl_d/out.$_hl_i"
	fi
	if [ -s "$_hl_d/err.$_hl_i" ]; then
		cat "$_hl_d/err.$_hl_i" >&2
		true >"$_hl_d/err.$_hl_i"
	fi
	_hl_end "$_hl_r"
}

# _hl_prepare SCRIPT WORD... runs what has to run before a command (Command.Before), in a subshell, as the body of a function.
# What it prints comes before the command's mark. If it exits, the command is answered with that code and is not to be called.
_hl_prepare() {
	if [ -e "$_hl_d/stop.$_hl_c" ]; then _hl_go=no; fi
	[ "$_hl_go" != no ] || return 0
	_hl_s=$1
	shift
	(
		_hl_bare
		_hl_p=''
		{ read -r _hl_p _ </proc/self/stat; } 2>/dev/null
		_hl_at=$_hl_d/pid
		[ -z "$_hl_p" ] || echo "$_hl_c $_hl_p" >"$_hl_at"
		eval "_hl_before() {
$_hl_s
}"
		_hl_before "$@"
		exit 0
	) </dev/null
	_hl_r=$?
	true >"$_hl_d/pid"
	[ "$_hl_r" != 0 ] || return 0
	_hl_go=no
	_hl_end "$_hl_r"
	return 1
}

# _hl_keep LENGTH FILE
_hl_keep() {
	head -c "$1" >"$2" || { _hl_end 1; exit 1; }
}

# _hl_gather STREAM copies the first $_hl_half bytes of its input to the file of that name, and at least as many of the last
# to two files in turn, counting the turns. It reads fixed sizes that _hl_over fills up, so that it needs no end of input,
# which a child in the background can delay. STREAM.open is emptied once the mark was read, STREAM.read once nothing more is
# read: a file can be emptied even if there is no room for another.
_hl_gather() {
	_hl_g=$_hl_d/$1 _hl_t=0
	for _hl_p in 81920 655360 $((_hl_half-737280)); do
		[ -s "$_hl_g.open" ] || break
		head -c "$_hl_p" >>"$_hl_g" || { _hl_t=none; break; }
	done
	while [ $_hl_t != none ] && [ -s "$_hl_g.open" ]; do
		if head -c "$_hl_half" >"$_hl_g.$((_hl_t%2))"; then _hl_t=$((_hl_t+1)); else _hl_t=none; fi
	done
	# The stream is read to its end even if there is no room for it.
	while [ -s "$_hl_g.open" ]; do head -c 81920 >/dev/null; done
	[ $_hl_t = 0 ] || echo "$_hl_t" >"$_hl_g.turns"
	true >"$_hl_g.read"
}

# _hl_over STREAM CODE ends _hl_gather. A pipe holds 64 KiB: once that much was written after the mark, the mark was read.
_hl_over() {
	_hl_mark "$2"
	printf %65536s ''
	true >"$_hl_d/$1.open"
	while [ -s "$_hl_d/$1.read" ] && printf %8192s ''; do :; done
}

# _hl_send STREAM prints what was kept, up to the mark, and says how much was left out.
_hl_send() {
	_hl_g=$_hl_d/$1 _hl_t=0 _hl_s="/^$_hl_n $_hl_i /q9"
	[ ! -s "$_hl_g.turns" ] || read -r _hl_t <"$_hl_g.turns"
	case $_hl_t in
	0 | none) sed "$_hl_s" "$_hl_g" ;;
	1) cat "$_hl_g" "$_hl_g.0" | sed "$_hl_s" ;;
	*)
		cat "$_hl_g"
		[ "$_hl_t" = 2 ] || printf '\n%s gap %s\n' "$_hl_n" $(((_hl_t-2)*_hl_half))
		cat "$_hl_g.$((_hl_t%2))" "$_hl_g.$(((_hl_t+1)%2))" | sed "$_hl_s"
		;;
	esac
	[ $? != 9 ] || return 0
	[ "$_hl_r" != unknown ] || exit 1
	printf '\n[the host had no room for the rest of what it printed]\n'
	_hl_mark "$_hl_r" || exit 1
}

# _hl_piped CODES runs the script in the shell's directory with $_hl_f as its input and pipes for its output.
_hl_piped() {
	for _hl_e in out.open out.read err.open err.read; do
		echo yes >"$_hl_d/$_hl_e" || { _hl_end 1; exit 1; }
	done
	{ {
		_hl_bare
		sh "$_hl_d/script" "$_hl_d/pid" "$_hl_c" <"$_hl_f"
		_hl_r=$?
		trap '' PIPE 2>/dev/null
		echo "$_hl_r" >"$_hl_d/code"
		_hl_over out "$_hl_r" 2>/dev/null
		_hl_over err "$_hl_r" >&2 2>/dev/null
	} | _hl_gather out; } 2>&1 | _hl_gather err
	_hl_r=unknown
	{ read -r _hl_r <"$_hl_d/code"; } 2>/dev/null
	case " $1 " in *" $_hl_r "*) ;; *) _hl_go=no ;; esac
	_hl_send out
	_hl_send err >&2
	for _hl_e in script in pid code out out.0 out.1 out.turns err err.0 err.1 err.turns; do
		[ ! -s "$_hl_d/$_hl_e" ] || true >"$_hl_d/$_hl_e"
	done
	_hl_i=$((_hl_i+1))
}

# _hl_input TEXT stores a command's input.
_hl_input() {
	{ printf %s "$1" >"$_hl_d/in"; } 2>/dev/null || {
		echo "there is no room for the command's input in $_hl_d" >&2
		_hl_end 1
		exit 1
	}
}

# _hl_run CODES KIND INPUT MARK LENGTHS LINE runs a command: the hand does or, if it cannot, this shell. LINE are the words of
# _hl_exec but the first, quoted, and LENGTHS are their lengths. The kind is "brief" or "long". INPUT is empty, or not if the
# command's input has been stored. If the hand was killed meanwhile, it is not known how the command ends, and this shell
# ends as well.
_hl_run() {
	if [ -e "$_hl_d/stop.$_hl_c" ]; then _hl_go=no; fi
	if [ "$_hl_go" = no ]; then _hl_end 300; return; fi
	_hl_ok=$1 _hl_k=$2 _hl_f=${3:+$_hl_d/in} _hl_y=$4 _hl_lengths=$5 _hl_line=$6
	: "${_hl_f:=/dev/null}"
	if _hl_hand; then
		eval "set -- $_hl_line"
		_hl_lengths="3 ${#_hl_d} ${#_hl_c} ${#_hl_n} ${#_hl_half} ${#_hl_y} ${#_hl_f} $_hl_lengths"
		if _hl_ask - "$_hl_lengths" run "$_hl_d" "$_hl_c" "$_hl_n" "$_hl_half" "$_hl_y" "$_hl_f" "$@"; then
			[ -n "$_hl_hand" ] || exit 1
			case " $_hl_ok " in *" $_hl_r "*) ;; *) _hl_go=no ;; esac
			[ ! -s "$_hl_d/in" ] || true >"$_hl_d/in"
			_hl_end "$_hl_r"
			return
		fi
	fi
	if [ "$_hl_k$_hl_f" = brief/dev/null ]; then
		_hl_do "$_hl_ok" "_hl_n=$_hl_y; _hl_exec 'echo \"\$_hl_n\" >\"\$_hl_d/began\" || exit 1' $_hl_line"
		return
	fi
	# shellcheck disable=SC2016 # evaluated by the script
	printf '%s\n' 'echo "$2 $$" >"$1"' "${_hl_entering-}" "${_hl_execs:?}" "_hl_n=$_hl_y" "_hl_exec _hl_marks $_hl_line" >"$_hl_d/script" ||
		{ _hl_end 1; exit 1; }
	_hl_piped "$_hl_ok"
}

while read -r _hl_l _hl_in _hl_k _hl_ok; do
	if [ "$_hl_k" = bye ]; then _hl_first; exit 0; fi
	if [ "$_hl_k" = first ]; then _hl_first; fi
	if [ "$_hl_k" = block ]; then
		hash -r
		eval "$(head -c "$_hl_l")" || exit 2
		continue
	fi
	if [ "$_hl_k" = packed ]; then
		hash -r
		_hl_e=$(head -c "$_hl_l" | GZIP='' gzip -dc) || exit 2
		eval "$_hl_e" || exit 2
		continue
	fi
	if [ "$_hl_k" = input ]; then
		_hl_keep "$_hl_l" "$_hl_d/in"
		continue
	fi
	if [ -e "$_hl_d/stop.$_hl_c" ]; then _hl_go=no; fi
	_hl_keep "$_hl_l" "$_hl_d/script"
	_hl_f=/dev/null
	if [ "$_hl_in" -gt 0 ]; then
		_hl_f=$_hl_d/in
		_hl_keep "$_hl_in" "$_hl_f"
	elif [ -s "$_hl_d/in" ]; then
		true >"$_hl_d/in" # of a command that was skipped
	fi
	{ read -r _hl_e && [ "$_hl_e" = whole ]; } || exit 1
	if [ "$_hl_go" = no ]; then _hl_end 300; continue; fi
	_hl_piped "$_hl_ok"
done
exit 0
