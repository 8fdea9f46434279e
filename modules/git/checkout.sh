# Check out a commit, in a new or an existing repository. No hook is run.
# how is "over" to discard changes to tracked files, and "again" after a checkout that was interrupted.
path=$1 url=$2 commit=$3 how=$4
umask 022
unset SUDO_UID # git would trust the repositories of the user who called sudo
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR GIT_NAMESPACE # set if a git hook runs hlplay
export GIT_CEILING_DIRECTORIES="${path%/*}"
[ -e "$path/.git" ] || git -c init.defaultBranch=main init --quiet --template= -- "$path" || exit
g() { git -c core.hooksPath=/dev/null -c core.fsmonitor=false -C "$path" "$@"; }
g config --replace-all remote.origin.url "$url" && g config --replace-all remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*' || exit
if ! g cat-file -e "$commit^{commit}" 2>/dev/null; then
	g fetch --quiet --force --prune --tags --no-recurse-submodules origin || exit
	# Some servers provide a commit that is on no branch and no tag.
	g cat-file -e "$commit^{commit}" 2>/dev/null || g fetch --quiet --no-recurse-submodules origin "$commit" || exit 65
fi
[ "$how" != over ] || g reset --quiet --no-recurse-submodules --hard || exit
# Files from an interrupted checkout are nobody's changes, even if git does not track them.
force=
[ "$how" != again ] || force=--force
g update-ref refs/hlplay/coming "$commit" || exit
g checkout --quiet --no-recurse-submodules --detach $force "$commit" -- || {
	failed=$?
	g update-ref -d refs/hlplay/coming
	exit "$failed"
}
g update-ref refs/hlplay/checkout "$commit" && g update-ref -d refs/hlplay/coming
