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
			return []remote.Query{{Script: `set --
for _f in ` + strings.Join(patterns, " ") + `; do
case $_f in *[!A-Za-z0-9_./-]*) continue ;; esac
if [ -f "$_f" ]; then set -- "$@" "$_f"; fi
done
if [ $# -gt 0 ]; then wc -c -- "$@" && head -v -c ` + strconv.Itoa(textLimit) + ` -- "$@"; fi`, Inline: true}}
		},
		Parse: func(names []string, answers []remote.Answer, tell func(string, []TextFile, error)) {
			files, err := parseTextFiles(answers[0])
			for _, name := range names {
				tell(name, files, err)
			}
		},
	}
}

// textLimit is how long one of these files may be, in bytes.
const textLimit = 16 << 20

// parseTextFiles reads what the script prints: the sizes as wc tells them, "SIZE PATH\n" each and a total if
// there are several, then the files as head -v does, whose headers must stand where the sizes say.
func parseTextFiles(a remote.Answer) ([]TextFile, error) {
	if a.Exit != 0 {
		return nil, fmt.Errorf("reading files ended with %d: %s", a.Exit, lastLine(a.Stderr))
	}
	var files []TextFile
	var sizes []int
	rest := a.Stdout
	for len(rest) > 0 && !bytes.HasPrefix(rest, []byte("==> ")) {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		digits, name, ok := strings.Cut(strings.TrimSpace(string(line)), " ")
		size, err := strconv.Atoi(digits)
		if !ok || err != nil || size < 0 {
			return nil, fmt.Errorf("expected the size and path of a file, found %q", line)
		}
		if size > textLimit {
			return nil, fmt.Errorf("%s is larger than %d MiB", name, textLimit>>20)
		}
		rest = after
		if path.IsAbs(name) { // else it is the total
			files, sizes = append(files, TextFile{Path: name}), append(sizes, size)
		}
	}
	for i := range files {
		header := "==> " + files[i].Path + " <==\n"
		if i > 0 {
			header = "\n" + header
		}
		size := len(header) + sizes[i]
		if size > len(rest) || !bytes.HasPrefix(rest, []byte(header)) || i+1 == len(files) && size < len(rest) {
			return nil, changed(files[i].Path)
		}
		files[i].Content = string(rest[len(header):size])
		rest = rest[size:]
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
