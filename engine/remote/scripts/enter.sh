# _hl_cd PATH CODE changes to a directory, or exits the shell with CODE, with which no command exits.
#
# After cd -P the kernel reports the actual directory, even if names have changed since. If it is the path itself, no link
# was followed.
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
