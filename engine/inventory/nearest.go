package inventory

import (
	"fmt"
	"strings"

	"hlplay/engine/suggest"
)

// suggestion completes a sentence about an unknown name with the most similar known name, or with all of them.
func suggestion(name string, candidates []string) string {
	if best := suggest.Nearest(name, candidates); best != "" {
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
