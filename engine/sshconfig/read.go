// Package sshconfig reads ssh_config(5) files and evaluates them for a host as ssh(1) does: Host and Match blocks, Include,
// and for each keyword the first value that applies.
//
// There is no library that evaluates the criteria of Match, or that says where a value stands: ssh itself is what the
// tests compare with, by ssh -G.
package sshconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"

	"hlplay/engine/localfile"
)

// Place is a line of a file.
type Place struct {
	File string
	Line int
}

func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Error is what is wrong with a line.
type Error struct {
	Place
	Problem string
}

func (e *Error) Error() string { return e.Place.String() + ": " + e.Problem }

// Errorf makes an Error of a line.
func (p Place) Errorf(format string, args ...any) error {
	return &Error{p, fmt.Sprintf(format, args...)}
}

const (
	// largest bounds a file.
	largest = 4 << 20
	// deepest is how many files may include each other, as in ssh.
	deepest = 16
	// mostLines bounds what all included files have together: files that include each other twice over double with
	// each level.
	mostLines = 100_000
)

// Config is a configuration as it was read. The zero value has no settings.
type Config struct {
	path  string
	lines []line
}

// line is one with a keyword.
type line struct {
	Place
	// keyword is in lower case; rest is all that stands behind it, args the words of that, without quotes.
	keyword, rest string
	args          []string
	match         []criterion // of Match
	included      []line      // of Include, each file's lines followed by one without a keyword
}

// Load reads a file with all that it includes. Below ~ is home. With checked nobody but its owner, who is the user or
// root, may be able to write to the file, as ssh demands of ~/.ssh/config and of all that is included.
func Load(path, home string, checked bool) (*Config, error) {
	r := &reader{home: home}
	lines, err := r.file(path, checked, nil)
	if err != nil {
		return nil, err
	}
	return &Config{path, lines}, nil
}

type reader struct {
	home  string
	count int
}

// file reads one file; trail is the files on the way to it.
func (r *reader) file(path string, checked bool, trail []string) ([]line, error) {
	if len(trail) > deepest {
		return nil, fmt.Errorf("%s: more than %d files include each other; does one include itself?", path, deepest)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); checked && ok {
		switch {
		case owner.Uid != 0 && int(owner.Uid) != os.Getuid():
			return nil, fmt.Errorf("%s belongs to neither you nor root, and ssh refuses it too: whoever it belongs to says where you connect", path)
		case info.Mode().Perm()&0o022 != 0:
			return nil, fmt.Errorf("%s can be written to by others (mode %04o), and ssh refuses it too: chmod go-w %s", path, info.Mode().Perm(), path)
		}
	}
	text, err := localfile.Read(path, largest)
	if err != nil {
		return nil, err
	}
	var lines []line
	for i, src := range strings.Split(string(text), "\n") {
		l, err := split(src, Place{path, i + 1})
		if err != nil {
			return nil, err
		}
		if l.keyword == "" {
			continue
		}
		if r.count++; r.count > mostLines {
			return nil, l.Errorf("the files that are included have more than %d lines; does one include itself?", mostLines)
		}
		switch l.keyword {
		case "match":
			l.match, err = criteria(l)
		case "include":
			l.included, err = r.include(l, append(trail[:len(trail):len(trail)], path))
		}
		if err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// include reads the files that an Include names. What is not there is left out, as by ssh.
func (r *reader) include(l line, trail []string) ([]line, error) {
	var all []line
	for _, pattern := range l.args {
		if pattern == "" {
			return nil, l.Errorf("Include has an empty argument")
		}
		path, err := Tilde(pattern, r.home)
		if err != nil {
			return nil, l.Errorf("Include %s: %v", pattern, err)
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(r.home, ".ssh", path)
		}
		files, err := filepath.Glob(path)
		if err != nil {
			return nil, l.Errorf("Include %s: %v", pattern, err)
		}
		for _, file := range files {
			lines, err := r.file(file, true, trail)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				continue
			case err != nil:
				var known *Error
				if errors.As(err, &known) {
					return nil, err
				}
				return nil, l.Errorf("Include %s: %v", pattern, err)
			}
			all = append(append(all, lines...), line{Place: l.Place}) // the end of the file
		}
	}
	return all, nil
}

const blank = " \t\r\n"

// split takes a line apart; one without a keyword is empty or a comment.
func split(src string, at Place) (line, error) {
	src = strings.TrimRight(src, blank+"\f")
	src = strings.TrimLeft(src, blank)
	if src == "" || src[0] == '#' {
		return line{}, nil
	}
	end := strings.IndexAny(src, blank+"=\"")
	l := line{Place: at, keyword: src}
	if end >= 0 {
		l.keyword, l.rest = src[:end], strings.TrimLeft(src[end:], blank)
		if rest, ok := strings.CutPrefix(l.rest, "="); ok {
			l.rest = strings.TrimLeft(rest, blank)
		}
	}
	if l.keyword == "" {
		return line{}, at.Errorf("a line begins with a keyword, and this one with %q", src[:1])
	}
	if l.rest == "" {
		return line{}, at.Errorf("nothing stands behind %s", l.keyword)
	}
	l.keyword = strings.ToLower(l.keyword)
	var ok bool
	if l.args, ok = words(l.rest); !ok {
		return line{}, at.Errorf("a quote is not closed")
	}
	return l, nil
}

// words splits a text at blanks that stand in no quotes, up to a word that begins with #.
func words(text string) (all []string, ok bool) {
	for i := 0; i < len(text); {
		if text[i] == ' ' || text[i] == '\t' {
			i++
			continue
		}
		if text[i] == '#' {
			break
		}
		var word []byte
		var quote byte
		for ; i < len(text); i++ {
			c := text[i]
			if c == '\\' && i+1 < len(text) && (strings.IndexByte(`'"\`, text[i+1]) >= 0 || quote == 0 && text[i+1] == ' ') {
				i++
				word = append(word, text[i])
				continue
			}
			if quote == 0 && (c == ' ' || c == '\t') {
				break
			}
			switch {
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote != 0 && c == quote:
				quote = 0
			default:
				word = append(word, c)
			}
		}
		if quote != 0 {
			return nil, false
		}
		all = append(all, string(word))
	}
	return all, true
}

// Tilde replaces a ~ at the beginning of a path by home, and ~name by the home of that user.
func Tilde(path, home string) (string, error) {
	if !strings.HasPrefix(path, "~") {
		return path, nil
	}
	name, rest, _ := strings.Cut(path[1:], "/")
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		home = u.HomeDir
	}
	return filepath.Join(home, rest), nil
}
