// Package suggest finds the name that somebody meant who wrote an unknown one.
package suggest

import (
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// Nearest returns the candidate that somebody who wrote name most likely meant, or "" if none is near.
// Case does not count. Of candidates that are equally near, the first in alphabetical order is returned.
func Nearest(name string, candidates []string) string {
	limit := min(len(name)/3+1, len(name)-1) // one letter is near to any other
	best, least := "", limit+1
	for _, candidate := range slices.Sorted(slices.Values(candidates)) {
		if d := distance(strings.ToLower(name), strings.ToLower(candidate)); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance is the Levenshtein distance, except that letters in the wrong order are one slip and not
// two. An abbreviation is one slip however much it leaves out ("dist" for "distribution"), and two
// with a last letter of its own ("distro").
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

// spelled is the letters of a name in order.
func spelled(name string) string {
	letters := strings.Split(name, "")
	slices.Sort(letters)
	return strings.Join(letters, "")
}
