# Verify the unit file on standard input or, if $2 names a drop-in, the drop-in together with the unit's own file. $1 is the unit.
# The files are in a temporary directory that only the caller can read.
d=$(mktemp -d) || exit 1
trap 'rm -rf -- "$d"' EXIT
file=$d/$1
if [ -n "$2" ]; then
	case $1 in
	*@?*.*) template=${1%%@*}@.${1##*.} ;;
	*) template= ;;
	esac
	for name in "$1" $template; do
		for dir in /etc/systemd/system /run/systemd/system /run/systemd/generator /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
			if [ -f "$dir/$name" ]; then
				cp -- "$dir/$name" "$file" || exit 1
				break 2
			fi
		done
	done
	[ -f "$file" ] || { echo "$1 has no file that the drop-in could change" >&2; exit 1; }
	mkdir -- "$file.d" || exit 1
	cat >"$file.d/$2" || exit 1
else
	cat >"$file" || exit 1
fi
said=$(systemd-analyze verify --man=no --recursive-errors=no "$file" 2>&1)
rc=$?
printf '%s\n' "$said" | sed "s#$d/##g" >&2
exit "$rc"
