// Package suggest finds the name that was probably meant by an unknown name, for "did you mean".
package suggest

import (
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// Nearest returns the candidate of which name is most likely a misspelling or an abbreviation, or "" if there is none.
// Case is ignored. Ties are resolved alphabetically.
func Nearest(name string, candidates []string) string {
	limit := min(len(name)/3+1, len(name)-1) // a single letter is close to any other
	best, least := "", limit+1
	for _, candidate := range slices.Sorted(slices.Values(candidates)) {
		if d := distance(strings.ToLower(name), strings.ToLower(candidate)); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance returns the Levenshtein distance, except that a transposition counts as one edit. An abbreviation counts as
// one edit however much it omits ("dist" for "distribution"), and as two if its last letter differs ("distro").
func distance(name, candidate string) int {
	if name != candidate && spelled(name) == spelled(candidate) {
		return 1
	}
	d := levenshtein.Distance(name, candidate, nil)
	switch {
	case len(name) >= 3 && strings.HasPrefix(candidate, name):
		return min(d, 1)
	case len(name) >= 5 && strings.HasPrefix(candidate, name[:len(name)-1]):
		return min(d, 2)
	}
	return d
}

// spelled returns the letters of a name, sorted.
func spelled(name string) string {
	letters := strings.Split(name, "")
	slices.Sort(letters)
	return strings.Join(letters, "")
}
