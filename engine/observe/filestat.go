package observe

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"hlplay/engine/remote"
)

// filesScript runs one stat(1) on a list of names and the directories above them, and prints the contents of the files.
// The first argument is the number of names whose content is wanted, the second the number of names; the names follow,
// and after them the directories. In a directory that users other than root and the reading user can write to, or that
// is reached through a link, files are read one by one without following links (see remote.Place). All other files are
// passed to a single process. The list of arguments is built as parameter references for one eval, so that the shell
// never parses a name. Only regular files are opened, because a named pipe would block.
//
// The directories that only their owners can change are looked up in a list of their owners' ids and names: dash tries each
// prefix of a text for ${text##*pattern}, which takes 30 ms for 34 directories in the records of 48 files.
//
// The output is a record for each existing name and directory, a line with the user's id and the numbers of the names
// that are read one by one, an empty line, and the contents.
const filesScript = `_k=$1 _j=$2; shift 2
_nl='
'
_s="$(QUOTING_STYLE=c stat -c '%A %u %f %s %h %i:%.9Z:%U:%G: %N' -- "$@")$_nl"
_g=$_nl
IFS=$_nl
set -f
for _r in $_s; do
case $_r in d????-??-?\ *) _u=${_r#* } _g="$_g${_u%% *} ${_r#*: }$_nl" ;; esac
done
unset IFS
set +f
_x= _n=0
for _f do
_n=$((_n+1)); [ $_n -gt $_j ] || continue
case $_g in
*"${_nl}0 \"$_f\"$_nl"*) continue ;;
*" \"$_f\"$_nl"*) _hl_mine '' || case $_g in *"$_nl$_hl_me \"$_f\"$_nl"*) continue ;; esac ;;
*) [ ! -L "$_f" ] || _hl_mine '' || : ;;
esac
_x="$_x \"\${$_n}\""
done
_l= _c= _i= _n=0
for _f do
_n=$((_n+1)); [ $_n -le $_k ] || break
[ -f "$_f" ] && [ ! -L "$_f" ] || continue
_w=yes
if [ -n "$_x" ]; then eval "for _d in $_x; do case \$_f in \"\${_d%/}\"/*) _w=; break ;; esac; done"; fi
if [ -n "$_w" ]; then _l="$_l \"\${$_n}\""; else _c="$_c \"\${$_n}\"" _i="$_i $_n"; fi
done
printf '%s%s%s\n\n' "$_s" "${_hl_me:-0}" "$_i"
if [ -n "$_l" ]; then eval "head -v -c 1048576 -- $_l"; fi
if [ -n "$_c" ]; then eval "for _f in $_c; do ( _hl_read \"\$_f\" 1048576 ); done"; fi`

// above returns the directories above the given paths, each after its own parents.
func above(names []string) []string {
	seen := map[string]bool{}
	var all []string
	var add func(dir string)
	add = func(dir string) {
		if seen[dir] {
			return
		}
		seen[dir] = true
		if dir != "/" {
			add(path.Dir(dir))
		}
		all = append(all, dir)
	}
	for _, name := range names {
		add(path.Dir(name))
	}
	return all
}

// record is what stat prints about one path.
type record struct {
	file     File
	uid      string
	writable string // who else may write to it; empty if nobody
	sticky   bool
}

// parseRecord parses one record: access rights, owner's id, raw mode, size, links and stamp; then, separated by
// colons, owner and group, whose names may contain spaces but no colon (passwd(5)), and the name in C quotes with, for
// a link, its target.
func parseRecord(line string) (name string, r record, err error) {
	parts := strings.SplitN(line, ":", 5)
	fields := strings.Split(parts[0], " ")
	if len(parts) != 5 || len(fields) != 6 {
		return "", r, fmt.Errorf("stat printed %q, expected six fields and three names", line)
	}
	mode, modeErr := strconv.ParseUint(fields[2], 16, 32)
	size, sizeErr := strconv.ParseInt(fields[3], 10, 64)
	links, linksErr := strconv.Atoi(fields[4])
	shown := strings.TrimPrefix(parts[4], " ")
	quoted, nameErr := strconv.QuotedPrefix(shown)
	if err := errors.Join(modeErr, sizeErr, linksErr, nameErr); err != nil || size < 0 {
		return "", r, fmt.Errorf("stat printed %q", line)
	}
	name, _ = strconv.Unquote(quoted) // QuotedPrefix has checked it
	r.uid = fields[1]
	r.file = File{Type: TypeOf(mode), Mode: fs.FileMode(mode & 0o7777), Owner: parts[2], Group: parts[3], Size: size, Stamp: fields[5] + ":" + parts[1]}
	switch r.file.Type {
	case Symlink:
		target, ok := strings.CutPrefix(shown[len(quoted):], " -> ")
		if r.file.Target, err = strconv.Unquote(target); err != nil || !ok {
			return "", r, fmt.Errorf("stat printed %q", line)
		}
	case Regular:
		r.file.Others = max(0, links-1)
	case Directory:
		r.sticky = mode&0o1000 != 0
		switch {
		case mode&0o002 != 0:
			r.writable = "every user"
		case mode&0o020 != 0:
			r.writable = "the group " + r.file.Group
		}
	}
	return name, r, nil
}

// isAbsence reports whether a message in the C locale says that a file does not exist: ENOENT or ENOTDIR.
func isAbsence(message string) bool {
	return strings.HasSuffix(message, ": No such file or directory") || strings.HasSuffix(message, ": Not a directory")
}

// parseBatch parses the answer to filesScript. Each name without a record has one line on standard error, in the same
// order. A missing file is an observation; any other reason is an error.
func parseBatch(b fileBatch, a remote.Answer) map[string]*reading {
	names := b.names()
	head, contents, _ := bytes.Cut(a.Stdout, []byte("\n\n"))
	records := Lines(head)
	var last []string
	if len(records) > 0 {
		last = strings.Fields(records[len(records)-1])
		records = records[:len(records)-1]
	}
	found := map[string]record{}
	for _, line := range records {
		if name, r, err := parseRecord(line); err == nil {
			found[name] = r
		}
	}
	var complaints, others []string
	for _, c := range Lines(a.Stderr) {
		if strings.HasPrefix(c, "stat: ") {
			complaints = append(complaints, c)
		} else {
			others = append(others, c)
		}
	}
	dirs := above(names)
	missing := 0
	for _, name := range append(dirs, names...) {
		if _, ok := found[name]; !ok {
			missing++
		}
	}
	all := make(map[string]*reading, len(names))
	next := 0
	for _, name := range names {
		r := &reading{file: found[name].file}
		all[name] = r
		if r.file.Exists() {
			continue
		}
		switch {
		case len(complaints) != missing:
			r.err = fmt.Errorf("stat tells nothing of %s (exit %d): %s", name, a.Exit, LastLine(a.Stderr))
		case !isAbsence(complaints[next]):
			r.err = errors.New(complaints[next])
		}
		next++
	}
	careful := map[string]bool{}
	me := "0"
	for i, word := range last {
		if n, err := strconv.Atoi(word); i == 0 {
			me = word
		} else if err == nil && n >= 1 && n <= len(b.sized) {
			careful[b.sized[n-1]] = true
		}
	}
	var order, late []string
	for _, name := range b.sized {
		if careful[name] {
			late = append(late, name)
		} else {
			order = append(order, name)
		}
	}
	parseHeads(append(order, late...), all, contents, others)
	for _, name := range names {
		judge(name, all[name], found, me)
	}
	return all
}

// judge rejects a file that is reachable only through a link that must not be followed, and marks such a link itself.
func judge(name string, r *reading, found map[string]record, me string) {
	mine := func(r record) bool { return r.uid == "0" || r.uid == me }
	loose := ""
	for _, dir := range above([]string{name}) {
		at, ok := found[dir]
		if !ok {
			return
		}
		by := ""
		switch {
		case !mine(at):
			by = at.file.Owner
		case at.writable != "" && (!at.sticky || dir == path.Dir(name)):
			by = at.writable
		}
		if at.file.Type == Symlink && (loose != "" || !mine(at)) {
			if loose == "" {
				loose = by
			}
			r.file = File{}
			r.err = &looseLink{at: dir, target: at.file.Target, by: loose, behind: name}
			return
		}
		if loose == "" {
			loose = by
		}
	}
	if r.file.Type != Symlink {
		return
	}
	dir := found[path.Dir(name)]
	switch {
	case !mine(found[name]):
		r.file.Loose = r.file.Owner
	case dir.sticky && mine(dir) && loose == dir.writable: // the sticky bit protects our link there
	default:
		r.file.Loose = loose
	}
}
