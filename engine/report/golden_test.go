package report

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

// golden compares an output with testdata/NAME.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the report differs from %s (-want +got), if that is meant, run go test -update:\n%s", path, diff)
	}
}

// terminal is a Terminal whose clock stands still and whose ticker is the test.
func terminal(w io.Writer, o Options) *textReporter {
	r := newText(w, o)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r.live = &live{now: func() time.Time { return start }}
	return r
}

func report(t *testing.T, r Reporter, events []Event) {
	t.Helper()
	for _, e := range events {
		r.Report(e)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closing the report: %v", err)
	}
}

func TestPlain(t *testing.T) {
	for name, test := range map[string]struct {
		o     Options
		check bool
	}{
		"plain.txt":         {Options{Color: true, Width: 20}, false}, // neither applies to plain text
		"plain-diff.txt":    {Options{Diff: true}, false},
		"plain-verbose.txt": {Options{Diff: true, Verbose: true}, false},
		"plain-check.txt":   {Options{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			report(t, NewPlain(&out, test.o), sample(test.check))
			if strings.Contains(out.String(), "\x1b") {
				t.Error("plain text contains an escape character")
			}
			golden(t, name, out.String())
		})
	}
}

func TestTerminal(t *testing.T) {
	for name, o := range map[string]Options{
		"terminal-100.txt":   {Width: 100, Diff: true},
		"terminal-40.txt":    {Width: 40},
		"terminal-color.txt": {Width: 100, Color: true, Diff: true},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			report(t, terminal(&out, o), sample(false))
			golden(t, name, screen(out.String()))
		})
	}
}

// screen returns what a terminal shows after an output whose only cursor movements are those of erase.
func screen(output string) string {
	var lines []string
	for output != "" {
		if rest, ok := strings.CutPrefix(output, "\x1b["); ok {
			n, end := 0, 0
			for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
				n = n*10 + int(rest[end]-'0')
				end++
			}
			if after, ok := strings.CutPrefix(rest[end:], "A\r\x1b[J"); ok {
				lines = lines[:len(lines)-n]
				output = after
				continue
			}
		}
		line, rest, _ := strings.Cut(output, "\n")
		lines = append(lines, line)
		output = rest
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestWidth(t *testing.T) {
	for _, columns := range []int{30, 40, 60, 72, 80, 120} {
		var out bytes.Buffer
		report(t, terminal(&out, Options{Width: columns}), sample(false))
		for line := range strings.Lines(screen(out.String())) {
			if w := ansi.StringWidth(strings.TrimSuffix(line, "\n")); w > columns {
				t.Errorf("on %d columns, a line has %d: %q", columns, w, line)
			}
		}
	}
}

func TestVeryNarrow(t *testing.T) {
	for columns := 1; columns < 30; columns++ {
		var out bytes.Buffer
		report(t, terminal(&out, Options{Width: columns, Color: true, Diff: true, Verbose: true}), sample(true))
		if !strings.Contains(strings.Join(strings.Fields(ansi.Strip(out.String())), ""), "OSDsonblankdisks") {
			t.Errorf("on %d columns, the name of a task is missing", columns)
		}
	}
}

func TestPlainIsDeterministic(t *testing.T) {
	events := sample(false)
	swapped := append([]Event(nil), events...)
	swapped[3], swapped[5] = swapped[5], swapped[3] // the results of the first task
	var a, b bytes.Buffer
	report(t, NewPlain(&a, Options{}), events)
	report(t, NewPlain(&b, Options{}), swapped)
	if diff := cmp.Diff(a.String(), b.String()); diff != "" {
		t.Errorf("the order of arrival shows:\n%s", diff)
	}
}
