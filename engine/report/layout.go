package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// narrowest is the minimum width for laying out text, in columns.
const narrowest = 24

func width(s string) int { return ansi.StringWidth(s) }

// pad pads a text with spaces on the right.
func pad(s string, columns int) string {
	if missing := columns - width(s); missing > 0 {
		return s + strings.Repeat(" ", missing)
	}
	return s
}

// wrap breaks text from elsewhere into lines of at most columns; zero means no limit.
func wrap(s string, columns int) []string {
	s = strings.TrimRight(Printable(s), "\n")
	if columns > 0 {
		s = ansi.Wrap(s, max(columns, narrowest/2), "")
	}
	return strings.Split(s, "\n")
}

// cut truncates a line to columns.
func cut(s string, columns int) string { return ansi.Truncate(s, columns, "…") }

// hostNames formats names for people.
func hostNames(hosts []string) string { return OneLine(strings.Join(hosts, " ")) }

// span formats a duration for people: "0.3s", "42s", "3m02s", "1h04m".
func span(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", max(d, 0).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// clock formats a duration in whole seconds, for lines that are redrawn all the time.
func clock(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%ds", int(max(d, 0).Seconds()))
	}
	return span(d)
}

// bytesOf formats a number of bytes for people: "950 B", "5.1 KB", "11.0 MB".
func bytesOf(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f KB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
