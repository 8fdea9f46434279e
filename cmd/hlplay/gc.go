package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// smallHeap is the size of the heap, in bytes, up to which garbage is collected late. A run that finds nothing to do on a
// few hosts ends before it needs that much, and so spends next to no time on garbage. A first run collects a few times;
// touching new memory instead would take the processor as long. Together with the pages of the program's file, both
// stay below 64 MiB.
const smallHeap = 24 << 20

// collectLate lets the heap grow to smallHeap before garbage is collected, however little of it is in use. A larger
// heap grows by half: garbage is collected more often than by Go's default, so that a run on a thousand hosts stays small.
func collectLate() {
	const goMinimum = 4 << 20 // the smallest heap that Go collects at 100 percent; it is proportional to the percentage
	debug.SetGCPercent(100 * smallHeap / goMinimum)
	onCollection(func() {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		debug.SetGCPercent(growth(live[0].Value.Uint64()))
	})
}

// growth returns by how many percent the heap may grow before the next collection, if live bytes are in use.
func growth(live uint64) int {
	if live >= smallHeap {
		return 50
	}
	return int(max(50, 100*(smallHeap-live)/max(live, 1<<20)))
}

// onCollection calls f after every garbage collection.
func onCollection(f func()) {
	type garbage struct{ _ [64]byte } // large enough for an allocation of its own
	runtime.AddCleanup(new(garbage), func(struct{}) {
		f()
		onCollection(f)
	}, struct{}{})
}
