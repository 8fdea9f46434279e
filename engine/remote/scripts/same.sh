# _hl_same SEEN FILE STAMP exits with code 75 unless FILE, whose stamp is STAMP, is what was SEEN: "absent", or a stamp and
# the sum of the content, or a stamp and the target of a link. With a different stamp the content may still be the same. On
# a file system that counts whole seconds, an equal stamp proves nothing.
_hl_same() {
	was=${1#* }
	case $1 in
	'') return 0 ;;
	absent) [ -e "$2" ] || [ -L "$2" ] || return 0 ;;
	*.000000000\ * | \ *) ;;
	"$3 $was") return 0 ;;
	esac
	if [ -L "$2" ]; then
		[ "-> $(readlink -n -- "$2" && echo /)" != "$was/" ] || return 0
	elif [ -f "$2" ]; then
		now=$(if [ $only = no ]; then dd if="$2" iflag=nofollow,nonblock bs=64k status=none; else cat -- "$2"; fi | sha256sum)
		[ "${now%% *}" != "$was" ] || return 0
	fi
	echo "$path is not what was seen there" >&2
	exit 75
}

# _hl_stamp FILE
_hl_stamp() { stat -c '%i:%.9Z' -- "$1" 2>/dev/null; }
