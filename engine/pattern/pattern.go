// Package pattern provides regular expressions that are compiled when they are first used. Most runs use few of the
// program's patterns, and compiling them before main would delay every command.
package pattern

import (
	"regexp"
	"sync"
)

// Regexp is a regular expression in the syntax of package regexp. Its methods are those of regexp.Regexp.
type Regexp struct {
	text     string
	compiled func() *regexp.Regexp
}

// New returns a regular expression. If it does not parse, its first use panics; this package's tests find all patterns
// in the program's code and parse them.
func New(text string) *Regexp {
	return &Regexp{text, sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}
}

// String returns the pattern.
func (r *Regexp) String() string { return r.text }

// MatchString reports whether a text contains a match.
func (r *Regexp) MatchString(text string) bool { return r.compiled().MatchString(text) }

// FindString returns the leftmost match, or "".
func (r *Regexp) FindString(text string) string { return r.compiled().FindString(text) }

// FindStringIndex returns the location of the leftmost match, or nil.
func (r *Regexp) FindStringIndex(text string) []int { return r.compiled().FindStringIndex(text) }

// FindStringSubmatch returns the leftmost match and the matches of its groups, or nil.
func (r *Regexp) FindStringSubmatch(text string) []string {
	return r.compiled().FindStringSubmatch(text)
}

// FindAllString returns up to n matches, all if n is negative.
func (r *Regexp) FindAllString(text string, n int) []string {
	return r.compiled().FindAllString(text, n)
}

// FindAllStringSubmatch returns up to n matches and the matches of their groups, all if n is negative.
func (r *Regexp) FindAllStringSubmatch(text string, n int) [][]string {
	return r.compiled().FindAllStringSubmatch(text, n)
}

// ReplaceAllString returns the text with matches replaced; in the replacement, $1 stands for the match of the first group.
func (r *Regexp) ReplaceAllString(text, replacement string) string {
	return r.compiled().ReplaceAllString(text, replacement)
}
