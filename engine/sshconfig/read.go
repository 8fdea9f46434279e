// Package sshconfig reads ssh_config(5) files and evaluates them for a host as ssh(1) does: Host and Match blocks,
// Include, and the first value that applies to each keyword.
//
// No library evaluates Match criteria or reports where a value was set. The tests compare the results with those of ssh
// -G.
package sshconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"hlplay/engine/localfile"
)

// Place is a line in a file.
type Place struct {
	File string
	Line int
}

func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Error is a problem with a line of a file.
type Error struct {
	Place
	Problem string
}

func (e *Error) Error() string { return e.Place.String() + ": " + e.Problem }

// Errorf returns an Error about the line.
func (p Place) Errorf(format string, args ...any) error {
	return &Error{p, fmt.Sprintf(format, args...)}
}

const (
	// largest is the size limit of a file.
	largest = 4 << 20
	// deepest is the maximum depth of includes, the same as in ssh.
	deepest = 16
	// mostLines limits the lines of all included files together: two files that include each other twice double the
	// number with each level.
	mostLines = 100_000
)

// Config is a parsed configuration. The zero value has no settings.
type Config struct {
	path  string
	lines []line
}

// line is a line that has a keyword.
type line struct {
	Place
	// keyword is in lower case. rest is the text after it, and args are the words of rest without their quotes.
	keyword, rest string
	args          []string
	match         []criterion // of Match
	included      []line      // of Include, each file's lines followed by one without a keyword
}

// Load reads a file and the files that it includes; ~ is home. If checked is set, files must belong to the user or root
// and must not be writable by others, as ssh requires of ~/.ssh/config and everything that it includes.
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

// file reads one file. trail lists the files that led to it by Include.
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
			return nil, fmt.Errorf("%s belongs neither to you nor to root: its owner could redirect your connections, and ssh refuses it too", path)
		case info.Mode().Perm()&0o022 != 0:
			return nil, fmt.Errorf("%s is writable by others (mode %04o), and ssh refuses it too: run chmod go-w %s", path, info.Mode().Perm(), path)
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
			return nil, l.Errorf("the included files have more than %d lines; does one include itself?", mostLines)
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

// include reads the files that an Include line names. Like ssh, it skips those that do not exist.
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
		for _, file := range files(path) {
			if info, err := os.Stat(file); err == nil && info.IsDir() {
				continue // ssh reads nothing from it
			}
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

// files returns the paths that match a pattern, in order, as glob(3) does. filepath.Glob spells a negated class
// differently, rejects an unclosed bracket, and lets wildcards match the dot of a hidden file, such as an editor's.
func files(pattern string) []string {
	found, err := filepath.Glob(strings.ReplaceAll(pattern, "[!", "[^"))
	if err != nil { // glob(3) takes an unclosed bracket literally
		found, _ = filepath.Glob(strings.ReplaceAll(pattern, "[", `\[`))
	}
	parts := strings.Split(filepath.Clean(pattern), "/")
	return slices.DeleteFunc(found, func(path string) bool {
		for i, part := range strings.Split(path, "/") {
			if strings.HasPrefix(part, ".") && i < len(parts) && strings.IndexAny(parts[i], "*?[") == 0 {
				return true
			}
		}
		return false
	})
}

const blank = " \t\r\n"

// split parses a line. The result has no keyword if the line is empty or a comment.
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
		return line{}, at.Errorf("a line must begin with a keyword, not with %q", src[:1])
	}
	if l.rest == "" {
		return line{}, at.Errorf("%s needs a value", l.keyword)
	}
	l.keyword = strings.ToLower(l.keyword)
	var ok bool
	if l.args, ok = words(l.rest); !ok {
		return line{}, at.Errorf("the closing quote is missing")
	}
	return l, nil
}

// words splits a text at white space outside quotes, up to a word that begins with #.
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

// Tilde replaces a leading ~ in a path with home, and ~name with that user's home.
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
