# PATH WORD MODE OWNER: makes a directory and its parents, or gives one that is there its mode and owner; the
# cluster file system gives its own. What is missing appears at once, with all that is below it.
_hl_reach "$1" dir
word=$2 mode=$3 owner=$4 dir=.
case $at/ in /etc/pve/*) mode='' owner='' ;; esac
if [ -n "$rest" ]; then
	behind=${rest#"$name"} new='' dir=./$rest
	if [ $only = no ]; then
		_hl_fresh "$word"
		dir=./$new$behind
	fi
	umask 022
	# shellcheck disable=SC2174 # the mode is for the last one, as it is documented
	if [ -n "$mode" ]; then mkdir -p -m "$mode" -- "$dir"; else mkdir -p -- "$dir"; fi || exit 1
fi
[ -z "$owner" ] || chown -h -- "$owner" "$dir" || exit 1
[ -z "$mode" ] || [ -n "$rest" ] || chmod -- "$mode" "$dir" || exit 1
[ -z "${new-}" ] || _hl_place
