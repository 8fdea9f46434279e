package inventory

import (
	"errors"
	"fmt"
	"strings"

	"hlplay/engine/localfile"
)

// largestLimitFile bounds a file of patterns, in bytes.
const largestLimitFile = 16 << 20

// Limit returns the patterns that an argument of --limit means: itself, or of @FILE the lines of that file. Empty lines, and what
// follows a "#" at the beginning of a line or behind a space, say nothing.
func Limit(argument string) ([]string, error) {
	name, ok := strings.CutPrefix(argument, "@")
	if !ok {
		return []string{argument}, nil
	}
	if name == "" {
		return nil, errors.New("name a file of patterns behind the @")
	}
	text, err := localfile.Read(name, largestLimitFile)
	if err != nil {
		return nil, err
	}
	var patterns []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(" "+line, " #")
		if line = strings.TrimSpace(line); line != "" {
			patterns = append(patterns, line)
		}
	}
	if len(patterns) == 0 {
		return nil, fmt.Errorf("%s names no hosts: expected one pattern on each line", name)
	}
	return patterns, nil
}
