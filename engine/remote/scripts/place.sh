# Functions for the scripts that create, change or read what is at a path, so that nobody but root and the acting user
# decides where that is. Comments are not sent to hosts.
#
# A name is *sure* if nobody else can make it mean something else: it is in directories that belong to root or to the acting
# user, and that only those can write to. In a directory with the sticky bit that is true of what belongs to them. Links
# among sure names are followed, such as root's authorized_keys on a Proxmox VE node, which points into /etc/pve. A single
# stat(1) shows how far a path is sure, no matter when: who cannot change the first directory cannot change what the second
# name means, and so on. A group that may write counts as somebody else, because its members are not known and an access
# control list shows as a group.
#
# Beyond the sure names, no name is trusted twice, and no link is followed. The shell's working directory pins a directory
# whatever becomes of its name; that no link was followed into it is verified afterwards. New files are made in a directory
# of our own that nobody else can enter, and moved into place by rename(2), which follows no link.

_hl_die() {
	printf '%s\n' "${about-}$1" >&2
	exit 1
}

# _hl_walk PATH LAST STOP walks a path name by name. It sets $at to the directory that it has reached (empty for /) and
# $rest to the remaining path. LAST says how to treat the last name: for a "file" links are followed, for a "name" they are
# not, and a "dir" is entered. It stops after STOP names. If STOP is 0, it walks on and sets $seen to the stat of each name
# that it passed, or to nothing if one of them has gone since: the target of a link would otherwise be reported in its
# place. What it finds beyond the sure names is not used.
_hl_walk() {
	rest=$1 last=$2 stop=$3 at='' links=0
	set -- /
	while [ $# != "$stop" ]; do
		while [ "$rest" != "${rest#/}" ]; do rest=${rest#/}; done
		name=${rest%%/*}
		behind=${rest#"$name"}
		if [ -z "$name" ]; then
			break
		elif [ "$name" = . ]; then
			rest=$behind
		elif [ "$name" = .. ]; then
			at=${at%/*} rest=$behind
			set -- "$@" "${at:-/}"
		elif [ -L "$at/$name" ] && [ -z "$behind" ] && [ "$last" = name ]; then
			break
		elif [ -L "$at/$name" ]; then
			links=$((links + 1))
			# Nothing may follow a break: the shell of the simulated nodes would run on to the end of the branch.
			if [ $links -gt 40 ] || ! to=$(readlink -- "$at/$name" && echo /); then
				break
			else
				set -- "$@" "$at/$name"
				rest=${to%??}$behind
				if [ "$rest" != "${rest#/}" ]; then
					at=''
					set -- "$@" /
				fi
			fi
		elif [ -d "$at/$name" ] && { [ -n "$behind" ] || [ "$last" = dir ]; }; then
			at=$at/$name rest=$behind
			set -- "$@" "$at"
		else
			break
		fi
	done
	[ "$stop" != 0 ] || seen=$(stat --printf '%A\n%u\n%U\n%G\n%d:%i\n' -- "$@" 2>/dev/null) || seen=''
}

# _hl_mine UID reports whether it is the ID of root or of the acting user.
_hl_mine() {
	[ "$1" = 0 ] || [ "$1" = "${_hl_me:=$(id -u)}" ]
}

# _hl_survey counts in what _hl_walk has seen how many names are sure. The last of them is a directory, whose device and
# inode are $here. $only says whether nobody else can change the names in it, and $by who can. It fails if there are more
# names than the sure ones, or if nothing was seen.
_hl_survey() {
	sure=0 n=0 only=no by='' here=''
	# Names of users and groups may contain blanks and globbing characters.
	set -f
	IFS='
'
	# shellcheck disable=SC2086 # one line a field
	set -- $seen
	unset IFS
	set +f
	while [ $# -gt 4 ]; do
		n=$((n + 1)) mine=no
		if _hl_mine "$2"; then mine=yes; fi
		case $1 in
		l*)
			[ $mine = yes ] || _hl_die "$path leads through a symbolic link that belongs to $3: it is not followed; $advice"
			;;
		d*)
			# In a directory with the sticky bit, owners can rename what is theirs.
			[ $mine = yes ] || [ $only = yes ] || [ $sure = 0 ] || return 1
			sure=$n here=$5 only=no
			case $mine$1 in
			yesd????-??-?) only=yes ;;
			yesd????????[tT]) by='every user' ;;
			no*) by=$3 && return 1 ;;
			*d???????w?) by='every user' && return 1 ;;
			*) by="the group $4" && return 1 ;;
			esac
			;;
		*) return 1 ;;
		esac
		shift 5
	done
	[ $# = 0 ] && [ $sure -gt 0 ]
}

# _hl_reach PATH LAST enters the directory of a path. $name is the last name, and $rest is longer than that if directories
# are missing. If LAST is "dir" and the path exists, it enters the directory itself, and $name is empty.
_hl_reach() {
	path=$1 advice='let the task act as that user, or name in it the path that is meant'
	_hl_walk "$1" "$2" 0
	if ! _hl_survey; then
		[ $sure -gt 0 ] || _hl_die "who may change $path cannot be told"
		_hl_walk "$1" "$2" $sure
	fi
	cd -P -- "${at:-/}" || exit 1
	while :; do
		while [ "$rest" != "${rest#/}" ]; do rest=${rest#/}; done
		name=${rest%%/*}
		[ $only = no ] && [ -n "$name" ] || break
		if [ "$rest" = "$name" ] && [ "$2" != dir ]; then break; fi
		[ -d "./$name" ] || break
		_hl_enter "$name"
		rest=${rest#"$name"}
	done
	if [ $only = no ] && [ "$2" != name ]; then _hl_plain "$name"; fi
}

# _hl_plain NAME rejects a link in the working directory, where others may put one.
_hl_plain() {
	[ ! -L "./$1" ] ||
		_hl_die "${at:-}/$1 is a symbolic link, and $by may change what lies in ${at:-/}: it is not followed; $advice"
}

# _hl_enter NAME enters a directory of the working directory.
_hl_enter() {
	case $1 in .|..) _hl_die "$path leads through $1 in ${at:-/}, where $by may change names; $advice" ;; esac
	_hl_plain "$1"
	cd -P -- "./$1" || exit 1
	# shellcheck disable=SC2046 # one word a field
	set -- "$1" $(stat -c '%d:%i' -- .. "../$1" . 2>/dev/null)
	[ $# = 4 ] && [ "$2" = "$here" ] && [ "$3" = "$4" ] ||
		_hl_die "${at:-}/$1 was replaced while it was entered; see what $by does there"
	here=$4 at=$at/$1
}

# _hl_absent fails unless the path is a last name in an existing directory.
_hl_absent() {
	[ -n "$name" ] || _hl_die "$path is a directory"
	[ "$rest" = "$name" ] || _hl_die "its directory $at/${rest%/*} does not exist"
}

# _hl_fresh WORD sets $new, the temporary name, and $to, the name to rename it to. Where others may rename files, it makes
# and enters a directory of our own. Nothing is left behind however the script exits, and what a killed script has left is
# removed.
_hl_fresh() {
	new=$name inner=''
	while [ ${#new} -gt 200 ]; do new=${new%?}; done
	_hl_sweep "./.$new.hlplay-"
	new=.$new.hlplay-$1.$$ to=./$name
	umask 077
	trap 'exit 143' TERM HUP INT 2>/dev/null
	trap _hl_clear EXIT
	[ $only = no ] || return 0
	mkdir -m 700 -- "./$new" || exit 1
	inner=$new
	_hl_enter "$new"
	# shellcheck disable=SC2046 # one word a field
	set -- $(stat -c '%u %A' .)
	case $2 in
	drwx--[S-]---) _hl_mine "$1" ;;
	*) false ;;
	esac || _hl_die "$at was replaced while it was entered; see what $by does there"
	to=../$name
}

# _hl_sweep PREFIX removes what killed scripts have left: names that end in the ID of a process that has ended. Where others
# may rename files, it must be a directory of our own.
#
# To look for them, a shell reads the whole directory. The acting shell does that once for files that it writes one after
# another: if nothing was left by whatever script, it notes the directory's device and inode in "clean". A directory may
# be shared with other hosts, whose processes are not in this /proc, so that nothing but the file's own is removed.
_hl_sweep() {
	if [ $only != no ] && [ -n "${_hl_d-}" ]; then
		clean=''
		{ read -r clean <"$_hl_d/clean"; } 2>/dev/null
		[ "$clean" != "$here" ] || return 0
		set -- "$1" ./.*.hlplay-*.*
		if [ ! -e "$2" ] && [ ! -L "$2" ]; then
			{ echo "$here" >"$_hl_d/clean"; } 2>/dev/null
			return 0
		fi
	fi
	for old in "$1"*.*; do
		dead=${old##*.}
		case $dead in '' | *[!0-9]*) continue ;; esac
		[ -d "/proc/$$" ] && [ ! -d "/proc/$dead" ] && { [ -e "$old" ] || [ -L "$old" ]; } || continue
		[ $only != no ] || [ "$(stat -c '%u %a %F' -- "$old")" = "${_hl_me:=$(id -u)} 700 directory" ] || continue
		rm -rf -- "$old"
	done
}

# _hl_place moves the new file into place. If $over is "absent", the kernel makes sure that nothing is there.
_hl_place() {
	if [ "${over-}" = absent ]; then
		mv -nT -- "./$new" "$to" 2>/dev/null
		[ -e "./$new" ] || [ -L "./$new" ] || { new='' && return 0; }
		_hl_same absent "$to"
	fi
	mv -fT -- "./$new" "$to" || exit 1
	new=''
}

_hl_clear() {
	[ -z "$new" ] || rm -rf -- "./$new"
	[ -z "$inner" ] || rmdir -- "../$inner" 2>/dev/null
}

# _hl_read PATH LIMIT prints the beginning of a regular file as head -v does.
_hl_read() {
	about="'$1': "
	_hl_reach "$1" name
	[ "$rest" = "$name" ] && [ -f "./$name" ] && [ ! -L "./$name" ] || exit 0
	printf '\n==> %s <==\n' "$1"
	[ $only = no ] || exec head -c "$2" -- "./$name"
	exec dd if="./$name" iflag=nofollow,nonblock,fullblock bs="$2" count=1 status=none
}
