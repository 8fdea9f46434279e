package pve

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Running observes which guests run on a node, by id, under the empty name. It asks the node's own qm and pct, because the
// list of guests in /etc/pve has no power state, and the states that nodes exchange are up to ten seconds old.
var Running = &observe.Kind[map[int]bool]{
	Name: "pve-running", What: "the guests that run on the node",
	Ask: func([]string) []remote.Query {
		return []remote.Query{remote.Argv(time.Minute, "qm", "list"), remote.Argv(time.Minute, "pct", "list")}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[int]bool, error)) {
		running := map[int]bool{}
		var failed error
		for i, program := range []string{"qm", "pct"} {
			a := answers[i]
			if a.Exit != 0 {
				failed = fmt.Errorf("%s list: %s: %s", program, remote.Ending(a.Exit), observe.LastLine(a.Stderr))
				continue
			}
			for line := range strings.Lines(string(a.Stdout)) {
				fields := strings.Fields(line)
				if len(fields) < 2 || fields[0] == "VMID" {
					continue
				}
				id, err := strconv.Atoi(fields[0])
				if err != nil {
					failed = fmt.Errorf("%s list: expected a guest in each line, found %q", program, strings.TrimSpace(line))
					continue
				}
				// qm prints the name before the state: "VM 100" for a virtual machine without a name. No other name contains blanks.
				state := 1
				if program == "qm" {
					state = 2
					if fields[1] == "VM" && len(fields) > 3 && fields[2] == fields[0] {
						state = 3
					}
				}
				if len(fields) > state && fields[state] == "running" {
					running[id] = true
				}
			}
		}
		for _, name := range names {
			tell(name, running, failed)
		}
	},
}

// FreeMemory observes how much memory a node could give to guests, in bytes, under the empty name: MemAvailable of proc_meminfo(5).
var FreeMemory = &observe.Kind[uint64]{
	Name: "free-memory", What: "the memory that is free",
	Ask: func([]string) []remote.Query { return []remote.Query{{Script: "cat /proc/meminfo", Inline: true}} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, uint64, error)) {
		var free uint64
		err := fmt.Errorf("/proc/meminfo has no MemAvailable")
		for line := range strings.Lines(string(answers[0].Stdout)) {
			if text, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
				var kib uint64
				kib, err = strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
				free = kib << 10
			}
		}
		for _, name := range names {
			tell(name, free, err)
		}
	},
}
