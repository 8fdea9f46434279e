package observe

import (
	"bytes"
	"fmt"
	"path"
	"strconv"
	"strings"

	"hlplay/engine/remote"
)

// TextFile is one of a set of configuration files that are read together.
type TextFile struct {
	Path, Content string
}

// textFiles is the kind whose one observation, without a name, is all files that match patterns of
// the shell, in the order of the patterns and then by name. The patterns are the kind's own text.
// Names with unusual characters are left out, as the programs that read such directories do.
func textFiles(kind string, patterns ...string) *Kind[[]TextFile] {
	return &Kind[[]TextFile]{
		Name: kind, What: "the files " + strings.Join(patterns, " "),
		Ask: func([]string) []remote.Query {
			return []remote.Query{{Script: `for _f in ` + strings.Join(patterns, " ") + `; do
case $_f in *[!A-Za-z0-9_./-]*) continue ;; esac
if [ -f "$_f" ]; then printf '%d %s\n' "$(wc -c <"$_f")" "$_f"; cat "$_f"; printf '\n'; fi
done`}}
		},
		Parse: func(names []string, answers []remote.Answer, tell func(string, []TextFile, error)) {
			files, err := parseTextFiles(answers[0].Stdout)
			for _, name := range names {
				tell(name, files, err)
			}
		},
	}
}

// parseTextFiles reads what the script prints: for each file "SIZE PATH\n", SIZE bytes, "\n".
func parseTextFiles(out []byte) ([]TextFile, error) {
	var files []TextFile
	for len(out) > 0 {
		header, rest, _ := bytes.Cut(out, []byte("\n"))
		digits, name, ok := strings.Cut(string(header), " ")
		size, err := strconv.Atoi(digits)
		if !ok || err != nil || size < 0 || size >= len(rest) || rest[size] != '\n' {
			return nil, fmt.Errorf("expected the size and path of the next file, found %q: a file changed while it was read; run again", header)
		}
		files = append(files, TextFile{name, string(rest[:size])})
		out = rest[size+1:]
	}
	return files, nil
}

// WithTextFile is files after content was written to name; nil content takes the file away. The
// order stays; a new file comes last.
func WithTextFile(files []TextFile, name string, content *string) []TextFile {
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

// placedText is what the files read together, and the package index, look like once f lies at name.
func placedText(h *Host, name string, f File) []Expectation {
	var content *string
	if f.Type == Regular {
		text := string(f.Content)
		content = &text
	}
	var expect []Expectation
	renew := func(kind *Kind[[]TextFile]) {
		if known, ok := h.Known(kind.Key("")); ok {
			expect = append(expect, kind.Expect("", WithTextFile(known.([]TextFile), name, content)))
		} else {
			expect = append(expect, kind.Unknown("", name+" is about to change"))
		}
	}
	dir, base := path.Split(name)
	switch {
	case name == "/etc/apt/sources.list",
		dir == "/etc/apt/sources.list.d/" && (path.Ext(base) == ".list" || path.Ext(base) == ".sources"):
		renew(AptSources)
		expect = append(expect, AptIndex.Expect("", Index{Exists: true, Stale: true}))
	case dir == "/etc/apt/trusted.gpg.d/", dir == "/etc/apt/keyrings/", dir == "/usr/share/keyrings/":
		expect = append(expect, AptIndex.Expect("", Index{Exists: true, Stale: true}))
	case dir == "/etc/sysctl.d/" && path.Ext(base) == ".conf":
		renew(SysctlFiles)
	}
	return expect
}
