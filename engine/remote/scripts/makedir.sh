# PATH WORD MODE OWNER: makes a directory and its parents, or sets mode and owner of an existing one; the cluster file
# system sets its own. Missing directories appear at once, with everything below them.
_hl_reach "$1" dir
word=$2 mode=$3 owner=$4 dir=.
case $at/ in /etc/pve/*) mode='' owner='' ;; esac
if [ -n "$rest" ]; then
	behind=${rest#"$name"} new='' dir=./$rest
	if [ $only = no ]; then
		case $behind/ in */../*) _hl_die "$path leads through .. below $at/$name, which does not exist" ;; esac
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
