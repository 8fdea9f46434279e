package main

import (
	"math"
	"runtime"
	"runtime/debug"
)

// A run on a few hosts is over before the program takes this much memory, and the garbage collector, which would take a tenth of
// its processor time, never runs.
const uncollected = 96 << 20

// collectLate puts the first garbage collection off until the program takes more than uncollected bytes. From then on less
// garbage than Go's default is kept, so that a run on a thousand hosts stays small.
func collectLate() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(uncollected)
	type garbage struct{ _ [64]byte } // large enough for an allocation of its own
	runtime.AddCleanup(new(garbage), func(struct{}) {
		debug.SetGCPercent(50)
		debug.SetMemoryLimit(math.MaxInt64)
	}, struct{}{})
}
