package observe

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/remote"
)

// TextFile is one of a set of configuration files that are read together.
type TextFile struct {
	Path, Content string
}

// TextFiles returns a kind with a single observation, under the empty name: all files that match the given shell
// patterns, in the order of the patterns and then by name. The patterns are constants of the kind. Files with unusual
// characters in their names are ignored, as by the programs that read such directories. A link to /dev/null, which
// masks files of the same name in other directories, is an empty file.
func TextFiles(kind string, patterns ...string) *Kind[[]TextFile] {
	script := `set --
_r=0
for _f in ` + strings.Join(directories(patterns), " ") + `; do
if [ -d "$_f" ] && { [ ! -r "$_f" ] || [ ! -x "$_f" ]; }; then printf '%s: Permission denied\n' "$_f" >&2; _r=13; fi
done
for _f in ` + strings.Join(patterns, " ") + `; do
case $_f in *[!A-Za-z0-9_./-]*) continue ;; esac
if [ -f "$_f" ] || [ -c "$_f" ]; then set -- "$@" "$_f"; fi
done
if [ $_r -gt 0 ]; then (exit $_r)
elif [ $# -gt 0 ]; then printf '%s\n' "$@" '' && head -v -c ` + strconv.Itoa(textLimit+1) + ` -- "$@"; fi`
	return &Kind[[]TextFile]{
		Name: kind, What: "the files " + strings.Join(patterns, " "),
		Ask: func([]string) []remote.Query {
			return []remote.Query{{Script: script, Args: patterns, Inline: true, Hand: "look_text"}}
		},
		Holds: holdsTextFiles(patterns, script),
		Parse: func(names []string, answers []remote.Answer, tell func(string, []TextFile, error)) {
			files, err := parseTextFiles(answers[0])
			for _, name := range names {
				tell(name, files, err)
			}
		},
		Complete: func(expected, found []TextFile) []TextFile { // the order of reading is not claimed
			at := map[string]int{}
			for i, f := range found {
				at[f.Path] = i
			}
			return slices.SortedStableFunc(slices.Values(expected), func(a, b TextFile) int { return at[a.Path] - at[b.Path] })
		},
	}
}

// directories returns the directories of the patterns. They are checked separately because nothing matches in an
// unreadable directory, which must not be mistaken for an empty one.
func directories(patterns []string) []string {
	var dirs []string
	for _, pattern := range patterns {
		if dir := path.Dir(pattern); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// textLimit is the maximum size of one of these files in bytes.
const textLimit = 16 << 20

// parseTextFiles parses the output of the script: the paths, one per line, an empty line, and the files as printed by
// head -v, each after a header.
func parseTextFiles(a remote.Answer) ([]TextFile, error) {
	if a.Exit != 0 {
		return nil, fmt.Errorf("reading files: %s: %s", remote.Ending(a.Exit), LastLine(a.Stderr))
	}
	if len(a.Stdout) == 0 {
		return nil, nil
	}
	list, rest, _ := bytes.Cut(a.Stdout, []byte("\n\n"))
	var files []TextFile
	for name := range strings.SplitSeq(string(list), "\n") {
		files = append(files, TextFile{Path: name})
	}
	header := func(i int) []byte { return []byte("\n==> " + files[i].Path + " <==\n") }
	rest = append([]byte("\n"), rest...)
	headers := map[string]int{} // occurrences of each header, including lines of a file that look like one
	for line := range bytes.Lines(rest) {
		if name, ok := bytes.CutPrefix(line, []byte("==> ")); ok {
			if name, ok = bytes.CutSuffix(name, []byte(" <==\n")); ok {
				headers[string(name)]++
			}
		}
	}
	for i, f := range files {
		var found bool
		if rest, found = bytes.CutPrefix(rest, header(i)); !found {
			return nil, fmt.Errorf("%s does not stand where it should in what `head -v` printed", f.Path)
		}
		size := len(rest)
		if i+1 < len(files) {
			next := header(i + 1)
			size = bytes.Index(rest, next)
			if size < 0 || headers[files[i+1].Path] > 1 {
				return nil, fmt.Errorf("where %s begins is not clear in what `head -v` printed: one of the files that are read with it has its header, %q, for a line",
					files[i+1].Path, bytes.TrimSpace(next))
			}
		}
		if size > textLimit {
			return nil, fmt.Errorf("%s is larger than %d MiB", f.Path, textLimit>>20)
		}
		files[i].Content, rest = string(rest[:size]), rest[size:]
	}
	return files, nil
}

// DropIns returns the files of drop-in directories that take effect, in the order in which they are read: by name,
// whatever their directory (sysctl.d(5), modprobe.d(5)). A file in /etc hides those of the same name in /run, and
// these hide those in /usr/local/lib and /usr/lib, even if it is empty or a link to /dev/null.
func DropIns(files []TextFile) []TextFile {
	prefixes := []string{"/etc/", "/run/", "/usr/local/lib/", "/usr/lib/", "/lib/"}
	rank := func(f TextFile) int {
		return slices.IndexFunc(prefixes, func(p string) bool { return strings.HasPrefix(f.Path, p) })
	}
	byName := map[string]TextFile{}
	for _, f := range files {
		name := path.Base(f.Path)
		if other, ok := byName[name]; !ok || rank(f) < rank(other) {
			byName[name] = f
		}
	}
	var counting []TextFile
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		counting = append(counting, byName[name])
	}
	return counting
}

// withTextFile returns files after content was written to name. If content is nil, the file is removed. The order is
// kept, and a new file comes last.
func withTextFile(files []TextFile, name string, content *string) []TextFile {
	var changed []TextFile
	found := false
	for _, f := range files {
		if f.Path != name {
			changed = append(changed, f)
			continue
		}
		found = true
		if content != nil {
			changed = append(changed, TextFile{name, *content})
		}
	}
	if !found && content != nil {
		changed = append(changed, TextFile{name, *content})
	}
	return changed
}

// PlacedText returns the Meaning of files that kind, which TextFiles created, observes: those whose path matches one of the
// patterns (path.Match).
func PlacedText(kind *Kind[[]TextFile], patterns ...string) Meaning {
	return func(h *Host, name string, f File) []Expectation {
		if !slices.ContainsFunc(patterns, func(p string) bool { matches, _ := path.Match(p, name); return matches }) {
			return nil
		}
		return []Expectation{ExpectTextFile(h, kind, name, f)}
	}
}

// ExpectTextFile returns what kind, which TextFiles created and which covers name, will observe when f is at name.
func ExpectTextFile(h *Host, kind *Kind[[]TextFile], name string, f File) Expectation {
	known, ok := h.Known(kind.Key(""))
	if !ok {
		return kind.Unknown("", name+" is about to change")
	}
	return kind.ExpectUpdate("", known.([]TextFile), func(files []TextFile) []TextFile {
		if f.Type != Regular {
			return withTextFile(files, name, nil)
		}
		text := string(f.Content)
		return withTextFile(files, name, &text)
	})
}
