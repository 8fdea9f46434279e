# PATH WORD TARGET SEEN: makes a symbolic link, replacing what is there unless that is a directory.
_hl_reach "$1" name
_hl_absent
_hl_fresh "$2"
over=$4
ln -s -- "$3" "./$new" || exit 1
case $over in '' | absent) ;; *) _hl_same "$over" "$to" "$(_hl_stamp "$to")" ;; esac
_hl_place
