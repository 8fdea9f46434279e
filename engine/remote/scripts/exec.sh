# _hl_exec BEGIN SECONDS WHERE N NAME=VALUE... PROGRAM ARGUMENT... turns the shell into a command with N variables, in a
# directory (empty for the user's home), and with a limit. BEGIN is evaluated right before the command.
_hl_exec() {
	_hl_begin=$1 _hl_limit=$2 _hl_where=$3 _hl_e=$4
	shift 4
	while [ "$_hl_e" -gt 0 ]; do
		# shellcheck disable=SC2163 # the word names the variable
		export "$1"
		shift
		_hl_e=$((_hl_e-1))
	done
	case $_hl_where in
	'') cd "${HOME:-/}" 2>/dev/null || cd / ;;
	/) cd / ;;
	*) _hl_cd "$_hl_where" 125 ;;
	esac
	eval "$_hl_begin"
	exec timeout -v -k 2 "$_hl_limit" "$@"
}

_hl_marks() {
	printf '\n%s %s\n' "${_hl_n:?}" "$$"
	printf '\n%s %s\n' "$_hl_n" "$$" >&2
}
