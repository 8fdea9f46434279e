# Fetch a URL, compare the file with a checksum, and move it, or its unpacked contents, into place atomically. Standard input is
# curl's configuration or wget's list of URLs, because every user of the host can see arguments.
client=$1 path=$2 program=$3 sum=$4 mode=$5 owner=$6 unpack=$7 strip=$8
umask 077
t=$(mktemp -d -- "${path%/*}/.hlplay.XXXXXX") || exit 1
trap 'rm -rf -- "$t"' EXIT
trap 'exit 143' HUP INT TERM
case $client in
curl) curl -fsSL --globoff --retry 3 --connect-timeout 30 -o "$t/file" --config - || exit ;;
wget) wget -nv -T 30 -t 3 -O "$t/file" --input-file=- || exit ;;
esac
is=$("$program" <"$t/file") || exit
is=${is%% *}
[ "$is" = "$sum" ] || { echo "hlplay: checksum $is" >&2; exit 65; }
if [ "$unpack" = no ]; then
	new=$t/file
else
	new=$t/tree
	mkdir -- "$new" && chmod 0755 -- "$new" || exit
	umask 022
	case $unpack in
	zip) unzip -q "$t/file" -d "$new" || exit ;;
	tar) tar -x -f "$t/file" -C "$new" --no-same-owner --no-same-permissions --strip-components="$strip" || exit ;;
	esac
	[ -n "$(ls -A -- "$new")" ] || { echo "hlplay: empty" >&2; exit 66; }
	printf '%s\n' "$sum $strip" >"$new/.hlplay-download" || exit
fi
[ -z "$owner" ] || chown -hR -- "$owner" "$new" || exit
[ "$unpack" != no ] || chmod -- "$mode" "$new" || exit
# From here on, signals are ignored: the old directory must not be removed along with the temporary one.
trap '' HUP INT TERM
if [ "$unpack" != no ] && [ -d "$path" ]; then
	mv -T -- "$path" "$t/old" || exit
	mv -T -- "$new" "$path" || { rc=$?; mv -T -- "$t/old" "$path"; exit "$rc"; }
else
	mv -fT -- "$new" "$path"
fi
