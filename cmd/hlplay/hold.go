package main

import (
	"fmt"
	"os"
	"sync/atomic"

	"hlplay/engine/run"
)

// holdExpectations makes every run compare what steps expected to be observed with the hosts. Differences are printed
// on standard error, and the program exits with exitDefect. It is set in the script tests and, by the build tag "hold"
// (make e2e-hold), in a program for the end-to-end tests, but never in released programs.
var holdExpectations bool

// exitDefect is the exit code if a step's expectation was not met.
const exitDefect = 70

var unfulfilled atomic.Bool

func tellUnfulfilled(u run.Unfulfilled) {
	unfulfilled.Store(true)
	fmt.Fprintln(os.Stderr, "hlplay: defect:", u)
}
