# The arguments are SECONDS TRIES BEHIND SCRIPT and SCRIPT's own. Repeats SCRIPT until it exits with 0, SECONDS have passed, or it was
# tried TRIES times, which bounds the wait where /proc/uptime cannot be read. Exits with 0 only if SCRIPT did. The gap that is
# printed before each pause is ignored by the reader, and ends the wait if nobody reads any more. In an acting shell, so does
# the interruption of the commands before it. If BEHIND is not 0, there is something to wait for only if the command before it,
# whose exit code is $_hl_r, has exited with that code.
[ "$3" = 0 ] || [ "${_hl_r-}" = "$3" ] || exit 0
_u=0 _n=0 _t=$1 _m=$2 _s=$4
shift 4
{ read -r _u _o </proc/uptime; } 2>/dev/null || :
_t=$((${_u%.*}+_t))
until ( eval "$_s" ) >/dev/null 2>&1; do
	{ read -r _u _o </proc/uptime; } 2>/dev/null || :
	_n=$((_n+1))
	[ "${_u%.*}" -lt "$_t" ] && [ "$_n" -lt "$_m" ] || exit 1
	[ -z "${_hl_d-}" ] || [ ! -e "$_hl_d/stop.${_hl_c-}" ] || exit 1
	printf '\n%s gap 0\n' "${_hl_n-}" || exit 1
	case $_n in
	1) sleep 0.25 ;;
	2) sleep 0.5 ;;
	3) sleep 1 ;;
	*) sleep 2 ;;
	esac
done
