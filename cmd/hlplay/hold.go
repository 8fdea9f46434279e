package main

import (
	"fmt"
	"os"
	"sync/atomic"

	"hlplay/engine/run"
)

// holdExpectations makes every run hold against its hosts what its steps said would be observed. Each difference is told on standard
// error, and the program ends with exitDefect. It is on in the script tests and, by the build tag "hold" (make e2e-hold), in a program
// that the end-to-end tests run; never in what users have.
var holdExpectations bool

// exitDefect is the exit code of a program whose steps expected what did not come true.
const exitDefect = 70

var unfulfilled atomic.Bool

func tellUnfulfilled(u run.Unfulfilled) {
	unfulfilled.Store(true)
	fmt.Fprintln(os.Stderr, "hlplay: defect:", u)
}
