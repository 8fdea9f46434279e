package observe

import (
	"maps"
	"slices"
	"strings"

	"hlplay/engine/pattern"
	"hlplay/engine/remote"
)

// holdsPackagesScript compares packages. The first argument has a line "NAME<TAB>STATUS<TAB>VERSION" for each of the packages
// that follow: without a status if dpkg does not know it, and with the version * if that is not known. One that is to be removed may
// also be forgotten (see Packages). A package that is known for two architectures is not compared.
const holdsPackagesScript = `_e=$1; shift
_nl='
' _tab='	'
_o="$(dpkg-query -W -f '${Package}\t${Architecture}\t${Status}\t${Version}\n' -- "$@" 2>/dev/null)"
[ $? -le 1 ] || exit 1
_o=$_nl$_o$_nl
while [ -n "$_e" ]; do
_x=${_e%%"$_nl"*} _e=${_e#*"$_nl"}
_n=${_x%%"$_tab"*} _x=${_x#*"$_tab"}
case $_o in
*"$_nl$_n$_tab"*) ;;
*) case $_x in "$_tab" | *" config-files$_tab"*) continue ;; *) exit 1 ;; esac ;;
esac
_r=${_o#*"$_nl$_n$_tab"}
case $_nl${_r#*"$_nl"} in *"$_nl$_n$_tab"*) exit 1 ;; esac
_r=${_r%%"$_nl"*}
_r=${_r#*"$_tab"}
case $_r in *" not-installed$_tab"*) _r=$_tab ;; esac
case $_x in *" config-files$_tab"*) [ "$_r" != "$_tab" ] || continue ;; esac
case $_x in *"$_tab*") _r="${_r%"$_tab"*}$_tab*" ;; esac
[ "$_r" = "$_x" ] || exit 1
done`

// holdsPackages is Packages.Holds.
func holdsPackages(values map[string]Package) ([]remote.Query, bool) {
	args := []string{""}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		p := values[name]
		version := p.Version
		switch {
		case strings.ContainsAny(name, "*?[]:\t\n"), p.state() == "not-installed", strings.ContainsAny(p.Status+version, "\t\n*"):
			return nil, false
		case p.Status != "" && version == "":
			version = "*"
		}
		args[0] += name + "\t" + p.Status + "\t" + version + "\n"
		args = append(args, name)
	}
	return []remote.Query{{Script: holdsPackagesScript, Args: args}}, true
}

// holdsGlobsScript compares which installed packages match patterns. Its arguments are patterns, each followed by the names, one a line.
const holdsGlobsScript = `_nl='
' _tab='	'
while [ $# -gt 1 ]; do
_p=$1 _e=$2; shift 2
_o="$(dpkg-query -W -f '${Package}\t${Status}\n' -- "$_p" 2>/dev/null)"
[ $? -le 1 ] || exit 1
_o=$_o$_nl _t=
while [ -n "$_o" ]; do
_r=${_o%%"$_nl"*} _o=${_o#*"$_nl"}
_n=${_r%%"$_tab"*}
case $_r in *' installed' | *' triggers-awaited' | *' triggers-pending') ;; *) continue ;; esac
case $_n in $_p) ;; *) continue ;; esac
case $_nl$_t in *"$_nl$_n$_nl"*) continue ;; esac
_t=$_t$_n$_nl
done
[ "$_t" = "$_e" ] || exit 1
done`

// plainGlob matches the patterns that mean the same to dpkg-query, shells and path.Match.
var plainGlob = pattern.New(`^([a-z0-9+.*?-]|\[[a-z0-9]+(-[a-z0-9])?\])+$`)

// holdsGlobs is PackageGlobs.Holds.
func holdsGlobs(values map[string][]string) ([]remote.Query, bool) {
	var args []string
	for _, glob := range slices.Sorted(maps.Keys(values)) {
		if !plainGlob.MatchString(glob) {
			return nil, false
		}
		names := ""
		for _, name := range values[glob] {
			names += name + "\n"
		}
		args = append(args, glob, names)
	}
	return []remote.Query{{Script: holdsGlobsScript, Args: args}}, true
}
