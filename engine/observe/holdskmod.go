package observe

import (
	"maps"
	"slices"

	"hlplay/engine/remote"
)

// holdsModulesScript compares modules of the kernel. For each, its arguments are the name with underscores, the pattern of its
// line in the lists of modules, and "yes" or "no" for Loaded, Builtin and Available. A grep that fails has not found that a list
// lacks a module.
const holdsModulesScript = `_nl='
'
_m="$(cat /proc/modules 2>/dev/null)" || [ ! -e /proc/modules ] || exit 1
_m=$_nl$_m$_nl
_k=$(uname -r) || exit 1
_k=/lib/modules/$_k
for _f in builtin dep; do [ -r "$_k/modules.$_f" ] || [ ! -e "$_k/modules.$_f" ] || exit 1; done
_listed() {
[ -e "$_k/modules.$1" ] || return 1
grep -qE -e "$2" "$_k/modules.$1"
case $? in 0) ;; 1) return 1 ;; *) exit 1 ;; esac
}
while [ $# -gt 0 ]; do
_l=no _b=no
case $_m in *"$_nl$1 "*) _l=yes ;; esac
if [ $_l = no ] && [ -d "/sys/module/$1" ] || _listed builtin "$2"; then _l=yes _b=yes; fi
_a=$_l
if [ $_a = no ] && _listed dep "$2"; then _a=yes; fi
[ "$_l $_b $_a" = "$3 $4 $5" ] || exit 1
shift 5
done`

// holdsModules is KernelModules.Holds.
func holdsModules(values map[string]KernelModule) ([]remote.Query, bool) {
	word := map[bool]string{true: "yes", false: "no"}
	var args []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name == "" {
			return nil, false
		}
		m := values[name]
		args = append(args, ModuleName(name), modulePattern(name), word[m.Loaded], word[m.Builtin], word[m.Available])
	}
	return []remote.Query{{Script: holdsModulesScript, Args: args}}, true
}
