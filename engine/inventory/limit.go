package inventory

import (
	"errors"
	"fmt"
	"strings"

	"hlplay/engine/localfile"
)

// largestLimitFile is the size limit of a file of patterns, in bytes.
const largestLimitFile = 16 << 20

// Limit returns the patterns in an argument of --limit: the argument itself, or the lines of the file for @FILE. Empty
// lines and comments are skipped; a comment begins with a "#" at the beginning of a line or after a space.
func Limit(argument string) ([]string, error) {
	name, ok := strings.CutPrefix(argument, "@")
	if !ok {
		return []string{argument}, nil
	}
	if name == "" {
		return nil, errors.New("the @ must be followed by the name of a file of patterns")
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
