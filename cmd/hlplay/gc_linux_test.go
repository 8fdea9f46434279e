package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A short command ends before the first garbage collection, which GODEBUG=gctrace=1 would report.
func TestShortCommandsCollectNoGarbage(t *testing.T) {
	cmd := hlplayCommand(t, "validate", "../../playbooks/cluster.hcl", "-i", "../../inventory")
	var stderr bytes.Buffer
	cmd.Env, cmd.Stderr = append(cmd.Env, "GODEBUG=gctrace=1"), &stderr
	if err := cmd.Run(); err != nil || strings.Contains(stderr.String(), "gc 1 @") {
		t.Errorf("%v: %s", err, stderr.String())
	}
}

// TestHeapOfARun looks at the heap of runs on three hosts. One that finds nothing to do ends before the first collection. One
// that makes 120 changes on each host, in steps that are sent together, collects in time, and so stays small.
func TestHeapOfARun(t *testing.T) {
	const hosts, changes = 3, 120
	s := startScale(t, hosts)
	var first strings.Builder
	first.WriteString("play \"first\" {\n  hosts = \"all\"\n")
	for i := range changes {
		text := strings.Repeat(fmt.Sprintf("setting = %d\n", i), 60)
		fmt.Fprintf(&first, "  task \"t%d\" {\n    file {\n      path    = \"/etc/first-%d\"\n      content = %q\n    }\n  }\n", i, i, text)
	}
	first.WriteString("}\n")
	s.write(t, "first.hcl", first.String())
	for _, c := range []struct{ playbook, recap string }{
		{"play.hcl", fmt.Sprintf(`"n2":{"ok":%d,"changed":0,`, scaleTasks)},
		{"first.hcl", fmt.Sprintf(`"n2":{"ok":0,"changed":%d,`, changes)},
	} {
		cmd := hlplayCommand(t, "run", filepath.Join(s.dir, c.playbook), "-i", filepath.Join(s.dir, "lab", "inventory"), "--output", "json")
		cmd.Dir = s.dir // the run is recorded there
		var stdout, trace bytes.Buffer
		cmd.Env = append(cmd.Env, "HLPLAY_SEND_AHEAD=yes", "GODEBUG=gctrace=1")
		cmd.Stdout, cmd.Stderr = &stdout, &trace
		if err := cmd.Run(); err != nil || !strings.Contains(stdout.String(), c.recap) {
			t.Fatalf("%s: %v\n%s\n%s", c.playbook, err, trace.String(), stdout.String()[max(0, stdout.Len()-2000):])
		}
		collections := heapBeforeCollection.FindAllStringSubmatch(trace.String(), -1)
		if collects := len(collections) > 0; collects != (c.playbook == "first.hcl") {
			t.Errorf("%s: %d garbage collections:\n%s", c.playbook, len(collections), trace.String())
		}
		for _, before := range collections {
			if mb, err := strconv.Atoi(before[1]); err != nil || mb > smallHeap>>20 {
				t.Errorf("%s: the heap grew to %s MB before it was collected (%v), want at most %d:\n%s", c.playbook, before[1], err, smallHeap>>20, trace.String())
			}
		}
	}
}

// heapBeforeCollection matches a line of Go's trace of the collector. Its group is the size of the heap, in MB, when a
// collection began.
var heapBeforeCollection = regexp.MustCompile(`(?m)^gc \d+ @.*, (\d+)->\d+->\d+ MB,`)

func TestGrowth(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 2400},
		{smallHeap / 3, 200},
		{smallHeap / 2, 100},
		{smallHeap * 9 / 10, 50},
		{smallHeap, 50},
		{1 << 30, 50},
	} {
		if got := growth(c.live); got != c.want {
			t.Errorf("growth(%d) = %d, want %d", c.live, got, c.want)
		}
	}
}
