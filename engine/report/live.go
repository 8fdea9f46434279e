package report

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// redrawEvery is how often the live lines move.
const redrawEvery = 120 * time.Millisecond

// mostLive is how many hosts the live lines show. The others are only counted.
const mostLive = 8

var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// live is the state of the live lines. A nil live is a report without them, and its methods do nothing.
type live struct {
	now     func() time.Time
	stop    chan struct{}
	once    sync.Once
	stopped sync.WaitGroup

	task  *TaskStarted
	since time.Time
	done  int // hosts that have reported
	hosts map[string]liveHost
	frame int
	// echoOff is set while the terminal's echo is off.
	echoOff bool
	drawn   []int // widths in columns of the lines currently at the bottom of the terminal
}

type liveHost struct {
	Progress
	since time.Time
}

func (l *live) begin(task TaskStarted) {
	if l == nil {
		return
	}
	l.task, l.since, l.done = &task, l.now(), 0
}

func (l *live) finish() {
	if l != nil {
		l.task = nil
	}
}

// settle records that a host has reported.
func (l *live) settle(host string) {
	if l == nil {
		return
	}
	l.done++
	delete(l.hosts, host)
}

func (l *live) progress(e Progress) {
	if l == nil {
		return
	}
	known, ok := l.hosts[e.Host]
	switch {
	case e.What == "":
		delete(l.hosts, e.Host)
		return
	case l.hosts == nil:
		l.hosts = map[string]liveHost{}
	}
	since := l.now()
	if ok && known.What == e.What && known.Task == e.Task && known.Awaits == e.Awaits {
		since = known.since
	}
	l.hosts[e.Host] = liveHost{e, since}
}

func (l *live) clear() {
	if l != nil {
		l.task, l.hosts = nil, nil
	}
}

func (l *live) close() {
	if l == nil || l.stop == nil {
		return
	}
	l.once.Do(func() { close(l.stop) })
	l.stopped.Wait()
}

// erase removes the live lines from a terminal of the given width: it moves to their beginning and clears everything
// below. Terminals rewrap lines when they become narrower, so a line may take several rows by now.
func (l *live) erase(columns int) string {
	if l == nil || len(l.drawn) == 0 {
		return ""
	}
	lines := 0
	for _, w := range l.drawn {
		lines += max(1, (w+columns-1)/max(columns, 1))
	}
	l.drawn = nil
	return fmt.Sprintf("\x1b[%dA\r\x1b[J", lines)
}

// keepTime updates the spinner and the seconds until stop is closed.
func (t *textReporter) keepTime(stop <-chan struct{}) {
	defer t.live.stopped.Done()
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			t.tick()
		}
	}
}

// tick redraws the live lines with the next frame.
func (t *textReporter) tick() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live.task == nil && len(t.live.hosts) == 0 {
		return
	}
	t.measure()
	t.live.frame++
	t.emit("")
}

// room returns how many lines fit below the task's: lines that scroll off the terminal cannot be erased.
func (t *textReporter) room() int {
	if t.o.Rows != nil {
		if rows := t.o.Rows(); rows > 0 {
			// One row is for the task, one for the cursor, and one is spare: terminals keep a screen that is erased as a whole.
			return rows - 3
		}
	}
	return mostLive + 1
}

// drawLive draws the live lines. Each must fit on one row of the terminal, or erasing would miscount them.
func (t *textReporter) drawLive() string {
	l := t.live
	if l == nil || l.task == nil && len(l.hosts) == 0 {
		return ""
	}
	columns, room := t.o.Width, t.room()
	if room < 0 {
		return ""
	}
	var b strings.Builder
	line := func(s string) {
		s = cut(s, max(columns-1, 1))
		b.WriteString(s + "\n")
		l.drawn = append(l.drawn, width(s))
	}
	now := l.now()
	line("  " + t.look.spinner(spinner[l.frame%len(spinner)]) + " " + t.look.heading(l.title()) + t.look.dim(l.tally(len(t.play.Hosts), now)))
	names := make([]string, 0, len(l.hosts))
	for name := range l.hosts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if byPlace := t.place(a) - t.place(b); byPlace != 0 {
			return byPlace
		}
		return strings.Compare(a, b)
	})
	shown := min(len(names), mostLive)
	if lines := shown + min(1, len(names)-shown); lines > room {
		shown = max(0, room-1)
	}
	longest := 0
	for _, name := range names[:shown] {
		longest = max(longest, width(OneLine(name)))
	}
	for i, name := range names {
		if i == shown {
			if room > shown {
				line("      " + t.look.dim(fmt.Sprintf("and %d more", len(names)-shown)))
			}
			break
		}
		line(t.liveHost(l.hosts[name], now, longest, columns))
	}
	return b.String()
}

func (l *live) title() string {
	if l.task == nil {
		return "working"
	}
	return taskName(*l.task)
}

func (l *live) tally(hosts int, now time.Time) string {
	if l.task == nil {
		return ""
	}
	s := "  " + clock(now.Sub(l.since))
	if l.done > 0 && hosts > l.done {
		s += fmt.Sprintf(", %d of %d hosts done", l.done, hosts)
	}
	return s
}

// liveHost returns the line of a host. Truncation never removes the time.
func (t *textReporter) liveHost(h liveHost, now time.Time, nameColumns, columns int) string {
	what, elapsed := OneLine(h.What), clock(now.Sub(h.since))
	if h.Awaits {
		what = "waits for " + what
	}
	if h.Limit > 0 {
		elapsed += " of " + clock(h.Limit)
	}
	name := pad(OneLine(h.Host), min(nameColumns, max(columns/3, 8)))
	if room := columns - 1 - 6 - width(name) - 2 - width(elapsed) - 2; room > 0 {
		what = cut(what, room)
	}
	return "      " + name + "  " + what + "  " + t.look.dim(elapsed)
}
