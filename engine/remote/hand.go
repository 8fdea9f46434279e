package remote

import (
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// handProgram is the program of an acting shell's hand, a Perl process that does what would otherwise take other processes:
// see scripts/hand.pl. Where there is no Perl, the shell's own functions and the scripts of queries do the same.
var handProgram = sync.OnceValue(func() string { return handWith("") })

// handPipes is what an acting shell evaluates to start its hand: see scripts/hand.sh.
var handPipes = script("hand")

// handWith returns the program with more functions.
func handWith(more string) string {
	names, err := fs.Glob(scripts, "scripts/*.pl")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	// What the others use is defined first.
	first := []string{"scripts/hand.pl", "scripts/place.pl"}
	slices.SortStableFunc(names, func(a, b string) int { return place(first, a) - place(first, b) })
	var program strings.Builder
	for _, name := range names {
		text, err := scripts.ReadFile(name)
		if err != nil {
			panic(err) // it is embedded in the program
		}
		for line := range strings.Lines(code(string(text))) {
			program.WriteString(strings.TrimLeft(line, "\t"))
		}
	}
	return program.String() + more + "serve();\n"
}

// place returns the index of a name, or the length if it is not in the list.
func place(names []string, name string) int {
	if i := slices.Index(names, name); i >= 0 {
		return i
	}
	return len(names)
}

// lengths returns the lengths in bytes of the words of a request to the hand.
func lengths(words []string) string {
	var text strings.Builder
	for i, w := range words {
		if i > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(strconv.Itoa(len(w)))
	}
	return text.String()
}

// request returns the words of a request as the acting shell passes them on: the lengths, the function's name and its
// arguments.
func request(function string, args []string) (string, error) {
	words := append([]string{function}, args...)
	return quoteAll(append([]string{lengths(words)}, words...))
}
