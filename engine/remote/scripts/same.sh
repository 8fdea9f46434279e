# _hl_same SEEN FILE STAMP ends the script with a code of its own unless SEEN tells what lies at FILE, whose stamp is STAMP:
# "absent", or a stamp and the sum of the content, or a stamp and where a link leads to. Another stamp can be of the same
# content. Of a file system that counts seconds only, the same stamp proves nothing.
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
