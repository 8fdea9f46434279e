# The pipes to the hand of an acting shell, for a shell that can have one: that of the simulated nodes has no such descriptors.
: "${_hl_d:?}" "${_hl_program:?}"

# _hl_bare closes the pipes, so that no other process gets them. The hand ends if the shell itself closes them.
_hl_bare() { exec 7>&- 8<&-; }

# _hl_apart SCRIPT WORD... evaluates a script without them.
_hl_apart() {
	_hl_s=$1
	shift
	eval "$_hl_s" </dev/null 7>&- 8<&-
}

# _hl_start starts the hand and waits for its first word. Variables that make Perl run something else are not for it, but for
# the programs that it starts.
_hl_start() {
	(
		for _hl_e in PERL5OPT PERL5LIB PERLLIB PERL5DB PERL_UNICODE PERLIO; do
			eval "[ -z \"\${$_hl_e+set}\" ] || export \"_hl_kept_$_hl_e=\$$_hl_e\""
			unset "$_hl_e"
		done
		exec perl -e 'read STDIN, $_, <STDIN>; eval; exit 1'
	) <"$_hl_d/ask" 3>"$_hl_d/told" &
	_hl_p=$! _hl_r=''
	exec 7>"$_hl_d/ask" 8<"$_hl_d/told"
	_hl_tell "${#_hl_program}" "$_hl_program" && _hl_hear
	if [ "$_hl_r" = ready ]; then
		_hl_hand=$_hl_p
		return 0
	fi
	_hl_bare
	return 1
}

# _hl_tell LINE WORD... writes to the hand, all at once: it would otherwise wake up for the line alone. It fails if the hand has
# ended.
_hl_tell() {
	trap '' PIPE
	_hl_m="$1
"
	shift
	printf %s "$_hl_m" "$@" >&7 2>/dev/null
	set -- $?
	trap 'exit 1' PIPE
	return "$1"
}

# _hl_hear sets $_hl_r to the hand's answer, or to nothing if the hand has ended. A signal ends the shell only after that, as
# while it waits for any other process.
_hl_hear() {
	_hl_r='' _hl_late=no
	trap '_hl_signal=yes' HUP INT TERM
	while :; do
		_hl_signal=no _hl_e=''
		if read -r _hl_e <&8; then
			_hl_r=$_hl_r$_hl_e
			break
		fi
		_hl_r=$_hl_r$_hl_e
		if [ "$_hl_signal" = no ]; then
			_hl_r=''
			break
		fi
		_hl_late=yes
	done
	trap 'exit 1' HUP INT TERM
	[ "$_hl_late$_hl_signal" = nono ] || exit 1
}
