package main

import (
	"math"
	"runtime"
	"runtime/debug"
)

// uncollected is the amount of memory up to which no garbage is collected. A run on a few hosts ends before it needs
// that much, and so never spends time on garbage collection, which would take a tenth of its processor time.
const uncollected = 96 << 20

// collectLate delays the first garbage collection until the program uses more than uncollected bytes. After that,
// garbage is collected more often than by Go's default, so that a run on a thousand hosts stays small.
func collectLate() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(uncollected)
	type garbage struct{ _ [64]byte } // large enough for an allocation of its own
	runtime.AddCleanup(new(garbage), func(struct{}) {
		debug.SetGCPercent(50)
		debug.SetMemoryLimit(math.MaxInt64)
	}, struct{}{})
}
