# PATH WORD TARGET: makes a symbolic link, or replaces what is there by one unless that is a directory.
_hl_reach "$1" name
_hl_absent
_hl_fresh "$2"
ln -s -- "$3" "./$new" || exit 1
_hl_place
