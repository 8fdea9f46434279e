# PATH WORD MODE OWNER: gives what is there its mode and owner. Of a symbolic link, the owner is its own.
#
# Where others may change names, a second name in a directory of ours holds on to a file, as the working directory
# does to a directory. One that had a second name already may be a file of somebody else.
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
