package observe

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/remote"
)

// holdsUsersScript compares accounts with what is expected of them. The first argument has a line for each of the accounts
// that follow, as userLine makes it. getent(1) exits with 2 if it did not find all of them, and otherwise tells nothing.
const holdsUsersScript = `_e=$1; shift
_nl='
'
_p="$(getent passwd "$@")"
case $? in 0 | 2) ;; *) exit 1 ;; esac
_p=$_nl$_p$_nl
_g="$(getent group)" || exit 1
_g=$_g$_nl
while [ -n "$_e" ]; do
_x=${_e%%"$_nl"*} _e=${_e#*"$_nl"}
_n=${_x%%:*} _x=${_x#*:}
if [ -z "$_x" ]; then
case $_p in *"$_nl$_n:"*) exit 1 ;; esac
continue
fi
_u=${_x%%:*} _x=${_x#*:}
_i=${_x%%:*} _x=${_x#*:}
_o=${_x%%:*} _x=${_x#*:}
_c=${_x%%:*} _x=${_x#*:}
_m=${_x%%:*} _x=${_x#*:}
case $_p in *"$_nl$_n:"*) ;; *) exit 1 ;; esac
_r=${_p#*"$_nl$_n:"}
_r=${_r%%"$_nl"*}
_r=${_r#*:}
_a=${_r%%:*} _r=${_r#*:}
_b=${_r%%:*} _r=${_r#*:}
[ "$_r" = "$_x" ] || exit 1
[ "$_u" = -1 ] || [ "$_u" = "$_a" ] || exit 1
[ "$_i" = -1 ] || [ "$_i" = "$_b" ] || exit 1
_q=$_g _w=
while [ -n "$_q" ]; do
_r=${_q%%"$_nl"*} _q=${_q#*"$_nl"}
_t=${_r%%:*} _l=${_r##*:} _r=${_r#*:*:}
if [ -z "$_w" ] && [ "${_r%%:*}" = "$_b" ]; then _w=$_t; fi
case ,$_l, in
*",$_n,"*)
case $_m in *",$_t,"*) ;; *) exit 1 ;; esac
_c=$((_c-1))
;;
esac
done
[ "$_w" = "$_o" ] && [ "$_c" = 0 ] || exit 1
done`

// userLine is what holdsUsersScript expects of an account, of which only the name is given if there is none.
func userLine(name string, u User) string {
	if !u.Exists() {
		return name + ":"
	}
	return fmt.Sprintf("%s:%d:%d:%s:%d:,%s,:%s:%s:%s", name, u.UID, u.GID, u.Group, len(u.Groups), strings.Join(u.Groups, ","), u.Comment, u.Home, u.Shell)
}

// holdsUsers is Users.Holds.
func holdsUsers(values map[string]User) ([]remote.Query, bool) {
	args := []string{""}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		u := values[name]
		fields := append([]string{name, u.Group, u.Comment, u.Home, u.Shell}, u.Groups...)
		if CheckKnownName(name) != nil || u.Exists() && u.Name != name || slices.ContainsFunc(fields, func(f string) bool { return strings.ContainsAny(f, ":\n") }) {
			return nil, false
		}
		args[0] += userLine(name, u) + "\n"
		args = append(args, name)
	}
	return []remote.Query{{Script: holdsUsersScript, Args: args}}, true
}

// holdsGroupsScript compares groups. The first argument has a line "NAME:GID:MEMBERS" for each of the groups that follow, with
// -1 for an ID that is not known, and "NAME:" for one that does not exist.
const holdsGroupsScript = `_e=$1; shift
_nl='
'
_g="$(getent group "$@")"
case $? in 0 | 2) ;; *) exit 1 ;; esac
_g=$_nl$_g$_nl
while [ -n "$_e" ]; do
_x=${_e%%"$_nl"*} _e=${_e#*"$_nl"}
_n=${_x%%:*} _x=${_x#*:}
case $_g in
*"$_nl$_n:"*) [ -n "$_x" ] || exit 1 ;;
*) [ -z "$_x" ] && continue || exit 1 ;;
esac
_r=${_g#*"$_nl$_n:"}
_r=${_r%%"$_nl"*}
_r=${_r#*:}
case $_x in -1:*) _r=-1:${_r#*:} ;; esac
[ "$_r" = "$_x" ] || exit 1
done`

// holdsGroups is Groups.Holds.
func holdsGroups(values map[string]Group) ([]remote.Query, bool) {
	args := []string{""}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		g := values[name]
		line := name + ":"
		if g.Exists() {
			line += strconv.Itoa(g.GID) + ":" + strings.Join(g.Members, ",")
		}
		if CheckKnownName(name) != nil || g.Exists() && g.Name != name || slices.ContainsFunc(g.Members, func(m string) bool { return strings.ContainsAny(m, ":,\n") }) {
			return nil, false
		}
		args[0] += line + "\n"
		args = append(args, name)
	}
	return []remote.Query{{Script: holdsGroupsScript, Args: args}}, true
}
