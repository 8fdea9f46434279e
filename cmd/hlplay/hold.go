package main

import (
	"fmt"
	"os"
	"sync/atomic"

	"hlplay/engine/run"
)

// holdExpectations compares, in every run, what steps said would be observed with the hosts. Differences are printed on
// standard error, and the program exits with exitDefect. It is set in the script tests and, by the build tag "hold" (make
// e2e-hold), in a program for the end-to-end tests; never in what users have.
var holdExpectations bool

// exitDefect is the exit code if a step's expectation was not met.
const exitDefect = 70

var unfulfilled atomic.Bool

func tellUnfulfilled(u run.Unfulfilled) {
	unfulfilled.Store(true)
	fmt.Fprintln(os.Stderr, "hlplay: defect:", u)
}
