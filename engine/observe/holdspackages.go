package observe

import (
	"maps"
	"slices"
	"strings"

	"hlplay/engine/remote"
)

// holdsPackagesScript compares packages. The first argument has a line "NAME<TAB>STATUS<TAB>VERSION" for each of the packages
// that follow: without a status if dpkg does not know it, and with the version * if that is not known. A package that is known
// for two architectures is not compared.
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
*) [ "$_x" = "$_tab" ] && continue || exit 1 ;;
esac
_r=${_o#*"$_nl$_n$_tab"}
case $_nl${_r#*"$_nl"} in *"$_nl$_n$_tab"*) exit 1 ;; esac
_r=${_r%%"$_nl"*}
_r=${_r#*"$_tab"}
case $_r in *" not-installed$_tab"*) _r=$_tab ;; esac
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
		case strings.ContainsAny(name, "*?[]:\t\n") || p.state() == "config-files", p.state() == "not-installed", strings.ContainsAny(p.Status+version, "\t\n*"):
			return nil, false
		case p.Status != "" && version == "":
			version = "*"
		}
		args[0] += name + "\t" + p.Status + "\t" + version + "\n"
		args = append(args, name)
	}
	return []remote.Query{{Script: holdsPackagesScript, Args: args}}, true
}
