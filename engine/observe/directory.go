package observe

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"hlplay/engine/remote"
)

// Listing is the content of a directory.
type Listing struct {
	// Exists is false if nothing is at the path, or something that is not a directory.
	Exists bool
	// Entries holds the sorted names in the directory, without "." and "..".
	Entries []string
}

// Dirs observes directories by absolute path. A symbolic link to a directory counts as a directory, but a link that
// another user could have created is an error.
var Dirs = &Kind[Listing]{
	Name: "dir", What: "what is in the directory %s",
	Shared: OnSharedFileSystem,
	Ask: func(names []string) []remote.Query {
		return eachPath(names, dirScript)
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Listing, error)) {
		parseEachPath(names, answers, tell, func(name string, a remote.Answer) (Listing, error) {
			switch a.Exit {
			case exitAbsent:
				return Listing{}, nil
			case exitDenied:
				return Listing{}, fmt.Errorf("%s: permission denied to list the directory", name)
			case 0:
				d := Listing{Exists: true}
				for _, p := range nulTerminated(a.Stdout) {
					d.Entries = append(d.Entries, path.Base(p))
				}
				slices.Sort(d.Entries)
				return d, nil
			}
			return Listing{}, fmt.Errorf("listing %s: %s: %s", name, remote.Ending(a.Exit), LastLine(a.Stderr))
		})
	},
}

const (
	exitAbsent = 2
	exitDenied = 13
)

// dirScript lists a directory with the shell's globs, from within the directory: no name is ever parsed, and no other
// user's link is followed. Globs match nothing in a directory that is not readable, which must not be mistaken for an
// empty one.
const dirScript = `(if [ ! -d "$1" ]; then exit 2; fi
if [ ! -r "$1" ] || [ ! -x "$1" ]; then exit 13; fi
_hl_reach "$1" dir
[ -z "$name" ] || exit 2
for _f in ./* ./.*; do
case $_f in ./.|./..) continue;; esac
if [ -e "$_f" ] || [ -L "$_f" ]; then printf '%s\0' "$_f"; fi
done; exit 0)`

// Sums observes the SHA-256 checksums of regular files in hexadecimal. The checksum of an absent file is empty.
// Symbolic links are followed, except those that another user could have created. Use Sums for files that are too large
// for Files.
var Sums = &Kind[string]{
	Name: "sha256", What: "the checksum of %s",
	Shared: OnSharedFileSystem,
	Ask: func(names []string) []remote.Query {
		return eachPath(names, sumScript("sha256sum"))
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, string, error)) {
		parseEachPath(names, answers, tell, func(name string, a remote.Answer) (string, error) {
			if a.Exit == exitAbsent {
				return "", nil
			}
			sum, _, ok := strings.Cut(string(a.Stdout), " ")
			if a.Exit != 0 || !ok || len(sum) != 64 {
				return "", fmt.Errorf("sha256sum of %s: %s: %s", name, remote.Ending(a.Exit), LastLine(a.Stderr))
			}
			return sum, nil
		})
	},
}

// Wrote remembers what was written at a path, for SumOf.
func (h *Host) Wrote(name string, w remote.Written) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.Stamp == "" {
		delete(h.written, name)
		return
	}
	if h.written == nil {
		h.written = map[string]remote.Written{}
	}
	h.written[name] = w
}

// SumOf returns the checksum of the regular file now, which was observed at a path. The host calculates it only if this run has not
// written the file, or if the file has been touched since: a file with the stamp of what was written has its content, which the
// host has received whole and synced. See write.sh.
func SumOf(ctx context.Context, h *Host, name string, now File) (string, error) {
	h.mu.Lock()
	w := h.written[name]
	h.mu.Unlock()
	if w.Stamp == "" || w.Stamp != now.Stamp {
		return Sums.Observe(ctx, h, name)
	}
	if t, ok := ctx.Value(trackerKey{}).(*Tracker); ok {
		t.found(h, Sums.Key(name), w.Sum)
	}
	return w.Sum, nil
}

// sumScript returns a script that runs the given checksum programs on a file. They read the content from standard
// input, so that the name is neither parsed nor escaped. Only regular files are opened, because a named pipe would
// block. Where other users may change names, the file is opened without following a link.
func sumScript(programs string) string {
	return `(if [ ! -e "$1" ]; then exit 2; fi
_hl_reach "$1" file
if [ "$rest" != "$name" ] || [ ! -f "./$name" ]; then echo "it is not a regular file" >&2; exit 1; fi
export LC_ALL=C
for _p in ` + programs + `; do
if [ $only = no ]; then dd if="./$name" iflag=nofollow,nonblock bs=1M status=none | $_p; else $_p <"./$name"; fi || exit 1
done)`
}

// eachPath returns one query for each name that is an absolute path.
func eachPath(names []string, script string) []remote.Query {
	var queries []remote.Query
	for _, name := range names {
		if checkPath(name) == nil {
			queries = append(queries, remote.Query{Script: script, Args: []string{name}})
		}
	}
	return queries
}

func parseEachPath[T any](names []string, answers []remote.Answer, tell func(string, T, error), parse func(string, remote.Answer) (T, error)) {
	var zero T
	for _, name := range names {
		if err := checkPath(name); err != nil {
			tell(name, zero, err)
			continue
		}
		value, err := parse(name, answers[0])
		answers = answers[1:]
		tell(name, value, err)
	}
}

// nulTerminated splits the output of printf '%s\0'.
func nulTerminated(b []byte) []string {
	all := strings.Split(string(b), "\x00")
	return slices.Clip(all[:len(all)-1])
}
