package report

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
)

func TestLiveLines(t *testing.T) {
	var out bytes.Buffer
	r := newText(&out, Options{Width: 60})
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r.live = &live{now: func() time.Time { return now }}
	shows := func(when string, want ...string) {
		t.Helper()
		got := strings.Split(strings.TrimSuffix(screen(out.String()), "\n"), "\n")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, the screen differs (-want +got):\n%s", when, diff)
		}
	}
	hosts := []string{"pve1", "pve2", "三"}
	r.Report(PlayStarted{Play: "cluster", Hosts: hosts, Batch: 1, Batches: 1})
	r.Report(TaskStarted{"cluster", "join", false})
	shows("when the task begins", "  ⠋ join  0s")

	r.Report(Progress{Host: "三", Task: "join", What: "pvecm add pve1 with a very long list of arguments that does not fit", Limit: 2 * time.Minute})
	r.Report(Progress{Host: "pve2", Task: "join", What: "quorum on pve2", Awaits: true, Limit: time.Minute})
	now = now.Add(12 * time.Second)
	r.tick()
	shows("while hosts work",
		"  ⠙ join  12s",
		"      pve2  waits for quorum on pve2  12s of 1m00s",
		"      三    pvecm add pve1 with a very long …  12s of 2m00s",
	)
	r.Report(TaskResult{Play: "cluster", Task: "join", Host: "pve1", Status: OK})
	now = now.Add(time.Second)
	r.Report(Progress{Host: "三", Task: "join", What: "reading the members"})
	shows("when one host is done",
		"  ⠙ join  13s, 1 of 3 hosts done",
		"      pve2  waits for quorum on pve2  13s of 1m00s",
		"      三    reading the members  0s",
	)
	Suspend(Tee(Redact(r, NewRedactor())), func() {
		shows("while somebody else has the terminal", "")
		r.Report(Note{"said meanwhile"})
		r.tick()
		shows("when something is reported meanwhile", "")
	})
	shows("afterwards",
		"", "── cluster  pve1 pve2 三", "  ✓ join                      ok pve1", "  note: said meanwhile",
		"  ⠹ working", "      pve2  waits for quorum on pve2  13s of 1m00s", "      三    reading the members  0s",
	)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	shows("at the end", "", "── cluster  pve1 pve2 三", "  ✓ join                      ok pve1", "  note: said meanwhile")
}

func TestLiveLinesFit(t *testing.T) {
	for columns := 1; columns < 50; columns++ {
		var out bytes.Buffer
		r := terminal(&out, Options{Width: 80, Color: true, Resized: func() int { return columns }})
		r.Report(TaskStarted{"play", "a task with a name of some length", false})
		for i := range mostLive + 3 {
			r.Report(Progress{Host: strings.Repeat("三", i+1), What: "a command that is\nlong\x1b[2J", Limit: time.Hour})
		}
		frame := screen(out.String())
		if n := strings.Count(frame, "\n"); n != mostLive+2 {
			t.Fatalf("%d live lines, want %d:\n%s", n, mostLive+2, frame)
		}
		for line := range strings.Lines(frame) {
			if w := ansi.StringWidth(strings.TrimSuffix(line, "\n")); w > columns {
				t.Errorf("on %d columns, a live line has %d and would wrap: %q", columns, w, line)
			}
		}
	}
}

// A terminal that becomes narrower rewraps the live lines. All of them are erased, and nothing above them.
func TestLiveLinesOfANarrowerTerminal(t *testing.T) {
	var out bytes.Buffer
	columns := 80
	r := terminal(&out, Options{Width: 80, Resized: func() int { return columns }})
	r.Report(TaskStarted{"play", strings.Repeat("n", 50), false})   // 58 columns: 2 lines of 30
	r.Report(Progress{Host: "pve1", What: strings.Repeat("w", 90)}) // 79 columns: 3 lines of 30
	columns = 30
	before := out.Len()
	r.tick()
	redrawn := out.String()[before:]
	if erased, _, _ := strings.Cut(redrawn, "\r"); erased != "\x1b[5A" {
		t.Errorf("the cursor goes up by %q, want 5 lines", erased)
	}
	for line := range strings.Lines(ansi.Strip(redrawn)) {
		if w := ansi.StringWidth(strings.TrimSuffix(line, "\n")); w > columns {
			t.Errorf("on %d columns, a live line has %d: %q", columns, w, line)
		}
	}
}

// On a terminal with few rows there are fewer live lines: lines that have scrolled off cannot be erased.
func TestLiveLinesOfALowTerminal(t *testing.T) {
	for rows := range 14 {
		for hosts := range mostLive + 3 {
			var out bytes.Buffer
			r := terminal(&out, Options{Width: 80, Rows: func() int { return rows }})
			r.Report(TaskStarted{"play", "task", false})
			for i := range hosts {
				r.Report(Progress{Host: strings.Repeat("n", i+1), What: "works"})
			}
			frame := strings.TrimSuffix(screen(out.String()), "\n")
			lines := strings.Count(frame, "\n")
			if frame != "" {
				lines++
			}
			most := 1 + min(hosts, mostLive+1)
			if rows > 0 {
				most = max(0, min(most, rows-2))
			}
			if lines != most {
				t.Errorf("%d hosts on %d rows have %d live lines, want %d:\n%s", hosts, rows, lines, most, frame)
			}
			if shown := strings.Count(frame, "works"); lines > 1 && shown < hosts && !strings.Contains(frame, fmt.Sprintf("and %d more", hosts-shown)) {
				t.Errorf("%d hosts on %d rows: it is not said that %d are not shown:\n%s", hosts, rows, hosts-shown, frame)
			}
		}
	}
}

// TestEchoIsOffWhileLinesAreLive checks that the terminal's echo is off while there are live lines, and only then.
func TestEchoIsOffWhileLinesAreLive(t *testing.T) {
	var out bytes.Buffer
	var told []bool
	r := terminal(&out, Options{Width: 80, SetEcho: func(on bool) { told = append(told, on) }})
	expect := func(when string, want ...bool) {
		t.Helper()
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	r.Report(RunStarted{Playbook: "p", Hosts: []string{"n"}})
	expect("before the first task")
	r.Report(TaskStarted{"play", "task", false})
	r.tick()
	expect("in a task", false)
	r.Suspend(func() {
		expect("while a password is asked for", false, true)
		r.Report(Progress{Host: "n", What: "works"})
		r.tick()
		r.Suspend(func() {})
		expect("while something is reported meanwhile", false, true)
	})
	expect("afterwards", false, true, false)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	expect("at the end", false, true, false, true)
}

// TestTicker runs the real ticker concurrently with events, for the race detector, and closes twice.
func TestTicker(t *testing.T) {
	var out lockedBuffer
	r := NewTerminal(&out, Options{})
	for _, e := range sample(false) {
		r.Report(e)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(out.String(), "── Recap") {
		t.Error("the recap is missing")
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

type brokenPipe struct{}

var errPipe = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errPipe }

func TestWriteErrors(t *testing.T) {
	for name, r := range map[string]Reporter{
		"terminal": NewTerminal(brokenPipe{}, Options{}),
		"plain":    NewPlain(brokenPipe{}, Options{}),
		"JSON":     NewJSON(brokenPipe{}, Options{}),
	} {
		for _, e := range sample(false) {
			r.Report(e)
		}
		if err := Tee(r, &Recorder{}).Close(); !errors.Is(err, errPipe) {
			t.Errorf("%s: closing says %v, want the error of writing", name, err)
		}
	}
}

// TestForeignText checks that text from a host can neither move the cursor nor start a new line.
func TestForeignText(t *testing.T) {
	evil := "a\x1b[2Jb\u009b1Ac\x07\r\nd\u202ee"
	var out bytes.Buffer
	r := NewPlain(&out, Options{Diff: true, Verbose: true})
	r.Report(RunStarted{Playbook: evil, Hosts: []string{evil}})
	r.Report(PlayStarted{Play: evil, Hosts: []string{evil}})
	for _, status := range worstFirst {
		r.Report(TaskResult{Play: evil, Task: evil + string(status), Host: evil, Status: status, Steps: []string{evil}, Message: evil, Output: evil, Hint: evil, File: evil, Notes: []string{evil},
			Diffs: diffsOf(evil), Items: []ItemResult{{Key: evil, Status: status, Steps: []string{evil}, Message: evil}}})
	}
	r.Report(Progress{Host: evil, What: evil})
	r.Report(Note{evil})
	r.Report(Recap{Order: []string{evil}, Hosts: map[string]Counts{evil: {Failed: 1}}})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range out.String() {
		if c != '\n' && (c < ' ' || c >= 0x7f && c < 0xa0 || c == 0x202e) {
			t.Fatalf("the report contains %q:\n%q", c, out.String())
		}
	}
	if strings.Contains(out.String(), "\nd") {
		t.Error("foreign text begins a line at the margin")
	}
}
