# PATH WORD SIZE MODE OWNER GROUP SEEN LAST CONTENT SUM: replaces a file by CONTENT or, if that is left out, by the standard input of
# SIZE bytes, provided that the file is what was SEEN (see same.sh). Empty MODE, OWNER and GROUP are kept. The size is compared
# because a connection that is cut looks like the end of the content. LAST is "file", or "name" to replace a link.
#
# Of a file of more than 1 MiB the stamp is printed (see same.sh), by which the controller knows it again without its being read
# back. That would prove little: SSH has authenticated every packet of the content, and what would be read is the kernel's copy of
# what dd has just written, not the disk. What can fail is to write it, and dd, sync and the size say so. The next run reads the
# file.
_hl_reach "$1" "$8"
_hl_absent
[ "$8" = name ] || [ ! -L "./$name" ] || _hl_die "its link cannot be followed"
[ -L "./$name" ] || [ ! -d "./$name" ] || _hl_die "$at/$name is a directory"
size=$3 mode=$4 user=$5 group=$6 over=$7 content=${9-} given=${9+yes}
_hl_fresh "$2"
# Mode and owner are changed only where they differ: each change costs a process and, in /etc/pve (pmxcfs), where they are
# fixed, is an error. A new file there keeps what pmxcfs gives it.
there=''
if [ ! -L "$to" ] && [ -f "$to" ]; then
	there=$to
elif [ -L "$to" ] || [ ! -e "$to" ]; then
	# Until it is changed, the group that may read the file is the directory's.
	case ${mode:-644}:$group in 644:*) umask 022 ;; 640:) umask 027 ;; esac
fi
if [ -z "$given" ]; then
	# As much at a time as a pipe holds. With nocache the kernel begins at once to write it to the disk, so that sync has little
	# left to wait for; it still keeps it in memory.
	dd bs=64k iflag=fullblock oflag=nocache status=none >"./$new" || exit 1
elif ! { printf %s "$content" >"./$new"; } 2>/dev/null; then
	# A program says why writing failed, the shell does not.
	printf %s "$content" | head -c "$size" >"./$new" || exit 1
fi

case $at/ in
/etc/pve/*) ;;
*)
	if [ -n "$there" ]; then
		cp -P --attributes-only --preserve=mode,ownership,xattr -- "$to" "./$new" ||
			_hl_die "its access control list and extended attributes cannot be carried over to the new file"
	else
		mode=${mode:-644}
	fi
	;;
esac
# A file system that cannot sync says that the argument is invalid. A file that its own owner may not open is not synced.
_hl_sync() {
	said=$(sync -- "./$new" 2>&1) || case $said in *': Invalid argument') ;; *' error syncing '*) _hl_die "$said" ;; esac
}
# Sync first and compare afterwards: a change that somebody makes after the comparison would be lost.
synced=no stamp=''
if [ -n "$there" ]; then
	_hl_sync
	synced=yes
fi
set -f
IFS='
'
# shellcheck disable=SC2046 # one line a field
set -- $(stat --printf '%s\n%a\n%u\n%U\n%g\n%G\n%i:%.9Z\n%i:%.9Y\n' -- "./$new" ${there:+"$there"} 2>/dev/null)
unset IFS
set +f
[ "$1" = "$size" ] || _hl_die "only ${1:-0} of $size bytes have arrived"
is=$2 uid=$3 owner=$4 gid=$5 of=$6 written=$8
if [ $# -gt 8 ]; then
	kept=${10}
	shift 10
	# Setuid and setgid were meant for a program of the previous owner and group, and that owner may have set them.
	[ -z "$user" ] || [ "$user" = "$1" ] || [ "$user" = "$2" ] || kept=${kept#"${kept%???}"}
	[ -z "$group" ] || [ "$group" = "$3" ] || [ "$group" = "$4" ] || kept=${kept#"${kept%???}"}
	mode=${mode:-$kept} user=${user:-$1} group=${group:-$3} stamp=$5
fi
if [ -n "$user" ] && [ "$user" != "$uid" ] && [ "$user" != "$owner" ]; then
	chown -h -- "$user" "./$new" || exit 1
	is='' synced=no
fi
if [ -n "$group" ] && [ "$group" != "$gid" ] && [ "$group" != "$of" ]; then
	chgrp -h -- "$group" "./$new" || exit 1
	is='' synced=no
fi
if [ -n "$mode" ] && [ "$mode" != "$is" ]; then
	chmod -- "$mode" "./$new" || exit 1
	synced=no
fi
if [ $synced = no ]; then
	_hl_sync
	stamp=''
fi
[ -L "$to" ] || [ ! -e "$to" ] || [ -f "$to" ] || _hl_die "$path is not a regular file"
case $over in '' | absent) ;; *) _hl_same "$over" "$to" "${stamp:-$(_hl_stamp "$to")}" ;; esac
_hl_place
# Renaming changes the stamp. If nobody has written to the file meanwhile, its inode and modification time are as before.
if [ "$size" -gt 1048576 ]; then
	# shellcheck disable=SC2046 # two words
	set -- $(stat -c '%i:%.9Y %i:%.9Z' -- "$to" 2>/dev/null)
	[ "${1-}" != "$written" ] || echo "$2"
fi
