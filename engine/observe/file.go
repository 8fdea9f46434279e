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

// FileType is the type of the file at a path.
type FileType int

const (
	// Absent is the zero value: nothing is at the path, or a parent is missing or not a directory.
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

// File describes what is at a path, as lstat(2) sees it: a symbolic link is not followed.
type File struct {
	Type FileType
	// Mode holds the permission bits as in chmod(1), including setuid, setgid and sticky as 04000, 02000 and 01000.
	Mode fs.FileMode
	// Owner and Group are names, or "UNKNOWN" if the id has no name.
	Owner, Group string
	// Size is in bytes. For files in /proc and /sys, whose reported size is meaningless, it is len(Content).
	Size int64
	// Target is the target of a symbolic link, exactly as stored in the link.
	Target string
	// Others is the number of other names (hard links) of a regular file.
	Others int
	// Loose is set for a symbolic link that must not be followed, because somebody other than root and the reading user
	// could redirect it. It says who. It is empty if nobody could.
	Loose string
	// Stamp is the inode number and its last change time, as in "131:1732772200.123456789": files with the same stamp
	// have the same content. It is empty for a file that is only predicted.
	Stamp string
	// Content is the content of a regular file, up to FileLimit bytes. Truncated is set if the file is longer.
	Content   []byte
	Truncated bool
}

// Exists reports whether anything is at the path.
func (f File) Exists() bool { return f.Type != Absent }

// OthersKeep describes what happens to the other names of a file that is to be replaced, to be appended to a summary.
// It is empty if there are none.
func (f File) OthersKeep() string {
	switch f.Others {
	case 0:
		return ""
	case 1:
		return "; it has another name (a hard link), which keeps the old content"
	}
	return fmt.Sprintf("; it has %d other names (hard links), which keep the old content", f.Others)
}

// FileLimit is the maximum number of bytes of a file's content that is observed. Use Sums to compare larger files.
const FileLimit = 1 << 20

// Files observes what is at absolute paths, including the content of regular files.
var Files = &Kind[File]{Name: "file", What: "the file %s", Shared: changesElsewhere, Ask: askFiles, Parse: parseFiles, Holds: holdsFiles, Complete: completeFile}

// completeFile fills in what the file system decides: the size of a directory, and the inode and change time of
// anything written.
func completeFile(expected, found File) File {
	expected.Stamp = found.Stamp
	if expected.Type == Directory {
		expected.Size = found.Size
	}
	return expected
}

// namesPerQuery bounds the length of one argument list, far below the kernel's ARG_MAX.
const namesPerQuery = 1000

// unsizedScript reads a file whose reported size is meaningless. Such files are read one by one, so that the splitting
// of the other contents can be checked against their sizes.
const unsizedScript = `if [ -f "$1" ] && [ ! -L "$1" ]; then head -c 1048576 -- "$1"; fi`

// fileBatch holds the names passed to one stat. The contents of sized files come in one answer; unsized files are read
// one by one.
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

// checkPath returns an error if name cannot be a path on a host.
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
		queries = append(queries, remote.Query{Script: filesScript, Args: append(args, above(all)...), Inline: true, Hand: "look_files"})
		for _, name := range b.unsized {
			queries = append(queries, remote.Query{Script: unsizedScript, Args: []string{name}, Inline: true, Hand: "look_unsized"})
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

// reading is a file, or the reason why it could not be read.
type reading struct {
	file File
	err  error
}

// TypeOf returns the file type encoded in a raw st_mode, as stat -c %f prints it in hexadecimal (inode(7)).
func TypeOf(mode uint64) FileType {
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

// ChangingError reports that a file was modified between two of the commands that read it. Reading it again may
// succeed.
type ChangingError struct{ Path string }

// Error implements error.
func (e *ChangingError) Error() string { return e.Path + " changed while it was read; run again" }

// changing reports whether an error is a *ChangingError.
func changing(err error) bool {
	var e *ChangingError
	return errors.As(err, &e)
}

// parseHeads splits output in the format of head -v, whose headers must be where the sizes reported by stat say. A file
// that grew or shrank in between is an error but does not affect the others: parsing resumes at the next header that
// occurs exactly once.
func parseHeads(names []string, files map[string]*reading, rest []byte, complaints []string) {
	if !bytes.HasPrefix(rest, []byte("\n==> ")) { // head itself prints no empty line before the first header
		rest = append([]byte{'\n'}, rest...)
	}
	for i, name := range names {
		r := files[name]
		if r.file.Type != Regular || r.err != nil {
			continue
		}
		header := []byte("\n==> " + name + " <==\n")
		if !bytes.HasPrefix(rest, header) {
			r.err = &ChangingError{name}
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
		r.err = &ChangingError{name}
		rest = nextHeader(rest, names[i+1:], files)
	}
}

// atHeader reports whether rest is empty or begins with the header of one of the names that follow.
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

// nextHeader returns the output starting at the first of the following headers that occurs exactly once.
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

// Lines returns the non-empty lines of a program's output.
func Lines(b []byte) []string {
	var all []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// LastLine returns the last non-empty line of a program's error output, which usually says what went wrong.
func LastLine(b []byte) string {
	all := Lines(b)
	if len(all) == 0 {
		return "it printed no message"
	}
	return all[len(all)-1]
}

// Text returns the content of a regular file at an absolute path and whether it exists, following symbolic links. A
// directory or other special file, or a file larger than FileLimit, is an error.
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

// target returns the path to which a symbolic link at the given path leads.
func (f File) target(at string) string { return leadsTo(at, f.Target) }

func leadsTo(at, target string) string {
	if path.IsAbs(target) {
		return path.Clean(target)
	}
	return path.Join(path.Dir(at), target)
}

// maxLinks is the maximum number of symbolic links that are followed, the same as in the kernel.
const maxLinks = 40

// Follow resolves symbolic links from name, observes the file at the end and returns its path. A dangling link yields
// an absent file at the path to which it leads.
//
// A link that a user other than root may change is an error, unless that user is the acting user (WithUser) and owns
// the link's target. Reading is done as root, and must not reveal more to a user than the user could see.
func Follow(ctx context.Context, h *Host, name string) (at string, f File, err error) {
	return follow(ctx, h, name, true)
}

// Look is like Follow, but does not follow a link at name itself.
func Look(ctx context.Context, h *Host, name string) (at string, f File, err error) {
	return follow(ctx, h, name, false)
}

func follow(ctx context.Context, h *Host, name string, last bool) (at string, f File, err error) {
	at = name
	var loose *looseLink // the last link that was followed because it belongs to the acting user
	for range maxLinks {
		f, err = Files.Observe(ctx, h, at)
		var stop *looseLink
		switch {
		case errors.As(err, &stop): // a link in a directory above
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

// looseLink is the error for a symbolic link that is not followed because another user may change its target.
type looseLink struct {
	at, target string
	by         string // who may change it
	behind     string // the path that cannot be reached because of it; empty if the link is at the path itself
}

func (l *looseLink) Error() string {
	refused := "it is not followed"
	if l.behind != "" {
		refused = l.behind + " is not looked for behind it"
	}
	return fmt.Sprintf("%s is a symbolic link to %s, and %s may change it: %s; let the task act as that user, or name in it the path that is meant",
		l.at, l.target, l.by, refused)
}
