package inventory

import (
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
)

// nearest is the candidate that name is most likely a misspelling of, or "" if none is close.
func nearest(name string, candidates []string) string {
	best, bestDistance := "", min(len([]rune(name))/3+2, max(len([]rune(name)), 1)) // one letter is near to any other
	for _, candidate := range candidates {
		if distance := levenshtein.Distance(strings.ToLower(name), strings.ToLower(candidate), nil); distance < bestDistance {
			best, bestDistance = candidate, distance
		}
	}
	return best
}

// suggestion ends a sentence about an unknown name: with the nearest right name, or with all.
func suggestion(name string, candidates []string) string {
	if best := nearest(name, candidates); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	const few = 16
	switch {
	case len(candidates) == 0:
		return "."
	case len(candidates) > few:
		return fmt.Sprintf("; there are %s, and %d more.", strings.Join(candidates[:few], ", "), len(candidates)-few)
	case len(candidates) == 1:
		return fmt.Sprintf("; there is only %s.", candidates[0])
	}
	return fmt.Sprintf("; there are %s and %s.", strings.Join(candidates[:len(candidates)-1], ", "), candidates[len(candidates)-1])
}
