# PATH -r SEEN: removes a file, an empty directory or, with -r, a directory and everything in it.
_hl_reach "$1" name
[ -n "$name" ] || _hl_die "$path is not removed"
[ "$rest" = "$name" ] || exit 0
if [ "$2" = -r ]; then
	rm -rf -- "./$name"
elif [ -d "./$name" ] && [ ! -L "./$name" ]; then
	rmdir -- "./$name"
else
	[ -z "$3" ] || [ ! -e "./$name" ] && [ ! -L "./$name" ] || _hl_same "$3" "./$name" "$(_hl_stamp "./$name")"
	rm -f -- "./$name"
fi
