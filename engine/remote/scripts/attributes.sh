# PATH WORD MODE OWNER: sets mode and owner of an existing path. Of a symbolic link, the owner of the link itself is set.
#
# Where others may rename files, a second name in a directory of our own pins a file, as the working directory pins a
# directory. A file that already had a second name may belong to somebody else.
_hl_reach "$1" name
mode=$3 owner=$4 file=./${name:-.}
[ "$rest" = "$name" ] || _hl_die "$path does not exist"
if [ $only = no ] && [ ! -L "$file" ] && [ -d "$file" ]; then
	[ "$file" = ./. ] || _hl_enter "$name"
	file=.
elif [ $only = no ]; then
	_hl_fresh "$2"
	ln -P -- "$to" "./$new" || exit 1
	file=./$new
	case $(stat -c '%A %h' -- "$file") in
	l*|-*' 2') ;;
	-*) _hl_die "$path has further names (hard links), and $by may have made it one of a file that is not meant" ;;
	*) _hl_die "$path is not a regular file" ;;
	esac
fi
[ -z "$owner" ] || chown -h -- "$owner" "$file" || exit 1
[ -z "$mode" ] || [ -L "$file" ] || chmod -- "$mode" "$file" || exit 1
