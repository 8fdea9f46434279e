package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"

	"hlplay/engine/remote"
)

// Paths observes whether anything is at an absolute path, even a dangling symbolic link. Use Paths.Expect for a step
// that creates a file of which nothing else is known, and Exists to read.
var Paths = &Kind[bool]{
	Name: "exists", What: "whether %s exists",
	Shared: OnSharedFileSystem,
	Ask: func(names []string) []remote.Query {
		return eachPath(names, `[ -e "$1" ] || [ -L "$1" ]`)
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, bool, error)) {
		parseEachPath(names, answers, tell, func(_ string, a remote.Answer) (bool, error) {
			return a.Exit == 0, nil
		})
	},
}

// Exists reports whether anything is at a path. It works even if check mode knows nothing about a file except that it
// will exist.
func Exists(ctx context.Context, h *Host, name string) (bool, error) {
	f, err := Files.Observe(ctx, h, name)
	if IsUnknown(err) {
		if known, ok := h.Known(Paths.Key(name)); ok {
			return known.(bool), nil
		}
	}
	if changing(err) { // a file that keeps growing exists
		return true, nil
	}
	return f.Exists(), err
}

// Pattern is a regular expression and the file that is searched for it. Encoded as JSON, it is the name of an
// observation of Matches.
type Pattern struct {
	Path   string `json:"path"`
	Regexp string `json:"regexp"`
}

// Key returns the name under which Matches observes the pattern.
func (p Pattern) Key() string {
	b, err := json.Marshal(p)
	if err != nil { // two strings can always be marshaled
		return err.Error()
	}
	return string(b)
}

// Observe reports whether the pattern (RE2, with ^ and $ matching at every line) matches the file. It does not match a
// file that is absent or that changes while it is read. In check mode the predicted content is searched; if that is
// unknown, the result is what a step expects of the pattern itself.
func (p Pattern) Observe(ctx context.Context, h *Host) (bool, error) {
	re, err := regexp.Compile("(?m)" + p.Regexp)
	if err != nil {
		return false, err
	}
	_, f, err := Follow(ctx, h, p.Path)
	if IsUnknown(err) {
		if known, ok := h.Known(Matches.Key(p.Key())); ok {
			return known.(bool), nil
		}
	}
	if changing(err) { // a caller that waits for the pattern tries again
		return false, nil
	}
	return re.Match(f.Content) && err == nil, err
}

// Matches observes whether a pattern matches within the first FileLimit bytes of a file, by Pattern.Key.
var Matches = &Kind[bool]{
	Name: "matches", What: "whether the text is in the file",
	Ask: func(names []string) []remote.Query {
		var queries []remote.Query
		for _, name := range names {
			if p, _, err := parsePattern(name); err == nil {
				queries = append(queries, remote.Query{
					Script: `( _hl_read "$1" 1048576 )`, Args: []string{p.Path}, Inline: true,
				})
			}
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, bool, error)) {
		for _, name := range names {
			p, re, err := parsePattern(name)
			if err != nil {
				tell(name, false, err)
				continue
			}
			a := answers[0]
			answers = answers[1:]
			if a.Exit != 0 {
				tell(name, false, fmt.Errorf("reading %s: %s: %s", p.Path, remote.Ending(a.Exit), LastLine(a.Stderr)))
				continue
			}
			tell(name, re.Match(bytes.TrimPrefix(a.Stdout, []byte("\n==> "+p.Path+" <==\n"))), nil)
		}
	},
}

func parsePattern(name string) (Pattern, *regexp.Regexp, error) {
	var p Pattern
	if err := json.Unmarshal([]byte(name), &p); err != nil {
		return p, nil, fmt.Errorf("a pattern is observed by its Pattern.Key: %w", err)
	}
	if err := checkPath(p.Path); err != nil {
		return p, nil, err
	}
	re, err := regexp.Compile("(?m)" + p.Regexp)
	return p, re, err
}
