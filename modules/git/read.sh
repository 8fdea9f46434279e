# Print the state of a checkout. Nothing is written, and no program that the repository names is started.
path=$1
unset SUDO_UID # git would trust the repositories of the user who called sudo
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR GIT_NAMESPACE # set if a git hook runs hlplay
export GIT_CEILING_DIRECTORIES="${path%/*}"
g() { git --no-optional-locks -c core.fsmonitor=false -C "$path" "$@"; }
g rev-parse --git-dir >/dev/null || exit
# Both exit with 1 if there is none.
url=$(g config --get remote.origin.url) || [ $? = 1 ] || exit 1
printf 'url %s\n' "$url"
g rev-parse --verify --quiet refs/hlplay/coming >/dev/null && echo interrupted || [ $? = 1 ] || exit 1
head=$(g rev-parse --verify --quiet HEAD) || {
	g symbolic-ref HEAD >/dev/null || exit # HEAD or its branch cannot be read
	exit 0 # the branch has no commit: nothing is checked out yet
}
printf 'head %s\n' "$head"
kept=$(g for-each-ref --count=1 --contains "$head") || exit
[ -z "$kept" ] || echo kept
changed=$(g status --porcelain --untracked-files=no --ignore-submodules=all) || exit
[ -z "$changed" ] || printf '%s\n' "$changed" | sed -n 's/^.../changed /; 1,20p'
