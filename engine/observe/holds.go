package observe

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/remote"
)

// holdsFilesScript compares files with what is expected of them. The first argument has a line for each name that is expected
// to exist, the second what sha256sum prints of the regular files. The numbers of regular files, of all that exist, and of
// names that are expected to be absent follow, then those names in this order, and the directories above all of them. They
// must be plain: nobody but root and the reading user can write to them, and no link leads through them. Only then does
// nothing but the name decide what is read, and reading differently tells nothing else (see filesScript).
const holdsFilesScript = `_e=$1 _s=$2 _k=$3 _n=$4 _b=$5; shift 5
_nl='
'
_o="$(QUOTING_STYLE=c stat -c '%A %u %f %h %U:%G: %N' -- "$@" 2>&1)"
[ $? -le 1 ] || exit 1
_o=$_o$_nl
while [ -n "$_o" ]; do
_r=${_o%%"$_nl"*} _o=${_o#*"$_nl"}
case $_r in
'stat: '*': No such file or directory' | 'stat: '*': Not a directory') continue ;;
[dl-]?????????\ *) ;;
*) exit 1 ;;
esac
_t=${_r#* }
_u=${_t%% *} _t=${_t#* }
if [ -n "$_e" ]; then
_x=${_e%%"$_nl"*} _e=${_e#*"$_nl"}
case $_r in
-*) ;;
*) _t="${_t%% *} - ${_t#* * }" ;;
esac
[ "$_t" = "$_x" ] || exit 1
case $_r in
l*) _hl_mine "$_u" || exit 1 ;;
esac
else
case $_r in
d????-??-?\ *) _hl_mine "$_u" || exit 1 ;;
*) exit 1 ;;
esac
fi
done
[ -z "$_e" ] || exit 1
_i=0 _l=
for _f do
_i=$((_i+1))
if [ $_i -le "$_k" ]; then _l="$_l \"\${$_i}\""; fi
if [ $_i -gt "$_n" ] && [ $_i -le $((_n+_b)) ]; then
if [ -e "$_f" ] || [ -L "$_f" ]; then exit 1; fi
fi
done
[ -z "$_l" ] || [ "$(eval "sha256sum -- $_l")" = "$_s" ]`

// holdsUnsizedScript compares a file whose reported size is meaningless: its mode and owners, as "MODE OWNER:GROUP", and the
// SHA-256 checksum of its content, behind which a line says that it was read to its end: a head that fails has not read an empty
// file. Nobody puts links in such a directory, as its file system makes the files.
const holdsUnsizedScript = `[ -f "$1" ] && [ ! -L "$1" ] || exit 1
[ "$(stat -c '%f %U:%G' -- "$1")" = "$2" ] || exit 1
_h=$({ head -c 1048576 -- "$1" && echo 0; } | sha256sum)
[ "${_h%% *}" = "$3" ]`

// holdsFiles is Files.Holds.
func holdsFiles(values map[string]File) (queries []remote.Query, ok bool) {
	var names, regular, others, absent []string
	var lines, sums strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		f := values[name]
		if unsized(name) {
			if checkPath(name) != nil || f.Type != Regular || f.Truncated || f.Loose != "" {
				return nil, false
			}
			queries = append(queries, remote.Query{Script: holdsUnsizedScript, Args: []string{
				name, fmt.Sprintf("%x %s:%s", uint64(f.Mode)|0o100000, f.Owner, f.Group), fmt.Sprintf("%x", sha256.Sum256([]byte(string(f.Content)+"0\n"))),
			}})
			continue
		}
		names = append(names, name)
		switch {
		case checkPath(name) != nil || !plainName(name) || f.Truncated || f.Loose != "":
			return nil, false
		case f.Type == Absent:
			absent = append(absent, name)
		case f.Type == Regular:
			regular = append(regular, name)
			fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(f.Content), name)
		case f.Type == Directory, f.Type == Symlink && plainName(f.Target):
			others = append(others, name)
		default:
			return nil, false
		}
	}
	for _, name := range slices.Concat(regular, others) {
		f := values[name]
		switch owners := f.Owner + ":" + f.Group; f.Type {
		case Regular:
			fmt.Fprintf(&lines, "%x %d %s: \"%s\"\n", uint64(f.Mode)|0o100000, f.Others+1, owners, name)
		case Directory:
			fmt.Fprintf(&lines, "%x - %s: \"%s\"\n", uint64(f.Mode)|0o040000, owners, name)
		default:
			fmt.Fprintf(&lines, "%x - %s: \"%s\" -> \"%s\"\n", uint64(f.Mode)|0o120000, owners, name, f.Target)
		}
	}
	exist := slices.Concat(regular, others)
	switch {
	case len(names) > namesPerQuery:
		return nil, false
	case len(names) == 0:
		return queries, true
	}
	args := []string{lines.String(), strings.TrimSuffix(sums.String(), "\n"), strconv.Itoa(len(regular)), strconv.Itoa(len(exist)), strconv.Itoa(len(absent))}
	args = append(append(append(args, exist...), absent...), above(names)...)
	return append(queries, remote.Query{Script: holdsFilesScript, Args: args, Hand: "look_holds_files"}), true
}

// plainName reports whether stat(1) and sha256sum(1) print a name as it is.
func plainName(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) < 0
}

// holdsTextFiles returns Kind.Holds of a kind made by TextFiles, whose files are read by a script.
func holdsTextFiles(patterns []string, script string) func(map[string][]TextFile) ([]remote.Query, bool) {
	// place returns which of the patterns a path matches, or -1 unless that is exactly one.
	place := func(f TextFile) int {
		at := -1
		for i, pattern := range patterns {
			switch ok, _ := path.Match(pattern, f.Path); {
			case ok && at >= 0:
				return -1
			case ok:
				at = i
			}
		}
		return at
	}
	return func(values map[string][]TextFile) ([]remote.Query, bool) {
		var queries []remote.Query
		for _, files := range values {
			if slices.ContainsFunc(files, func(f TextFile) bool { return place(f) < 0 || len(f.Content) > textLimit }) {
				return nil, false
			}
			files = slices.SortedFunc(slices.Values(files), func(a, b TextFile) int {
				if i, j := place(a), place(b); i != j {
					return i - j
				}
				return strings.Compare(a.Path, b.Path)
			})
			var paths, contents strings.Builder
			for i, f := range files {
				paths.WriteString(f.Path + "\n")
				if i > 0 {
					contents.WriteString("\n")
				}
				contents.WriteString("==> " + f.Path + " <==\n" + f.Content)
			}
			text := "0\n"
			if len(files) > 0 {
				text = paths.String() + "\n" + contents.String() + text
			}
			args := append([]string{fmt.Sprintf("%x", sha256.Sum256([]byte(text))), strconv.Itoa(len(patterns))}, patterns...)
			for _, f := range files {
				args = append(args, f.Path, fmt.Sprintf("%x", sha256.Sum256([]byte(f.Content))))
			}
			queries = append(queries, remote.Query{
				Script: "_h=$({ (" + script + "\n); echo $?; } 2>/dev/null | sha256sum)\n" + `[ "${_h%% *}" = "$1" ]`,
				Args:   args,
				Hand:   "look_holds_text",
			})
		}
		return queries, true
	}
}

// holdsSysctlsScript compares kernel settings that can be read and written. The first argument has a line "PATH:VALUE" for each
// of the files that follow. A single grep reads them: the shell's read takes single bytes, and the kernel gives only the first.
const holdsSysctlsScript = `_e=$1; shift
_nl='
'
for _f do
[ -f "$_f" ] && [ -r "$_f" ] && [ -w "$_f" ] || exit 1
done
_o="$(grep -sH '' "$@")$_nl"
set -f
while [ -n "$_o" ]; do
_r=${_o%%"$_nl"*} _o=${_o#*"$_nl"}
_t=${_r%%:*}: _s=
for _x in ${_r#*:}; do _t=$_t$_s$_x _s=' '; done
_x=${_e%%"$_nl"*} _e=${_e#*"$_nl"}
[ "$_t" = "$_x" ] || exit 1
done
[ -z "$_e" ]`

// holdsSysctls is Sysctls.Holds.
func holdsSysctls(values map[string]Sysctl) ([]remote.Query, bool) {
	var lines strings.Builder
	args := []string{""}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v, at := values[name], SysctlPath(name)
		if !v.Exists || v.Hidden || v.Fixed || v.Value == "" || NormalSysctl(v.Value) != v.Value || strings.ContainsAny(at, ":\n") {
			return nil, false
		}
		lines.WriteString(at + ":" + v.Value + "\n")
		args = append(args, at)
	}
	args[0] = lines.String()
	return []remote.Query{{Script: holdsSysctlsScript, Args: args, Hand: "look_holds_sysctls"}}, true
}
