// Package plural counts things in messages.
package plural

import "fmt"

// Of returns the number with its noun, in the plural unless it is 1: "1 host", "3 hosts". The plural is the noun with an s.
func Of(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
