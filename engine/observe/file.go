package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/remote"
)

// FileType is what lies at a path.
type FileType int

const (
	// Absent is the zero value: nothing lies there, or a parent is missing or no directory.
	Absent FileType = iota
	Regular
	Directory
	Symlink
	// Other is a device, a socket or a named pipe.
	Other
)

func (t FileType) String() string {
	switch t {
	case Absent:
		return "absent"
	case Regular:
		return "regular file"
	case Directory:
		return "directory"
	case Symlink:
		return "symbolic link"
	default:
		return "special file"
	}
}

// File is what lies at a path, as lstat(2) sees it: a symbolic link is not followed.
type File struct {
	Type FileType
	// Mode is the permission bits as chmod(1) counts them, setuid, setgid and sticky included as
	// 04000, 02000 and 01000.
	Mode fs.FileMode
	// Owner and Group are names, or "UNKNOWN" where the id has none.
	Owner, Group string
	// Size is in bytes. For files of /proc and /sys, whose size means nothing, it is len(Content).
	Size int64
	// Target is where a symbolic link points, as it is written in the link.
	Target string
	// Others is how many names a regular file has besides this one (hard links).
	Others int
	// Loose, of a symbolic link, says who else than root and the user who reads could make it lead elsewhere: it
	// is not to be followed. It is empty where nobody can.
	Loose string
	// Stamp is the number of its inode and when that was last changed, as in "131:1732772200.123456789": what has the same
	// stamp has the same content. It is empty of what is only predicted.
	Stamp string
	// Content is what is in a regular file, up to FileLimit bytes. Truncated says that there is more.
	Content   []byte
	Truncated bool
}

// Exists reports whether anything lies at the path.
func (f File) Exists() bool { return f.Type != Absent }

// OthersKeep says of a file that is to be replaced what becomes of its other names, as the end of a summary; it is
// empty if there are none.
func (f File) OthersKeep() string {
	switch f.Others {
	case 0:
		return ""
	case 1:
		return "; it has another name (a hard link), which keeps the old content"
	}
	return fmt.Sprintf("; it has %d other names (hard links), which keep the old content", f.Others)
}

// FileLimit is how much of a file's content is observed, in bytes. Beyond it, compare Sums.
const FileLimit = 1 << 20

// Files are what lies at absolute paths. The content of regular files comes along.
var Files = &Kind[File]{Name: "file", What: "the file %s", Shared: OnSharedFileSystem, Ask: askFiles, Parse: parseFiles, Complete: completeFile}

// completeFile leaves out the size of a directory and where and when anything was written, which are the file system's own affair.
func completeFile(expected, found File) File {
	expected.Stamp = found.Stamp
	if expected.Type == Directory {
		expected.Size = found.Size
	}
	return expected
}

// namesPerQuery bounds the length of one argument list, far below the kernel's ARG_MAX.
const namesPerQuery = 1000

// unsizedScript reads alone a file whose size says nothing about its content, so that the split of the
// others can be checked by their sizes.
const unsizedScript = `if [ -f "$1" ] && [ ! -L "$1" ]; then head -c 1048576 -- "$1"; fi`

// fileBatch is the names of one stat: those whose contents come in one answer, and those that are read alone.
type fileBatch struct{ sized, unsized []string }

func (b fileBatch) names() []string { return slices.Concat(b.sized, b.unsized) }

func fileBatches(names []string) []fileBatch {
	var batches []fileBatch
	for part := range slices.Chunk(slices.DeleteFunc(slices.Clone(names), func(name string) bool { return checkPath(name) != nil }), namesPerQuery) {
		var b fileBatch
		for _, name := range part {
			if unsized(name) {
				b.unsized = append(b.unsized, name)
			} else {
				b.sized = append(b.sized, name)
			}
		}
		batches = append(batches, b)
	}
	return batches
}

// checkPath refuses what cannot be a path of a host.
func checkPath(name string) error {
	if !path.IsAbs(name) {
		return fmt.Errorf("the path %q is not absolute", name)
	}
	if strings.IndexByte(name, 0) >= 0 {
		return fmt.Errorf("the path %q holds a NUL byte", name)
	}
	return nil
}

func askFiles(names []string) []remote.Query {
	var queries []remote.Query
	for _, b := range fileBatches(names) {
		all := b.names()
		args := append([]string{strconv.Itoa(len(b.sized)), strconv.Itoa(len(all))}, all...)
		queries = append(queries, remote.Query{Script: filesScript, Args: append(args, above(all)...), Inline: true})
		for _, name := range b.unsized {
			queries = append(queries, remote.Query{Script: unsizedScript, Args: []string{name}, Inline: true})
		}
	}
	return queries
}

func parseFiles(names []string, answers []remote.Answer, tell func(string, File, error)) {
	for _, name := range names {
		if err := checkPath(name); err != nil {
			tell(name, File{}, err)
		}
	}
	for _, b := range fileBatches(names) {
		files := parseBatch(b, answers[0])
		answers = answers[1:]
		for _, name := range b.unsized {
			parseUnsized(files[name], answers[0])
			answers = answers[1:]
		}
		for _, name := range b.names() {
			tell(name, files[name].file, files[name].err)
		}
	}
}

// reading is a file, or why it could not be read.
type reading struct {
	file File
	err  error
}

// typeOf is the file type of a raw st_mode.
func typeOf(mode uint64) FileType {
	switch mode & 0o170000 {
	case 0o100000:
		return Regular
	case 0o040000:
		return Directory
	case 0o120000:
		return Symlink
	default:
		return Other
	}
}

// errChanged is that a file was written to between two of the commands that read it.
var errChanged = errors.New("changed while it was read; run again")

func changed(name string) error { return fmt.Errorf("%s %w", name, errChanged) }

// parseHeads splits what is printed as head -v does, whose headers must stand where stat's sizes say. A file
// that grew or shrank between the two is in error, not the others: the next header is then looked
// for, and believed if it occurs once.
func parseHeads(names []string, files map[string]*reading, rest []byte, complaints []string) {
	if !bytes.HasPrefix(rest, []byte("\n==> ")) { // head itself prints no empty line before the first
		rest = append([]byte{'\n'}, rest...)
	}
	for i, name := range names {
		r := files[name]
		if r.file.Type != Regular || r.err != nil {
			continue
		}
		header := []byte("\n==> " + name + " <==\n")
		if !bytes.HasPrefix(rest, header) {
			r.err = changed(name)
			for _, c := range complaints {
				if strings.Contains(c, "'"+name+"'") {
					r.err = errors.New(strings.TrimPrefix(c, "'"+name+"': "))
				}
			}
			continue
		}
		rest = rest[len(header):]
		size := int(min(r.file.Size, FileLimit))
		if size <= len(rest) && atHeader(rest[size:], names[i+1:], files) {
			r.file.Content = bytes.Clone(rest[:size])
			r.file.Truncated = r.file.Size > FileLimit
			rest = rest[size:]
			continue
		}
		r.err = changed(name)
		rest = nextHeader(rest, names[i+1:], files)
	}
}

// atHeader reports whether rest is the end of the output or begins with the header of one of the
// names that follow.
func atHeader(rest []byte, names []string, files map[string]*reading) bool {
	if len(rest) == 0 {
		return true
	}
	for _, name := range names {
		if files[name].file.Type == Regular && bytes.HasPrefix(rest, []byte("\n==> "+name+" <==\n")) {
			return true
		}
	}
	return false
}

// nextHeader is the output from the first of the following headers on that occurs exactly once.
func nextHeader(rest []byte, names []string, files map[string]*reading) []byte {
	for _, name := range names {
		if files[name].file.Type != Regular {
			continue
		}
		header := []byte("\n==> " + name + " <==\n")
		if bytes.Count(rest, header) == 1 {
			return rest[bytes.Index(rest, header):]
		}
	}
	return nil
}

func parseUnsized(r *reading, a remote.Answer) {
	if r.file.Type != Regular || r.err != nil {
		return
	}
	if a.Exit != 0 {
		r.err = errors.New(LastLine(a.Stderr))
		return
	}
	r.file.Content = bytes.Clone(a.Stdout)
	r.file.Truncated = len(a.Stdout) >= FileLimit
	r.file.Size = int64(len(a.Stdout))
}

// Lines returns the non-empty lines of a message stream.
func Lines(b []byte) []string {
	var all []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// LastLine returns the last non-empty line of a message stream, where programs say what went wrong.
func LastLine(b []byte) string {
	all := Lines(b)
	if len(all) == 0 {
		return "it printed no message"
	}
	return all[len(all)-1]
}

// Text is the content of a regular file at an absolute path, through symbolic links, and whether it
// exists. A directory there, or a file beyond FileLimit, is an error.
func Text(ctx context.Context, h *Host, name string) (text string, exists bool, err error) {
	_, f, err := Follow(ctx, h, name)
	switch {
	case err != nil:
		return "", false, err
	case !f.Exists():
		return "", false, nil
	case f.Type != Regular:
		return "", true, fmt.Errorf("%s is a %s, not a regular file", name, f.Type)
	case f.Truncated:
		return "", true, fmt.Errorf("%s is larger than %d bytes", name, FileLimit)
	}
	return string(f.Content), true, nil
}

// target is the path that a symbolic link at a path leads to.
func (f File) target(at string) string { return leadsTo(at, f.Target) }

func leadsTo(at, target string) string {
	if path.IsAbs(target) {
		return path.Clean(target)
	}
	return path.Join(path.Dir(at), target)
}

// maxLinks is how many symbolic links are followed, as in the kernel.
const maxLinks = 40

// Follow observes what name leads to through symbolic links, and where that is. A link that leads nowhere yields an
// absent file at the place it points to.
//
// A link that a user other than root may change is an error, unless it is the one who acts (WithUser), and what it leads
// to belongs to that user: reading is done as root, which is not to see more for a user than that user could.
func Follow(ctx context.Context, h *Host, name string) (at string, f File, err error) {
	return follow(ctx, h, name, true)
}

// Look is like Follow, except that a link at name itself is not followed.
func Look(ctx context.Context, h *Host, name string) (at string, f File, err error) {
	return follow(ctx, h, name, false)
}

func follow(ctx context.Context, h *Host, name string, last bool) (at string, f File, err error) {
	at = name
	var loose *looseLink // the last one that was followed because it is the acting user's
	for range maxLinks {
		f, err = Files.Observe(ctx, h, at)
		var stop *looseLink
		switch {
		case errors.As(err, &stop): // above
		case err == nil && f.Type == Symlink && last && f.Loose == "":
			at = f.target(at)
			continue
		case err == nil && f.Type == Symlink && last:
			stop = &looseLink{at: at, target: f.Target, by: f.Loose}
			err = stop
		case err == nil && loose != nil && f.Exists() && f.Owner != loose.by:
			return at, File{}, fmt.Errorf("%s is a symbolic link to %s, and %s may change it: %s belongs to %s, so it is not followed; name in the task the path that is meant",
				loose.at, loose.target, loose.by, at, f.Owner)
		default:
			return at, f, err
		}
		if acts, failed := isActing(ctx, h, stop.by); failed != nil {
			return at, f, failed
		} else if !acts {
			return at, f, err
		}
		at = leadsTo(stop.at, stop.target) + strings.TrimPrefix(at, stop.at)
		loose = stop
	}
	return at, File{}, fmt.Errorf("%s: too many levels of symbolic links", name)
}

// looseLink is the error of a symbolic link that is not followed, because another user may change where it leads.
type looseLink struct {
	at, target string
	by         string // who may change it
	behind     string // the path that it stands in the way of; empty if it is the link's own
}

func (l *looseLink) Error() string {
	refused := "it is not followed"
	if l.behind != "" {
		refused = l.behind + " is not looked for behind it"
	}
	return fmt.Sprintf("%s is a symbolic link to %s, and %s may change it: %s; let the task act as that user, or name in it the path that is meant",
		l.at, l.target, l.by, refused)
}
