# _hl_cd PATH CODE enters a directory, or ends the shell with a code: CODE belongs to no command that ran there.
#
# The shell asks the kernel where cd -P has led, whatever becomes of the names. If that is the path itself, no link was followed.
_hl_cd() {
	cd -P -- "$1" || exit "$2"
	[ "$PWD" != "$1" ] || return 0
	_hl_code=$2
	_hl_die() {
		printf '%s\n' "$1" >&2
		exit "$_hl_code"
	}
	_hl_reach "$1" dir
	[ -z "$name" ] || _hl_die "$1 was replaced while it was entered"
}
