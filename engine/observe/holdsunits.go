package observe

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/remote"
)

// holdsUnitsScript compares systemd units with what is expected of them. The first argument has a line for each of the units
// that follow, as unitLine makes it.
const holdsUnitsScript = `_e=$1; shift
_nl='
'
if [ -n "${_hl_said+set}" ]; then
_o=$_hl_said
else
_o=$(systemctl show --no-pager --property=` + unitProperties + ` -- "$@")
fi
_o=$_o$_nl$_nl
_i= _l= _w= _a= _f= _p= _d= _s=
while [ -n "$_o" ]; do
_r=${_o%%"$_nl"*} _o=${_o#*"$_nl"}
_v=${_r#*=}
case $_r in
Id=*) _i=$_v ;;
LoadState=*) _l=$_v ;;
LoadError=org.freedesktop.systemd1.UnitMasked\ *) ;;
LoadError=*\ *) _w=${_v#* } _w=${_w#\"} _w=${_w%\"} ;;
ActiveState=*) _a=$_v ;;
SubState=*) _s=$_v ;;
UnitFileState=*) _f=$_v ;;
SourcePath=*) _p=$_v ;;
NeedDaemonReload=*) _d=$_v ;;
'')
_x=${_e%%"$_nl"*} _e=${_e#*"$_nl"}
_t="$_i|$_l|$_w|$_a|$_f|$_p|$_d|"
[ "$_x" = "$_t$_s" ] || [ "$_x" = "$_t*" ] || exit 1
_i= _l= _w= _a= _f= _p= _d= _s=
;;
esac
done
[ -z "$_e" ]`

// holdsUnits is Units.Holds.
func holdsUnits(values map[string]Unit) ([]remote.Query, bool) {
	args := []string{""}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		line, ok := values[name].line()
		if !ok || CheckUnitName(name) != nil {
			return nil, false
		}
		args[0] += line + "\n"
		args = append(args, name)
	}
	return []remote.Query{{Script: holdsUnitsScript, Args: args, Says: saysUnits(args[1:])}}, true
}

// line returns what holdsUnitsScript expects of a unit. ok is false if more than systemctl show tells whether it is so: an init
// script is enabled by links.
func (u Unit) line() (line string, ok bool) {
	if strings.HasPrefix(u.Source, initScripts) {
		return "", false
	}
	stale := "no"
	if u.Stale {
		stale = "yes"
	}
	fields := []string{u.ID, u.LoadState, u.LoadError, u.ActiveState, u.UnitFileState, u.Source, stale, cmp.Or(u.SubState, "*")}
	return strings.Join(fields, "|"), !slices.ContainsFunc(fields, func(f string) bool { return strings.ContainsAny(f, "|\n\"") })
}
